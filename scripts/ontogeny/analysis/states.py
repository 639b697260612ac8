"""Whether a model is right, wrong or undecided about a paradigm of minimal pairs at a checkpoint.

Pairs of a paradigm share a template, so the test, which takes them for independent, finds states
too readily for statements about sentences that another template would give.
"""

import numpy as np
import polars as pl
from scipy.stats import binom, false_discovery_control

from ontogeny.analysis.correlations import Z
from ontogeny.analysis.minimal_pairs import ALL

RIGHT, UNDECIDED, WRONG = "right", "undecided", "wrong"
RATE = 0.05  # of false discoveries
SEPARATION = 0.2  # standard deviations that a decided state needs
COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "phenomenon": pl.String,
    "uid": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "n": pl.Int64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
    "separation": pl.Float64,
    "separation_low": pl.Float64,
    "separation_high": pl.Float64,
    "p": pl.Float64,
    "q": pl.Float64,
    "state": pl.String,
}


def pair_states(table: pl.DataFrame) -> pl.DataFrame:
    """The state of each paradigm at each checkpoint, in the columns of `COLUMNS`.

    `p` is of the exact two-sided sign test of the pairs that are not ties (Dixon & Mood 1946,
    doi:10.1080/01621459.1946.10501898). `q` is `p` adjusted over all paradigms and checkpoints of
    a probe by Benjamini & Hochberg (1995, doi:10.1111/j.2517-6161.1995.tb02031.x). A state is
    right or wrong where q < .05 and the mean preference lies at least .2 standard deviations on
    the same side of 0, otherwise undecided. Where all pairs have one preference, the test alone
    decides. The interval of `separation` is that of `separation_interval`.

    Args:
        table: columns `minimal_pairs.COLUMNS`, of which the rows of single paradigms are used.

    Raises:
        ValueError: no row is of a single paradigm.
    """
    table = table.with_columns(pl.col("phenomenon", "uid").fill_null(""))
    table = table.filter(pl.col("uid") != ALL)
    if table.is_empty():
        raise ValueError("the table has no row of a single paradigm, so there are no states")
    parts = [
        _with_states(part.sort("tokens", maintain_order=True))
        for _, part in table.group_by("run", "probe", maintain_order=True)
    ]
    return pl.concat(parts).select(*COLUMNS)


def separation_interval(column: str) -> list[pl.Expr]:
    """The 95 % interval of a column of separations over `n` pairs, as `COLUMN_low`, `COLUMN_high`.

    That of a standardised mean in large samples, with variance 1/n + separation^2 / 2n (Hedges &
    Olkin 1985, ch. 5).
    """
    separation = pl.col(column)
    half = Z * ((1 + separation**2 / 2) / pl.col("n")).sqrt()
    return [(separation - half).alias(f"{column}_low"), (separation + half).alias(f"{column}_high")]


def _with_states(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of one family of tests, with `p`, `q`, `state` and the interval of `separation`."""
    n, separation = pl.col("n"), pl.col("separation")
    ties = (pl.col("tie_rate") * n).round()
    right = (pl.col("accuracy") * n - ties / 2).round()
    counts = table.select(trials=n - ties, fewer=pl.min_horizontal(right, n - ties - right))
    p = np.minimum(1.0, 2 * binom.cdf(counts["fewer"], counts["trials"], 0.5))
    side = (pl.col("accuracy") - 0.5).sign()
    apart = separation.is_null() | (separation * side >= SEPARATION)
    decided = pl.when(side > 0).then(pl.lit(RIGHT)).otherwise(pl.lit(WRONG))
    return table.with_columns(
        *separation_interval("separation"),
        p=pl.Series(p),
        q=pl.Series(false_discovery_control(p, method="bh")),
    ).with_columns(
        state=pl.when((pl.col("q") < RATE) & apart).then(decided).otherwise(pl.lit(UNDECIDED))
    )
