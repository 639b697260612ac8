"""Dry runs: which jobs a target asks for. Nothing is made."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from ontogeny.study import load_study

PROJECT = Path(__file__).resolve().parents[2]
# Snakemake itself imports numpy and pandas.
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "polars",
    "scipy",
    "statsmodels",
    "plotnine",
    "huggingface_hub",
    "matplotlib",
    "safetensors",
}

RUNS = {"corpus": 1, "tokenizer": 1, "architecture": 1, "tokens": 1, "train_0": 2, "train_1": 2}
STIMULI = {"toy_items": 1, "toy_minimal_pairs": 1, "index": 2}
SCORES = {**RUNS, **STIMULI, "score_0": 2, "score_1": 2}
EXPOSURES = {"corpus": 1, "tokenizer": 1, "tokens": 1, "toy_items": 1, "occurrences": 1}
OF_BINOMIALS = ("preferences", "correlations", "trajectories", "regressions", "learning")
OF_PAIRS = ("minimal_pairs", "stuck", "bigrams", "bigram_hypothesis")
ABOUT = {"about": 1, "runs_table": 1}
TABLES = {
    **SCORES,
    **ABOUT,
    **{"occurrences": 1, "exposures": 2, "comparisons": 1},
    **dict.fromkeys([*OF_BINOMIALS, *OF_PAIRS, "losses", "perplexity"], 2),
}
RUN_FIGURES = (
    *("loss", "perplexity", "correlation", "relative_frequency", "thresholds", "coefficients"),
    *("minimal_pairs", "paradigms", "entrenchment", "bigrams"),
)
FIGURES = {**TABLES, **{f"plot_{figure}": 2 for figure in RUN_FIGURES}, "plot_overview": 1}
ONLY_TABLES = ("trajectories", "comparisons", *ABOUT)  # no figure is made from them


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        ("corpora", {"corpus": 1}),
        ("runs", RUNS),
        ("scores", SCORES),
        ("exposure", {**EXPOSURES, "exposures": 2}),
        ("tables", TABLES),
        ("figures", {rule: n for rule, n in FIGURES.items() if rule not in ONLY_TABLES}),
        ("all", FIGURES),
    ],
)
def test_a_target_asks_for_its_jobs_and_no_others(elsewhere, tiny, target, jobs):
    elsewhere.write(tiny)
    assert elsewhere.dry_run(target).counts == {**jobs, target: 1}


def test_the_default_study_runs_without_arguments(elsewhere):
    study = load_study(yaml.safe_load((PROJECT / "config.yaml").read_text()))
    expected = Counter(corpus=len(study.corpora), tokenizer=len(study.tokenizers), all=1)
    expected.update(toy_items=1, toy_minimal_pairs=1, index=2)
    expected["tokens"] = len({(run.corpus, run.tokenizer) for run in study.runs.values()})
    expected["architecture"] = len(
        {(run.architecture, run.tokenizer) for run in study.runs.values()}
    )
    expected["occurrences"] = expected["tokens"]
    expected.update(["plot_overview", "comparisons", "seeds", "plot_seeds", *ABOUT])
    for run in study.runs.values():
        expected.update(f"train_{segment.number}" for segment in run.segments())
        expected.update(f"score_{segment.number}" for segment in run.segments())
        expected.update(["losses", "perplexity", "exposures", *OF_BINOMIALS, *OF_PAIRS])
        expected.update(f"plot_{figure}" for figure in RUN_FIGURES)
    dry = elsewhere.dry_run()
    assert dry.counts == expected
    assert len(study.runs) == 6
    assert not (elsewhere.folder / "results").exists()


def test_one_figure_asks_for_one_run(elsewhere):
    dry = elsewhere.dry_run("results/demo/figures/opt-s-diverse-1/correlation.png")
    stages = Counter(rule.rstrip("0123456789_") for rule in dry.counts)
    assert stages["correlations"] == stages["plot_correlation"] == 1
    assert stages["corpus"] == stages["tokens"] == stages["toy_items"] == 1
    assert stages["train"] == stages["score"] > 0
    # a segment is scored on all probes at once
    assert {rule for rule, count in dry.counts.items() if count > 1} == {"index"}
    assert dry.counts["index"] == 2
    assert set(stages) <= {
        *("corpus", "tokenizer", "architecture", "tokens", "toy_items", "toy_minimal_pairs"),
        *("index", "train", "score", "occurrences", "exposures", "preferences"),
        *("correlations", "plot_correlation"),
    }
    assert "opt-s-diverse-1" in dry.output
    for other in ("opt-s-diverse-2", "repeated"):
        assert other not in dry.output


def test_a_given_study_takes_the_place_of_the_default(elsewhere, tiny):
    elsewhere.write(tiny)
    dry = elsewhere.dry_run()
    assert "results/tiny/" in dry.output
    for of_the_default in ("results/demo", "opt-s", "diverse", "repeated"):
        assert of_the_default not in dry.output


def test_runs_with_other_schedules_keep_their_own_segments(elsewhere, tiny):
    tiny["runs"]["fast"]["checkpoints"] = {"every_steps": 100, "per_segment": 1}
    elsewhere.write(tiny)
    dry = elsewhere.dry_run("runs")
    trained = {message for message in dry.jobs if message.startswith("Train")}
    assert trained == {
        "Train slow to step 100",
        "Train slow to step 200",
        "Train fast to step 100",
        "Train fast to step 200",
    }


def test_a_study_without_probes_trains_and_draws_the_loss(elsewhere, tiny):
    tiny["probes"] = {}
    elsewhere.write(tiny)
    expected = {**RUNS, **ABOUT, "losses": 2, "plot_loss": 2, "all": 1}
    assert elsewhere.dry_run().counts == expected


def test_parsing_imports_no_heavy_library(elsewhere, tiny):
    elsewhere.write(tiny)
    python, *arguments = elsewhere.command("--dry-run", "--quiet", "all")
    done = subprocess.run(
        [python, "-X", "importtime", *arguments],
        cwd=elsewhere.folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "ontogeny" in imported
    assert imported & HEAVY == set()
