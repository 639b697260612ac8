"""Least squares and logistic regression, against statsmodels and against leaving items out."""

import numpy as np
import pytest
import statsmodels.api as sm
from planted_items import centred
from scipy import stats
from scipy.special import expit

from ontogeny.analysis.linear import estimable, interval, ols, z_scores
from ontogeny.analysis.logistic import logistic


def design(rng, items, extra=2):
    """An intercept, `extra` columns, and a response whose spread depends on the first."""
    x = rng.normal(size=(items, extra))
    y = 1 + x @ np.arange(1, extra + 1) + rng.normal(size=items) * (0.5 + np.abs(x[:, 0]))
    return y, np.column_stack([np.ones(items), x])


# ---------------------------------------------------------------------------- least squares


@pytest.mark.parametrize(("items", "extra"), [(12, 1), (40, 5), (725, 22)])
def test_least_squares_and_hc3_are_those_of_statsmodels(items, extra):
    y, x = design(np.random.default_rng(items), items, extra)
    theirs = sm.OLS(y, x).fit(cov_type="HC3")
    ours = ols(y[None], x[None])
    assert ours.estimate == pytest.approx(theirs.params, abs=1e-10)
    assert ours.se == pytest.approx(theirs.bse, rel=1e-9)
    assert ours.r2 == pytest.approx(theirs.rsquared, abs=1e-12)


def test_errors_of_several_rows_are_those_of_leaving_out_each_item():
    rng = np.random.default_rng(3)
    rows, items = 4, 20
    fixed = rng.normal(size=items)
    x = np.stack(
        [np.ones((rows, items)), np.tile(fixed, (rows, 1)), rng.normal(size=(rows, items))], axis=-1
    )
    y = x @ [1.0, 2.0, 3.0] + rng.normal(size=items) + rng.normal(size=(rows, items))
    whole = np.linalg.lstsq(x.reshape(-1, 3), y.reshape(-1))[0]
    without = [
        np.linalg.lstsq(x[:, keep].reshape(-1, 3), y[:, keep].reshape(-1))[0]
        for keep in ~np.eye(items, dtype=bool)
    ]
    ours = ols(y, x)
    assert ours.estimate == pytest.approx(whole)
    assert ours.se == pytest.approx(np.sqrt(((np.array(without) - whole) ** 2).sum(axis=0)))


def test_errors_of_many_items_are_the_usual_clustered_ones():
    rng = np.random.default_rng(4)
    rows, items = 5, 2000
    x = np.stack([np.ones((rows, items)), np.tile(rng.normal(size=items), (rows, 1))], axis=-1)
    y = x @ [1.0, 2.0] + rng.normal(size=items) + rng.normal(size=(rows, items))
    groups = np.tile(np.arange(items), rows)
    theirs = sm.OLS(y.reshape(-1), x.reshape(-1, 2)).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    assert ols(y, x).se == pytest.approx(theirs.bse, rel=0.01)


def test_a_term_that_others_determine_is_null_and_the_others_are_fitted_without_it():
    y, x = design(np.random.default_rng(1), 50)
    constant, twice, alone = np.full(50, 3.0), x[:, [1]] * 2 - x[:, [2]], np.zeros(50)
    terms = np.column_stack([x[:, 0], constant, alone, x[:, 1], x[:, 2], twice])
    ours = ols(y[None], terms[None])
    assert estimable(terms[None]) == [0, 3, 4]
    assert np.isnan(ours.estimate).tolist() == [False, True, True, False, False, True]
    assert np.isnan(ours.se).tolist() == [False, True, True, False, False, True]
    assert ours.estimate[[0, 3, 4]] == pytest.approx(sm.OLS(y, x).fit().params)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_term_that_hangs_on_one_item_is_null(rows):
    """Its residual would be 0, and HC1 would call it certain."""
    rng = np.random.default_rng(2)
    y, x = design(rng, 30)
    single = np.zeros(30)
    single[7] = 1.0
    almost = single.copy()
    almost[8] = 0.5
    stack = lambda *columns: np.stack([np.column_stack(columns)] * rows)  # noqa: E731
    y = y + rng.normal(size=(rows, 30))
    with_single = ols(y, stack(x, single))
    assert np.isnan(with_single.estimate).tolist() == [False, False, False, True]
    assert with_single.se[:3] == pytest.approx(ols(y, stack(x)).se)
    assert np.isfinite(ols(y, stack(x, almost)).se).all()


def test_nothing_is_estimated_from_too_few_items_or_of_equal_responses():
    y, x = design(np.random.default_rng(4), 6)
    assert np.isfinite(ols(y[None], x[None]).estimate).all()
    for fit in (ols(y[None, :5], x[None, :5]), ols(np.full((1, 6), 2.0), x[None])):
        assert np.isnan(fit.estimate).all()
        assert np.isnan(fit.se).all()
        assert np.isnan(fit.r2)


def test_z_scores():
    assert z_scores(np.array([1.0, 2.0, 6.0])) == pytest.approx(np.array([-2, -1, 3]) / np.sqrt(7))
    ten_logs = np.full((2, 10), np.log(8))  # their mean is not quite one of them
    ten_logs[1, 0] = 3.0
    assert (z_scores(ten_logs, axis=1)[0] == 0).all()
    assert z_scores(ten_logs, axis=1)[1] == pytest.approx(centred(ten_logs[1]))
    assert z_scores(ten_logs).std(ddof=1) == pytest.approx(1)


def test_the_interval_is_by_t_and_p_its_one_sided_counterpart():
    low, high, above = interval(np.array([2.0, 0.0, np.nan]), np.array([1.0, 1.0, np.nan]), 11)
    assert (low[0], high[0]) == pytest.approx((2 - 2.228139, 2 + 2.228139), abs=1e-6)
    assert above[0] == pytest.approx(1 - stats.t.sf(2, 10))
    assert above[1] == 0.5
    assert np.isnan([low[2], high[2], above[2]]).all()


# ---------------------------------------------------------------------------- logistic


def made_up_choices(rng, items, rows=1, item_sd=0.5):
    x = rng.normal(size=(rows, items))
    trials = rng.integers(1, 30, (rows, items))
    log_odds = 0.3 + 0.8 * x + item_sd * rng.normal(size=items)
    share = rng.binomial(trials, expit(log_odds)) / trials
    return share, np.stack([np.ones_like(x), x], axis=-1), trials.astype(float)


@pytest.mark.parametrize("rows", [1, 3])
def test_logistic_is_that_of_statsmodels_and_its_errors_of_leaving_out_each_item(rows):
    share, terms, trials = made_up_choices(np.random.default_rng(7), 60, rows)

    def fitted(keep):
        counts = np.stack([share * trials, (1 - share) * trials], axis=-1)[:, keep]
        x = terms[:, keep].reshape(-1, 2)
        return sm.GLM(counts.reshape(-1, 2), x, family=sm.families.Binomial()).fit().params

    ours = logistic(share, terms, trials)
    whole = fitted(np.ones(60, bool))
    without = np.array([fitted(keep) for keep in ~np.eye(60, dtype=bool)]) - whole
    assert ours.estimate == pytest.approx(whole, abs=1e-6)
    assert ours.covariance == pytest.approx(without.T @ without, rel=0.05, abs=1e-5)
    assert ours.probability == pytest.approx(expit(terms @ whole), abs=1e-6)


def test_a_tie_is_half_a_success():
    """As one success and one failure, each of half the weight."""
    rng = np.random.default_rng(8)
    share = rng.choice([0.0, 0.5, 1.0], size=40)
    terms = np.column_stack([np.ones(40), rng.normal(size=40)])
    outcomes = np.concatenate([np.ones(40), np.zeros(40)])
    weights = np.concatenate([share, 1 - share])
    twice = sm.GLM(
        outcomes[weights > 0],
        np.vstack([terms, terms])[weights > 0],
        family=sm.families.Binomial(),
        var_weights=weights[weights > 0],
    ).fit()
    assert logistic(share[None], terms[None]).estimate == pytest.approx(twice.params, abs=1e-6)


def test_no_logistic_of_separated_equal_or_few_items():
    terms = np.column_stack([np.ones(8), np.arange(8.0)])[None]
    assert logistic(np.array([[0.0] * 4 + [1.0] * 4]), terms) is None
    assert logistic(np.ones((1, 8)), terms) is None
    assert logistic(np.array([[0.0, 1.0, 0.0]]), terms[:, :3]) is None
    assert logistic(np.array([[0.0, 1, 0, 1, 0, 1, 1, 0]]), terms) is not None
