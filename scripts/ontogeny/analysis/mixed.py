"""The mixed model of the last checkpoint: every prompt's preference, with an intercept by item."""

import warnings

import numpy as np
import polars as pl
from statsmodels.regression.mixed_linear_model import MixedLM

from ontogeny.analysis.linear import Fit, estimable
from ontogeny.analysis.observations import OCCURRED, Observations
from ontogeny.analysis.regressions import (
    COLUMNS,
    FULL,
    PREFERENCE,
    Model,
    fit_row,
    item_sets,
    predictors,
    product,
    table_of_terms,
)
from ontogeny.progress import say

SPREADS = ("item_sd", "residual_sd")
SAME = 1e-6  # nats by which a mean may differ by rounding
SMALLEST = 1e-8  # variance, as a share of the response's, that is told from 0


def mixed_regression(seen: Observations, scores: pl.LazyFrame) -> pl.DataFrame:
    """`preference_mixed`: the terms of `preference_full` and a random intercept of each item.

    Fitted by restricted maximum likelihood to the rows of all prompts at the last checkpoint. The
    terms `item_sd` and `residual_sd` are the two standard deviations, in nats, without intervals.
    All are null, and a line on stderr says so, where the fit does not converge or a variance is 0.

    Args:
        seen: the run's observations.
        scores: of its last checkpoint: columns `binom` and `preference`, a row for each prompt.

    Returns:
        A table in the columns of `regressions.COLUMNS`; empty without a prior or exposures.

    Raises:
        ValueError: the means of the scores are not the preferences of the checkpoint.
    """
    parts = [pl.DataFrame(schema=COLUMNS)]
    if seen.prior is None or seen.exposures is None:
        return parts[0]
    model = Model("preference_mixed", PREFERENCE, (*FULL, *SPREADS), OCCURRED)
    rows = scores.select("prompt", "binom", "preference").sort("binom", "prompt").collect()
    last = seen.checkpoints.row(-1, named=True)
    _require_same_means(rows, seen, last["checkpoint"])
    for items, members in item_sets(seen, model):
        values = predictors(seen, members)
        terms = np.stack([product(values, term)[-1] for term in FULL], axis=-1)
        place = {seen.items[i].alpha: row for row, i in enumerate(members)}
        used = rows.filter(pl.col("binom").is_in(list(place)))
        item = used["binom"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
        fit, problem = _fit(used["preference"].to_numpy(), terms, item)
        if problem:
            say(f"{seen.run}, {seen.probe}: no mixed model of items {items!r}: {problem}")
        parts.append(
            table_of_terms([fit_row(fit, len(item), len(members), last)], seen, model, items)
        )
    return pl.concat(parts)


def _require_same_means(rows: pl.DataFrame, seen: Observations, checkpoint: str) -> None:
    means = dict(rows.group_by("binom").agg(pl.col("preference").mean()).iter_rows())
    for item, preference in zip(seen.items, seen.preference[-1], strict=True):
        mean = means.get(item.alpha)
        if mean is None or not abs(mean - preference) < SAME:
            raise ValueError(
                f"run {seen.run!r}, {checkpoint}: the scores of {item.alpha!r} are not those that "
                "its preference was made from; remove the table of preferences to make it again"
            )


def _fit(response: np.ndarray, terms: np.ndarray, item: np.ndarray) -> tuple[Fit, str]:
    """Terms by item, shape (items, terms); `item` is the row of `terms` of each response.

    Returns the fit, the two standard deviations behind the terms, and what was wrong, if anything.
    """
    count = terms.shape[1]
    nothing = np.full(count + len(SPREADS), np.nan)
    kept = estimable(terms[None])
    if len(terms) < 2 * len(kept):
        return Fit(nothing, nothing, np.nan), f"{len(terms)} items are too few"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they warn of is looked at below
            result = MixedLM(response, terms[item][:, kept], item).fit(reml=True)
    except (np.linalg.LinAlgError, ValueError) as error:
        return Fit(nothing, nothing, np.nan), str(error)
    if not result.converged:
        return Fit(nothing, nothing, np.nan), "the fit does not converge"
    variances = np.array([result.cov_re[0, 0], result.scale])
    if not np.isfinite(result.bse).all() or (variances < SMALLEST * response.var()).any():
        return Fit(nothing, nothing, np.nan), "a variance can't be told from 0"
    estimate, se = nothing.copy(), nothing.copy()
    estimate[kept], se[kept] = result.fe_params, result.bse_fe
    estimate[count:] = np.sqrt(variances)
    return Fit(estimate, se, np.nan), ""
