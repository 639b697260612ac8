"""Which part of the corpus each training sequence is: exact, and the same for whoever asks.

A corpus of `tokens` ids holds `blocks = tokens // block_size` whole blocks. Sequence `s` of a run
is block `permutation(epoch)[s % blocks]` of epoch `s // blocks`; step `t` takes the sequences
`t * batch_size` up to `(t + 1) * batch_size`, across the border of an epoch if need be. Nothing is
padded and only the last, incomplete block of the corpus is never seen. So resuming is arithmetic,
and exposures can be counted without training.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ontogeny.study.runs import Run


def data_order(run: "Run", tokens: int, first_step: int, last_step: int) -> np.ndarray:
    """Where the sequences of the steps `first_step` up to `last_step` begin in a corpus of `tokens`
    ids: int64 [steps, batch_size], in tokens.

    Training, whatever the number of processes, and the counting of exposures both ask here. Step
    `t` leads from checkpoint `t` to `t + 1`.
    """
    blocks = count_blocks(tokens, run.block_size)
    first, last = first_step * run.batch_size, last_step * run.batch_size
    chosen = sequence_blocks(first, last - first, blocks, run.seed, run.shuffle)
    return chosen.reshape(-1, run.batch_size) * run.block_size


def count_blocks(tokens: int, block_size: int) -> int:
    """Whole blocks in a corpus of `tokens` ids."""
    return tokens // block_size


@lru_cache(maxsize=2)
def permutation(blocks: int, epoch: int, seed: int) -> np.ndarray:
    """Order of the blocks in an epoch: int64 [blocks], drawn from (seed, epoch) alone."""
    return np.random.default_rng([seed, epoch]).permutation(blocks)


def sequence_blocks(first: int, count: int, blocks: int, seed: int, shuffle: bool) -> np.ndarray:
    """Blocks of the sequences `first` up to `first + count` of a run: int64 [count]."""
    sequences = np.arange(first, first + count)
    if not shuffle:
        return sequences % blocks
    epochs = sequences // blocks
    result = np.empty(count, dtype=np.int64)
    for epoch in range(epochs[0], epochs[-1] + 1):
        here = epochs == epoch
        result[here] = permutation(blocks, epoch, seed)[sequences[here] % blocks]
    return result
