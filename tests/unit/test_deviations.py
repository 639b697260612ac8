"""Deviations from the log ratio of exposures, and agreement with constraints."""

import numpy as np
import pytest
from planted_items import observed, some_counts
from scipy import stats

from ontogeny.analysis.constraints import constraint_statistics, variance_inflation
from ontogeny.analysis.deviations import deviations


def test_deviations_are_from_the_log_ratio_with_its_rule_for_zeros():
    alpha, nonalpha = np.array([[0, 0, 0], [3, 0, 4]]), np.array([[0, 0, 0], [0, 0, 1]])
    preference = np.array([[0.5, 9.0, -1.0], [1.0, 9.0, 2.0]])
    table = deviations(observed(preference, alpha, nonalpha))
    before, after = table.filter(items="seen").iter_rows(named=True)
    assert before["n"] == after["n"] == 2
    assert before["mean"] == pytest.approx((0.5 - 1.0) / 2)
    assert before["mean_abs"] == pytest.approx(0.75)
    assert before["cor_pref_freq"] is None
    gaps = np.array([1 - np.log(7), 2 - np.log(4.5 / 1.5)])
    assert after["mean"] == pytest.approx(gaps.mean())
    assert after["se"] == pytest.approx(abs(gaps[0] - gaps[1]) / 2)
    half = after["se"] * 12.7062  # t with 1 degree of freedom
    assert (after["lo95"], after["hi95"]) == pytest.approx(
        (gaps.mean() - half, gaps.mean() + half), rel=1e-4
    )
    assert after["mean_abs"] == pytest.approx(np.abs(gaps).mean())
    assert after["cor_pref_freq"] == pytest.approx(-1)  # 1 and 2 with ln 7 and ln 3
    assert after["cor_pref_freq_lo"] is None  # two items have no interval
    (single,) = table.filter(items="both_orders", step=2).iter_rows(named=True)
    assert (single["n"], single["mean"]) == (1, pytest.approx(2 - np.log(3)))
    assert (single["se"], single["lo95"], single["hi95_abs"]) == (None, None, None)


def test_planted_deviations():
    rng = np.random.default_rng(20)
    alpha, nonalpha = some_counts(rng, 400)
    ratio = np.log((alpha + 0.5) / (nonalpha + 0.5))
    held = 0
    table = deviations(observed(ratio + 0.7 + rng.normal(size=(200, 400)), alpha, nonalpha))
    part = table.filter(items="seen")
    held = ((part["lo95"] <= 0.7) & (part["hi95"] >= 0.7)).mean()
    assert 0.9 <= held <= 0.99
    expected = stats.pearsonr(ratio, ratio + rng.normal(size=400)).statistic
    assert part["cor_pref_freq"].mean() == pytest.approx(expected, abs=0.05)
    assert deviations(observed(np.ones((2, 3)))).is_empty()
    assert deviations(observed(np.ones((2, 3)), np.zeros(3), np.zeros(3))).is_empty()


# ---------------------------------------------------------------------------- constraints


def test_alignment_and_correlations_of_each_constraint():
    values = {"A": np.array([1.0, -2, 0, 1, 3]), "Flat": np.ones(5), "Nothing": np.zeros(5)}
    preference = np.array([[2.0, -1, 5, 0, -1], [0.0, 0, 0, 0, 0]])
    alpha, nonalpha = np.array([3, 0, 1, 1, 0]), np.array([0, 2, 0, 1, 0])
    table = constraint_statistics(observed(preference, alpha, nonalpha, constraints=values))
    assert table["constraint"].to_list() == ["A", "Flat", "Nothing"] * 2
    row = table.row(0, named=True)
    assert (row["n_alignment"], row["alignment"]) == (4, 2.5 / 4)  # right, right, a tie, wrong
    assert row["cor_pref"] == pytest.approx(stats.pearsonr(preference[0], values["A"]).statistic)
    interval = stats.pearsonr(preference[0], values["A"]).confidence_interval()
    assert (row["cor_pref_lo"], row["cor_pref_hi"]) == pytest.approx((interval.low, interval.high))
    gap = (preference[0] - np.log((alpha + 0.5) / (nonalpha + 0.5)))[:4]
    assert row["n_dev"] == 4
    assert row["cor_pref_dev"] == pytest.approx(stats.pearsonr(gap, values["A"][:4]).statistic)
    flat, nothing = (table.row(i, named=True) for i in (1, 2))
    assert (flat["cor_pref"], flat["vif"], flat["alignment"]) == (None, None, 2.5 / 5)
    assert (nothing["n_alignment"], nothing["alignment"]) == (0, None)
    later = table.row(3, named=True)
    assert (later["cor_pref"], later["alignment"]) == (None, 0.5)
    unknown = constraint_statistics(observed(preference, constraints=values)).row(0, named=True)
    assert (unknown["n_dev"], unknown["cor_pref_dev"], unknown["exposure"]) == (0, None, None)
    assert constraint_statistics(observed(preference)).is_empty()


def test_variance_inflation():
    rng = np.random.default_rng(21)
    a, b = rng.normal(size=(2, 90))
    r = np.corrcoef(a, a + b)[0, 1]
    found = variance_inflation({"a": a, "ab": a + b, "flat": np.ones(90)})
    assert found["a"] == pytest.approx(1 / (1 - r * r))
    assert found["ab"] == pytest.approx(1 / (1 - r * r))
    assert found["flat"] is None
    third = rng.normal(size=90)
    three = np.column_stack([a, a + b, third])
    expected = np.diag(np.linalg.inv(np.corrcoef(three.T)))
    assert list(variance_inflation({"a": a, "ab": a + b, "c": third}).values()) == pytest.approx(
        expected.tolist()
    )
    determined = variance_inflation({"a": a, "b": b, "sum": a + b, "c": third})
    assert [determined[name] for name in ("a", "b", "sum")] == [None] * 3
    assert determined["c"] is not None
    assert variance_inflation({}) == {}
