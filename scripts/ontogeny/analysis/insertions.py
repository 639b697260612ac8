"""What a run prefers of items that were inserted into a corpus a given number of times.

Counts and directions are those of the corpus with the insertions, whatever the run was trained on:
so runs on the corpus without them tell what the same items would get anyway.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from ontogeny.analysis.correlations import CONFIDENCE, accuracy
from ontogeny.analysis.observations import Observations

COLUMNS = {
    "run": pl.String,
    "corpus": pl.String,
    "probe": pl.String,
    "inserted": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "count_low": pl.Int64,
    "count_high": pl.Int64,
    "mean_count": pl.Float64,
    "n": pl.Int64,
    "seen": pl.Float64,
    "seen_other": pl.Float64,
    "preference": pl.Float64,
    "preference_low": pl.Float64,
    "preference_high": pl.Float64,
    "share": pl.Float64,
    "share_low": pl.Float64,
    "share_high": pl.Float64,
}
MOST_COUNTS = 10  # different ones that are groups of their own
SIGNS = {"alpha": 1, "nonalpha": -1}


def insertion_table(
    seen: Observations, corpus: str, inserted: str, items: Sequence[Mapping[str, Any]]
) -> pl.DataFrame:
    """A row for each checkpoint of a run and each inserted count, in the columns of `COLUMNS`.

    Over items that have a direction: `preference` is for that order, in nats, `share` how many of
    them prefer it, a tie counting one half. Intervals are over items: t, and Wilson's. Where there
    are more than `MOST_COUNTS` different counts, groups are 0, 1, 2-3, 4-7 and so on.

    Args:
        seen: the run on a probe; items of the probe that were not inserted are left out.
        corpus: what it was trained on.
        inserted: the corpus with the insertions.
        items: of its provenance: `Word1`, `Word2`, `alpha`, `nonalpha` (counts), `direction`.
    """
    places = {item.alpha.casefold(): (i, 1) for i, item in enumerate(seen.items)}
    # a probe whose order is `first` may have an item in the other one
    places |= {item.nonalpha.casefold(): (i, -1) for i, item in enumerate(seen.items)}
    known = [
        (places[name][0], row["alpha"] + row["nonalpha"], places[name][1] * SIGNS[row["direction"]])
        for row in items
        if row["direction"] and (name := f"{row['Word1']} and {row['Word2']}".casefold()) in places
    ]
    parts = [pl.DataFrame(schema=COLUMNS)]
    members, counts, signs = np.array(known, np.int64).reshape(-1, 3).T
    groups = counts if len(np.unique(counts)) <= MOST_COUNTS else np.frexp(counts)[1]
    for group in np.unique(groups):
        inside = groups == group
        chosen, of_group, sign = members[inside], counts[inside], signs[inside]
        n = len(chosen)
        preference = seen.preference[:, chosen] * sign
        alpha, other = (
            orders[:, chosen] for orders in (seen.exposures.alpha, seen.exposures.nonalpha)
        )
        mean = preference.mean(axis=1)
        half = np.full(len(mean), np.nan)
        if n > 1:
            t = stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)
            half = t * preference.std(axis=1, ddof=1) / np.sqrt(n)
        right = accuracy(preference, np.ones(n), 0.0)
        columns = {
            "seen": np.where(sign > 0, alpha, other).mean(axis=1),
            "seen_other": np.where(sign > 0, other, alpha).mean(axis=1),
            "preference": mean,
            "preference_low": mean - half,
            "preference_high": mean + half,
            "share": right["accuracy"],
            "share_low": right["accuracy_low"],
            "share_high": right["accuracy_high"],
        }
        whole = {"run": seen.run, "corpus": corpus, "probe": seen.probe, "inserted": inserted}
        whole |= {"count_low": of_group.min(), "count_high": of_group.max()}
        whole |= {"mean_count": of_group.mean(), "n": n}
        part = seen.checkpoints.with_columns(
            *(pl.lit(value).alias(name) for name, value in whole.items()),
            *(pl.Series(name, values).fill_nan(None) for name, values in columns.items()),
        )
        parts.append(part.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()))
    return pl.concat(parts).sort("tokens", "count_low")
