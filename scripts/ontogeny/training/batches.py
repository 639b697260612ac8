"""The token ids of each step, as this process runs them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ontogeny.training.order import Sequences, data_order
from ontogeny.training.processes import Processes
from ontogeny.training.speed import even_part

if TYPE_CHECKING:
    from ontogeny.study.runs import Run
    from ontogeny.study.schedule import Segment

IGNORED = -100  # no token: the target of a position that predicts nothing


@dataclass(frozen=True)
class Part:
    """What a `NextTokenLoss` is given: token ids [sequences, tokens], and, where it needs them, the
    target of each position and the weight of each sequence."""

    ids: torch.Tensor
    targets: torch.Tensor | None = None
    weights: torch.Tensor | None = None

    def tensors(self) -> list[torch.Tensor]:
        """Those that are given, in their order."""
        values = (getattr(self, field.name) for field in fields(self))
        return [value for value in values if value is not None]


@dataclass(frozen=True)
class Batch:
    """This process' sequences of a step; `amounts` [sequences] is what each of them counts for, of
    `total` in the whole step: of padded ones, from the shortest to the longest, the tokens that
    they predict."""

    part: Part
    amounts: np.ndarray
    total: int
    padded: bool = False

    def parts(self, most: int) -> Iterator[tuple[Part, float]]:
        """The batch in the fewest parts of at most `most` sequences, each with its share of the
        step."""
        size = even_part(len(self.amounts), most)
        pieces = zip(*(tensor.split(size) for tensor in self.part.tensors()), strict=True)
        for number, tensors in enumerate(pieces):
            amounts = self.amounts[number * size : (number + 1) * size]
            if self.padded:  # without the columns in which nothing predicts
                tensors = [tensor[:, : amounts[-1]] for tensor in tensors]
            yield Part(*tensors), int(amounts.sum()) / self.total


def batches(
    tokens: np.ndarray,
    sequences: Sequences,
    run: "Run",
    segment: "Segment",
    processes: Processes,
    device: torch.device,
    merge: bool = False,
) -> Iterator[Batch]:
    """This process' batch of each step of a segment, on the device.

    With `merge` a window that a step draws twice is run once and counts twice: the same loss, up to
    rounding, where nothing in the model is drawn at random. For a GPU the next step's batch is read
    while one is worked on.
    """
    windows = np.lib.stride_tricks.sliding_window_view(tokens, min(sequences.size, len(tokens)))

    def read(step: int) -> Batch:
        (numbers,) = data_order(run, sequences.count, step, step + 1)
        own = processes.share(numbers)
        if run.sampling == "documents":
            predicted = int((sequences.lengths(numbers) - 1).sum())
            return _padded(tokens, sequences, own, predicted)
        if run.sampling == "blocks":
            ids = torch.from_numpy(windows[sequences.starts(own)].astype(np.int64))
            return Batch(Part(ids), np.ones(len(own), np.int64), run.batch_size)
        own, times = np.unique(own, return_counts=True) if merge else (own, np.ones_like(own))
        ids = torch.from_numpy(windows[sequences.starts(own)].astype(np.int64))
        weights = torch.from_numpy(times.astype(np.float32)) if merge else None
        part = Part(ids[:, :-1].contiguous(), ids[:, 1:].contiguous(), weights)
        return Batch(part, times, run.batch_size)

    def on_device(batch: Batch) -> Batch:
        moved = [tensor.to(device, non_blocking=True) for tensor in batch.part.tensors()]
        return replace(batch, part=Part(*moved))

    steps = range(segment.start, segment.end)
    if device.type == "cpu":
        yield from map(read, steps)
        return

    def read_pinned(step: int) -> Batch:
        batch = read(step)
        pinned = [tensor.pin_memory() for tensor in batch.part.tensors()]
        return replace(batch, part=Part(*pinned))

    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = reader.submit(read_pinned, segment.start)
        for step in steps:
            batch = waiting.result()
            if step + 1 < segment.end:
                waiting = reader.submit(read_pinned, step + 1)
            yield on_device(batch)


def _padded(tokens: np.ndarray, sequences: Sequences, numbers: np.ndarray, predicted: int) -> Batch:
    """Sequences of different lengths, from the shortest to the longest, padded at the right up to
    the longest with the token 0, which no token before it attends to and nothing is asked to
    predict."""
    numbers = numbers[np.argsort(sequences.lengths(numbers), kind="stable")]
    starts, lengths = sequences.starts(numbers), sequences.lengths(numbers)
    places = np.arange(lengths[-1])
    inside = places < lengths[:, None]
    read = tokens[np.minimum(starts[:, None] + places, len(tokens) - 1)]
    ids = np.where(inside, read.astype(np.int64), 0)  # as uint16, -100 would become a token
    targets = np.full(ids.shape, IGNORED, np.int64)
    targets[:, :-1] = np.where(inside[:, 1:], ids[:, 1:], IGNORED)
    part = Part(torch.from_numpy(ids), torch.from_numpy(targets))
    return Batch(part, lengths - 1, predicted, padded=True)
