"""How much runs of different size, corpus and seed get right, at the end and at the best."""

import json
import math
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from capacity_tables import (
    TOKENS_PER_STEP,
    completion_table,
    labels,
    loss_table,
    made_up_run,
)
from scipy import stats

from ontogeny.analysis.capacity import CAPACITY, CURVES, SUMMARY, Run, capacity, curves, summary
from ontogeny.paths import PROJECT, Paths
from ontogeny.study.runs import Run as TrainedRun
from ontogeny.study.runs import seed_families

LOSSES = loss_table({1: 3.0, 2: 2.0, 3: 1.5, 4: 1.0})


def one_run(right, losses=LOSSES, samples=1, name="r", **settings):
    return Run(labels(name, **settings), completion_table(name, right, samples), losses)


def arithmetic(*right):
    """Right answers of the two kinds of sums, and of two withheld ones of each kind."""
    names = ["addition", "addition withheld", "subtraction", "subtraction withheld"]
    return {("sums", name): (n, k) for name, n, k in zip(names, right, (8, 2, 8, 2), strict=True)}


def rows(table, *columns):
    return {row[:2]: row[2:] for row in table.select("probe", "class", *columns).rows()}


# ---------------------------------------------------------------------------- sets of items


def test_the_sets_of_items_are_counted_together():
    facts = {("facts", "all"): (3, 5)}
    run = one_run({0: arithmetic(0, 0, 0, 0) | facts, 4: arithmetic(7, 1, 4, 2) | facts})
    table = capacity(run)
    assert dict(table.schema) == CAPACITY
    assert rows(table, "n", "end_accuracy") == {
        ("all", "all"): (25, 17 / 25),
        ("sums", "all"): (20, 14 / 20),
        ("sums", "addition (all)"): (10, 8 / 10),
        ("sums", "addition"): (8, 7 / 8),
        ("sums", "addition withheld"): (2, 1 / 2),
        ("sums", "subtraction (all)"): (10, 6 / 10),
        ("sums", "subtraction"): (8, 4 / 8),
        ("sums", "subtraction withheld"): (2, 2 / 2),
        ("facts", "all"): (5, 3 / 5),
    }
    assert table["probe"].to_list()[0] == "all"
    named = dict.fromkeys(("run", "family", "architecture", "corpus", "parameters", "seed"))
    for row in table.to_dicts():
        assert {key: row[key] for key in named} == {key: run.labels[key] for key in named}
        k, n, z = row["end_accuracy"] * row["n"], row["n"], 1.959963984540054
        middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
        found = [row["end_accuracy_low"], row["end_accuracy_high"]]
        expected = [(middle - half) / (n + z * z), (middle + half) / (n + z * z)]
        assert found == pytest.approx(expected, abs=1e-9)


def test_a_single_probe_is_not_counted_twice():
    table = capacity(one_run({4: {("facts", "all"): (3, 5)}}))
    assert table.select("probe", "class").rows() == [("facts", "all")]


def test_a_class_is_joined_with_those_whose_names_go_on_from_it():
    names = ["sum", "sums", "sum odd", "sum odd long", "x sum"]
    table = capacity(one_run({4: {("p", name): (1, 10**i) for i, name in enumerate(names)}}))
    assert rows(table, "n") == {
        ("p", "all"): (11_111,),
        ("p", "sum (all)"): (1_101,),
        ("p", "sum"): (1,),
        ("p", "sums"): (10,),
        ("p", "sum odd (all)"): (1_100,),
        ("p", "sum odd"): (100,),
        ("p", "sum odd long"): (1_000,),
        ("p", "x sum"): (10_000,),
    }


# ---------------------------------------------------------------------------- end, best, perfect


def test_the_best_checkpoint_is_the_runs_and_the_first_of_equal_ones():
    """All items together are most often right at 2 and 3, single classes are so elsewhere."""
    right = {
        1: arithmetic(8, 0, 0, 0),
        2: arithmetic(5, 1, 7, 1),
        3: arithmetic(7, 2, 5, 0),
        4: arithmetic(2, 0, 8, 2),
    }
    table = capacity(one_run(right))
    assert rows(table, "best_accuracy", "end_accuracy") == {
        ("sums", "all"): (14 / 20, 12 / 20),
        ("sums", "addition (all)"): (6 / 10, 2 / 10),
        ("sums", "addition"): (5 / 8, 2 / 8),
        ("sums", "addition withheld"): (1 / 2, 0),
        ("sums", "subtraction (all)"): (8 / 10, 1),
        ("sums", "subtraction"): (7 / 8, 1),
        ("sums", "subtraction withheld"): (1 / 2, 1),
    }
    times = table.select("best_step", "best_tokens", "end_step", "end_tokens", "n_checkpoints")
    expected = (2, 2 * TOKENS_PER_STEP, 4, 4 * TOKENS_PER_STEP, 4)
    assert times.unique().rows() == [expected]


def test_the_best_checkpoint_weighs_probes_by_their_items():
    """Two of two facts are less than three of a hundred sums."""
    few = {("facts", "all"): (2, 2), ("sums", "all"): (0, 100)}
    many = {("facts", "all"): (0, 2), ("sums", "all"): (3, 100)}
    table = capacity(one_run({1: few, 2: many, 3: few}))
    assert table["best_step"].unique().to_list() == [2]
    assert rows(table, "best_accuracy") == {
        ("all", "all"): (3 / 102,),
        ("facts", "all"): (0,),
        ("sums", "all"): (3 / 100,),
    }


def test_perfect_checkpoints_are_counted_for_each_set():
    right = {
        0: arithmetic(0, 0, 0, 0),
        1: arithmetic(8, 2, 7, 2),
        2: arithmetic(8, 2, 8, 2),
        3: arithmetic(8, 1, 8, 2),
        4: arithmetic(8, 2, 8, 2),
        5: arithmetic(7, 2, 8, 2),
    }
    table = capacity(one_run(right))
    found = rows(table, "n_perfect", "first_perfect_step", "last_perfect_step")
    assert found["sums", "all"] == (2, 2, 4)
    assert found["sums", "addition (all)"] == (3, 1, 4)
    assert found["sums", "addition"] == (4, 1, 4)
    assert found["sums", "addition withheld"] == (4, 1, 5)
    assert found["sums", "subtraction"] == (4, 2, 5)
    tokens = table.select("first_perfect_tokens", "last_perfect_tokens").row(0)
    assert tokens == (2 * TOKENS_PER_STEP, 4 * TOKENS_PER_STEP)
    assert rows(table, "best_step")["sums", "all"] == (2,)


def test_no_perfect_checkpoint_has_no_first_one():
    table = capacity(one_run({0: arithmetic(0, 0, 0, 0), 4: arithmetic(8, 0, 7, 0)}))
    row = table.filter(pl.col("class") == "all").row(0, named=True)
    assert row["n_perfect"] == 0
    times = [
        f"{which}_perfect_{unit}" for which in ("first", "last") for unit in ("step", "tokens")
    ]
    assert [row[name] for name in times] == [None] * 4


def test_one_checkpoint_is_last_and_best():
    row = capacity(one_run({4: {("facts", "all"): (3, 5)}})).row(0, named=True)
    assert (row["end_step"], row["best_step"], row["n_checkpoints"]) == (4, 4, 1)
    assert row["end_accuracy"] == row["best_accuracy"] == 3 / 5


def test_several_samples_count_by_their_share_and_perfect_is_all_of_them():
    """Of 7 items, 3 samples each: 20 of 21 right are 6 2/3 items."""
    right = {1: {("facts", "all"): (20 / 3, 7)}, 2: {("facts", "all"): (21 / 3, 7)}}
    row = capacity(one_run(right, samples=3)).row(0, named=True)
    assert (row["n_perfect"], row["first_perfect_step"]) == (1, 2)
    row = capacity(one_run({1: right[1]}, samples=3)).row(0, named=True)
    assert row["end_accuracy"] == pytest.approx(20 / 21)
    assert row["n_perfect"] == 0


def test_counts_do_not_depend_on_rounding():
    lacking = {("p", f"class {n}"): (1, n) for n in range(2, 400)}
    whole = {("p", f"class {n}"): (n, n) for n in range(2, 400)}
    table = capacity(one_run({0: lacking, 1: whole, 2: lacking}))
    assert table.select("n_perfect", "first_perfect_step").unique().rows() == [(1, 1)]
    items = sum(range(2, 400))
    assert rows(table, "n", "end_accuracy")["p", "all"] == (items, 398 / items)
    assert rows(table, "n", "end_accuracy")["p", "class 49"] == (49, 1 / 49)


def test_a_union_is_counted_in_whole_items():
    """22 times 15 / 22 is less than 15 in floating point, and so is the sum of three of these."""
    right = {4: {("p", name): (15, 22) for name in ("a", "a b", "a c")}}
    assert rows(capacity(one_run(right)), "end_accuracy")["p", "a (all)"] == (45 / 66,)


def test_time_is_tokens_whatever_the_order_of_the_rows():
    right = {1: arithmetic(1, 0, 0, 0), 2: arithmetic(3, 0, 0, 0), 10: arithmetic(2, 0, 0, 0)}
    run = one_run(right, loss_table({step: step / 10 for step in range(1, 11)}))
    shuffled = Run(run.labels, run.completions.reverse(), run.losses.reverse())
    table = capacity(run)
    assert table.sort("class").equals(capacity(shuffled).sort("class"))
    assert table.select("end_step", "best_step", "end_loss").unique().rows() == [(10, 2, 1.0)]


def test_a_checkpoint_that_lacks_items_is_named():
    whole = {("facts", "all"): (3, 5)} | arithmetic(1, 1, 1, 1)
    with pytest.raises(ValueError, match="run 'r', step-00000004: 0 rows of items 'facts: all'"):
        capacity(one_run({0: whole, 4: arithmetic(1, 1, 1, 1)}))
    with pytest.raises(ValueError, match="run 'r': 'all' stands for all probes and can't name one"):
        capacity(one_run({4: {("all", "all"): (3, 5)}}))


def test_planted_runs_come_back():
    """The smallest carries over what it learns, and no other; and learns few capitals."""
    small, large = (capacity(made_up_run("both", size)) for size in ("n14", "n56"))
    of_small, of_large = rows(small, "end_accuracy"), rows(large, "end_accuracy")
    assert of_large["arithmetic", "addition"] == of_large["capitals", "all"] == (1,)
    assert of_large["arithmetic", "addition withheld"] == (0,)
    assert of_large["arithmetic", "addition (all)"] == (0.98,)
    assert of_large["all", "all"] == ((250 - 4) / 250,)
    planted = 0.35
    for row in small.filter(pl.col("n") >= 50).iter_rows(named=True):
        assert row["end_accuracy_low"] <= planted <= row["end_accuracy_high"], row
    assert of_small["all", "all"] < (0.5,)
    best = small.filter(pl.col("class") == "all", pl.col("probe") == "all")
    assert best["best_accuracy"][0] > best["end_accuracy"][0]  # chosen among 121


# ---------------------------------------------------------------------------- loss


def test_the_loss_is_the_mean_since_the_checkpoint_before_or_of_a_hundredth_of_the_steps():
    losses = {step: float(step) for step in range(1, 1_001)}
    right = {step: {("facts", "all"): (0, 5)} for step in (0, 1, 4, 500, 995, 1_000)}
    run = one_run(right, loss_table(losses))
    table = curves(run).filter(pl.col("statistic") == "loss")
    assert table["step"].to_list() == [1, 4, 500, 995, 1_000]
    last_ten = [np.mean(range(491, 501)), np.mean(range(986, 996))]
    assert table["value"].to_list() == pytest.approx([1, 3, *last_ten, 998])
    assert capacity(run)["end_loss"].to_list() == [998]


def test_a_short_run_has_the_loss_of_its_last_step():
    run = one_run({step: arithmetic(0, 0, 0, 0) for step in (0, 4)})
    assert capacity(run)["end_loss"].unique().to_list() == [1.0]


def test_without_steps_there_is_no_loss():
    run = one_run({0: {("facts", "all"): (0, 5)}}, loss_table({}))
    assert capacity(run)["end_loss"].to_list() == [None]
    assert curves(run)["statistic"].unique().to_list() == ["accuracy"]


def test_curves_are_the_completions_and_the_loss():
    run = made_up_run("both", steps=range(0, 301, 100))
    table = curves(run)
    assert dict(table.schema) == CURVES
    assert table["tokens"].is_sorted()
    accuracy = table.filter(pl.col("statistic") == "accuracy")
    key = ["step", "probe", "class"]
    joined = accuracy.join(run.completions, on=key)
    assert len(joined) == len(run.completions)
    assert joined["value"].to_list() == joined["accuracy"].to_list()
    losses = table.filter(pl.col("statistic") == "loss")
    assert losses.select("step", "probe", "class", "n").rows() == [
        (step, None, None, None) for step in (100, 200, 300)
    ]


# ---------------------------------------------------------------------------- seeds


def family(*ends, perfect=()):
    """Runs with these right answers of five at the end; those of `perfect` were perfect before."""
    runs = []
    for seed, end in enumerate(ends, 1):
        before = 5 if seed in perfect else 0
        right = {seed: {("facts", "all"): (before, 5)}, 9: {("facts", "all"): (end, 5)}}
        losses = loss_table(dict.fromkeys(range(1, 10), 0.1 * seed))
        runs.append(capacity(one_run(right, losses, name=f"r{seed}", seed=seed)))
    return runs


def test_mean_spread_and_t_interval_over_seeds():
    table = summary(family(1, 2, 4))
    assert dict(table.schema) == SUMMARY
    found = {row["statistic"]: row for row in table.to_dicts()}
    for statistic, values in {
        "end_accuracy": [0.2, 0.4, 0.8],
        "best_accuracy": [0.2, 0.4, 0.8],
        "end_loss": [0.1, 0.2, 0.3],
    }.items():
        row, most = found[statistic], 1 if "accuracy" in statistic else math.inf
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        expected = [np.mean(values), np.std(values, ddof=1), max(low, 0), min(high, most)]
        expected += [min(values), max(values)]
        columns = ("mean", "sd", "low", "high", "min", "max")
        assert [row[name] for name in columns] == pytest.approx(expected)
        assert row["n_seeds"] == 3
    about = [found["end_accuracy"][key] for key in ("family", "probe", "class", "n")]
    assert about == ["n14", "facts", "all", 5]
    assert [found["end_loss"][key] for key in ("probe", "class", "n")] == [None] * 3


def test_seeds_that_were_never_perfect_have_no_first_perfect_step():
    table = summary(family(1, 2, 4, perfect=(2, 3)))
    found = {row["statistic"]: row for row in table.to_dicts()}
    row = found["first_perfect_step"]
    assert (row["n_seeds"], row["mean"], row["min"], row["max"]) == (2, 2.5, 2, 3)
    row = found["n_perfect"]
    assert (row["n_seeds"], row["mean"], row["min"], row["max"]) == (3, pytest.approx(2 / 3), 0, 1)
    row = {r["statistic"]: r for r in summary(family(1, 2)).to_dicts()}["first_perfect_step"]
    assert (row["n_seeds"], row["mean"], row["sd"], row["low"]) == (0, None, None, None)


def test_one_seed_has_a_mean_and_no_spread():
    table = summary(family(3))
    row = table.filter(pl.col("statistic") == "end_accuracy").row(0, named=True)
    assert (row["n_seeds"], row["mean"], row["min"], row["max"]) == (1, 0.6, 0.6, 0.6)
    assert (row["sd"], row["low"], row["high"]) == (None, None, None)


def test_the_interval_holds_the_planted_mean_over_seeds():
    rng, missed, runs = np.random.default_rng(0), 0, family(1, 2, 3, 4)
    for _ in range(100):
        accuracies = rng.normal(0.5, 0.06, size=4)
        drawn = [
            table.with_columns(end_accuracy=pl.lit(accuracy))
            for table, accuracy in zip(runs, accuracies, strict=True)
        ]
        row = summary(drawn).row(0, named=True)
        missed += not row["low"] <= 0.5 <= row["high"]
    assert 1 <= missed <= stats.binom.ppf(0.999, 100, 0.05)


def test_families_of_one_are_there_where_they_are_asked_for():
    spec = {"corpus": "c", "tokenizer": "t", "architecture": "a", "steps": 8, "block_size": 4}
    spec["batch_size"] = 2
    runs = {f"n-{seed}": TrainedRun(**spec, seed=seed) for seed in (1, 2)}
    runs["n"] = TrainedRun(**spec, optimizer={"lr": 1})
    assert seed_families(runs) == {"n": ["n-1", "n-2"]}
    # a family has no name that a run alone has
    assert seed_families(runs, alone=True) == {"n": ["n"], "n-1": ["n-1", "n-2"]}


# ---------------------------------------------------------------------------- the script


@pytest.fixture
def study(tmp_path):
    """Tables and sizes of four made-up runs: two seeds, and another corpus, and another decay."""
    settings = {}
    for corpus, seed, decay in (
        ("both", 1, 0.0),
        ("both", 2, 0.0),
        ("both", 1, 0.1),
        ("capitals", 1, 0.0),
    ):
        run = made_up_run(corpus, "n14", decay, seed, steps=range(0, 401, 100))
        name = run.labels["run"]
        folder = tmp_path / "tables" / name
        folder.mkdir(parents=True)
        run.completions.write_csv(folder / "completions.csv")
        run.losses.with_columns(run=pl.lit(name)).write_csv(folder / "losses.csv")
        keys = ("architecture", "corpus", "weight_decay", "seed")
        settings[name] = {key: run.labels[key] for key in keys} | {"tokenizer": "chars"}
    sizes = {"parameters": 9, "trained": 8, "trained_without_positions": 7}
    path = tmp_path / "architectures" / "n14"
    path.mkdir(parents=True)
    (path / "chars.json").write_text(json.dumps(sizes))
    assert Paths(str(tmp_path)).architecture("n14", "chars") == str(path / "chars.json")
    return tmp_path, settings


def call(folder, settings, *families):
    script = [sys.executable, PROJECT / "scripts" / "capacity.py", "--study-folder", folder]
    script += ["--runs", json.dumps(settings)]
    for one in families:
        script += ["--family", *one]
    for table in ("capacity", "summary"):
        script += [f"--{table}", folder / f"{table}.csv"]
    for corpus in ("both", "capitals"):
        script += ["--curves", corpus, folder / f"curves_{corpus}.csv"]
    return subprocess.run(script, capture_output=True, text=True)


def test_the_script_writes_all_tables(study):
    folder, settings = study
    families = [("b", "n14-both-1", "n14-both-2"), ("w", "n14-both-wd-1"), ("c", "n14-capitals-1")]
    done = call(folder, settings, *families)
    assert (done.returncode, done.stderr) == (0, "")
    table = pl.read_csv(folder / "capacity.csv", schema_overrides=CAPACITY)
    assert dict(table.schema) == CAPACITY
    assert table["run"].unique(maintain_order=True).to_list() == list(settings)
    assert table["parameters"].unique().to_list() == [7]
    assert table.select("family", "corpus", "weight_decay").unique(maintain_order=True).rows() == [
        ("b", "both", 0.0),
        ("w", "both", 0.1),
        ("c", "capitals", 0.0),
    ]
    spread = pl.read_csv(folder / "summary.csv", schema_overrides=SUMMARY)
    ends = spread.filter(pl.col("statistic") == "end_loss")
    assert ends.select("family", "n_seeds").rows() == [("b", 2), ("w", 1), ("c", 1)]
    for corpus, runs in (("both", 3), ("capitals", 1)):
        found = pl.read_csv(folder / f"curves_{corpus}.csv", schema_overrides=CURVES)
        assert found["run"].n_unique() == runs
        assert found["corpus"].unique().to_list() == [corpus]
    before = (folder / "capacity.csv").read_bytes()
    call(folder, settings, *families)
    assert (folder / "capacity.csv").read_bytes() == before


def test_the_script_names_a_table_that_is_missing(study):
    folder, settings = study
    (folder / "tables" / "n14-both-1" / "losses.csv").unlink()
    done = call(folder, settings, ("b", "n14-both-1"))
    assert done.returncode == 1
    assert done.stderr.endswith("n14-both-1/losses.csv: No such file or directory\n")
    assert not (folder / "capacity.csv").exists()


# ---------------------------------------------------------------------------- as published

PUBLISHED = PROJECT / "data" / "published" / "too_big_to_think.csv"


def compare(published, table, tmp_path):
    table.write_csv(tmp_path / "summary.csv")
    script = [sys.executable, PROJECT / "scripts" / "compare_published.py"]
    script += ["--published", published, "--summary", tmp_path / "summary.csv"]
    done = subprocess.run(script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line[2:-2].split(" | ") for line in done.stdout.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_published_results_stand_beside_those_of_all_seeds(tmp_path):
    runs = []
    for seed, right in ((1, 97), (2, 100)):
        sums = {"addition": (right - 2, 98), "addition withheld": (2, 2)}
        sums = {("arithmetic", name): counts for name, counts in sums.items()}
        losses = loss_table(dict.fromkeys(range(1, 5), 0.7 + seed / 100))
        runs.append(capacity(one_run({0: sums, 4: sums}, losses, name=f"r{seed}", seed=seed)))
    found = compare(PUBLISHED, summary(runs), tmp_path)
    assert [row["items"] for row in found] == ["arithmetic", "addition (all)"]
    assert found[0] == {
        "trained on": "arithmetic",
        "model": "n14",
        "weight decay": "0",
        "items": "arithmetic",
        "n": "182 / 100",
        "seeds": "2",
        "last": "1.000 / 0.985 (0.970 to 1.000)",
        "best": "1.000 / 0.985 (0.970 to 1.000)",
        "perfect checkpoints": "27 / 1 (0 to 2)",
        "first perfect step": "13,750 / 0",
        "training loss": "0.746 / 0.715 (0.710 to 0.720)",
    }
    assert found[1]["perfect checkpoints"] == "- / 1 (0 to 2)"
    assert found[1]["training loss"] == ""


def test_the_published_numbers_are_as_far_as_can_be_told_consistent():
    """Counts of 10 samples of each item at the end; capitals and sums make up the whole."""
    table = pl.read_csv(PUBLISHED)
    assert len(table) == 8 * 3 + 8 + 8 * 4
    right = table["end_accuracy"] * table["n"] * 10
    assert (right - right.round()).abs().max() < 1e-9
    for _, part in table.group_by("folder"):
        whole = part.filter(pl.col("n") == pl.col("n").max()).row(0, named=True)
        parts = part.filter(pl.col("n") < whole["n"])
        for name in ("end_accuracy", "best_accuracy") if len(parts) else ():
            total = (parts[name] * parts["n"]).sum()
            assert total == pytest.approx(whole[name] * whole["n"])
    perfect = table.drop_nulls("n_perfect")
    assert (perfect["best_accuracy"] == 1).all()
    last = perfect.filter(pl.col("last_perfect_step") == 30_000)
    assert (last["end_accuracy"] == 1).all() and len(last) == len(perfect) - 1
