"""Which part of the corpus each training sequence is: exact, and the same for whoever asks.

The sequences that a run may read from its corpus are numbered (`Sequences`); `data_order` tells
which of them each step reads. How they lie in the corpus depends on the run's `sampling`:

- `blocks`: the corpus cut into blocks of `block_size` tokens on end. Only the last, incomplete one
  is never read.
- `documents`: each document cut into pieces of up to `block_size` tokens; a piece of one token,
  which predicts nothing, is left out.
- `windows`: any `block_size + 1` tokens on end, of which the first `block_size` predict what
  follows them.

Sequence `s` of a run over `n` blocks or pieces is number `permutation(epoch)[s % n]` of epoch
`s // n`; step `t` takes the sequences `t * batch_size` up to `(t + 1) * batch_size`, across the
border of an epoch if need be. Windows are drawn with replacement, those of a step from the seed and
the step. So resuming is arithmetic, and exposures can be counted without training.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ontogeny.origins import reading

if TYPE_CHECKING:
    from ontogeny.study.runs import Run


@dataclass(frozen=True)
class Sequences:
    """All sequences that a run may read from its corpus, numbered in the order of the corpus.

    `begin` and `length`, int64 [count], are given for pieces of documents alone; the others are
    `size` tokens long, and number `i` begins at token `i * stride`.
    """

    count: int
    size: int
    stride: int = 1
    begin: np.ndarray | None = None
    length: np.ndarray | None = None

    def starts(self, numbers: np.ndarray) -> np.ndarray:
        """The token at which each of these sequences begins."""
        return numbers * self.stride if self.begin is None else self.begin[numbers]

    def lengths(self, numbers: np.ndarray) -> np.ndarray:
        """How many tokens each of these sequences has."""
        return np.full(numbers.shape, self.size) if self.length is None else self.length[numbers]

    def holding(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the first and the last sequence that hold the tokens `first` to `last`, which
        lie on end; all between them do too. Where none does, the last is below the first."""
        if self.begin is not None:
            piece = np.searchsorted(self.begin, first, side="right") - 1
            whole = (piece >= 0) & (last < self.begin[piece] + self.length[piece])
            return piece, np.where(whole, piece, piece - 1)
        least = np.maximum(0, -((self.size - 1 - last) // self.stride))
        return least, np.minimum(self.count - 1, first // self.stride)


def sequences_of(run: "Run", tokens: int, documents: np.ndarray | Path | None = None) -> Sequences:
    """The sequences that a run may read from a corpus of `tokens` ids, whose documents begin at
    `documents` (int64 [documents], or the file of them), which only `sampling: documents` needs."""
    size = run.block_size
    if run.sampling == "windows":
        return Sequences(max(0, tokens - size), size + 1)
    if run.sampling == "blocks":
        return Sequences(count_blocks(tokens, size), size, stride=size)
    begin = np.load(reading(documents)) if isinstance(documents, Path) else documents
    lengths = np.diff(np.append(begin.astype(np.int64), tokens))
    pieces = -(-lengths // size)
    inside = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = np.repeat(begin.astype(np.int64), pieces) + inside * size
    length = np.minimum(size, np.repeat(lengths, pieces) - inside * size)
    kept = length > 1
    return Sequences(int(kept.sum()), size, begin=begin[kept], length=length[kept])


def data_order(run: "Run", count: int, first_step: int, last_step: int) -> np.ndarray:
    """Numbers of the sequences, of `count` in all, that the steps `first_step` up to `last_step`
    read: int64 [steps, batch_size].

    Training, whatever the number of processes, and the counting of exposures both ask here. Step
    `t` leads from checkpoint `t` to `t + 1`.
    """
    if run.sampling == "windows":
        steps = [_drawn(run, count, step) for step in range(first_step, last_step)]
        return np.concatenate([np.empty((0, run.batch_size), np.int64), *steps])
    first, last = first_step * run.batch_size, last_step * run.batch_size
    chosen = in_epochs(first, last - first, count, run.seed, run.shuffle)
    return chosen.reshape(-1, run.batch_size)


def count_blocks(tokens: int, block_size: int) -> int:
    """Whole blocks in a corpus of `tokens` ids."""
    return tokens // block_size


@lru_cache(maxsize=2)
def permutation(count: int, epoch: int, seed: int) -> np.ndarray:
    """Order of the sequences in an epoch: int64 [count], drawn from (seed, epoch) alone."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def in_epochs(first: int, number: int, count: int, seed: int, shuffle: bool) -> np.ndarray:
    """What a run that reads all of `count` sequences, again and again, reads from place `first` on:
    int64 [number]."""
    places = np.arange(first, first + number)
    if not shuffle:
        return places % count
    epochs = places // count
    result = np.empty(number, dtype=np.int64)
    for epoch in range(epochs[0], epochs[-1] + 1):
        here = epochs == epoch
        result[here] = permutation(count, epoch, seed)[places[here] % count]
    return result


def _drawn(run: "Run", count: int, step: int) -> np.ndarray:
    return np.random.default_rng([run.seed, step]).integers(count, size=(1, run.batch_size))
