"""How many exposures are needed, and whether exposure alone predicts what a run prefers."""

import numpy as np
import polars as pl
import statsmodels.api as sm
from scipy import stats
from scipy.special import logit

from ontogeny.analysis.correlations import CONFIDENCE, wilson
from ontogeny.analysis.learning import correctness, majority, settled_at
from ontogeny.analysis.linear import ITEMS_PER_TERM
from ontogeny.analysis.logistic import logistic
from ontogeny.analysis.observations import Observations

COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "model": pl.String,
    "items": pl.String,
    "term": pl.String,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "n": pl.Int64,
    "n_items": pl.Int64,
}
SHARES = (0.6, 0.75, 0.9)
LARGEST = 1e12  # exposures
FOLDS, REPEATS, SEED = 10, 5, 964
Row = tuple[str, float | None, float | None, float | None]  # term, estimate, low, high


def thresholds(seen: Observations) -> pl.DataFrame:
    """All of this module for one run and probe, in the columns of `COLUMNS`.

    `correct`: is the preference for the majority order ~ ln(exposure so far + 1), over all
    checkpoints and items that have such an order; `correct_at_end` the same at the last checkpoint;
    `settled`: see `survival`; `cross_validation`: see `predictability`.
    """
    parts = [pl.DataFrame(schema=COLUMNS)]

    def add(model: str, items: str, rows: list[Row], n: int, n_items: int) -> None:
        table = pl.DataFrame(rows, schema=["term", "estimate", "lo", "hi"], orient="row")
        whole = {"run": seen.run, "probe": seen.probe, "model": model, "items": items}
        whole |= {"n": n, "n_items": n_items}
        table = table.with_columns(pl.lit(value).alias(name) for name, value in whole.items())
        parts.append(table.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items()))

    members = np.flatnonzero(majority(seen))
    correct = correctness(seen, members)
    total = seen.exposures.total[:, members]
    for model, rows in (("correct", slice(None)), ("correct_at_end", slice(-1, None))):
        curve = logistic_curve(correct[rows], np.log(total[rows] + 1))
        add(model, "majority", curve, correct[rows].size, len(members))
    add("settled", "majority", survival(correct, total), len(members), len(members))
    for items in ("seen", "all"):
        members = seen.sets.get(items, members[:0])
        members = members if seen.prior is None else seen.with_prior(members)
        rows = predictability(seen, members)
        add("cross_validation", items, rows, len(members), len(members))
    return pl.concat(parts)


def logistic_curve(correct: np.ndarray, exposure: np.ndarray) -> list[Row]:
    """Logistic regression of correctness (0 to 1) on log exposure, both (rows, items).

    Errors are by item, intervals by t with items - 1 degrees of freedom. The exposures at
    which the curve reaches each of `SHARES` have Fieller's interval (1954, doi:10.1111/
    j.2517-6161.1954.tb00159.x), which is bounded only where the slope differs from 0: else, or
    where the curve falls, they are null. An exposure below 0 stands for none: 0; one above
    `LARGEST` is null.
    """
    names = ["intercept", "log_exposure", *(f"exposure_at_{share:g}" for share in SHARES)]
    fit = None
    if exposure.size and np.ptp(exposure) > 0:
        fit = logistic(correct, np.stack([np.ones_like(exposure), exposure], axis=-1))
    if fit is None:
        return [(name, None, None, None) for name in names]
    t = float(stats.t.ppf(0.5 + CONFIDENCE / 2, correct.shape[1] - 1))
    half = t * np.sqrt(np.diag(fit.covariance))
    rows: list[Row] = [
        (name, float(e), float(e - h), float(e + h))
        for name, e, h in zip(names, fit.estimate, half, strict=False)
    ]
    for name, share in zip(names[2:], SHARES, strict=True):
        crossing = fieller(logit(share), fit.estimate, fit.covariance, t)
        rows.append((name, *(_exposure(x) for x in crossing)))
    return rows


def fieller(level: float, estimate: np.ndarray, covariance: np.ndarray, t: float) -> tuple:
    """Where the line a + b x reaches `level`, with its interval: x, low, high.

    All None unless b is above 0 by `t` standard errors. `estimate` is (a, b).
    """
    (a, b), v = estimate, covariance * t * t
    square = b * b - v[1, 1]
    if b <= 0 or square <= 0:
        return None, None, None
    gap = level - a
    middle = gap * b + v[0, 1]
    root = np.sqrt(middle**2 - square * (gap * gap - v[0, 0]))
    return gap / b, (middle - root) / square, (middle + root) / square


def survival(correct: np.ndarray, total: np.ndarray) -> list[Row]:
    """The share of items that settle, and the median exposure at which they do.

    Kaplan and Meier's median over items, with those that don't settle censored at the exposure that
    they had; its interval is by the log-log transformation of the curve (statsmodels). It settles
    no later than that: what is known is the exposure at the first checkpoint at which it had.
    Null where less than half do. Shapes (checkpoints, items).
    """
    nothing = (None, None, None)
    if not correct.size:
        return [("share_settled", *nothing), ("median_exposure", *nothing)]
    at = settled_at(correct)
    settled = at < len(correct)
    exposure = total[np.minimum(at, len(correct) - 1), np.arange(len(at))]
    low, high = wilson(int(settled.sum()), len(at))
    share = (float(settled.mean()), float(low), float(high))
    median: tuple = nothing
    if settled.any():
        curve = sm.SurvfuncRight(exposure.astype(np.float64), settled.astype(np.int64))
        with np.errstate(divide="ignore", invalid="ignore"):  # where the curve is 1 or 0
            median = (curve.quantile(0.5), *curve.quantile_ci(0.5))
    return [("share_settled", *share), ("median_exposure", *map(_finite, median))]


def predictability(seen: Observations, members: np.ndarray) -> list[Row]:
    """Cross-validated R2 of preferences at the end of the run, and what one set of predictors adds.

    `frequency` is the log ratio of exposures, log exposure, and their product; `constraints` and
    `prior` what their names say. Items are left out in `FOLDS` parts, `REPEATS` times, and R2 is 1
    - squared error / that of the mean of the others: below 0 for what predicts worse than that. A
    gain is the difference of two R2. Null for fewer than two items for each term.
    """
    ratio, log_total = seen.exposures.log_ratio[-1, members], seen.exposures.log_total[-1, members]
    parts = {"frequency": [ratio, log_total, ratio * log_total]}
    if seen.constraints:
        parts["constraints"] = [values[members] for values in seen.constraints.values()]
    if seen.prior is not None:
        parts["prior"] = [seen.prior[members]]
    sets = {name: [name] for name in parts}
    sets |= {f"frequency_{name}": ["frequency", name] for name in parts if name != "frequency"}
    response = seen.preference[-1, members]
    guess = held_out_errors(response, [])
    errors = {
        name: held_out_errors(response, [column for part in used for column in parts[part]])
        for name, used in sets.items()
    }
    rows: list[Row] = [
        (f"r2_{name}", *explained(guess, error, guess)) for name, error in errors.items()
    ]
    for name in sets:
        if name.startswith("frequency_"):
            added = name.removeprefix("frequency_")
            gains = {f"{added}_over_frequency": "frequency", f"frequency_over_{added}": added}
            for gain, without in gains.items():
                rows.append((f"gain_{gain}", *explained(errors[without], errors[name], guess)))
    return rows


def held_out_errors(response: np.ndarray, columns: list[np.ndarray]) -> np.ndarray | None:
    """Squared error of each item, predicted by least squares from items of other folds; the mean
    over repeats. None for fewer than two items for each term."""
    items = len(response)
    terms = np.column_stack([np.ones(items), *columns])
    if items < max(FOLDS, ITEMS_PER_TERM * terms.shape[1] * FOLDS / (FOLDS - 1)):
        return None
    rng = np.random.default_rng(SEED)
    errors = np.zeros(items)
    for _ in range(REPEATS):
        fold = rng.permutation(items) % FOLDS
        for number in range(FOLDS):
            out = fold == number
            weights = np.linalg.lstsq(terms[~out], response[~out])[0]
            errors[out] += (response[out] - terms[out] @ weights) ** 2
    return errors / REPEATS


def explained(
    before: np.ndarray | None, after: np.ndarray | None, guess: np.ndarray | None
) -> tuple[float | None, float | None, float | None]:
    """How much less `after` is than `before`, as a share of `guess`, with a 95 % interval.

    A ratio of totals over items, with its error as in `learning.clustered_mean`. Errors of items
    that were predicted from the same others are not quite independent, so the interval is somewhat
    too narrow (Bates, Hastie and Tibshirani 2023, doi:10.1080/01621459.2023.2197686).
    """
    if before is None or after is None or guess is None or guess.sum() == 0:
        return None, None, None
    less, items = before - after, len(guess)
    share = less.sum() / guess.sum()
    spread = ((less - share * guess) ** 2).sum() * items / (items - 1)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, items - 1) * np.sqrt(spread) / guess.sum()
    return float(share), float(share - half), float(share + half)


def _exposure(log_exposure: float | None) -> float | None:
    if log_exposure is None:
        return None
    exposure = float(np.expm1(np.clip(log_exposure, 0.0, 100.0)))
    return exposure if exposure <= LARGEST else None


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
