"""Training state between segments: everything that the next step depends on, in one file.

Tensors are safetensors entries, the rest is JSON in the file's metadata, so that reading a state
runs no code. The position in the data is not stored: it follows from the step (see `order`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
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
    """Bring model, optimiser and random state to where `save_state` found them."""
    device = next(model.parameters()).device
    with safe_open(path, framework="pt") as file:
        info = StateInfo(**json.loads(file.metadata()["info"]))
        for name, tensor in named_weights(model).items():
            tensor.copy_(file.get_tensor(f"model.{name}"))
        moments: dict[str, dict[str, torch.Tensor]] = {}
        for key in file.keys():
            if key.startswith("optimizer."):
                _, moment, name = key.split(".", 2)
                moments.setdefault(name, {})[moment] = file.get_tensor(key)
        for name, parameter in model.named_parameters():
            if name in moments:
                optimizer.state[parameter] = {
                    moment: value.to(device) for moment, value in moments[name].items()
                }
        torch.set_rng_state(file.get_tensor("random.cpu"))
        if device.type == "cuda" and "random.cuda" in file.keys():
            torch.cuda.set_rng_state(file.get_tensor("random.cuda"))
    return info
