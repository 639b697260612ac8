"""Score files: one CSV per checkpoint and probe, numbers with the nine digits that
tell any two float32 apart."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ontogeny.files import replacing
from ontogeny.scoring.index import Index
from ontogeny.scoring.perplexity import Perplexity
from ontogeny.study.schedule import checkpoint_name

CHECKPOINT_COLUMNS = ["model", "checkpoint", "step", "tokens"]
BINOMIAL_COLUMNS = [
    *CHECKPOINT_COLUMNS,
    "prompt",
    "binom",
    "alpha_logprob",
    "nonalpha_logprob",
    "preference",
]
PERPLEXITY_COLUMNS = [
    *CHECKPOINT_COLUMNS,
    "corpus",
    "n_tokens",
    "loss",
    "perplexity",
    "bits_per_byte",
]


def write_binomials(
    path: Path, model: str, step: int, tokens: int, index: Index, logprobs: np.ndarray
) -> None:
    """Write the score file of a binomials probe.

    `logprobs` (nats, float64 [prompts x items x 2]) in the order of the index; preference is the
    alphabetical order's minus the other's.
    """
    pairs = logprobs.reshape(len(index.prompts), len(index.items), 2)
    checkpoint = [model, checkpoint_name(step), step, tokens]
    _write(
        path,
        BINOMIAL_COLUMNS,
        (
            [*checkpoint, prompt, item, *(f"{x:.9g}" for x in (alpha, other, alpha - other))]
            for prompt, rows in zip(index.prompts, pairs.tolist(), strict=True)
            for item, (alpha, other) in zip(index.items, rows, strict=True)
        ),
    )


def write_perplexity(
    path: Path, model: str, step: int, tokens: int, corpus: str, result: Perplexity
) -> None:
    """Write the one-row score file of a perplexity probe."""
    row = [model, checkpoint_name(step), step, tokens, corpus, *vars(result).values()]
    _write(path, PERPLEXITY_COLUMNS, [row])


def _write(path: Path, columns: list[str], rows: Iterable[list]) -> None:
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
