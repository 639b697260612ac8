"""How far preferences are from the log ratio of exposures, at every checkpoint."""

import numpy as np
import polars as pl
from scipy import stats

from ontogeny.analysis.correlations import CONFIDENCE, pearson
from ontogeny.analysis.observations import OCCURRED, Observations

COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "exposure": pl.String,
    "items": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "n": pl.Int64,
    "mean": pl.Float64,
    "se": pl.Float64,
    "lo95": pl.Float64,
    "hi95": pl.Float64,
    "mean_abs": pl.Float64,
    "se_abs": pl.Float64,
    "lo95_abs": pl.Float64,
    "hi95_abs": pl.Float64,
    "cor_pref_freq": pl.Float64,
    "cor_pref_freq_lo": pl.Float64,
    "cor_pref_freq_hi": pl.Float64,
}


def deviations(seen: Observations) -> pl.DataFrame:
    """One row for each set of items and checkpoint, in the columns of `COLUMNS`.

    The deviation of an item is its preference less ln((alphabetical + 0.5) / (other + 0.5)), nats:
    0 for a model whose odds are the corpus', the preference itself for an item not seen so far.
    Means have t intervals over items, null for one item; `cor_pref_freq` is Pearson's r of
    preference and log ratio. Empty where exposures are not known.
    """
    parts = [pl.DataFrame(schema=COLUMNS)]
    for items in filter(seen.sets.__contains__, OCCURRED):
        members = seen.sets[items]
        preference = seen.preference[:, members]
        ratio = seen.exposures.log_ratio[:, members]
        r = [pearson(x[None], y) for x, y in zip(preference, ratio, strict=True)]
        numbers = {
            **_means(preference - ratio, ""),
            **_means(np.abs(preference - ratio), "_abs"),
            "cor_pref_freq": np.concatenate([row["r"] for row in r]),
            "cor_pref_freq_lo": np.concatenate([row["r_low"] for row in r]),
            "cor_pref_freq_hi": np.concatenate([row["r_high"] for row in r]),
        }
        table = seen.checkpoints.with_columns(
            run=pl.lit(seen.run),
            probe=pl.lit(seen.probe),
            exposure=pl.lit(seen.exposures.source),
            items=pl.lit(items),
            n=pl.lit(len(members)),
            **{name: pl.Series(values, nan_to_null=True) for name, values in numbers.items()},
        )
        parts.append(table.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()))
    return pl.concat(parts)


def _means(values: np.ndarray, suffix: str) -> dict[str, np.ndarray]:
    """Mean of each row with its standard error and 95 % interval by t; NaN for one value."""
    mean, n = values.mean(axis=1), values.shape[1]
    se, t = np.full(len(values), np.nan), np.nan
    if n > 1:
        se, t = values.std(axis=1, ddof=1) / np.sqrt(n), stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)
    return {
        f"mean{suffix}": mean,
        f"se{suffix}": se,
        f"lo95{suffix}": mean - t * se,
        f"hi95{suffix}": mean + t * se,
    }
