"""Training one segment of a run: a plain loop in which the order of the data is exact.

The loss of a step is the mean, in nats, over all predicted tokens of its sequences: a block of
`block_size` tokens predicts its tokens but the first. Micro-batches and processes only cut that sum
into parts, so they change results by rounding alone. All that is random in a step (dropout) is
drawn from the run's seed, the step and the process, so no random state passes between segments.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from ontogeny.training.batches import Batch, batches
from ontogeny.training.optimizer import learning_rate, parameters_of
from ontogeny.training.order import Sequences, sequences_of
from ontogeny.training.processes import Processes

if TYPE_CHECKING:
    from ontogeny.study.runs import Run
    from ontogeny.study.schedule import Segment

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


@dataclass(frozen=True)
class _Waiting:
    """A step whose loss is still on the device."""

    step: int
    lr: float
    loss: torch.Tensor
    grad_norm: torch.Tensor


def require_one_batch(sequences: Sequences, tokens: int, run: "Run", name: str) -> None:
    """Raise ValueError where a corpus `name` of `tokens` ids is too short for one step of `run`."""
    if run.sampling == "windows" and sequences.count < 1:
        raise ValueError(
            f"{name}: {tokens:,} tokens hold no window of {run.block_size} and the token after it; "
            "lower block_size, or give more text"
        )
    if run.sampling != "windows" and sequences.count < run.batch_size:
        pieces = "blocks" if run.sampling == "blocks" else "pieces of documents"
        raise ValueError(
            f"{name}: {tokens:,} tokens are {sequences.count:,} {pieces} of {run.block_size}, "
            f"fewer than the {run.batch_size} of one batch; lower batch_size or block_size, or "
            "give more text"
        )


def train_segment(
    objective: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    tokens: np.ndarray,
    run: "Run",
    segment: "Segment",
    micro_batch: int,
    save: Callable[[int], None],
    max_loss: float = float("inf"),
    processes: Processes | None = None,
    documents: np.ndarray | Path | None = None,
    merge: bool = False,
) -> Iterator[Step]:
    """Train from `segment.start` to `segment.end`, calling `save(step)` at its checkpoints.

    `objective` gives the mean loss of a part of a batch (a `NextTokenLoss`, compiled or
    distributed), `tokens` is the flat corpus (integer ids), `documents` as for `sequences_of`,
    `micro_batch` the most sequences in one forward pass, `merge` as for `batches`. Yields the loss
    curve in order; rows come in groups, since reading a loss waits for the device. Raises
    TrainingError when a loss is not finite or above `max_loss`: nothing is saved after that step.
    """
    processes = processes or Processes()
    parameters = parameters_of(optimizer)
    objective.train()
    if 0 in segment.checkpoints:
        save(0)
    waiting: list[_Waiting] = []
    device = parameters[0].device
    steps = range(segment.start, segment.end)
    sequences = sequences_of(run, len(tokens), documents)
    # sequences that are as many tokens as the corpus has
    epoch = len(tokens) / run.block_size if run.sampling == "windows" else sequences.count
    read = batches(tokens, sequences, run, segment, processes, device, merge)
    for step, batch in zip(steps, read, strict=True):
        lr = learning_rate(step, run)
        for group in optimizer.param_groups:
            group["lr"] = lr
        _seed(run.seed, step, processes.rank, device)
        loss = _backward(objective, batch, micro_batch, processes.count)
        grad_norm = torch.nn.utils.clip_grad_norm_(
            parameters, run.optimizer.max_grad_norm or float("inf")
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        waiting.append(_Waiting(step + 1, lr, loss, grad_norm))
        is_checkpoint = step + 1 in segment.checkpoints
        if is_checkpoint or len(waiting) == FLUSH_EVERY_STEPS:
            rows = _read(waiting, run, epoch, processes)
            waiting.clear()
            _require_sound(rows, max_loss, segment)
            yield from rows
            if is_checkpoint:
                save(step + 1)


def _seed(seed: int, step: int, rank: int, device: torch.device) -> None:
    words = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    on_gpu = device.type == "cuda"  # torch.manual_seed asks every kind of device, a quarter of a ms
    generator = torch.cuda.default_generators[device.index] if on_gpu else torch.default_generator
    generator.manual_seed(int(words[0]))


def _backward(
    objective: torch.nn.Module, batch: Batch, micro_batch: int, processes: int
) -> torch.Tensor:
    """Accumulate the gradient of the loss of this process' batch; return its share of the step's
    loss, times the number of processes, over which both are averaged."""
    total = torch.zeros((), device=batch.part.ids.device)
    parts = list(batch.parts(micro_batch))
    for number, (part, share) in enumerate(parts, start=1):
        with _unsynchronised(objective) if number < len(parts) else contextlib.nullcontext():
            loss = objective(*part.tensors()) * (share * processes)
            loss.backward()
        total += loss.detach()
    return total


def _unsynchronised(objective: torch.nn.Module) -> contextlib.AbstractContextManager:
    """Gradients stay in this process for now; the last part of a step brings them together."""
    if isinstance(objective, DistributedDataParallel):
        return objective.no_sync()
    return contextlib.nullcontext()


def _read(
    waiting: list[_Waiting],
    run: "Run",
    epoch: float,
    processes: Processes,
) -> list[Step]:
    losses = processes.total(torch.stack([step.loss for step in waiting])) / processes.count
    grad_norms = torch.stack([step.grad_norm for step in waiting])
    numbers = torch.stack([losses, grad_norms]).tolist()  # waits for the device
    return [
        Step(
            step=step.step,
            tokens=step.step * run.tokens_per_step,
            epoch=step.step * run.batch_size / epoch,
            loss=loss,
            lr=step.lr,
            grad_norm=grad_norm,
        )
        for step, loss, grad_norm in zip(waiting, *numbers, strict=True)
    ]


def _require_sound(rows: list[Step], max_loss: float, segment: "Segment") -> None:
    for row in rows:
        where = f"step {row.step} ({row.tokens:,} tokens)"
        advice = (
            f"at learning rate {row.lr:.3g}; lower optimizer.lr, lengthen the warm-up or set "
            f"max_grad_norm. What was trained up to step {segment.start} is kept"
        )
        if not np.isfinite(row.loss) or not np.isfinite(row.grad_norm):
            raise TrainingError(f"{where}: loss {row.loss}, gradient norm {row.grad_norm} {advice}")
        if row.loss > max_loss:
            raise TrainingError(
                f"{where}: loss {row.loss:.4g} is above {max_loss:.4g} (max_loss of the run) "
                f"{advice}"
            )
