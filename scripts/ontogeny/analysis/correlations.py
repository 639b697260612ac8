"""How well a checkpoint's preferences agree with a reference, by group of items.

The preference of an item is its mean over prompts, in nats; statistics are over items. Checkpoints
are ordered by the number of tokens, never by name.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.probes import Reference

CONFIDENCE = 0.95
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


def item_groups(items: Sequence[Binomial], frequency_bins: int) -> dict[str, np.ndarray]:
    """Indices of the items of each group: all, attested, nonce, and bins of attested items.

    `attested-1of3` holds the rarest third by the items' own frequency, `attested-3of3` the most
    frequent; bins differ in size by one item at most. Empty groups are left out.
    """
    attested = np.array([item.attested for item in items])
    groups = {
        "all": np.arange(len(items)),
        "attested": np.flatnonzero(attested),
        "nonce": np.flatnonzero(~attested),
    }
    counted = [i for i, item in enumerate(items) if item.attested and item.frequency is not None]
    counted.sort(key=lambda i: items[i].frequency)
    if frequency_bins:
        for number, part in enumerate(np.array_split(counted, frequency_bins), start=1):
            groups[f"attested-{number}of{frequency_bins}"] = part.astype(np.int64)
    return {name: members for name, members in groups.items() if len(members)}


def correlations(
    preferences: pl.DataFrame,
    items: Sequence[Binomial],
    references: Mapping[str, Reference],
    frequency_bins: int,
    run: str,
    probe: str,
) -> pl.DataFrame:
    """One row per checkpoint, group and reference, in the columns of `COLUMNS`.

    `preferences` as `item_preferences` gives them. A group where a reference is defined for no
    item has no row. Raises ValueError when a checkpoint lacks an item
    or its score is not a finite number.
    """
    groups = item_groups(items, frequency_bins)
    names = [item.alpha for item in items]
    values = {
        name: np.array([_or_nan(item.references[name]) for item in items]) for name in references
    }
    rows = []
    for (tokens,), table in preferences.group_by("tokens", maintain_order=True):
        found = dict(zip(table["binom"], table["preference"], strict=True))
        missing = [name for name in names if not _is_score(found.get(name))]
        if missing:
            raise ValueError(
                f"run {run!r}, {table['checkpoint'][0]}: no finite score for {len(missing)} items, "
                f"the first is {missing[0]!r}"
            )
        preference = np.array([found[name] for name in names])
        for reference, settings in references.items():
            for group, members in groups.items():
                members = members[~np.isnan(values[reference][members])]
                if len(members) == 0:
                    continue
                x, y = preference[members], values[reference][members]
                rows.append(
                    {
                        "run": run,
                        "checkpoint": table["checkpoint"][0],
                        "step": table["step"][0],
                        "tokens": tokens,
                        "probe": probe,
                        "group": group,
                        "reference": reference,
                        "n": len(members),
                        **pearson(x, y),
                        "spearman": _or_none(stats.spearmanr(x, y)[0]) if _varies(x, y) else None,
                        **accuracy(x, y, settings.midpoint),
                        "tie_rate": float((x == 0).mean()),
                    }
                )
    return pl.DataFrame(rows, schema=COLUMNS).sort("tokens", maintain_order=True)


def pearson(x: np.ndarray, y: np.ndarray) -> dict[str, float | None]:
    """Pearson's `r` of two arrays with a 95 % interval by Fisher's z.

    None where either is constant; no interval for fewer than 4 pairs.
    """
    if not _varies(x, y):
        return {"r": None, "r_low": None, "r_high": None}
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))
    if len(x) < 4:
        return {"r": r, "r_low": None, "r_high": None}
    half = stats.norm.ppf(0.5 + CONFIDENCE / 2) / np.sqrt(len(x) - 3)
    with np.errstate(divide="ignore"):
        z = np.arctanh(r)
    return {"r": r, "r_low": float(np.tanh(z - half)), "r_high": float(np.tanh(z + half))}


def accuracy(x: np.ndarray, y: np.ndarray, midpoint: float) -> dict[str, float | None]:
    """Share of items whose preference `x` (nats) lies on the side of 0 that `y` has of `midpoint`.

    A preference of exactly 0 counts one half. Items with `y` at the midpoint have no right answer
    and are left out of `accuracy_n`. 95 % interval by Wilson.
    """
    decided = y != midpoint
    n = int(decided.sum())
    if n == 0:
        return {"accuracy": None, "accuracy_low": None, "accuracy_high": None, "accuracy_n": 0}
    sides = np.sign(x[decided]) * np.sign(y[decided] - midpoint)
    right = float((sides > 0).sum() + 0.5 * (sides == 0).sum())
    low, high = wilson(right, n)
    return {
        "accuracy": right / n,
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "accuracy_n": n,
    }


def wilson(right: float | np.ndarray, n: int | np.ndarray) -> tuple:
    """Wilson's 95 % interval of `right` successes (may be halves) in `n` trials: low, high."""
    return proportion_confint(right, n, alpha=1 - CONFIDENCE, method="wilson")


def _varies(x: np.ndarray, y: np.ndarray) -> bool:
    return len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0


def _is_score(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
