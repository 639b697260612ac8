"""Training state between segments: everything that the next step depends on, in one file.

Tensors are safetensors entries, the rest is JSON in the file's metadata, so that reading a state
runs no code. The position in the data is not stored: it follows from the step (see `order`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from ontogeny.files import replacing
from ontogeny.training.model import named_weights


@dataclass(frozen=True)
class StateInfo:
    """Where a state stands: the step it was saved after, and that checkpoint's sha256."""

    step: int
    checkpoint_sha256: str


def save_state(
    path: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, info: StateInfo
) -> None:
    """Write weights, optimiser moments and random state to `path`, in one rename."""
    tensors = {f"model.{name}": tensor for name, tensor in named_weights(model).items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"info": json.dumps(vars(info))})


def load_state(path: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> StateInfo:
    """Bring model, optimiser and random state to where `save_state` found them.

    Raises ValueError that names the file when it is missing, damaged or of another model.
    """
    device = next(model.parameters()).device
    try:
        with safe_open(path, framework="pt") as file:
            info = StateInfo(**json.loads(file.metadata()["info"]))
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        for name, tensor in named_weights(model).items():
            tensor.copy_(tensors[f"model.{name}"])
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path}: is missing, damaged or cut short ({error}); remove it to make it again"
        ) from None
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"{path}: is not a training state of this model ({error}); remove it to make it again"
        ) from None
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, moment, name = key.split(".", 2)
            moments.setdefault(name, {})[moment] = value.to(device)
    for name, parameter in model.named_parameters():
        if name in moments:
            optimizer.state[parameter] = moments[name]
    torch.set_rng_state(tensors["random.cpu"])
    if device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return info
