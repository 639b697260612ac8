"""Logistic regression with the same errors as `linear`: by the jackknife over items."""

import warnings
from dataclasses import dataclass

import numpy as np
import statsmodels.api as sm
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from ontogeny.analysis.linear import ITEMS_PER_TERM


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients, their covariance, and the fitted probabilities (rows, items)."""

    estimate: np.ndarray
    covariance: np.ndarray
    probability: np.ndarray


def logistic(
    share: np.ndarray, terms: np.ndarray, trials: np.ndarray | None = None
) -> LogisticFit | None:
    """Maximum likelihood of `share` successes in `trials`, given the terms.

    The covariance is that of the delete-one-item jackknife with one step of Newton's method for
    each item (Pregibon 1981, doi:10.1214/aos/1176345513). None where the terms separate successes
    from failures or some item alone decides, for fewer than two items for each term, or where all
    shares are equal or the fit does not converge.

    Args:
        share: from 0 to 1, shape (rows, items); 0.5 of one trial is a tie.
        terms: shape (rows, items, terms), the intercept among them.
        trials: shape (rows, items), above 0; by default 1 each.
    """
    count = terms.shape[-1]
    if share.shape[1] < ITEMS_PER_TERM * count or np.ptp(share) == 0:
        return None
    trials = np.ones_like(share) if trials is None else trials
    columns = terms.reshape(-1, count)
    binomial = sm.families.Binomial()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PerfectSeparationWarning)
            model = sm.GLM(share.reshape(-1), columns, binomial, var_weights=trials.reshape(-1))
            result = model.fit()
    except PerfectSeparationWarning:
        return None
    probability = result.fittedvalues.reshape(share.shape)
    weight = trials * probability * (1 - probability)
    information = np.einsum("ti,tij,tik->ijk", weight, terms, terms, optimize=True)
    scores = np.einsum("ti,tij->ij", trials * (share - probability), terms)
    try:
        shifts = np.linalg.solve(information.sum(axis=0) - information, scores[:, :, None])
    except np.linalg.LinAlgError:
        return None
    shifts = shifts[:, :, 0]
    if not result.converged or not np.isfinite(shifts).all():
        return None
    return LogisticFit(result.params, shifts.T @ shifts, probability)
