"""Score files: one CSV per checkpoint and probe, log-probabilities in nats as float32, in as many
digits as tell any two of them apart."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars import selectors

from ontogeny.files import replacing
from ontogeny.scoring.index import Index
from ontogeny.scoring.perplexity import Perplexity


@dataclass(frozen=True)
class Checkpoint:
    """Which weights: the first columns of every score file. None where it is not known."""

    model: str
    checkpoint: str
    step: int | None
    tokens: int | None


def binomials_table(index: Index, logprobs: np.ndarray) -> pl.DataFrame:
    """`prompt, binom, alpha_logprob, nonalpha_logprob, preference`, the alphabetical order's minus
    the other's. `logprobs`: float64 [prompts x items x 2], in the order of the index."""
    prompts, items = index.labels["prompt"], index.labels["binom"]
    alpha, nonalpha = logprobs.reshape(-1, 2).T
    return pl.DataFrame(
        {
            "prompt": np.repeat(np.array(prompts, dtype=object), len(items)),
            "binom": items * len(prompts),
            **_columns(alpha_logprob=alpha, nonalpha_logprob=nonalpha, preference=alpha - nonalpha),
        }
    )


def pairs_table(index: Index, logprobs: np.ndarray) -> pl.DataFrame:
    """`uid, pair_id, good_logprob, bad_logprob, preference`, good minus bad. `logprobs`: float64
    [pairs x 2]."""
    good, bad = logprobs.reshape(-1, 2).T
    return pl.DataFrame(
        {**index.labels, **_columns(good_logprob=good, bad_logprob=bad, preference=good - bad)}
    )


def completions_table(
    index: Index, logprobs: np.ndarray, samples: int, correct: list[int], completions: list[str]
) -> pl.DataFrame:
    """`class, prompt, answer, answer_logprob, samples, correct, completion`: how many of the
    completions drawn are the answer, and the first of them. `logprobs`: the answer's given the
    prompt, float64 [items]."""
    return pl.DataFrame(
        {
            **index.labels,
            **_columns(answer_logprob=logprobs),
            "samples": np.full(len(logprobs), samples),
            "correct": correct,
            "completion": completions,
        }
    )


def perplexity_table(corpus: str, result: Perplexity) -> pl.DataFrame:
    """One row: `corpus, n_tokens, loss, perplexity, bits_per_byte`, and `kl_unigram, kl_bigram`
    where they were asked for."""
    known = {key: [x] for key, x in vars(result).items() if x is not None}
    return pl.DataFrame({"corpus": [corpus], **known})


def write_scores(path: Path, checkpoint: Checkpoint, table: pl.DataFrame) -> None:
    """Write a score file: the checkpoint's columns, then the table's; compressed where its name
    ends in `.zst`.

    Raises ValueError, and writes nothing, for a number that is not finite.
    """
    for column in table.select(selectors.float()):
        if not column.is_finite().all():
            raise ValueError(
                f"{path}: {column.name} of {checkpoint.model}, {checkpoint.checkpoint}, is not "
                "finite; the weights are so large that fp32 overflows"
            )
    types = {"model": pl.String, "checkpoint": pl.String, "step": pl.Int64, "tokens": pl.Int64}
    first = [pl.lit(vars(checkpoint)[name], dtype=kind).alias(name) for name, kind in types.items()]
    with replacing(path, record=False) as temporary:
        table.select(*first, *table.columns).write_csv(
            temporary,
            compression="zstd" if path.suffix == ".zst" else "uncompressed",
            check_extension=False,  # of a temporary name
        )


def _columns(**values: np.ndarray) -> dict[str, np.ndarray]:
    return {name: column.astype(np.float32) for name, column in values.items()}
