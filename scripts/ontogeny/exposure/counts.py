"""How often a run has read each item by each of its checkpoints: its order of data, replayed.

Which sequences a run has read by a checkpoint is known without training (`data_order`), and so is
where each phrase stands in the corpus (`occurrences`). A sequence has shown a phrase when it holds
all tokens of it: an occurrence that is cut by the border of two blocks is in neither. Checkpoint
`step` counts the sequences of steps 0 up to `step` - 1, each as often as it was read. All numbers
are exact.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from ontogeny.exposure.occurrences import read_occurrences
from ontogeny.exposure.phrases import COUNTED, phrase_for, phrases_of
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.runs import Run
from ontogeny.study.schedule import checkpoint_name
from ontogeny.tables import read_table
from ontogeny.training.order import Sequences, data_order, sequences_of

# Sequences, and tokens, that are replayed at once. Counts of so many tokens fit in 32 bits.
MOST_SEQUENCES = 1 << 20
MOST_TOKENS = 1 << 30
COLUMNS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "binom": pl.String,
    **dict.fromkeys(COUNTED, pl.Int64),
}


def read_exposures(path: str | Path) -> pl.DataFrame:
    """A run's exposures, in the columns of `COLUMNS`: a row for each checkpoint and item.

    Raises ValueError where the file is something else.
    """
    return read_table(path, COLUMNS)


def exposures(
    name: str,
    run: Run,
    tokens: int,
    items: Sequence[Binomial],
    occurrences: str | Path,
    documents: np.ndarray | Path | None = None,
) -> pl.DataFrame:
    """What the run `name` has read of the items by each of its checkpoints (see `COLUMNS`).

    `tokens` are those of its corpus, whose documents begin at `documents` (see `sequences_of`) and
    in which the phrases of the items have these `occurrences` (see `write_occurrences`). Raises
    ValueError when they are those of other items.
    """
    phrases = phrases_of(items)
    sequences = sequences_of(run, tokens, documents)
    if not sequences.count:
        raise ValueError(f"{tokens:,} tokens are less than one sequence of {run.block_size}")
    per_sequence = read_sequences(occurrences, phrases, sequences)
    steps = run.checkpoint_steps()
    seen = cumulative_counts(per_sequence, run, steps)
    number = {phrase: i for i, phrase in enumerate(phrases)}
    columns = {
        column: [number[phrase_for(template, item)] for item in items]
        for column, template in COUNTED.items()
    }
    checkpoints = pl.DataFrame({"step": steps}).select(
        run=pl.lit(name),
        checkpoint=pl.Series([checkpoint_name(step) for step in steps]),
        step="step",
        tokens=pl.col("step") * run.tokens_per_step,
    )
    binoms = pl.DataFrame({"binom": [item.alpha for item in items]})
    table = checkpoints.join(binoms, how="cross", maintain_order="left_right")
    counted = {column: seen[:, chosen].ravel() for column, chosen in columns.items()}
    return table.with_columns(pl.DataFrame(counted)).cast(COLUMNS)


def read_sequences(path: str | Path, phrases: list[str], sequences: Sequences) -> sparse.csr_array:
    """How often each phrase is in each sequence, int32 [sequences, phrases], from a file of
    occurrences.

    Raises ValueError when the file holds the occurrences of other phrases.
    """
    lengths = np.zeros(sequences.count, np.int64)  # occurrences in each sequence
    numbers = [np.empty(0, np.int32)]
    places = [np.empty(0, np.int64)]
    for phrase, first, last in read_occurrences(path, phrases):
        low, high = sequences.holding(first, last)
        times = np.maximum(0, high - low + 1)
        ends = np.cumsum(times)
        place = np.arange(times.sum()) + np.repeat(low - (ends - times), times)
        lengths += np.bincount(place, minlength=sequences.count)
        numbers.append(np.repeat(phrase, times))
        places.append(place)
    order = np.argsort(np.concatenate(places), kind="stable")
    chosen = np.concatenate(numbers)[order]
    starts = np.append(0, np.cumsum(lengths))
    return sparse.csr_array(
        (np.ones(len(chosen), np.int32), chosen, starts), shape=(sequences.count, len(phrases))
    )


def cumulative_counts(per_sequence: sparse.csr_array, run: Run, steps: list[int]) -> np.ndarray:
    """How often `run` has read each phrase by each of the `steps` (sorted), int64 [steps, phrases],
    given the counts of `read_sequences`."""
    seen = np.zeros((len(steps), per_sequence.shape[1]), np.int64)
    stride = max(1, min(MOST_SEQUENCES // run.batch_size, MOST_TOKENS // run.tokens_per_step))
    for start in range(0, steps[-1], stride):
        stop = min(start + stride, steps[-1])
        numbers = data_order(run, per_sequence.shape[0], start, stop)
        # The first of the steps by which each sequence has been read.
        by = np.searchsorted(steps, np.arange(start, stop), side="right").repeat(run.batch_size)
        lowest, highest = by[[0, -1]]
        read = sparse.csr_array(
            (np.ones(len(by), np.int32), (by - lowest, numbers.ravel())),
            shape=(highest - lowest + 1, per_sequence.shape[0]),
        )
        seen[lowest : highest + 1] += (read @ per_sequence).toarray()
    return seen.cumsum(axis=0)
