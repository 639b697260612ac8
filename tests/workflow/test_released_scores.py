"""Published scores come in, and all that is made of scores is made of them."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PROJECT = Path(__file__).resolve().parents[2]
RELEASED = PROJECT.parent / "shared/data/released_scores"
MODEL = "opt-babylm-125m-ablated-20eps-seed964"
STEPS = [12, 348, 1140, 1860]

pytestmark = pytest.mark.workflow


def published(path, step, value, prompts=("Here, ", " "), items=("ants and bees", "cats and dogs")):
    """A score file in few columns; `value(prompt, item)` is the preference."""
    rows = [
        {
            "model": "someone/opt",
            "step": step,
            "prompt": prompt,
            "binom": item,
            "alpha_logprob": value(p, i) - 20,
            "nonalpha_logprob": -20,
        }
        for p, prompt in enumerate(prompts)
        for i, item in enumerate(items)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)


@pytest.fixture
def small(elsewhere):
    """Two runs on a probe of four items, of which one lacks checkpoints."""
    items = ["ants and bees", "cats and dogs", "eggs and figs", "gold and hats"]
    values = np.random.default_rng(0).normal(size=(4, 2, 4)).round(3)
    with open(elsewhere.folder / "items.csv", "w", newline="") as file:
        rows = ([*item.split(" and "), 0, i] for i, item in enumerate(items))
        csv.writer(file).writerows([("Word1", "Word2", "Attested", "Place"), *rows])
    for number, step in enumerate([8, 992, 16]):
        for name in ("a", "b"):
            path = elsewhere.folder / f"{name}_step-{step}.csv"
            published(path, step, lambda p, i, n=number: values[n, p, i], items=items)
    run = {"source": "scores", "probe": "pairs", "tokens_per_step": 100}
    study = {
        "study": "tiny",
        "probes": {
            "pairs": {
                "type": "binomials",
                "items": str(elsewhere.folder / "items.csv"),
                "prompts": str(elsewhere.folder / "a_step-8.csv"),
                "frequency_bins": 0,
                "references": {"place": {"column": "Place", "midpoint": 1.5}},
            }
        },
        "runs": {
            "one": {**run, "files": [str(elsewhere.folder / "a_*.csv")]},
            "two": {
                **run,
                "files": [str(elsewhere.folder / "b_*.csv")],
                "last_step": 992,
                "checkpoints": {"every_steps": 8},
            },
        },
    }
    elsewhere.write(study)
    return elsewhere, study, values


def test_two_published_runs_become_tables_and_figures(small):
    workflow, study, values = small
    assert workflow.dry_run("tables").counts == {
        **{"import_scores_0": 1, "import_scores_1": 1, "completeness": 2},
        **{"preferences": 2, "correlations": 2, "trajectories": 2, "comparisons": 1},
        **{"about": 1, "runs_table": 1, "tables": 1},
    }
    output = workflow.make("tables")
    assert "run two: 3 of 124 expected checkpoints, 121 missing: 24-984" in output
    assert "run one: 3 checkpoints, 8-992; the study does not say which were published" in output
    tables = workflow.results / "tables"
    table = pd.read_csv(tables / "two" / "correlations.csv").query("group == 'all'")
    assert table["step"].tolist() == [8, 16, 992]
    assert table["tokens"].tolist() == [800, 1600, 99_200]
    for number, r in zip([0, 2, 1], table["r"], strict=True):
        expected = np.corrcoef(values[number].mean(axis=0), np.arange(4))[0, 1]
        assert r == pytest.approx(expected, abs=1e-9)
    table = pd.read_csv(tables / "two" / "completeness.csv")
    assert table["step"].tolist() == list(range(8, 993, 8))
    assert (table["tokens"] == 100 * table["step"]).all()
    assert (table["expected"] == 1).all()
    assert table.query("present == 1")["step"].tolist() == [8, 16, 992]
    assert table.query("present == 1")["precision"].unique().tolist() == ["finer"]

    # nothing is made twice, and a schedule changes the report alone
    assert workflow.dry_run("scores", "tables").counts == {}
    study["runs"]["two"]["last_step"] = 984
    workflow.write(study)
    again = ("completeness", "preferences", "correlations", "trajectories", "comparisons")
    again += ("about", "runs_table")
    assert workflow.dry_run("tables").counts == {**dict.fromkeys(again, 1), "tables": 1}
    output = workflow.make("tables")
    assert "run two: 2 of 123 expected checkpoints, 121 missing: 24-984; 1 beside the" in output


def test_only_what_is_missing_or_changed_is_made_again(small):
    workflow, _, _ = small
    workflow.make("scores")
    folder = workflow.results / "scores" / "pairs" / "one"
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    assert sorted(before) == ["step-00000008.csv", "step-00000016.csv", "step-00000992.csv"]

    (folder / "step-00000016.csv").unlink()
    assert workflow.dry_run("scores").counts == {"import_scores_0": 1, "scores": 1}
    workflow.make("scores")
    after = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} <= {"step-00000016.csv"}
    assert after["step-00000016.csv"][1] == before["step-00000016.csv"][1]

    published_file = workflow.folder / "a_step-992.csv"
    published_file.write_text(published_file.read_text().replace(",-20", ",-21"))
    assert workflow.dry_run("scores").counts == {"import_scores_0": 1, "scores": 1}
    workflow.make("scores")
    last = {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}
    assert {name for name in last if last[name] != after[name]} == {"step-00000992.csv"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "a_step8.csv").write_text(
                (folder / "a_step-8.csv").read_text()
            ),
            "runs.one: two files are of step 8",
        ),
        (lambda folder: (folder / "a_step-8.csv").rename(folder / "a_final.csv"), "tell the step"),
        (lambda folder: (folder / "a_step-992.csv").write_text(""), "runs.one: .*the file has no"),
        (
            lambda folder: (folder / "a_step-8.csv").rename(folder / "a_step-9.csv"),
            "step is 8, but",
        ),
    ],
)
def test_bad_names_and_headers_stop_before_anything_starts(small, spoil, message):
    workflow, study, _ = small
    study["probes"]["pairs"]["prompts"] = str(workflow.folder / "b_step-8.csv")
    workflow.write(study)
    spoil(workflow.folder)
    done = workflow.call("--dry-run")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "runs.one" in line]
    assert re.search(message, line), line


def test_a_bad_row_ends_the_job_with_one_line(small):
    workflow, _, _ = small
    path = workflow.folder / "b_step-16.csv"
    path.write_text(path.read_text().replace("cats and dogs", "cows and dogs"))
    done = workflow.call("--cores", "1", "scores")
    assert done.returncode != 0
    errors = {line for line in done.stdout.splitlines() if line.startswith("error: ")}
    (error,) = errors
    assert error.startswith(f"error: {path}, line 3: binom 'cows and dogs' is not among the probe")
    assert "Traceback" not in done.stdout


@pytest.mark.skipif(not RELEASED.is_dir(), reason="the released scores are not here")
def test_released_scores_of_a_real_model(elsewhere):
    """All files as they were released."""
    bigrams = pd.read_csv(RELEASED / "bigram_stats.csv")
    bigrams["Ratio"] = np.log(bigrams["bigram_alpha"] / bigrams["bigram_nonalpha"])
    elsewhere.write(
        {
            "study": "tiny",
            "probes": {
                "novel": {
                    "type": "binomials",
                    "items": str(RELEASED / "bigram_stats.csv"),
                    "word1": "word1",
                    "word2": "word2",
                    "prompts": str(RELEASED / f"{MODEL}_step-12.csv"),
                    "frequency_bins": 0,
                    "references": {"bigram": {"log_ratio": ["bigram_alpha", "bigram_nonalpha"]}},
                }
            },
            "runs": {
                "ablated": {
                    "source": "scores",
                    "probe": "novel",
                    "files": [str(RELEASED / "*_step-*.csv")],
                    "last_step": 1992,
                    "checkpoints": {"every_steps": 12},
                }
            },
        }
    )
    output = elsewhere.make()
    missing = "162 missing: 24-336, 360-1128, 1152-1848, 1872-1992"
    assert f"run ablated: 4 of 166 expected checkpoints, {missing}" in output
    assert "4 of 4 files hold half-precision numbers (fp16)" in output

    table = pd.read_csv(elsewhere.results / "tables/ablated/correlations.csv")
    table = table.query("group == 'all'")
    assert table["step"].tolist() == STEPS
    assert table["tokens"].tolist() == [step * 1_638_400 for step in STEPS]
    assert (table["n"] == 431).all()
    ties = {}
    for step, r in zip(STEPS, table["r"], strict=True):
        scores = pd.read_csv(RELEASED / f"{MODEL}_step-{step}.csv")
        ties[step] = (scores["alpha_logprob"] == scores["nonalpha_logprob"]).mean()
        means = scores.groupby("binom_alpha")["preference"].mean()
        assert r == pytest.approx(bigrams.set_index("binom_alpha")["Ratio"].corr(means), abs=1e-9)

    table = pd.read_csv(elsewhere.results / "tables/ablated/completeness.csv")
    assert len(table) == 166
    there = table.query("present == 1")
    assert there["step"].tolist() == STEPS
    assert (there["precision"] == "fp16").all()
    # multiples of 1/128 from 8 to 16 nats, of 1/64 from 16 to 32 (no sum at step 12 is smaller)
    assert there["multiple_of"].tolist() == [1 / 64, 1 / 128, 1 / 128, 1 / 128]
    assert there["tie_rate"].tolist() == pytest.approx([ties[step] for step in STEPS], abs=1e-12)
    for suffix in ("png", "svg"):
        assert (elsewhere.results / f"figures/ablated/correlation.{suffix}").stat().st_size > 1000
        assert (elsewhere.results / f"figures/overview.{suffix}").stat().st_size > 1000
