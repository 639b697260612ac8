"""Do people choose the order that a model prefers? A logistic regression at each checkpoint."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import xlog1py, xlogy

from ontogeny.analysis.linear import Fit, z_scores
from ontogeny.analysis.logistic import logistic
from ontogeny.analysis.observations import Observations
from ontogeny.analysis.regressions import INTERCEPT, Model, fit_row, table_of_terms

MODEL = Model("responses", "response", (INTERCEPT, "preference_z"), ("answered",))


def response_regressions(seen: Observations, choices: Sequence[tuple[int, int]]) -> pl.DataFrame:
    """`responses`: the log odds that a person chooses the alphabetical order ~ z(preference).

    Of the items that people were asked about, at each checkpoint; errors are by item (not by
    person). `r2` is McFadden's, 1 - log likelihood / that of the intercept alone. Null where all
    preferences are equal, where they tell the choices apart without error, or for fewer than four
    items.

    Args:
        seen: the run's observations.
        choices: of each item, how often the alphabetical and the other order were chosen.

    Returns:
        A table in the columns of `regressions.COLUMNS`; `n` counts choices.
    """
    counts = np.array(choices, dtype=np.float64).reshape(-1, 2)
    members = np.flatnonzero(counts.sum(axis=1))
    counts, n = counts[members], int(counts.sum())
    fits = [
        fit_row(_fit(counts, preference[members]), n, len(members), checkpoint)
        for preference, checkpoint in zip(
            seen.preference, seen.checkpoints.iter_rows(named=True), strict=True
        )
    ]
    return table_of_terms(fits, seen, MODEL, MODEL.sets[0])


def _fit(counts: np.ndarray, preference: np.ndarray) -> Fit:
    trials, fit = counts.sum(axis=1), None
    if len(counts) and np.ptp(preference) > 0:
        terms = np.column_stack([np.ones(len(counts)), z_scores(preference)])
        fit = logistic((counts[:, 0] / trials)[None], terms[None], trials[None])
    if fit is None:
        return Fit(np.full(2, np.nan), np.full(2, np.nan), np.nan)
    alone = _log_likelihood(counts, np.full(len(counts), counts[:, 0].sum() / counts.sum()))
    r2 = 1 - _log_likelihood(counts, fit.probability[0]) / alone
    return Fit(fit.estimate, np.sqrt(np.diag(fit.covariance)), r2)


def _log_likelihood(counts: np.ndarray, probability: np.ndarray) -> float:
    """Of the choices one by one, nats."""
    return float((xlogy(counts[:, 0], probability) + xlog1py(counts[:, 1], -probability)).sum())
