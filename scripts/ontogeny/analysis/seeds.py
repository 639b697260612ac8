"""Runs that differ in nothing but their seed: what they have in common, and how far they spread.

Intervals are over seeds: they tell what another training would give on the same items, whereas
those of a single run tell what the same training would give on other items.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import polars as pl
from scipy import stats

from ontogeny.analysis.correlations import CONFIDENCE, pearson, wilson
from ontogeny.analysis.scores import CHECKPOINT, preference_matrix

CORRELATION_KEY = ["probe", "group", "reference"]
ACCURACY_KEY = ["probe", "phenomenon", "uid"]
LIMITS = {"r": (-1.0, 1.0), "accuracy": (0.0, 1.0)}
SEEDS = {
    "family": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "phenomenon": pl.String,
    "uid": pl.String,
    "statistic": pl.String,
    "n": pl.Int64,
    "n_seeds": pl.Int64,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
AGREEMENT = {
    "family": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "run_a": pl.String,
    "run_b": pl.String,
    "n": pl.Int64,
    "r": pl.Float64,
    "r_low": pl.Float64,
    "r_high": pl.Float64,
    "same_sign": pl.Float64,
    "same_sign_low": pl.Float64,
    "same_sign_high": pl.Float64,
}


def over_seeds(
    family: str, correlations: list[pl.DataFrame], minimal_pairs: list[pl.DataFrame]
) -> pl.DataFrame:
    """Mean and spread of a family's trajectories, in the columns of `SEEDS`.

    Of `r` by group and reference, and of `accuracy` by phenomenon and paradigm: a row for each
    checkpoint. `low` and `high` are the 95 % t interval of the mean over seeds (as normal values
    would have it, cut to what the statistic can be), null for less than two seeds; `sd` is that of
    seeds (n - 1). Seeds in which it is undefined are not counted. `n` items or pairs; where seeds
    differ in it, as they may in groups by exposure, it is that of the seed with the fewest.

    Args:
        family: its name.
        correlations: a table of each run, as `correlations` makes it; none where there are none.
        minimal_pairs: a table of each run, as `pair_statistics` makes it.
    """
    parts = [
        _over_seeds(pl.concat(tables), key, statistic)
        for tables, key, statistic in (
            (correlations, CORRELATION_KEY, "r"),
            (minimal_pairs, ACCURACY_KEY, "accuracy"),
        )
        if tables
    ]
    empty = pl.DataFrame(schema=SEEDS)
    table = pl.concat([empty, *parts], how="diagonal").with_columns(family=pl.lit(family))
    return table.select(pl.col(name).cast(dtype) for name, dtype in SEEDS.items())


def agreement(family: str, preferences: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Do two seeds prefer the same orders? A row per checkpoint, probe and pair of runs, in the
    columns of `AGREEMENT`.

    `r` is Pearson's between the preferences of all items; `same_sign` the share of items of which
    both prefer the same order, one half for an item of which either prefers none, with Wilson's
    interval.

    Args:
        family: its name.
        preferences: of each run, as `read_preferences` gives them.

    Raises:
        ValueError: runs differ in their items or checkpoints.
    """
    parts = [pl.DataFrame(schema=AGREEMENT)]
    first = next(iter(preferences.values()), None)
    for probe in [] if first is None else first["probe"].unique(maintain_order=True):
        tables = {run: table.filter(pl.col("probe") == probe) for run, table in preferences.items()}
        items = tables[next(iter(tables))]["binom"].unique(maintain_order=True).to_list()
        read = {run: preference_matrix(table, items, run) for run, table in tables.items()}
        pairs = [_agreement(read[a], read[b], a, b) for a, b in combinations(read, 2)]
        together = pl.concat(pairs).with_columns(family=pl.lit(family), probe=pl.lit(probe))
        parts.append(together.sort("tokens", maintain_order=True).select(*AGREEMENT))
    return pl.concat(parts, how="vertical_relaxed").cast(AGREEMENT)


def half_width(sd: pl.Series, seeds: pl.Series) -> pl.Series:
    """Half of the 95 % t interval of means over `seeds` values of standard deviation `sd`."""
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, np.maximum(seeds - 1, 1))
    return pl.Series(quantile) * sd / seeds.sqrt()


def _over_seeds(table: pl.DataFrame, key: list[str], statistic: str) -> pl.DataFrame:
    """Mean and spread of a column for each checkpoint and `key`, in the order of tokens."""
    value = pl.col(statistic)
    table = (
        table.group_by([*CHECKPOINT, *key], maintain_order=True)
        .agg(
            n=pl.col("n").min(),
            n_seeds=value.count().cast(pl.Int64),
            mean=value.mean(),
            sd=value.std(),
        )
        .sort("tokens", maintain_order=True)
    )
    half = half_width(table["sd"], table["n_seeds"])
    return table.with_columns(
        statistic=pl.lit(statistic),
        low=(pl.col("mean") - half).clip(*LIMITS[statistic]),
        high=(pl.col("mean") + half).clip(*LIMITS[statistic]),
    )


def _agreement(
    one: tuple[pl.DataFrame, np.ndarray], other: tuple[pl.DataFrame, np.ndarray], a: str, b: str
) -> pl.DataFrame:
    """Of two runs with the same checkpoints; a row for each of them."""
    checkpoints, x, y = one[0], one[1], other[1]
    if not checkpoints.equals(other[0]):
        raise ValueError(
            f"runs {a!r} and {b!r} differ in their checkpoints, not in their seed only"
        )
    n = x.shape[1]
    pearsons = [pearson(x[row][None], y[row]) for row in range(len(x))]
    sides = np.sign(x) * np.sign(y)
    same = (sides > 0).sum(axis=1) + 0.5 * (sides == 0).sum(axis=1)
    low, high = wilson(same, n)
    return checkpoints.with_columns(
        *(
            pl.Series(name, [float(r[name][0]) for r in pearsons]).fill_nan(None)
            for name in ("r", "r_low", "r_high")
        ),
        run_a=pl.lit(a),
        run_b=pl.lit(b),
        n=pl.lit(n),
        same_sign=pl.Series(same / n),
        same_sign_low=pl.Series(low),
        same_sign_high=pl.Series(high),
    )
