"""Runs on the same items: planted differences are found, and none where none was planted."""

import itertools
import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from planted import checkpoints, items_of, no_more_than, preferences_of
from scipy import stats

from ontogeny.analysis.bootstrap import percentiles, resampled_r
from ontogeny.analysis.comparisons import COLUMNS, comparisons, corrected_peak
from ontogeny.analysis.trajectories import Trajectory
from ontogeny.paths import PROJECT

SAMPLES = 100


def two_runs(rng, true_a, true_b, n, shared=0.5):
    """Preferences of two runs [checkpoints, n], and a reference [n], with these true r.

    Of the variance of what isn't the reference, the `shared` part is alike in both runs.
    """
    y, common = rng.normal(size=(2, n))

    def run(true_r):
        rows, error = [], rng.normal(size=n)
        for r in true_r:
            error = 0.8 * error + 0.6 * rng.normal(size=n)
            whole = np.sqrt(shared) * common + np.sqrt(1 - shared) * error
            rows.append(r * y + np.sqrt(1 - r**2) * whole)
        return np.array(rows)

    return run(true_a), run(true_b), y


def log_spaced(count, last=1e6):
    return np.geomspace(1000, last, count).round().astype(int)


def compared(a, b, y, tokens_a=None, tokens_b=None):
    items = items_of({"human": y})
    tables = {}
    for name, matrix, tokens in (("a", a, tokens_a), ("b", b, tokens_b)):
        tokens = log_spaced(len(matrix)) if tokens is None else tokens
        tables[name] = preferences_of(tokens.tolist(), matrix, items)
    rows = comparisons(tables, items, "p").to_dicts()
    return {row["statistic"]: row for row in rows}


RISE = list(np.linspace(0, 0.5, 8))
FALL = [*np.linspace(0, 0.5, 8), *np.linspace(0.45, 0.1, 8)]


@pytest.mark.parametrize(("many", "n"), [(16, 60), (60, 200)])
def test_no_difference_is_found_where_there_is_none(many, n):
    """The second run has the same true peak, end and area, at other checkpoints."""
    rng = np.random.default_rng(many)
    true_a, true_b = (
        RISE + [0.5] * 8,
        np.interp(np.linspace(0, 15, many), range(16), RISE + [0.5] * 8),
    )
    found = dict.fromkeys(("end", "peak", "area"), 0)
    for _ in range(SAMPLES):
        for name, row in compared(*two_runs(rng, true_a, true_b, n)).items():
            found[name] += not row["low"] <= 0 <= row["high"]
    assert max(found.values()) <= no_more_than(0.065, SAMPLES), found


def test_planted_differences_are_found_and_within_their_intervals():
    """The highest of 60 level checkpoints is higher by chance than that of a narrow peak."""
    rng = np.random.default_rng(1)
    true_a, true_b = [*np.linspace(0, 0.4, 30), *[0.4] * 30], [r * 1.3 for r in FALL]
    expected = {"end": 0.13 - 0.4, "peak": 0.65 - 0.4}
    missed, power = dict.fromkeys(expected, 0), dict.fromkeys(expected, 0)
    naive = 0
    for _ in range(SAMPLES):
        a, b, y = two_runs(rng, true_a, true_b, 200)
        found = compared(a, b, y)
        for name, value in expected.items():
            row = found[name]
            missed[name] += not row["low"] <= value <= row["high"]
            power[name] += np.sign(value) * row["difference"] > 0 and row["low"] * row["high"] > 0
        highest = [resampled_r(x, y).max(axis=1) for x in (a, b)]
        low, high = percentiles(highest[1] - highest[0])
        naive += not low <= expected["peak"] <= high
    assert max(missed.values()) <= no_more_than(0.08, SAMPLES), missed
    assert min(power.values()) >= 0.7 * SAMPLES, power
    assert naive > max(no_more_than(0.08, SAMPLES), 2 * missed["peak"])


def test_what_runs_share_is_no_noise_between_them():
    a, b, y = two_runs(np.random.default_rng(2), [0.5] * 5, [0.5] * 5, 100, shared=0.95)
    row = compared(a, b, y)["end"]
    alone = [resampled_r(x[-1:], y).std() for x in (a, b)]
    assert row["high"] - row["low"] < 0.6 * 2 * 1.96 * np.hypot(*alone)


def test_rows_are_the_statistics_of_both_runs():
    rng = np.random.default_rng(3)
    a, b, y = two_runs(rng, [0.9, 0.1, 0.5, 0.4], [0.2, 0.3, 0.6], 80)
    tokens_a, tokens_b = np.array([0, 100, 1_000, 10_000]), np.array([10, 1_000, 100_000])
    found = compared(a, b, y, tokens_a, tokens_b)
    r_a = [stats.pearsonr(row, y).statistic for row in a]
    r_b = [stats.pearsonr(row, y).statistic for row in b]
    end = found["end"]
    assert (end["a"], end["b"]) == (pytest.approx(r_a[-1]), pytest.approx(r_b[-1]))
    draws = [resampled_r(x[-1:], y)[:, 0] for x in (a, b)]
    assert (end["low"], end["high"]) == percentiles(draws[1] - draws[0])
    # the range that both have: 100 to 10,000 tokens
    height = np.interp([2, 3, 4], [1, 3, 5], r_b)
    area = found["area"]
    assert area["a"] == pytest.approx(np.trapezoid(r_a[1:], [2, 3, 4]) / 2)
    assert area["b"] == pytest.approx(np.trapezoid(height, [2, 3, 4]) / 2)
    peak = found["peak"]
    assert peak["a"] < max(r_a[1:]) and peak["a"] == pytest.approx(max(r_a[1:]), abs=0.05)
    for row in found.values():
        assert row["difference"] == pytest.approx(row["b"] - row["a"])
        assert row["low"] < row["difference"] < row["high"]
        assert (row["run_a"], row["run_b"], row["n"]) == ("a", "b", 80)


def test_the_peak_is_corrected_for_its_choice_among_many():
    rng = np.random.default_rng(4)
    raw, corrected = [], []
    for _ in range(SAMPLES):
        a, _, y = two_runs(rng, [0.4] * 60, [0.4], 100)
        trajectory = Trajectory.of(checkpoints(log_spaced(60)), a, y)
        raw.append(trajectory.r.max() - 0.4)
        corrected.append(corrected_peak(trajectory)[0] - 0.4)
    assert np.mean(raw) > 0.07
    assert abs(np.mean(corrected)) < 0.5 * np.mean(raw)


def test_runs_without_a_common_range_have_no_area_and_few_items_no_interval():
    a, b, y = two_runs(np.random.default_rng(5), [0.1, 0.2], [0.3, 0.4], 30)
    found = compared(a, b, y, np.array([10, 20]), np.array([30, 40]))
    assert [found["area"][key] for key in ("a", "b", "difference", "low", "high")] == [None] * 5
    assert found["end"]["low"] is not None
    found = compared(a[:, :9], b[:, :9], y[:9])
    assert found["end"]["difference"] is not None
    assert [row[key] for row in found.values() for key in ("low", "high")] == [None] * 6


def test_what_is_undefined_in_one_run_is_null():
    a, b, y = two_runs(np.random.default_rng(6), [0.1, 0.2], [0.3, 0.4], 30)
    b[-1] = 0.0
    found = compared(a, b, y)
    assert found["end"]["b"] is None and found["end"]["low"] is None
    assert found["peak"]["low"] is not None
    b[:] = 0.0
    for row in compared(a, b, y).values():
        assert [row[key] for key in ("b", "difference", "low", "high")] == [None] * 4


PROBE = {
    "type": "binomials",
    "items": "x",
    "frequency_bins": 2,
    "references": {"human": {"column": "GenPref"}},
}


def test_the_script_compares_all_pairs_of_runs_that_have_the_probe(tmp_path):
    stimuli = tmp_path / "items.csv"
    rng = np.random.default_rng(7)
    y = rng.uniform(size=40)
    lines = [f"a{i:02d},b{i:02d},{int(i < 24)},{i},{y[i]}" for i in range(40)]
    stimuli.write_text("\n".join(["Word1,Word2,Attested,OverallFreq,GenPref", *lines]) + "\n")
    items = items_of({"human": y})
    items = type(items)([f"a{i:02d} and b{i:02d}" for i in range(40)], items.groups, {})
    for run in ("second", "first", "other"):
        matrix = y * 3 + rng.normal(size=(3, 40))
        table = preferences_of([0, 100, 200], matrix, items).with_columns(
            run=pl.lit(run), probe=pl.lit("q" if run == "other" else "p"), n=pl.lit(3)
        )
        path = tmp_path / "tables" / run / "preferences.csv"
        path.parent.mkdir(parents=True)
        table.write_csv(path)
    output = tmp_path / "comparisons.csv"
    script = [sys.executable, PROJECT / "scripts" / "comparisons.py", "--study-folder", tmp_path]
    script += ["--runs", "first", "other", "second", "--output", output]
    script += [
        "--probe",
        "p",
        json.dumps(PROBE),
        stimuli,
        "--probe",
        "q",
        json.dumps(PROBE),
        stimuli,
    ]
    done = subprocess.run(script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = pl.read_csv(output, schema_overrides=COLUMNS)
    assert found.columns == list(COLUMNS)
    groups = ["all", "attested", "nonce", "attested-1of2", "attested-2of2"]
    assert found.select("run_a", "run_b", "probe", "group", "statistic").rows() == [
        ("first", "second", "p", group, statistic)
        for group, statistic in itertools.product(groups, ("end", "peak", "area"))
    ]
    assert found["n"].unique().sort().to_list() == [12, 16, 24, 40]
