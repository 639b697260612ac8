"""The mixed model of the last checkpoint, against least squares on item means."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from planted_items import FULL, by_term, full_world, observed, rows_of, terms

from ontogeny.analysis.mixed import mixed_regression


def prompts_of(seen, rng, prompts, spread):
    """Score rows of the last checkpoint whose mean over prompts is the item's preference."""
    noise = spread * rng.normal(size=(prompts, len(seen.items)))
    noise -= noise.mean(axis=0)
    values = seen.preference[-1] + noise
    return pl.LazyFrame(
        {
            "prompt": np.repeat([f"p{i}" for i in range(prompts)], len(seen.items)),
            "binom": [item.alpha for item in seen.items] * prompts,
            "preference": values.ravel(),
        }
    )


def test_the_mixed_model_of_balanced_rows_is_least_squares_on_item_means():
    rng = np.random.default_rng(16)
    seen = full_world(rng, items=120, checkpoints=2, noise=0.6)
    scores = prompts_of(seen, rng, 12, 0.8)
    table = mixed_regression(seen, scores)
    found = rows_of(table, "preference_mixed", "seen")
    x = np.column_stack(
        list(terms(seen.prior, seen.exposures.alpha[-1], seen.exposures.nonalpha[-1]).values())
    )
    means = sm.OLS(seen.preference[-1], x).fit()  # classical errors: the model's own
    fixed = found.filter(pl.col("se").is_not_null())
    assert fixed["term"].to_list() == list(FULL)
    assert fixed["estimate"].to_numpy() == pytest.approx(means.params, abs=1e-6)
    assert fixed["se"].to_numpy() == pytest.approx(means.bse, rel=2e-3)
    spreads = by_term(found)
    residual = 0.8 * np.sqrt(1.0)  # the noise has n - 1 = 11 of 12 degrees of freedom left
    assert spreads["residual_sd"]["estimate"] == pytest.approx(residual, rel=0.05)
    within = spreads["residual_sd"]["estimate"] ** 2 / 12
    assert spreads["item_sd"]["estimate"] == pytest.approx(np.sqrt(means.scale - within), rel=0.01)
    assert spreads["item_sd"]["lo"] is None
    assert set(found["step"]) == {2}
    assert set(found["n"]) == {120 * 12}
    assert set(table["items"]) == {"seen", "both_orders"}


@pytest.mark.parametrize("prompts", [1, 5])
def test_a_mixed_model_that_can_not_be_fitted_is_null_with_a_note(prompts, capsys):
    """One prompt: items can't be told from noise. Prompts without noise: no noise to estimate."""
    rng = np.random.default_rng(17)
    seen = full_world(rng, items=60, checkpoints=1)
    table = mixed_regression(seen, prompts_of(seen, rng, prompts, 0.0))
    assert table["estimate"].null_count() == len(table) == 2 * 8
    assert "a-run, a-probe: no mixed model of items 'seen': " in capsys.readouterr().err
    assert mixed_regression(observed(np.ones((1, 9))), pl.LazyFrame()).is_empty()


@pytest.mark.parametrize("kept", [100, 0])
def test_scores_that_preferences_were_not_made_from_are_named(kept):
    """A file of scores that was cut short, within its second prompt and at once."""
    rng = np.random.default_rng(18)
    seen = full_world(rng, items=60, checkpoints=1)
    scores = prompts_of(seen, rng, 2, 0.5)
    with pytest.raises(ValueError, match=r"run 'a-run', .*: the scores of '.*' are not those"):
        mixed_regression(seen, scores.head(kept))
