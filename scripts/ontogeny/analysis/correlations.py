"""How well a checkpoint's preferences agree with a reference, by group of items.

The preference of an item is its mean over prompts, in nats; statistics are over items. Checkpoints
are ordered by the number of tokens, never by name.
"""

import numpy as np
import polars as pl
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from ontogeny.analysis.groups import Items
from ontogeny.analysis.scores import preference_matrix

CONFIDENCE = 0.95
Z = stats.norm.ppf(0.5 + CONFIDENCE / 2)
ACCURACY = ("accuracy", "accuracy_low", "accuracy_high")
COLUMNS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "n": pl.Int64,
    "r": pl.Float64,
    "r_low": pl.Float64,
    "r_high": pl.Float64,
    "spearman": pl.Float64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
    "accuracy_n": pl.Int64,
    "tie_rate": pl.Float64,
}


def correlations(preferences: pl.DataFrame, items: Items, run: str, probe: str) -> pl.DataFrame:
    """One row per checkpoint, group and reference, in the columns of `COLUMNS`.

    `preferences` of the run and probe as `read_preferences` gives them. A group where a reference
    is defined for no item has no row. Raises ValueError when a checkpoint lacks an item, or
    no item has a reference.
    """
    checkpoints, matrix = preference_matrix(preferences, items.names, run)
    tables = []
    for group, reference, members in items.sets():
        of = items.references[reference]
        x, y = matrix[:, members], of.values[members]
        found = {
            "group": group,
            "reference": reference,
            "n": len(members),
            **pearson(x, y),
            "spearman": spearman(x, y),
            **accuracy(x, y, of.midpoint),
            "tie_rate": (x == 0).mean(axis=1),
        }
        tables.append(checkpoints.with_columns(**{k: _column(v) for k, v in found.items()}))
    if not tables:
        raise ValueError(f"probe {probe!r}: no reference is defined for any of its items")
    table = pl.concat(tables).with_columns(run=pl.lit(run), probe=pl.lit(probe))
    table = table.sort("tokens", maintain_order=True)
    return table.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())


def pearson_r(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's r of each row of `x` [rows, n] with `y` [n]; NaN where either is constant."""
    # sums by numpy itself: those of a matrix product may differ in the last bit between machines
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(axis=-1) / np.sqrt((x * x).sum(axis=-1) * (y * y).sum())
    return np.where((np.ptp(x, axis=-1) > 0) & (np.ptp(y) > 0), np.clip(r, -1.0, 1.0), np.nan)


def pearson(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Pearson's `r` of each row of `x` [rows, n] with `y` [n], and its 95 % interval by Fisher's z.

    NaN where either is constant; no interval for fewer than 4 pairs.
    """
    r = pearson_r(x, y)
    if len(y) < 4:
        return {"r": r, "r_low": np.full_like(r, np.nan), "r_high": np.full_like(r, np.nan)}
    half = Z / np.sqrt(len(y) - 3)
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return {"r": r, "r_low": np.tanh(z - half), "r_high": np.tanh(z + half)}


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each row of `x` [rows, n] with `y` [n]; ties have their mean
    rank, and it is NaN where either is constant."""
    return pearson_r(stats.rankdata(x, axis=-1), stats.rankdata(y))


def accuracy(x: np.ndarray, y: np.ndarray, midpoint: float) -> dict[str, np.ndarray]:
    """Share of items whose preference lies on the side of 0 that `y` [n] has of `midpoint`.

    For each row of `x` [rows, n], preferences in nats: a log odds, so that its threshold is 0. One
    of exactly 0 counts one half. Items with `y` at the midpoint have no right answer and are left
    out of `accuracy_n`. 95 % interval by Wilson; NaN where `accuracy_n` is 0.
    """
    decided = y != midpoint
    n = int(decided.sum())
    counts = np.full(len(x), n)
    if n == 0:
        none = np.full(len(x), np.nan)
        return dict.fromkeys(ACCURACY, none) | {"accuracy_n": counts}
    sides = np.sign(x[:, decided]) * np.sign(y[decided] - midpoint)
    right = (sides > 0).sum(axis=1) + 0.5 * (sides == 0).sum(axis=1)
    statistics = (right / n, *wilson(right, n), counts)
    return dict(zip((*ACCURACY, "accuracy_n"), statistics, strict=True))


def wilson(right: float | np.ndarray, n: int | np.ndarray) -> tuple:
    """Wilson's 95 % interval of `right` successes (may be halves) in `n` trials: low, high."""
    return proportion_confint(right, n, alpha=1 - CONFIDENCE, method="wilson")


def _column(values: np.ndarray | str | int) -> pl.Series | pl.Expr:
    """A column of a table: null where a number is undefined."""
    if isinstance(values, np.ndarray):
        return pl.Series(values).fill_nan(None) if values.dtype.kind == "f" else pl.Series(values)
    return pl.lit(values)
