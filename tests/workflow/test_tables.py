"""The tables of a finished study: documented, in order, and in agreement with each other."""

import csv
import math
import re
from collections import defaultdict

import pytest

from ontogeny.paths import PROJECT

pytestmark = pytest.mark.workflow

RUNS = ["slow", "fast"]


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def table(workflow, run, name):
    return read(workflow.results / "tables" / run / f"{name}.csv")


def documented():
    """Columns of each table that docs/tables.md tells of, under `| column |` in its section."""
    columns = defaultdict(set)
    name, listing = None, False
    for line in (PROJECT / "docs/tables.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = line.removeprefix("## ").strip()
        elif not line.startswith("|"):
            listing = False
        elif line.startswith("| column |"):
            listing = True
        elif listing:
            columns[name].update(re.findall(r"`([a-z0-9_]+)`", line.split("|")[1]))
    return columns


def test_every_column_of_every_table_is_documented_and_no_other(finished):
    known = documented()
    paths = [*(finished.results / "tables").rglob("*.csv")]
    assert len({path.stem for path in paths}) > 15
    for path in paths:
        with open(path, newline="") as file:
            assert set(next(csv.reader(file))) == known[path.stem], path.name


def test_no_table_is_empty_and_none_holds_a_number_that_is_none(finished):
    for path in (finished.results / "tables").rglob("*.csv"):
        rows = read(path)
        assert rows, path
        values = {value.lower() for row in rows for value in row.values()}
        assert not values & {"nan", "inf", "-inf", "none", "null"}, path


def test_rows_stand_in_the_order_of_tokens(finished):
    for path in (finished.results / "tables").rglob("*.csv"):
        series = defaultdict(list)
        for row in read(path):
            if row.get("tokens"):
                key = ("probe", "group", "reference", "uid", "binom", "model_name", "items", "term")
                key += (
                    "constraint",
                    "family",
                    "statistic",
                    "run",
                    "run_a",
                    "run_b",
                    "test",
                    "class",
                )
                series[tuple(row.get(name) for name in key)].append(int(row["tokens"]))
        for key, tokens in series.items():
            assert tokens == sorted(tokens), (path, key)


@pytest.mark.parametrize("run", RUNS)
def test_a_preference_is_the_mean_over_prompts(finished, run):
    for row in table(finished, run, "preferences")[::97]:
        scores = read(
            finished.results / "scores" / "binomials" / run / f"step-{int(row['step']):08d}.csv"
        )
        of_item = [float(s["preference"]) for s in scores if s["binom"] == row["binom"]]
        assert len(of_item) == 2 == int(row["n"])
        assert math.isclose(float(row["preference"]), math.fsum(of_item) / 2, abs_tol=2e-9)


@pytest.mark.parametrize("run", RUNS)
def test_a_trajectory_ends_and_peaks_where_its_correlations_do(finished, run):
    series = defaultdict(list)
    for row in table(finished, run, "correlations"):
        if row["r"] and int(row["tokens"]):
            series[row["group"], row["reference"]].append((int(row["tokens"]), float(row["r"])))
    checked = 0
    for row in table(finished, run, "trajectories"):
        points = series[row["group"], row["reference"]]
        if not points:
            continue
        tokens, peak = max(points, key=lambda point: point[1])
        assert math.isclose(float(row["peak_r"]), peak, abs_tol=1e-9)
        assert int(row["peak_tokens"]) == tokens
        assert math.isclose(float(row["end_r"]), points[-1][1], abs_tol=1e-9)
        mean = math.fsum(r for _, r in points) / len(points)
        assert math.isclose(float(row["mean_r"]), mean, abs_tol=1e-9)
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("run", RUNS)
def test_items_hold_the_last_preference_and_the_last_exposure(finished, run):
    preferences = {row["binom"]: row for row in table(finished, run, "preferences")}  # the last
    path = finished.results / "exposures" / "binomials" / f"{run}.csv"
    exposures = {row["binom"]: row for row in read(path)}
    items = table(finished, run, "items")
    assert len(items) == len(preferences) == 180
    for row in items:
        assert float(row["preference"]) == float(preferences[row["binom"]]["preference"])
        for column in ("alpha_seen", "nonalpha_seen"):
            assert row[column] == exposures[row["binom"]][column]


def test_runs_that_read_the_same_text_in_the_same_order_have_the_same_exposures(finished):
    """`slow` and `fast` differ in their learning rate only."""
    slow, fast = (
        [
            {column: value for column, value in row.items() if column != "run"}
            for row in read(finished.results / "exposures" / "binomials" / f"{run}.csv")
        ]
        for run in RUNS
    )
    assert slow == fast
    assert {int(row["alpha_seen"]) for row in slow} > {0, 1}
