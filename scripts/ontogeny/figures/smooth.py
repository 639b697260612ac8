"""Curves through trajectories, and the few rows of a long one that show on paper.

A trajectory is smoothed on the logarithm of tokens. Checkpoints at equal steps of tokens crowd at
the right end of that axis, and lowess takes its neighbours by count, so there one early checkpoint
would be averaged with half of the training. Hence the average over equal steps of the axis first.
"""

import numpy as np
import polars as pl
from statsmodels.nonparametric.smoothers_lowess import lowess as statsmodels_lowess

FEWEST = 5  # points that a curve is drawn through
NEIGHBOURS = 7  # of a local line, where there are so many: less makes the curve follow the noise


def bin_index(x: np.ndarray, bins: int) -> np.ndarray:
    """Which of `bins` equal intervals of the range of `x` each value is in; shape as `x`."""
    low, high = x.min(), x.max()
    if high == low:
        return np.zeros(len(x), dtype=np.int64)
    return np.minimum(((x - low) / (high - low) * bins).astype(np.int64), bins - 1)


def lowess(
    x: np.ndarray, y: np.ndarray, share: float = 0.4, bins: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """Locally weighted regression (Cleveland 1979, doi:10.1080/01621459.1979.10481038).

    Without its robust iterations: a checkpoint far from its neighbours is no error of measurement,
    and with few checkpoints they would drop the first or the last.

    Args:
        x: shape (n,), any unit; sorted or not.
        y: shape (n,), finite.
        share: of the points, used for each local line (at least seven points).
        bins: with more points than this, `x` and `y` are averaged in so many intervals first.

    Returns:
        Sorted x and the curve there, two arrays of one length (at most `bins`, or n if that is
        less); empty for less than five distinct `x`.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) > bins:
        index = bin_index(x, bins)
        count = np.bincount(index, minlength=bins)
        used = count > 0
        x = np.bincount(index, x, minlength=bins)[used] / count[used]
        y = np.bincount(index, y, minlength=bins)[used] / count[used]
    if len(np.unique(x)) < FEWEST:
        return np.empty(0), np.empty(0)
    share = min(1.0, max(share, NEIGHBOURS / len(x)))
    curve = statsmodels_lowess(y, x, frac=share, it=0)
    return curve[:, 0], curve[:, 1]


def smoothed(table: pl.DataFrame, y: str, by: list[str]) -> pl.DataFrame:
    """`lowess` of column `y` on log10 tokens, for each combination of the columns `by`.

    Rows at 0 tokens and nulls of `y` are left out. Columns returned: `by`, `tokens` (a float), `y`.
    """
    curves = [table.head(0).select(*by, pl.col("tokens").cast(pl.Float64), y)]
    kept = table.filter((pl.col("tokens") > 0) & pl.col(y).is_not_null())
    for _, part in kept.group_by(by, maintain_order=True):
        x, curve = lowess(np.log10(part["tokens"].to_numpy()), part[y].to_numpy())
        key = part.head(1).select(by)
        curves.append(key.join(pl.DataFrame({"tokens": 10.0**x, y: curve}), how="cross"))
    return pl.concat(curves)


def binned_means(table: pl.DataFrame, y: str, bins: int = 60) -> pl.DataFrame:
    """Means of column `y` over equal intervals of log10 tokens; rows at 0 tokens are left out.

    Unlike lowess it has no bias where a loss falls fast: there each interval is one step.
    Columns returned: `tokens` (a float, the geometric mean of the interval's rows), `y`.
    """
    table = table.filter(pl.col("tokens") > 0)
    if table.is_empty():
        return table.select(pl.col("tokens").cast(pl.Float64), y)
    x = np.log10(table["tokens"].to_numpy())
    means = pl.DataFrame({"bin": bin_index(x, bins), "x": x, y: table[y]})
    means = means.group_by("bin").agg(pl.col("x", y).mean()).sort("bin")
    return means.select(tokens=10.0 ** pl.col("x"), **{y: pl.col(y)})


def thinned(table: pl.DataFrame, y: str, bins: int = 400) -> pl.DataFrame:
    """The rows of a long trajectory that show: first, last, lowest, highest of each interval.

    A line through them covers the same pixels as one through all rows (the M4 aggregation: Jugel
    et al. 2014, doi:10.14778/2732951.2732953) and no value is averaged away. Intervals are equal
    steps of log10 tokens. At most 4 x `bins` rows, in the order of tokens.
    """
    table = table.sort("tokens", maintain_order=True)
    if len(table) <= 4 * bins:
        return table
    index = bin_index(np.log10(np.maximum(table["tokens"].to_numpy(), 1)), bins)
    rows = (
        pl.DataFrame({"bin": index, "row": np.arange(len(table)), "y": table[y]})
        .group_by("bin")
        .agg(
            first=pl.col("row").min(),
            last=pl.col("row").max(),
            lowest=pl.col("row").get(pl.col("y").arg_min()),
            highest=pl.col("row").get(pl.col("y").arg_max()),
        )
        .drop("bin")
        .unpivot()["value"]
        .unique()
        .sort()
    )
    return table[rows]


def spaced(table: pl.DataFrame, by: list[str], most: int = 60) -> pl.DataFrame:
    """At most `most` rows for each combination of the columns `by`, evenly over log10 tokens.

    The last row of each interval of the axis is kept; rows at 0 tokens count as an interval of
    their own.
    """
    parts = [table.head(0)]
    for _, part in table.group_by(by, maintain_order=True):
        part = part.sort("tokens", maintain_order=True)
        if len(part) > most:
            zeros = part.filter(pl.col("tokens") == 0).tail(1)
            part = part.filter(pl.col("tokens") > 0)
            index = bin_index(np.log10(part["tokens"].to_numpy()), most - len(zeros))
            last = np.append(np.diff(index) > 0, True)
            part = pl.concat([zeros, part.filter(pl.Series(last))])
        parts.append(part)
    return pl.concat(parts)
