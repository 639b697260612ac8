"""The statistics of the tests of the Bigram Hypothesis.

Each returns `value`, `low` and `high` (95 % interval), `p` (two-sided) and `n`; None where one is
not defined. Draws have fixed seeds.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats
from scipy.optimize import brentq

from ontogeny.analysis.correlations import CONFIDENCE, Z

DRAWS = 2_000  # bootstrap samples
PERMUTATIONS = 10_000
COLLINEAR = 1e-9  # least eigenvalue of the correlations of terms that still tells them apart
RANKS = {"spearman": stats.spearmanr, "kendall": stats.kendalltau}
UNDEFINED = {"value": None, "low": None, "high": None, "p": None}


def rank_correlation(x: np.ndarray, y: np.ndarray, statistic: str) -> dict:
    """Spearman's or Kendall's (tau-b) correlation of two arrays.

    The interval is the percentile bootstrap's over the elements; samples that are constant are left
    out. `p` is scipy's. None for fewer than 4 elements or a constant array.
    """
    correlation = RANKS[statistic]
    n = len(x)
    if n < 4 or not (np.ptp(x) and np.ptp(y)):
        return {**UNDEFINED, "n": n}
    found = correlation(x, y)
    samples = np.random.default_rng(0).integers(0, n, (DRAWS, n))
    values = [correlation(x[i], y[i])[0] for i in samples if np.ptp(x[i]) and np.ptp(y[i])]
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {
        "value": float(found[0]),
        "low": float(low),
        "high": float(high),
        "p": float(found[1]),
        "n": n,
    }


def area_under_curve(scores: np.ndarray, outcomes: np.ndarray) -> dict:
    """How often a positive outcome has the higher score of a positive and a negative one, a tie
    counting one half: the area under the ROC curve. Also `positives`, how many there are.

    `p` is that of 10,000 permutations of the outcomes (counting the data as one of them: Phipson &
    Smyth 2010, doi:10.2202/1544-6115.1585); the interval is by Newcombe (2006, Statistics in
    Medicine 25:559-573, method 5), which is not empty where the area is 0 or 1. None without both
    outcomes.

    Args:
        scores: float [n].
        outcomes: bool [n].
    """
    n, positives = len(scores), int(outcomes.sum())
    if positives in (0, n):
        return {**UNDEFINED, "n": n, "positives": positives}
    ranks = stats.rankdata(scores)
    least, pairs = positives * (positives + 1) / 2, positives * (n - positives)
    area = (ranks[outcomes].sum() - least) / pairs
    shuffled = np.random.default_rng(0).permuted(np.tile(ranks, (PERMUTATIONS, 1)), axis=1)
    by_chance = (shuffled[:, :positives].sum(axis=1) - least) / pairs
    as_far = np.abs(by_chance - 0.5) >= abs(area - 0.5) - 1e-12
    low, high = _area_interval(float(area), positives, n - positives)
    return {
        "value": float(area),
        "low": low,
        "high": high,
        "p": float((1 + as_far.sum()) / (1 + PERMUTATIONS)),
        "n": n,
        "positives": positives,
    }


def _area_interval(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """The areas whose distance to the one found is z times their own standard error."""
    more = (positives + negatives) / 2 - 1

    def beyond(a: float) -> float:
        spread = 1 + more * ((1 - a) / (2 - a) + a / (1 + a))
        return (area - a) ** 2 - Z**2 * a * (1 - a) * spread / (positives * negatives)

    edge = 1e-12  # at 0 and at 1 there is a root too
    low = brentq(beyond, 0, min(area, 1 - edge)) if area > 0 else 0.0
    high = brentq(beyond, max(area, edge), 1) if area < 1 else 1.0
    return low, high


def slopes_within_classes(table: pl.DataFrame, terms: Sequence[str]) -> dict[str, dict]:
    """Slope of `preference` on each of the `terms`, with an intercept for each class (`uid`) at
    each checkpoint (`tokens`), by least squares.

    Pairs of a class share a template and a slope of their own, so standard errors are those of the
    delete-one-class jackknife (CV3 of MacKinnon, Nielsen & Webb 2023,
    doi:10.1016/j.jeconom.2022.04.001, without its factor (G - 1) / G), and intervals and `p` of the
    t distribution with classes - 1 degrees of freedom; None for a term that varies within one class
    only. A term that varies within none has no slope, and no term has one where they determine each
    other. (A mixed model with random intercepts alone would take slopes to be the same in all
    classes; one with random slopes, on 67 classes of 1,000 pairs, did not converge.)
    """
    result = {term: {**UNDEFINED, "n": len(table)} for term in terms}
    columns = ["preference", *terms]
    own = pl.col(columns) - pl.col(columns).mean().over("uid", "tokens")
    centred = table.select("uid", own).sort("uid", maintain_order=True)
    used = [term for term in terms if _varies(table[term], centred[term])]
    values = centred.select("preference", *used).to_numpy()
    scale = np.sqrt((values**2).sum(axis=0))
    if not used or scale[0] == 0:
        return result
    values = values / scale
    starts = np.flatnonzero(centred["uid"] != centred["uid"].shift(1).fill_null(""))
    products = np.add.reduceat(values[:, :, None] * values[:, None, :], starts)
    whole = products.sum(axis=0)
    if np.linalg.eigvalsh(whole[1:, 1:])[0] < COLLINEAR:
        return result
    slopes = _solved(whole)
    without = _solved(whole - products)
    errors = np.sqrt(((without - slopes) ** 2).sum(axis=0))
    classes = (np.einsum("gii->gi", products)[:, 1:] > COLLINEAR / len(table)).sum(axis=0)
    freedom = len(starts) - 1
    for place, term in enumerate(used):
        unit = scale[0] / scale[place + 1]
        slope, error = slopes[place] * unit, errors[place] * unit
        result[term]["value"] = float(slope)
        if classes[place] > 1 and error > 0:
            half = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom) * error
            p = 2 * stats.t.sf(abs(slope) / error, freedom)
            result[term] |= {"low": float(slope - half), "high": float(slope + half), "p": float(p)}
    return result


def _varies(values: pl.Series, centred: pl.Series) -> bool:
    """Whether values differ from their means by more than rounding."""
    return (centred.abs().max() or 0) > 1e-9 * (values.abs().max() or 0)


def _solved(products: np.ndarray) -> np.ndarray:
    """Least squares from sums of products [..., 1 + terms, 1 + terms], the response first."""
    inverse = np.linalg.pinv(products[..., 1:, 1:], rcond=COLLINEAR, hermitian=True)
    return (inverse @ products[..., 1:, :1])[..., 0]
