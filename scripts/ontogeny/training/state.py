"""Training state between segments: everything that the next step depends on, in one file.

Tensors are safetensors entries, the rest is JSON in the file's metadata, so that reading a state
runs no code. Learning rate, position in the data and random numbers follow from the step (see
`optimizer`, `order`, `loop`), so they are not stored.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from ontogeny.files import replacing
from ontogeny.origins import reading, said
from ontogeny.training.model import named_weights
from ontogeny.training.optimizer import parameters_of


@dataclass(frozen=True)
class StateInfo:
    """Where a state stands: the step it was saved after, that checkpoint's sha256, the sequences of
    one forward pass, which later segments keep to, and what the run is trained from: its spec, None
    where a version before this one left the state."""

    step: int
    checkpoint_sha256: str
    micro_batch: int
    spec: dict[str, Any] | None = None


def save_state(
    path: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer, info: StateInfo
) -> None:
    """Write weights and the optimiser's moments to `path`, in one rename."""
    tensors = {f"model.{name}": tensor for name, tensor in named_weights(model).items()}
    for number, parameter in enumerate(parameters_of(optimizer)):
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{number}.{key}"] = value
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"info": json.dumps(vars(info))})


def load_state(
    path: Path,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    spec: dict[str, Any] | None = None,
) -> StateInfo:
    """Bring model and optimiser to where `save_state` found them, tensor by tensor.

    Raises ValueError that names the file when it is missing, damaged or of another model, or was
    left by training from another spec than the one given.
    """
    device = next(model.parameters()).device
    parameters = parameters_of(optimizer)
    try:
        with safe_open(reading(path), framework="pt") as file:
            info = _read_info(file.metadata(), path)
            _require_same(info.spec, spec, path)
            entries = set(file.keys())
            for name, tensor in named_weights(model).items():
                if f"model.{name}" not in entries:
                    raise KeyError(name)
                tensor.copy_(file.get_tensor(f"model.{name}"))
            for entry in entries:
                if entry.startswith("optimizer."):
                    _, number, moment = entry.split(".")
                    value, parameter = file.get_tensor(entry).to(device), parameters[int(number)]
                    if value.ndim and value.shape != parameter.shape:
                        raise KeyError(entry)
                    optimizer.state[parameter][moment] = value
            if info.step and not optimizer.state:
                raise KeyError("optimizer")
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"{path}: is missing, damaged or cut short ({error}); remove it to make it again"
        ) from None
    except (LookupError, RuntimeError) as error:
        raise ValueError(
            f"{path}: is not a training state of this model ({error}); remove it to make it again"
        ) from None
    return info


def _require_same(left_by: dict[str, Any] | None, spec: dict[str, Any] | None, path: Path) -> None:
    if left_by is None or spec is None or left_by == spec:
        return
    raise ValueError(
        f"{path}: was left by another training ({'; '.join(said(left_by, spec))}); to train the "
        f"run from its start: rm -r {path.parent}"
    )


def _read_info(metadata: dict[str, str] | None, path: Path) -> StateInfo:
    try:
        return StateInfo(**json.loads(metadata["info"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path}: is no training state, or one of another version of ontogeny; remove it to "
            "make it again"
        ) from None
