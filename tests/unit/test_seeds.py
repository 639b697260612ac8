"""Runs that differ in their seed only: which these are, their mean and spread, their agreement."""

import math
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from scipy import stats

from ontogeny.analysis import correlations, minimal_pairs, seeds
from ontogeny.analysis.scores import PREFERENCES
from ontogeny.analysis.seeds import agreement, over_seeds
from ontogeny.paths import PROJECT
from ontogeny.study.runs import Run, seed_families

# ---------------------------------------------------------------------------- families


def trained(**keys):
    spec = {"corpus": "c", "tokenizer": "t", "architecture": "a", "steps": 8, "block_size": 4}
    return Run(**{**spec, "batch_size": 2, **keys})


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["opt-s-seed1", "opt-s-seed10", "opt-s-seed2"], "opt-s"),
        (["opt-1", "opt-2"], "opt"),
        (["opt_seed_1", "opt_seed_964"], "opt"),
        (["opt-125-seed10", "opt-125-seed11"], "opt-125"),
        (["opt-125.1", "opt-125.12"], "opt-125"),
        (["opt-125", "opt-125-again"], "opt-125"),
        (["a", "b"], "a"),
        (["seed1", "seed2"], "seed1"),
    ],
)
def test_a_family_is_named_after_what_its_runs_names_share(names, family):
    runs = {name: trained(seed=number) for number, name in enumerate(names)}
    assert seed_families(runs) == {family: names}
    assert seed_families(dict(reversed(runs.items()))) == {family: names}


def test_runs_that_differ_in_more_than_the_seed_are_no_family():
    runs = {
        "one": trained(seed=1),
        "two": trained(seed=2, optimizer={"lr": 1e-3}),
        "three": trained(seed=3, corpus="d"),
        "four": trained(seed=4, checkpoints={"at": [3]}),
    }
    assert seed_families(runs) == {}
    assert seed_families({}) == {}
    runs["five"] = trained(seed=5)
    assert seed_families(runs) == {"five": ["five", "one"]}


def test_families_with_the_same_beginning_have_names_of_their_own():
    runs = {f"opt-{i}": trained(seed=i) for i in (1, 2)}
    runs |= {f"opt-x{i}": trained(seed=i, corpus="d") for i in (1, 2)}
    runs |= {f"opt-y{i}": trained(seed=i, corpus="e") for i in (1, 2)}
    runs["opt-z"], runs["opt-w"] = (trained(seed=i, corpus="f") for i in (1, 2))
    assert seed_families(runs) == {
        "opt": ["opt-1", "opt-2"],
        "opt-x": ["opt-x1", "opt-x2"],
        "opt-y": ["opt-y1", "opt-y2"],
        "opt-w": ["opt-w", "opt-z"],
    }


# ---------------------------------------------------------------------------- mean and spread


def correlation_table(run, values, n=30, group="nonce"):
    """`values`: from tokens to r."""
    rows = [
        {
            "run": run,
            "checkpoint": f"step-{tokens}",
            "step": tokens,
            "tokens": tokens,
            "probe": "p",
            "group": group,
            "reference": "human",
            "n": n,
            "r": r,
        }
        for tokens, r in values.items()
    ]
    return pl.DataFrame(rows, schema=correlations.COLUMNS)


def pair_table(run, values, phenomenon="agreement", uid="all"):
    rows = [
        {
            "run": run,
            "checkpoint": f"step-{tokens}",
            "step": tokens,
            "tokens": tokens,
            "probe": "grammar",
            "phenomenon": phenomenon,
            "uid": uid,
            "n": 100,
            "accuracy": accuracy,
        }
        for tokens, accuracy in values.items()
    ]
    return pl.DataFrame(rows, schema=minimal_pairs.COLUMNS)


def test_mean_spread_and_t_interval_over_seeds():
    values = [{992: 0.5, 10_944: 0.7}, {992: 0.3, 10_944: 0.8}, {992: 0.45, 10_944: 0.75}]
    tables = [correlation_table(f"s{i}", one) for i, one in enumerate(values)]
    table = over_seeds("opt", tables, [])
    assert dict(table.schema) == seeds.SEEDS
    assert table["tokens"].to_list() == [992, 10_944]
    for row in table.to_dicts():
        r = [one[row["tokens"]] for one in values]
        low, high = stats.t.interval(0.95, 2, np.mean(r), stats.sem(r))
        expected = [np.mean(r), np.std(r, ddof=1), low, high]
        assert [row[key] for key in ("mean", "sd", "low", "high")] == pytest.approx(expected)
        about = ("family", "probe", "group", "reference", "statistic", "n", "n_seeds")
        assert [row[key] for key in about] == ["opt", "p", "nonce", "human", "r", 30, 3]
        assert (row["phenomenon"], row["uid"]) == (None, None)


def test_seeds_in_which_it_is_undefined_are_not_counted():
    values = [{0: None, 10: 0.2, 20: 0.1}, {0: None, 10: None, 20: 0.3}]
    tables = [correlation_table(f"s{i}", one, n=20 + i) for i, one in enumerate(values)]
    found = over_seeds("opt", tables[::-1], []).to_dicts()
    assert [row["n_seeds"] for row in found] == [0, 1, 2]
    assert [row["mean"] for row in found] == [None, 0.2, pytest.approx(0.2)]
    assert [(row["sd"], row["low"], row["high"]) for row in found[:2]] == [(None,) * 3] * 2
    # half the width is 12.706 standard errors, which are .1; r can't be above 1 or below -1
    assert [found[2][key] for key in ("low", "high")] == [-1, 1]
    assert {row["n"] for row in found} == {20}


def test_pairs_and_items_stand_in_one_table():
    items = [correlation_table(f"s{i}", {10: 0.1 * i, 20: 0.2}) for i in (1, 2)]
    pairs = [pair_table(f"s{i}", {10: 0.9 + 0.05 * i, 20: 0.5}) for i in (1, 2)]
    pairs += [pair_table(f"s{i}", {10: 0.9, 20: 0.6 + 0.1 * i}, uid="across") for i in (1, 2)]
    table = over_seeds("opt", items, pairs)
    assert table.select("statistic", "tokens", "phenomenon", "uid").rows() == [
        ("r", 10, None, None),
        ("r", 20, None, None),
        ("accuracy", 10, "agreement", "all"),
        ("accuracy", 10, "agreement", "across"),
        ("accuracy", 20, "agreement", "all"),
        ("accuracy", 20, "agreement", "across"),
    ]
    assert table["mean"].to_list() == pytest.approx([0.15, 0.2, 0.975, 0.9, 0.5, 0.75])
    assert table["high"].to_list()[2] == 1  # an accuracy can't be more
    assert table["sd"].to_list()[1] == pytest.approx(0)
    assert dict(over_seeds("opt", [], []).schema) == seeds.SEEDS


def test_the_interval_holds_the_planted_mean():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        values = rng.normal(0.4, 0.05, size=5)
        tables = [correlation_table(f"s{i}", {10: r}) for i, r in enumerate(values)]
        row = over_seeds("opt", tables, []).row(0, named=True)
        missed += not row["low"] <= 0.4 <= row["high"]
    assert 2 <= missed <= stats.binom.ppf(0.999, 200, 0.05)


# ---------------------------------------------------------------------------- agreement


def preference_table(run, matrix, tokens=(0, 992, 10_944), probe="p"):
    rows = [
        (run, f"step-{count}", count, count, probe, f"item{i:03d}", 8, float(value))
        for count, values in zip(tokens, matrix, strict=True)
        for i, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=PREFERENCES, orient="row")


def test_agreement_is_r_and_the_share_of_equal_signs():
    rng = np.random.default_rng(1)
    common = rng.normal(size=(3, 50))
    matrices = {run: common + rng.normal(size=(3, 50)) for run in ("s1", "s2", "s3")}
    matrices["s1"][1, :4] = 0  # a preference for neither order is half an agreement
    matrices["s2"][1, :2] = 0
    tables = {run: preference_table(run, matrix) for run, matrix in matrices.items()}
    shuffled = {run: t.sample(fraction=1, shuffle=True, seed=2) for run, t in tables.items()}
    table = agreement("opt", {**tables, "s2": shuffled["s2"]})
    assert dict(table.schema) == seeds.AGREEMENT
    pairs = [("s1", "s2"), ("s1", "s3"), ("s2", "s3")]
    assert table.select("tokens", "run_a", "run_b").rows() == [
        (tokens, *pair) for tokens in (0, 992, 10_944) for pair in pairs
    ]
    for number, row in enumerate(table.to_dicts()):
        x, y = (matrices[row[key]][number // 3] for key in ("run_a", "run_b"))
        theirs = stats.pearsonr(x, y)
        interval = theirs.confidence_interval(0.95)
        expected = [theirs.statistic, interval.low, interval.high]
        assert [row[key] for key in ("r", "r_low", "r_high")] == pytest.approx(expected)
        half = sum(0.5 for a, b in zip(x, y, strict=True) if a == 0 or b == 0)
        same = sum(a * b > 0 for a, b in zip(x, y, strict=True)) + half
        assert row["same_sign"] == pytest.approx(same / 50)
        p, z = same / 50, 1.959963984540054
        middle, wide = p + z * z / 100, z * math.sqrt(p * (1 - p) / 50 + z * z / 10_000)
        expected = [(middle - wide) / (1 + z * z / 50), (middle + wide) / (1 + z * z / 50)]
        found = [row["same_sign_low"], row["same_sign_high"]]
        assert found == pytest.approx(expected, abs=1e-9)
        assert (row["family"], row["probe"], row["n"]) == ("opt", "p", 50)


def test_planted_agreement_is_found_and_none_where_none_was_planted():
    """A true r of .5: the share of equal signs is 1/2 + arcsin(.5) / pi = 2/3 (Sheppard 1899)."""
    rng = np.random.default_rng(2)
    missed = dict.fromkeys(("r", "same_sign"), 0)
    for _ in range(60):
        common = rng.normal(size=150)
        rows = [np.array([common, np.zeros(150)]) + rng.normal(size=(2, 150)) for _ in range(2)]
        tables = {f"s{i}": preference_table(f"s{i}", one, (1, 2)) for i, one in enumerate(rows)}
        for row, expected in zip(
            agreement("opt", tables).to_dicts(),
            ({"r": 0.5, "same_sign": 2 / 3}, {"r": 0, "same_sign": 0.5}),
            strict=True,
        ):
            for key, value in expected.items():
                missed[key] += not row[f"{key}_low"] <= value <= row[f"{key}_high"]
    assert max(missed.values()) <= stats.binom.ppf(0.999, 120, 0.05), missed


def test_equal_preferences_have_no_correlation():
    x = np.random.default_rng(3).normal(size=(1, 20))
    tables = {"a": preference_table("a", x, [5]), "b": preference_table("b", 0 * x, [5])}
    (row,) = agreement("opt", tables).to_dicts()
    assert (row["r"], row["r_low"], row["r_high"], row["same_sign"]) == (None, None, None, 0.5)


def test_each_probe_by_itself_and_no_probe_at_all():
    x = np.random.default_rng(4).normal(size=(1, 20))
    both = {
        run: pl.concat(
            [preference_table(run, sign * x, [5]), preference_table(run, x[:, :9], [5], probe="q")]
        )
        for run, sign in (("a", 1), ("b", -1))
    }
    rows = agreement("opt", both).select("probe", "n", "r").rows()
    assert rows == [("p", 20, pytest.approx(-1)), ("q", 9, pytest.approx(1))]
    assert agreement("opt", {}).is_empty()


def test_runs_with_other_items_or_checkpoints_are_named():
    x = np.random.default_rng(5).normal(size=(3, 20))
    table = preference_table("a", x)
    with pytest.raises(ValueError, match=r"run 'b', step-0: no preference for 1 items, .*'item019"):
        agreement("opt", {"a": table, "b": preference_table("b", x[:, :19])})
    with pytest.raises(ValueError, match="runs 'a' and 'b' differ in their checkpoints"):
        agreement("opt", {"a": table, "b": preference_table("b", x, (0, 992, 10_945))})


# ---------------------------------------------------------------------------- the script


def test_the_script_reads_the_tables_that_there_are(tmp_path):
    x = np.random.default_rng(6).normal(size=(4, 3, 20))
    for i, run in enumerate(("opt-1", "opt-2", "gpt-1", "gpt-2")):
        folder = tmp_path / "tables" / run
        folder.mkdir(parents=True)
        if run.startswith("opt"):
            preference_table(run, x[i]).write_csv(folder / "preferences.csv")
            correlation_table(run, {0: None, 992: 0.1 * i}).write_csv(folder / "correlations.csv")
        pair_table(run, {0: 0.5, 992: 0.6 + 0.1 * i}).write_csv(folder / "minimal_pairs.csv")
    outputs = tmp_path / "seeds.csv", tmp_path / "agreement.csv"
    script = [sys.executable, PROJECT / "scripts" / "seeds.py", "--study-folder", tmp_path]
    script += ["--family", "opt", "opt-1", "opt-2", "--family", "gpt", "gpt-1", "gpt-2"]
    done = subprocess.run(
        [*script, "--seeds", outputs[0], "--agreement", outputs[1]], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = pl.read_csv(outputs[0], schema_overrides=seeds.SEEDS)
    assert table.columns == list(seeds.SEEDS)
    assert table.select("family", "statistic", "tokens", "n_seeds", "mean").rows() == [
        ("opt", "r", 0, 0, None),
        ("opt", "r", 992, 2, pytest.approx(0.05)),
        ("opt", "accuracy", 0, 2, 0.5),
        ("opt", "accuracy", 992, 2, pytest.approx(0.65)),
        ("gpt", "accuracy", 0, 2, 0.5),
        ("gpt", "accuracy", 992, 2, pytest.approx(0.85)),
    ]
    agreements = pl.read_csv(outputs[1], schema_overrides=seeds.AGREEMENT)
    assert agreements.columns == list(seeds.AGREEMENT)
    assert agreements.select("family", "tokens").rows() == [("opt", t) for t in (0, 992, 10_944)]


def test_the_script_names_a_run_that_lacks_a_table_and_a_family_of_one(tmp_path):
    folder = tmp_path / "tables" / "opt-1"
    folder.mkdir(parents=True)
    pair_table("opt-1", {0: 0.5}).write_csv(folder / "minimal_pairs.csv")
    script = [sys.executable, PROJECT / "scripts" / "seeds.py", "--study-folder", tmp_path]
    script += ["--seeds", tmp_path / "s.csv", "--agreement", tmp_path / "a.csv", "--family", "opt"]
    for runs, code, complaint in (
        (["opt-1", "opt-2"], 1, "opt-2/minimal_pairs.csv: No such file or directory"),
        (["opt-1"], 2, "--family opt: give two runs or more"),
    ):
        done = subprocess.run([*script, *runs], capture_output=True, text=True)
        assert done.returncode == code
        assert done.stderr.splitlines()[-1].endswith(complaint)
        assert [path.name for path in tmp_path.iterdir()] == ["tables"]
