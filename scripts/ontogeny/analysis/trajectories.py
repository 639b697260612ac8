"""A run's trajectory in a few numbers: how high it rises, where it ends, how far it falls.

A trajectory is Pearson's r of preferences with a reference, over the items of a group, at each
checkpoint. It begins with the first step of training: what an untrained model prefers, at 0 tokens,
is chance. Checkpoints where r is undefined are left out. Intervals are over items (`bootstrap`).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.analysis.apart import apart
from ontogeny.analysis.bootstrap import highest, percentiles, resampled_r
from ontogeny.analysis.correlations import pearson_r
from ontogeny.analysis.groups import Items
from ontogeny.analysis.scores import preference_matrix

THRESHOLDS = {"tokens_to_30": 0.3, "tokens_to_50": 0.5}
NEARLY_1 = 1 - 1e-9  # of which Fisher's z is finite


def _with_interval(name: str) -> dict[str, type[pl.DataType]]:
    stem = name.removesuffix("_r")
    return dict.fromkeys((name, f"{stem}_low", f"{stem}_high"), pl.Float64)


COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "n": pl.Int64,
    "n_checkpoints": pl.Int64,
    **_with_interval("peak_r"),
    "peak_step": pl.Int64,
    "peak_tokens": pl.Int64,
    **_with_interval("end_r"),
    "end_tokens": pl.Int64,
    **_with_interval("drop"),
    **_with_interval("mean_r"),
    **_with_interval("area"),
    **_with_interval("tokens_to_30"),
    **_with_interval("tokens_to_50"),
}

Sampled = tuple[float, np.ndarray]  # a value, and the same in resamples [draws]
Estimate = tuple[float, float, float]  # a value and its 95 % interval; NaN where undefined
NOTHING: Sampled = (np.nan, np.empty(0))
UNDEFINED: Estimate = (np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Trajectory:
    """r at the checkpoints where it is defined, in the order of tokens (all above 0).

    `draws` [draws, checkpoints] is r in resamples of the items; no rows where there are too few
    items. `ended`: whether the last of these checkpoints is the run's last.
    """

    step: np.ndarray
    tokens: np.ndarray
    r: np.ndarray
    draws: np.ndarray
    ended: bool

    @classmethod
    def of(cls, checkpoints: pl.DataFrame, x: np.ndarray, y: np.ndarray) -> "Trajectory":
        """Of preferences `x` [checkpoints, items] with a reference `y` [items]."""
        step, tokens = (checkpoints[name].to_numpy() for name in ("step", "tokens"))
        r = pearson_r(x, y)
        kept = (tokens > 0) & ~np.isnan(r)
        draws = resampled_r(x[kept], y)
        return cls(step[kept], tokens[kept], r[kept], draws, bool(kept[-1]))

    def end(self) -> Sampled:
        """r at the run's last checkpoint; NaN where it is undefined."""
        return (float(self.r[-1]), self.draws[:, -1]) if self.ended else NOTHING

    def peak(self) -> Estimate:
        """The highest r; its interval, made on the scale of Fisher's z, allows for the choice."""
        if not len(self.r):
            return UNDEFINED
        low, high = np.tanh(highest(fisher_z(self.r), fisher_z(self.draws)))
        return float(self.r.max()), float(low), float(high)

    def drop(self) -> Estimate:
        """From the highest r to that of the run's last checkpoint.

        Never below 0, and above 0 by chance alone; the interval holds 0 unless some checkpoint is
        above the last by more than the choice of the highest explains.
        """
        if not self.ended:
            return UNDEFINED
        falls = self.r[:-1] - self.r[-1]
        low, high = highest(falls, self.draws[:, :-1] - self.draws[:, -1:])
        return (
            float(self.r.max() - self.r[-1]),
            float(np.maximum(low, 0)),
            float(np.maximum(high, 0)),
        )

    def mean(self) -> Sampled:
        """Over checkpoints, however they are spaced."""
        return (float(self.r.mean()), self.draws.mean(axis=1)) if len(self.r) else NOTHING

    def area(self, low: float = 1, high: float = np.inf) -> Sampled:
        """Mean over log tokens from `low` to `high` (trapezoids).

        The range is cut to that of the checkpoints. NaN for less than two.
        """
        if not len(self.r):
            return NOTHING
        weights = area_weights(np.log10(self.tokens), np.log10([low, high]))
        return float((self.r * weights).sum()), (self.draws * weights).sum(axis=1)

    def tokens_to(self, threshold: float) -> Estimate:
        """Tokens at which r reaches a threshold, to be at or above it at the next one too.

        Interpolated on log tokens; NaN where that never happens, also as a limit of the interval.
        """
        value = reached(self.tokens, self.r[None], threshold)[0]
        low, high = percentiles(reached(self.tokens, self.draws, threshold))
        return tuple(number if np.isfinite(number) else np.nan for number in (value, low, high))


def trajectories(preferences: pl.DataFrame, items: Items, run: str, probe: str) -> pl.DataFrame:
    """One row per group and reference, in the columns of `COLUMNS`.

    `preferences` of the run and probe as `read_preferences` gives them. Raises ValueError when a
    checkpoint lacks an item.
    """
    checkpoints, matrix = preference_matrix(preferences, items.names, run)
    rows = []
    for group, reference, members in items.sets():
        x, y = matrix[:, members], items.references[reference].values[members]
        row = {"run": run, "probe": probe, "group": group, "reference": reference}
        rows.append(row | {"n": len(members)} | _summary(Trajectory.of(checkpoints, x, y)))
    table = pl.DataFrame(rows, schema=COLUMNS)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def fisher_z(r: np.ndarray) -> np.ndarray:
    """Fisher's z of r, finite also where r is 1 or -1."""
    return np.arctanh(np.clip(r, -NEARLY_1, NEARLY_1))


def area_weights(x: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """What each point of a broken line weighs in its mean height between two limits of x.

    `x` [points, 1 or more] ascends; the limits are cut to its range. NaN where that leaves none.
    """
    low, high = np.clip(limits, x[0], x[-1])
    if not high > low:
        return np.full(len(x), np.nan)
    inside = x[(x > low) & (x < high)]
    at = np.concatenate([[low], inside, [high]])
    widths = np.diff(at)
    heights = (np.append(widths, 0) + np.append(0, widths)) / 2 / (high - low)
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    share = (at - x[left]) / (x[left + 1] - x[left])
    weights = np.zeros(len(x))
    np.add.at(weights, left, heights * (1 - share))
    np.add.at(weights, left + 1, heights * share)
    return weights


def reached(tokens: np.ndarray, r: np.ndarray, threshold: float) -> np.ndarray:
    """Tokens at which each row of `r` [rows, checkpoints] is first at or above a threshold, at two
    checkpoints in a row, of those that are `apart`; interpolated on log tokens, infinite where that
    never happens: [rows]."""
    found = np.where(np.isnan(r).any(axis=1), np.nan, np.inf)
    if len(tokens) < 2:
        return found
    counted = apart(tokens)
    tokens, r = tokens[counted], r[:, counted]
    above = r >= threshold
    twice = above[:, :-1] & above[:, 1:]
    rows = np.flatnonzero(twice.any(axis=1))
    first = twice[rows].argmax(axis=1)
    before = np.maximum(first - 1, 0)
    low, high = r[rows, before], r[rows, first]
    rise = np.where(first > 0, high - low, 1.0)
    share = np.where(first > 0, (threshold - low) / rise, 1.0)
    log_tokens = np.log10(tokens)
    found[rows] = 10 ** (log_tokens[before] + share * (log_tokens[first] - log_tokens[before]))
    return found


def _estimate(sampled: Sampled) -> Estimate:
    value, draws = sampled
    return value, *percentiles(draws)


def _summary(trajectory: Trajectory) -> dict[str, float | int | None]:
    estimates = {
        "peak_r": trajectory.peak(),
        "end_r": _estimate(trajectory.end()),
        "drop": trajectory.drop(),
        "mean_r": _estimate(trajectory.mean()),
        "area": _estimate(trajectory.area()),
        **{name: trajectory.tokens_to(value) for name, value in THRESHOLDS.items()},
    }
    row: dict[str, float | int | None] = {"n_checkpoints": len(trajectory.r)}
    for name, estimate in estimates.items():
        row |= dict(zip(_with_interval(name), estimate, strict=True))
    if len(trajectory.r):
        peak = int(trajectory.r.argmax())
        row["peak_step"] = int(trajectory.step[peak])
        row["peak_tokens"] = int(trajectory.tokens[peak])
    if trajectory.ended:
        row["end_tokens"] = int(trajectory.tokens[-1])
    return row
