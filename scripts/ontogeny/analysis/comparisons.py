"""Two runs that were scored on the same items: by how much do their trajectories differ?"""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import polars as pl

from ontogeny.analysis.bootstrap import percentiles
from ontogeny.analysis.groups import Items
from ontogeny.analysis.scores import preference_matrix
from ontogeny.analysis.trajectories import Sampled, Trajectory

COLUMNS = {
    "run_a": pl.String,
    "run_b": pl.String,
    "probe": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "statistic": pl.String,
    "n": pl.Int64,
    "a": pl.Float64,
    "b": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def comparisons(preferences: Mapping[str, pl.DataFrame], items: Items, probe: str) -> pl.DataFrame:
    """One row per pair of runs, group, reference and statistic, in the columns of `COLUMNS`.

    `difference` is `b` - `a`. Its 95 % interval is over items, both runs resampled alike.
    Statistics are r at the `end`, at the `peak` (see `corrected_peak`) and the `area` over the
    range of tokens that both runs have. Runs may have different checkpoints.

    Args:
        preferences: of each run on the probe, in the order of the pairs.
        items: with groups and references that are the same for all runs.
        probe: its name.

    Raises:
        ValueError: a checkpoint lacks an item.
    """
    read = {run: preference_matrix(table, items.names, run) for run, table in preferences.items()}
    rows = []
    for group, reference, members in items.sets():
        y = items.references[reference].values[members]
        found = {
            run: Trajectory.of(checkpoints, matrix[:, members], y)
            for run, (checkpoints, matrix) in read.items()
        }
        about = {"probe": probe, "group": group, "reference": reference, "n": len(members)}
        rows += [about | row for row in _pairs(found)]
    table = pl.DataFrame(rows, schema=COLUMNS)
    return table.with_columns(pl.col(pl.Float64).fill_nan(None))


def corrected_peak(trajectory: Trajectory) -> Sampled:
    """The highest r, less what choosing it adds, and r at that checkpoint in resamples.

    The highest of many noisy checkpoints is too high, the more so the more there are, so runs with
    different checkpoints could not be compared. What the choice adds is estimated as in Efron 1983
    (doi:10.1080/01621459.1983.10477973): choose the highest of a resample, and take from it what
    the checkpoint has in all items; the mean over resamples.
    """
    r, draws = trajectory.r, trajectory.draws
    if not len(r):
        return np.nan, np.empty(0)
    whole = draws[~np.isnan(draws[:, 0])]
    optimism = (whole.max(axis=1) - r[whole.argmax(axis=1)]).mean() if len(whole) else 0.0
    return float(r.max() - optimism), draws[:, r.argmax()] - optimism


def _pairs(trajectories: Mapping[str, Trajectory]) -> Iterator[dict[str, str | float]]:
    """A row for each pair of runs and statistic."""
    ends = {run: trajectory.end() for run, trajectory in trajectories.items()}
    peaks = {run: corrected_peak(trajectory) for run, trajectory in trajectories.items()}
    areas: dict[tuple, Sampled] = {}
    for a, b in combinations(trajectories, 2):
        low, high = _common_range(trajectories[a].tokens, trajectories[b].tokens)
        for run in (a, b):
            if (run, low, high) not in areas:
                areas[run, low, high] = trajectories[run].area(low, high)
        pairs = {
            "end": (ends[a], ends[b]),
            "peak": (peaks[a], peaks[b]),
            "area": (areas[a, low, high], areas[b, low, high]),
        }
        for statistic, (of_a, of_b) in pairs.items():
            row = {"run_a": a, "run_b": b, "statistic": statistic}
            yield row | _difference(of_a, of_b)


def _common_range(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """The numbers of tokens from and to which both have checkpoints; 1 and 1 where one has none."""
    if not (len(a) and len(b)):
        return 1, 1
    return int(max(a[0], b[0])), int(min(a[-1], b[-1]))


def _difference(a: Sampled, b: Sampled) -> dict[str, float]:
    both = len(a[1]) and len(b[1])
    low, high = percentiles(b[1] - a[1] if both else np.empty(0))
    return {"a": a[0], "b": b[0], "difference": b[0] - a[0], "low": low, "high": high}
