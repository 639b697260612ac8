"""Training one segment of a run: a plain loop in which the order of the data is exact.

The loss of a step is the mean, in nats, over all predicted tokens of its sequences: each block of
`block_size` tokens predicts its tokens but the first. The micro-batch only cuts that sum into
parts, so it changes results by rounding alone.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from ontogeny.study.runs import Run
from ontogeny.study.schedule import Segment
from ontogeny.training.optimizer import learning_rate
from ontogeny.training.order import sequence_blocks

FLUSH_EVERY_STEPS = 50


class TrainingError(ValueError):
    """Training can't go on; the message says at which step, and why."""


@dataclass(frozen=True)
class Step:
    """One row of the loss curve; `step` counts the steps taken, this one included."""

    step: int
    tokens: int
    epoch: float
    loss: float
    lr: float
    grad_norm: float
    tokens_per_second: float


def count_blocks(tokens: int, run: Run, name: str) -> int:
    """Whole blocks in a corpus of `tokens` ids.

    Raises ValueError where a corpus `name` is too short for one step of `run`.
    """
    blocks = tokens // run.block_size
    if blocks < run.batch_size:
        raise ValueError(
            f"{name}: {tokens:,} tokens are {blocks:,} blocks of {run.block_size}, fewer than the "
            f"{run.batch_size} of one batch; lower batch_size or block_size, or give more text"
        )
    return blocks


def train_segment(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    tokens: np.ndarray,
    run: Run,
    segment: Segment,
    batch_tokens: int,
    save: Callable[[int], None],
) -> Iterator[Step]:
    """Train from `segment.start` to `segment.end`, calling `save(step)` at its checkpoints.

    `tokens` is the flat corpus (integer ids), `batch_tokens` the most tokens in one forward pass.
    Yields the loss curve in order; rows come in groups, since reading a loss waits for the
    device. Raises TrainingError when a loss is not finite: nothing is saved after that step.
    """
    device = next(model.parameters()).device
    blocks = len(tokens) // run.block_size
    corpus = tokens[: blocks * run.block_size].reshape(blocks, run.block_size)
    micro_batch = max(1, batch_tokens // run.block_size)
    model.train()
    if 0 in segment.checkpoints:
        save(0)
    waiting: list[tuple[int, float, torch.Tensor, torch.Tensor]] = []
    since = time.perf_counter()
    for step in range(segment.start, segment.end):
        lr = learning_rate(step, run)
        for group in optimizer.param_groups:
            group["lr"] = lr
        chosen = sequence_blocks(
            step * run.batch_size, run.batch_size, blocks, run.seed, run.shuffle
        )
        ids = torch.from_numpy(corpus[chosen].astype(np.int64)).to(device, non_blocking=True)
        loss = _backward(model, ids, micro_batch, run.precision)
        grad_norm = torch.nn.utils.clip_grad_norm_(
            model.parameters(), run.optimizer.max_grad_norm or float("inf")
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        waiting.append((step + 1, lr, loss, grad_norm))
        is_checkpoint = step + 1 in segment.checkpoints
        if is_checkpoint or len(waiting) == FLUSH_EVERY_STEPS:
            rows = _read(waiting, run, blocks, time.perf_counter() - since)
            waiting.clear()
            yield from rows
            if is_checkpoint:
                save(step + 1)
            since = time.perf_counter()


def _backward(
    model: PreTrainedModel, ids: torch.Tensor, micro_batch: int, precision: str
) -> torch.Tensor:
    """Accumulate the gradient of the mean loss of `ids` [sequences, block]; return the loss."""
    total = torch.zeros((), device=ids.device)
    for part in ids.split(micro_batch):
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(input_ids=part).logits[:, :-1]
        loss = functional.cross_entropy(
            logits.float().flatten(0, 1), part[:, 1:].flatten(), reduction="mean"
        ) * (len(part) / len(ids))
        loss.backward()
        total += loss.detach()
    return total


def _read(
    waiting: list[tuple[int, float, torch.Tensor, torch.Tensor]],
    run: Run,
    blocks: int,
    seconds: float,
) -> list[Step]:
    rows = []
    speed = len(waiting) * run.tokens_per_step / seconds
    for step, lr, loss, grad_norm in waiting:
        row = Step(
            step=step,
            tokens=step * run.tokens_per_step,
            epoch=step * run.batch_size / blocks,
            loss=float(loss),
            lr=lr,
            grad_norm=float(grad_norm),
            tokens_per_second=round(speed, 1),
        )
        if not np.isfinite(row.loss) or not np.isfinite(row.grad_norm):
            raise TrainingError(
                f"step {step} ({row.tokens:,} tokens): loss {row.loss}, gradient norm "
                f"{row.grad_norm} at learning rate {lr:.3g}. Lower optimizer.lr, lengthen the "
                "warm-up or set max_grad_norm; earlier segments are kept"
            )
        rows.append(row)
    return rows
