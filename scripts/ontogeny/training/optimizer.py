"""AdamW and the learning rate of each step."""

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ontogeny.study.runs import Optimizer, Run


def warmup_steps(run: "Run") -> int:
    """Steps of warm-up: `warmup_tokens`, or the share of the run, rounded to whole steps."""
    optimizer = run.optimizer
    if optimizer.warmup_tokens is not None:
        return round(optimizer.warmup_tokens / run.tokens_per_step)
    return round(optimizer.warmup_share * run.last_step)


def learning_rate(step: int, run: "Run") -> float:
    """Learning rate of the step that leads from checkpoint `step` to `step + 1`.

    Rises in equal parts to the peak, which the last step of warm-up reaches, then decays towards
    `min_lr_share` of the peak, which it would reach one step after the last.
    """
    optimizer, warmup = run.optimizer, warmup_steps(run)
    if step < warmup:
        return optimizer.lr * (step + 1) / warmup
    progress = (step - warmup) / max(1, run.last_step - warmup)
    if optimizer.schedule == "constant":
        shape = 1.0
    elif optimizer.schedule == "linear":
        shape = 1.0 - progress
    else:
        shape = 0.5 * (1.0 + math.cos(math.pi * progress))
    return optimizer.lr * (optimizer.min_lr_share + (1.0 - optimizer.min_lr_share) * shape)


def make_optimizer(model: torch.nn.Module, settings: "Optimizer") -> torch.optim.AdamW:
    """Fused AdamW over the parameters of `model`; weight decay on matrices only."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {
            "params": [p for p in parameters if p.ndim >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        fused=True,
    )
