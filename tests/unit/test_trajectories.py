"""What is read off a trajectory: planted answers are found, and none where none was planted."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from planted import checkpoints, items_of, no_more_than, planted, preferences_of
from scipy import stats

from ontogeny.analysis import bootstrap
from ontogeny.analysis.bootstrap import highest, percentiles, resampled_r
from ontogeny.analysis.groups import Items
from ontogeny.analysis.trajectories import (
    COLUMNS,
    Trajectory,
    area_weights,
    reached,
    trajectories,
)
from ontogeny.exposure.counts import COLUMNS as EXPOSURES
from ontogeny.paths import PROJECT

SAMPLES = 200


def samples(true_r, n, count=SAMPLES, seed=0, tokens=None):
    """Trajectories of so many samples of items."""
    rng = np.random.default_rng(seed)
    tokens = np.geomspace(1000, 1e6, len(true_r)).astype(int) if tokens is None else tokens
    for _ in range(count):
        yield Trajectory.of(checkpoints(tokens), *planted(rng, true_r, n))


# ---------------------------------------------------------------------------- resamples


def test_resamples_are_those_of_the_pairs_drawn():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(4, 30)), rng.uniform(size=30)
    draws = resampled_r(x, y)
    weights = bootstrap._weights(30)
    assert draws.shape == (1000, 4) and (weights.sum(axis=1) == 30).all()
    for draw in (0, 1, 999):
        pairs = np.repeat(np.arange(30), weights[draw].astype(int))
        expected = [stats.pearsonr(row[pairs], y[pairs]).statistic for row in x]
        assert draws[draw] == pytest.approx(expected, abs=1e-5)
    # each item is in a resample as often as a draw with replacement has it: Poisson(1), nearly
    assert weights.mean(axis=0) == pytest.approx(np.ones(30), abs=0.15)
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 30) ** 30, abs=0.01)


def test_the_interval_is_that_of_scipy():
    rng = np.random.default_rng(4)
    x, y = planted(rng, [0.6], 80)
    theirs = stats.bootstrap(
        (x[0], y), lambda a, b: stats.pearsonr(a, b).statistic, paired=True, vectorized=False,
        n_resamples=2000, method="percentile", rng=1,
    ).confidence_interval  # fmt: skip
    assert percentiles(resampled_r(x, y)[:, 0]) == pytest.approx(theirs, abs=0.025)


@pytest.mark.parametrize("n", [10, 725, 5000])
def test_sums_are_exact(n):
    """Whole numbers of which the largest possible sum of squares is one that float64 holds."""
    values = np.random.default_rng(n).normal(size=(2, n)) * 1e3 + 7
    whole = bootstrap._whole_numbers(values)
    assert (whole == np.round(whole)).all()
    assert Fraction(np.abs(whole).max()) ** 2 * n <= 2**53
    centred = values - values.mean(axis=1, keepdims=True)
    assert whole / np.abs(whole).max(1)[:, None] == pytest.approx(
        centred / np.abs(centred).max(1)[:, None], abs=1e-5
    )
    assert (bootstrap._whole_numbers(np.ones((1, n))) == 0).all()


def test_resamples_do_not_depend_on_the_unit_or_the_other_rows():
    x, y = planted(np.random.default_rng(5), [0.1, 0.7, 0.5], 40)
    draws = resampled_r(x, y)
    assert np.array_equal(resampled_r(x[1:], y), draws[:, 1:])
    assert resampled_r(1e-6 * x + 3, 100 * y) == pytest.approx(draws, abs=1e-4)


def test_no_resamples_of_few_items_or_of_items_that_hardly_vary():
    x, y = planted(np.random.default_rng(6), [0.5, 0.5], 9)
    assert resampled_r(x, y).shape == (0, 2)
    y = np.r_[np.zeros(39), 1.0]  # most resamples lack the one that differs
    x = np.random.default_rng(7).normal(size=(2, 40))
    assert resampled_r(x, y).shape == (0, 2)
    y[30:] = 1.0
    x[0] = np.r_[np.zeros(36), np.ones(4)]  # some 1.5 % lack all four
    draws = resampled_r(x, y)
    lacking = np.isnan(draws).any(axis=1)
    assert 0 < lacking.mean() < 0.04
    assert np.isnan(draws[lacking]).all()


def test_percentiles():
    draws = np.random.default_rng(8).permutation(np.arange(1.0, 1001.0))
    assert percentiles(draws) == (25, 975)
    assert percentiles(np.r_[draws, [np.nan] * 50]) == (25, 975)
    assert percentiles(np.r_[draws[draws <= 900], [np.inf] * 100]) == (25, np.inf)
    assert np.isnan(percentiles(np.empty(0))).all()


def test_the_highest_of_equal_values_is_not_above_them():
    """Thirty true values of 0, each measured with an error of 1."""
    rng = np.random.default_rng(9)
    low = naive = high = 0
    for _ in range(SAMPLES):
        values = rng.normal(size=30)
        draws = values + rng.normal(size=(400, 30))
        found = highest(values, draws)
        low, high = low + (found[0] > 0), high + (found[1] < 0)
        naive += np.quantile(draws.max(axis=1), 0.025) > 0
    assert low <= no_more_than(0.025, SAMPLES) and high <= no_more_than(0.025, SAMPLES)
    assert naive > 0.95 * SAMPLES


# ---------------------------------------------------------------------------- the fall


RISE = list(np.linspace(0, 0.5, 8))


@pytest.mark.parametrize("n", [30, 60, 131])
def test_no_fall_is_found_where_there_is_none(n):
    """The highest of 16 checkpoints is above the last one in nearly all samples, by chance."""
    falls = [trajectory.drop() for trajectory in samples(RISE + [0.5] * 8, n)]
    assert np.mean([drop > 0 for drop, _, _ in falls]) > 0.8
    assert all(0 <= low <= drop <= high for drop, low, high in falls)
    # the rate is 2.5 %, and somewhat more with few items
    assert sum(low > 0 for _, low, _ in falls) <= no_more_than(0.04, SAMPLES)


def test_a_naive_interval_would_find_one():
    """So the test above can fail."""
    naive = [
        np.quantile(trajectory.draws.max(axis=1) - trajectory.draws[:, -1], 0.025) > 0
        for trajectory in samples(RISE + [0.5] * 8, 60, count=100)
    ]
    assert sum(naive) > no_more_than(0.04, 100) + 5


@pytest.mark.parametrize(("n", "power"), [(131, 0.75), (400, 0.99)])
def test_a_planted_fall_is_found_and_within_its_interval(n, power):
    true_r = [*np.linspace(0, 0.65, 8), *np.linspace(0.6, 0.35, 8)]
    falls = [trajectory.drop() for trajectory in samples(true_r, n)]
    assert np.mean([low > 0 for _, low, _ in falls]) >= power
    missed = sum(not low <= 0.3 <= high for _, low, high in falls)
    assert missed <= no_more_than(0.05, SAMPLES)


def test_intervals_hold_the_planted_peak_end_mean_and_area():
    true_r = np.array([*np.linspace(0, 0.6, 8), *np.linspace(0.6, 0.4, 8)])
    expected = {"peak": 0.6, "end": 0.4, "mean": true_r.mean()}
    expected["area"] = np.trapezoid(true_r, dx=1) / 15  # equal steps of log tokens
    missed = dict.fromkeys(expected, 0)
    for trajectory in samples(true_r, 100):
        found = {"peak": trajectory.peak()[1:]}
        for name in ("end", "mean", "area"):
            found[name] = percentiles(getattr(trajectory, name)()[1])
        for name, (low, high) in found.items():
            missed[name] += not low <= expected[name] <= high
    assert max(missed.values()) <= no_more_than(0.065, SAMPLES), missed
    assert min(missed[name] for name in ("end", "mean", "area")) >= 2, missed


# ---------------------------------------------------------------------------- area and tokens


def test_the_area_is_the_mean_height_of_the_broken_line():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(3, 9, size=12))
    y = rng.normal(size=12)
    for limits in ((0, np.inf), (4, 7.5), (x[2], x[5]), (5.01, 5.02), (x[0], 4)):
        low, high = np.clip(limits, x[0], x[-1])
        fine = np.union1d(np.linspace(low, high, 2001), x[(x > low) & (x < high)])
        expected = np.trapezoid(np.interp(fine, x, y), fine) / (high - low)
        weights = area_weights(x, np.array(limits, dtype=float))
        assert weights @ y == pytest.approx(expected, abs=1e-9)
        assert weights.sum() == pytest.approx(1)
    assert np.isnan(area_weights(x, np.array([10.0, 12.0]))).all()
    assert np.isnan(area_weights(x[:1], np.array([0.0, np.inf]))).all()


def test_the_area_of_a_constant_is_that_constant_however_checkpoints_are_spaced():
    tokens = np.array([7, 10, 5_000, 5_001, 10**9])
    r = np.full(5, 0.37)
    trajectory = Trajectory(tokens, tokens, r, np.tile(r, (3, 1)), True)
    value, draws = trajectory.area()
    assert [value, *draws] == pytest.approx([0.37] * 4)


def test_tokens_to_a_threshold_are_interpolated_and_must_last():
    tokens = np.array([10, 100, 1_000, 10_000])
    rows = {
        (0.1, 0.2, 0.4, 0.6): 10**2.5,  # half-way from .2 to .4 on log tokens
        (0.3, 0.3, 0.0, 0.0): 10,  # from the first checkpoint on
        (0.0, 0.9, 0.0, 0.9): np.inf,  # one checkpoint alone is none
        (0.0, 0.9, 0.0, 0.3): np.inf,
        (0.9, 0.0, 0.3, 0.3): 1_000,  # exactly there
        (0.1, 0.2, 0.2, 0.2): np.inf,
        (0.0, -0.9, 0.5, 0.4): 10 ** (2 + 1.2 / 1.4),
    }
    assert reached(tokens, np.array(list(rows)), 0.3) == pytest.approx(list(rows.values()))
    assert np.isnan(reached(tokens, np.full((1, 4), np.nan), 0.3)).all()
    assert reached(tokens[:1], np.array([[0.9]]), 0.3) == [np.inf]


def test_the_interval_of_tokens_to_a_threshold_holds_the_planted_one():
    true_r = np.linspace(0, 0.6, 13)
    tokens = (10 ** np.linspace(3, 6, 13)).round().astype(int)
    found = [one.tokens_to(0.3) for one in samples(true_r, 300, tokens=tokens)]
    missed = sum(not low <= 10**4.5 <= high for _, low, high in found)
    assert missed <= no_more_than(0.075, SAMPLES)
    assert np.median([value for value, _, _ in found]) == pytest.approx(10**4.5, rel=0.2)


def test_a_threshold_that_is_never_reached_has_no_tokens_but_may_have_a_lower_limit():
    tokens = np.array([10, 100, 1_000])
    r = np.array([0.1, 0.2, 0.2])
    draws = np.tile(r, (100, 1))
    draws[:10] = [0.1, 0.3, 0.3]
    trajectory = Trajectory(tokens, tokens, r, draws, True)
    value, low, high = trajectory.tokens_to(0.25)
    assert np.isnan([value, high]).all() and low == pytest.approx(10**1.75)
    assert np.isnan(trajectory.tokens_to(0.5)).all()


# ---------------------------------------------------------------------------- the table


def one(tokens, matrix, y):
    items = items_of({"human": y})
    (row,) = trajectories(preferences_of(tokens, matrix, items), items, "r", "p").to_dicts()
    return row


def test_a_row_says_what_the_trajectory_does():
    tokens = [0, 120, 9_920, 10_960, 99_960]
    x, y = planted(np.random.default_rng(1), [0.9, 0.3, 0.9, 0.6, 0.5], 60)
    r = [stats.pearsonr(row, y).statistic for row in x]
    row = one(tokens, x, y)
    assert (row["run"], row["probe"], row["group"], row["reference"]) == ("r", "p", "all", "human")
    assert (row["n"], row["n_checkpoints"]) == (60, 4)  # what was before training is left out
    assert (row["peak_step"], row["peak_tokens"], row["end_tokens"]) == (992, 9_920, 99_960)
    assert row["peak_r"] == pytest.approx(r[2])
    assert row["end_r"] == pytest.approx(r[4])
    assert row["drop"] == pytest.approx(r[2] - r[4])
    assert row["mean_r"] == pytest.approx(np.mean(r[1:]))
    log = np.log10(tokens[1:])
    assert row["area"] == pytest.approx(np.trapezoid(r[1:], log) / (log[-1] - log[0]))
    assert row["tokens_to_50"] == pytest.approx(
        10 ** (log[0] + (0.5 - r[1]) / (r[2] - r[1]) * (log[1] - log[0]))
    )
    for name in ("peak", "end", "mean", "area", "drop"):
        value = row[f"{name}_r"] if f"{name}_r" in row else row[name]
        assert row[f"{name}_low"] < value < row[f"{name}_high"]


def test_each_group_and_reference_has_a_row_and_the_same_items_throughout():
    rng = np.random.default_rng(2)
    y = rng.uniform(size=40)
    half = np.where(np.arange(40) < 25, rng.uniform(size=40), np.nan)
    groups = {"all": np.arange(40), "nonce": np.arange(20, 40), "few": np.arange(3)}
    items = items_of({"human": y, "share": half}, groups)
    matrix = rng.normal(size=(3, 40))
    table = trajectories(preferences_of([10, 20, 30], matrix, items), items, "r", "p")
    assert dict(table.schema) == COLUMNS
    assert table.select("group", "reference", "n").rows() == [
        *[("all", "human", 40), ("all", "share", 25), ("nonce", "human", 20)],
        *[("nonce", "share", 5), ("few", "human", 3), ("few", "share", 3)],
    ]
    few = table.filter(pl.col("n") < 10)
    limits = [name for name in COLUMNS if name.endswith(("_low", "_high"))]
    assert few.select(limits).null_count().sum_horizontal().item() == few.height * len(limits)
    assert few["peak_r"].null_count() == 0
    assert table.filter(pl.col("n") >= 10)["drop_low"].null_count() == 0


def test_undefined_checkpoints_are_left_out_and_an_undefined_end_is_null():
    tokens = [10, 20, 30, 40]
    x, y = planted(np.random.default_rng(3), [0.2, 0.4, 0.6, 0.5], 50)
    x[1] = 1.0
    row = one(tokens, x, y)
    r = [stats.pearsonr(x[i], y).statistic for i in (0, 2, 3)]
    assert row["n_checkpoints"] == 3
    assert row["mean_r"] == pytest.approx(np.mean(r))
    x[3] = 0.0
    row = one(tokens, x, y)
    assert (row["n_checkpoints"], row["peak_tokens"], row["end_tokens"]) == (2, 30, None)
    assert [row[name] for name in ("end_r", "end_low", "drop", "drop_low", "drop_high")] == [
        None
    ] * 5
    assert row["mean_r"] == pytest.approx(np.mean(r[:2]))


@pytest.mark.parametrize("tokens", [[0], [0, 10], [500]])
def test_one_checkpoint_or_none_after_training_began(tokens):
    x, y = planted(np.random.default_rng(4), [0.5] * len(tokens), 50)
    row = one(tokens, x, y)
    trained = [count for count in tokens if count]
    assert row["n_checkpoints"] == len(trained)
    names = ["area", "tokens_to_30", "drop_low", "drop_high"]
    assert [row[name] for name in names] == [None] * 4
    if trained:
        r = stats.pearsonr(x[-1], y).statistic
        assert (row["peak_tokens"], row["end_tokens"]) == (trained[0], trained[0])
        assert [row["peak_r"], row["end_r"], row["mean_r"]] == pytest.approx([r] * 3)
        assert row["drop"] == 0
    else:
        assert [row[name] for name in ("peak_r", "end_r", "mean_r", "drop", "peak_step")] == [
            None
        ] * 5


def test_a_reference_that_does_not_vary_has_no_trajectory():
    x, _ = planted(np.random.default_rng(5), [0.5, 0.5], 50)
    row = one([10, 20], x, np.full(50, 0.5))
    assert (row["n"], row["n_checkpoints"]) == (50, 0)
    assert {value for name, value in row.items() if name not in ("run", "probe", "group",
            "reference", "n", "n_checkpoints")} == {None}  # fmt: skip


def test_the_first_of_equal_peaks_and_perfect_agreement():
    y = np.arange(20.0)
    row = one([10, 20, 30], np.array([y, 2 * y, y + np.arange(20) % 3]), y)
    assert (row["peak_tokens"], row["peak_r"]) == (10, pytest.approx(1))
    assert row["peak_low"] <= 1 <= row["peak_high"] + 1e-6
    assert row["drop_low"] > 0


def test_the_same_bits_each_time():
    x, y = planted(np.random.default_rng(6), [0.1, 0.5, 0.4], 70)
    assert one([10, 20, 30], x, y) == one([10, 20, 30], x, y)


PROBE = """{"type": "binomials", "items": "x", "references": {"human": {"column": "GenPref"}},
"frequency_bins": 2, "exposure_bins": [3]}"""


@pytest.mark.parametrize("script", ["trajectories", "correlations"])
def test_the_scripts_give_the_same_bytes_with_any_number_of_threads(tmp_path, script):
    x, y = planted(np.random.default_rng(7), [0.1, 0.5, 0.6, 0.4], 300)
    names = [f"a{i:03d} and b{i:03d}" for i in range(300)]
    lines = [f"a{i:03d},b{i:03d},{i % 2},{i},{y[i]}" for i in range(300)]
    stimuli = tmp_path / "items.csv"
    stimuli.write_text("\n".join(["Word1,Word2,Attested,OverallFreq,GenPref", *lines]) + "\n")
    items = Items(names, {}, {})
    folder = tmp_path / "tables" / "r"
    folder.mkdir(parents=True)
    table = preferences_of([0, 10, 20, 40], x, items)
    table = table.with_columns(run=pl.lit("r"), probe=pl.lit("p"), n=pl.lit(1))
    table.write_csv(folder / "preferences.csv")
    exposures = tmp_path / "exposures" / "p" / "r.csv"
    exposures.parent.mkdir(parents=True)
    rows = [
        dict.fromkeys(EXPOSURES, 0)
        | {"run": "r", "checkpoint": "step-4", "step": 4, "tokens": 40, "binom": name}
        | {"alpha_seen": i % 7, "nonalpha_seen": i % 3}
        for i, name in enumerate(names)
    ]
    pl.DataFrame(rows, schema=EXPOSURES).write_csv(exposures)
    output = folder / "table.csv"
    command = [sys.executable, PROJECT / "scripts" / f"{script}.py", "--study-folder", tmp_path]
    command += ["--name", "r", "--trained", "--probe", "p", PROBE, stimuli, "--output", output]
    found = set()
    for threads in ("1", "2"):
        variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
        done = subprocess.run(
            command,
            env=os.environ | dict.fromkeys(variables, threads),
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found.add(output.read_bytes())
    assert len(found) == 1
    groups = pl.read_csv(output).filter(reference="relative_exposure")["group"]
    assert groups.unique(maintain_order=True).to_list() == [
        *("all", "attested", "nonce", "attested-1of2", "attested-2of2"),
        *("seen", "seen-1of2", "seen-2of2"),
    ]
    exposures.unlink()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and str(exposures) in done.stderr
