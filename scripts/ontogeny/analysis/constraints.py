"""How well preferences agree with each constraint on the order, at every checkpoint."""

import warnings

import numpy as np
import polars as pl
from statsmodels.stats.outliers_influence import variance_inflation_factor

from ontogeny.analysis.correlations import accuracy, pearson
from ontogeny.analysis.observations import OCCURRED, Observations

COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "exposure": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "constraint": pl.String,
    "n": pl.Int64,
    "cor_pref": pl.Float64,
    "cor_pref_lo": pl.Float64,
    "cor_pref_hi": pl.Float64,
    "n_dev": pl.Int64,
    "cor_pref_dev": pl.Float64,
    "cor_pref_dev_lo": pl.Float64,
    "cor_pref_dev_hi": pl.Float64,
    "n_alignment": pl.Int64,
    "alignment": pl.Float64,
    "alignment_lo": pl.Float64,
    "alignment_hi": pl.Float64,
    "vif": pl.Float64,
}
DEVIATION = ("cor_pref_dev", "cor_pref_dev_lo", "cor_pref_dev_hi")


def constraint_statistics(seen: Observations) -> pl.DataFrame:
    """One row for each checkpoint and constraint, in the columns of `COLUMNS`.

    `cor_pref` is Pearson's r of the constraint and the preference over all `n` items;
    `cor_pref_dev` that with the deviation of the preference from the log ratio of exposures, over
    the `n_dev` items that have occurred by the run's end; `alignment` the share of the
    `n_alignment` items that the constraint decides whose preference has its sign, a preference of 0
    counting one half (Wilson's interval). `vif` is the constraint's, see `variance_inflation`.
    Empty without constraints.
    """
    inflation = variance_inflation(seen.constraints)
    occurred = next((seen.sets[name] for name in OCCURRED if name in seen.sets), None)
    parts = [pl.DataFrame(schema=COLUMNS)]
    for name, constraint in seen.constraints.items():
        r = pearson(seen.preference, constraint)
        aligned = accuracy(seen.preference, constraint, 0.0)
        columns = {
            "run": pl.lit(seen.run),
            "probe": pl.lit(seen.probe),
            "exposure": pl.lit(None),
            "constraint": pl.lit(name),
            "n": pl.lit(len(constraint)),
            **_interval("cor_pref", r, "r"),
            "n_dev": pl.lit(0),
            **dict.fromkeys(DEVIATION, pl.lit(None)),
            "n_alignment": pl.Series(aligned["accuracy_n"]),
            **_interval("alignment", aligned, "accuracy"),
            "vif": pl.lit(inflation[name]),
        }
        if occurred is not None:
            deviation = (seen.preference - seen.exposures.log_ratio)[:, occurred]
            columns |= _interval("cor_pref_dev", pearson(deviation, constraint[occurred]), "r")
            columns["n_dev"] = pl.lit(len(occurred))
            columns["exposure"] = pl.lit(seen.exposures.source)
        table = seen.checkpoints.with_columns(**columns)
        parts.append(table.select(pl.col(key).cast(dtype) for key, dtype in COLUMNS.items()))
    return pl.concat(parts).sort("tokens", maintain_order=True)


def variance_inflation(constraints: dict[str, np.ndarray]) -> dict[str, float | None]:
    """The variance inflation factor of each constraint: 1 / (1 - R2) of it given the others.

    None for a constraint that does not vary (it is left out of the others' too), or that the others
    determine.
    """
    varying = [name for name, values in constraints.items() if np.ptp(values) > 0]
    factors: dict[str, float | None] = dict.fromkeys(constraints)
    if not varying:
        return factors
    columns = [constraints[name] for name in varying]
    table = np.column_stack([np.ones_like(columns[0]), *columns])
    for place, name in enumerate(varying, start=1):
        with warnings.catch_warnings(), np.errstate(divide="ignore"):
            warnings.simplefilter("ignore")  # of a constraint that others determine
            factor = variance_inflation_factor(table, place)
        factors[name] = float(factor) if factor < 1e12 else None
    return factors


def _interval(name: str, statistic: dict[str, np.ndarray], of: str) -> dict[str, pl.Series]:
    """A statistic and its interval as columns, null where it is undefined."""
    ends = {"": "", "_lo": "_low", "_hi": "_high"}
    return {
        f"{name}{ours}": pl.Series(statistic[f"{of}{theirs}"], nan_to_null=True)
        for ours, theirs in ends.items()
    }
