"""AdamW and the learning rate of each step."""

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ontogeny.study.runs import Optimizer, Run


ALIGNED = 16  # each parameter begins at a multiple of so many numbers: 64 bytes


def learning_rate(step: int, run: "Run") -> float:
    """Learning rate of the step that leads from checkpoint `step` to `step + 1`.

    Rises in equal parts to the peak, which the last step of warm-up reaches, then decays towards
    `min_lr_share` of the peak, which it reaches at step `decay_steps`, or would reach one step
    after the last.
    """
    optimizer, warmup = run.optimizer, run.warmup_steps
    if step < warmup:
        return optimizer.lr * (step + 1) / warmup
    end = optimizer.decay_steps or run.last_step
    progress = min(1.0, (step - warmup) / max(1, end - warmup))
    if optimizer.schedule == "constant":
        shape = 1.0
    elif optimizer.schedule == "linear":
        shape = 1.0 - progress
    else:
        shape = 0.5 * (1.0 + math.cos(math.pi * progress))
    return optimizer.lr * (optimizer.min_lr_share + (1.0 - optimizer.min_lr_share) * shape)


def make_optimizer(model: torch.nn.Module, settings: "Optimizer") -> torch.optim.AdamW:
    """Fused AdamW over the parameters of `model` that are trained; weight decay on matrices only.

    The matrices become parts of one long vector, all else of another, and so do their gradients:
    clipping and the step are then a few operations, whatever the number of parameters. Gradients
    have to be set to zero, never to None.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = (
        ([p for p in trained if p.ndim >= 2], settings.weight_decay),
        ([p for p in trained if p.ndim < 2], 0.0),
    )
    return torch.optim.AdamW(
        [{"params": [_joined(group)], "weight_decay": decay} for group, decay in groups if group],
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True,
    )


def parameters_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """All that an optimiser changes, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _joined(parameters: list[torch.nn.Parameter]) -> torch.nn.Parameter:
    """One vector of which these parameters, and their gradients, are parts from now on."""
    sizes = [-(-parameter.numel() // ALIGNED) * ALIGNED for parameter in parameters]
    vector = torch.nn.Parameter(parameters[0].new_zeros(sum(sizes)))
    vector.grad = torch.zeros_like(vector)
    parts = zip(parameters, vector.detach().split(sizes), vector.grad.split(sizes), strict=True)
    for parameter, values, gradient in parts:
        values[: parameter.numel()] = parameter.detach().flatten()
        parameter.data = values[: parameter.numel()].view_as(parameter)
        parameter.grad = gradient[: parameter.numel()].view_as(parameter)
    return vector
