"""What is made again, and what is not, after something has changed."""

import re
import shutil

import polars as pl
import pytest
from result_files import contents

pytestmark = pytest.mark.workflow

OF_BINOMIALS = ("preferences", "correlations", "trajectories", "regressions", "learning")
OF_PAIRS = ("minimal_pairs", "stuck", "bigram_hypothesis")
GATHERING = dict.fromkeys([*OF_BINOMIALS, *OF_PAIRS, "perplexity"], 1)
DRAWING = {
    f"plot_{figure}": 1
    for figure in (
        *("correlation", "relative_frequency", "thresholds", "coefficients"),
        *("minimal_pairs", "paradigms", "entrenchment", "bigrams", "perplexity"),
    )
}
FIGURES = {**DRAWING, "plot_overview": 1, "comparisons": 1, "all": 1}
ABOUT = {"about": 1, "runs_table": 1}


def identities(folder):
    """Which file stands at each path: a file that is written again is another one."""
    return {path: path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def test_a_removed_score_file_is_made_again_and_no_other(project, finished):
    removed = project.results / "scores" / "binomials" / "fast" / "step-00000050.csv"
    removed.unlink()
    dry = project.dry_run()
    assert dry.counts == {"score_0": 1, **GATHERING, **FIGURES}
    name = str(removed.relative_to(project.folder))
    assert dry.jobs["Score fast to step 100"] == f"Missing output files: {name}"

    scores = project.results / "scores"
    before = identities(scores)
    printed = project.make("scores", "tables")
    assert printed.count("Results: results/tiny/ (tables/, figures/)\n") == 1
    assert contents(scores) == contents(finished.results / "scores")
    assert contents(project.results / "tables") == contents(finished.results / "tables")
    after = identities(scores)
    assert after.keys() - before.keys() == {removed}
    assert {path for path in before if before[path] != after[path]} == set()
    assert project.dry_run("scores", "tables").counts == {}


def test_a_damaged_score_file_is_repaired_when_its_segment_is_scored_again(project, finished):
    """Snakemake compares times, not contents, so a file that was cut short looks newer than its
    inputs and is used as it is. The score job compares contents, so asking for the file by force
    writes it again, and no other."""
    damaged = project.results / "scores" / "binomials" / "fast" / "step-00000050.csv"
    text = damaged.read_text()
    damaged.write_text(text[: len(text) // 2])
    name = str(damaged.relative_to(project.folder))
    assert set(project.dry_run("scores").counts) == set()
    assert project.dry_run("scores", "--forcerun", name).counts == {"score_0": 1, "scores": 1}

    scores = project.results / "scores"
    before = identities(scores)
    project.make("scores", "--forcerun", name)
    assert contents(scores) == contents(finished.results / "scores")
    after = identities(scores)
    assert {path for path in before if before[path] != after[path]} == {damaged}


@pytest.mark.parametrize(
    ("probe", "table", "kept"),
    [
        ("binomials", "correlations", 1 + 180),
        ("grammar", "minimal_pairs", 1 + 450),
        ("held-out", "perplexity", 1),
    ],
)
def test_a_score_file_that_was_cut_short_stops_its_table(project, probe, table, kept):
    """Also where the cut is between two lines, and each item is still there in some prompt."""
    damaged = project.results / "scores" / probe / "fast" / "step-00000050.csv"
    damaged.write_text("".join(damaged.read_text().splitlines(keepends=True)[:kept]))
    done = project.call("--cores", "1", f"results/tiny/tables/fast/{table}.csv")
    assert done.returncode != 0
    name = damaged.relative_to(project.folder)
    assert f"error: {name}: is not what was written; remove it to make it again" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_removed_figure_is_one_job(project):
    (project.results / "figures" / "slow" / "loss.svg").unlink()
    assert project.dry_run().counts == {"plot_loss": 1, "all": 1}


def test_deleting_scored_checkpoints_makes_nothing_stale(project):
    for run in ("slow", "fast"):
        shutil.rmtree(project.results / "runs" / run / "checkpoints")
    assert project.dry_run().counts == {}


def test_what_changes_no_result_remakes_nothing(project, tiny):
    """Resources, comments in the study and in scripts, the times of files."""
    tiny["resources"] = {
        stage: {"threads": 2, "batch_tokens": 64, "mem_mb": 9_000, "runtime": 5}
        for stage in ("corpus", "train", "score", "analysis")
    }
    tiny["keep_checkpoints"] = "none"
    project.write(tiny)
    with open(project.study, "a") as file:
        file.write("# A comment.\n")
    for script in (project.folder / "scripts").rglob("*.py"):
        with open(script, "a") as file:
            file.write("# A comment.\n")
    (project.folder / "data" / "toy" / "prompts.csv").touch()
    assert project.dry_run().counts == {}


def test_another_order_of_runs_changes_what_the_study_says_of_itself_alone(project, tiny):
    tiny["runs"] = dict(reversed(tiny["runs"].items()))
    project.write(tiny)
    assert project.dry_run().counts == {**ABOUT, "all": 1}


def test_a_run_that_changes_is_made_again_alone(project, tiny):
    tiny["runs"]["fast"]["optimizer"]["lr"] = 2e-2
    project.write(tiny)
    dry = project.dry_run()
    assert dry.counts == {
        **{"train_0": 1, "train_1": 1, "score_0": 1, "score_1": 1, "losses": 1},
        **{**GATHERING, "plot_loss": 1, **FIGURES, **ABOUT},
    }
    assert "Figure: overview of the study" in dry.jobs
    assert [message for message in dry.jobs if "slow" in message] == []


def test_a_new_run_is_made_beside_the_others(project, tiny):
    tiny["runs"]["faster"] = {**tiny["runs"]["fast"], "seed": 1}
    project.write(tiny)
    dry = project.dry_run()
    made = {message for message in dry.jobs if "faster" not in message}
    assert made == {
        "Figure: overview of the study",
        "Comparison of all runs, item by item",
        "Table of all runs",
        "What this study is, and what is where",
        "Mean and spread over seeds",  # of `fast` and `faster`
        "Figure: seeds of the study",
    }


def test_a_changed_probe_trains_nothing(project, tiny):
    tiny["probes"]["binomials"]["max_prompts"] = 3
    project.write(tiny)
    dry = project.dry_run()
    stages = {"index": 1, "score_0": 2, "score_1": 2}
    of_both_runs = dict.fromkeys([*GATHERING, *DRAWING], 2)
    once = {"plot_overview": 1, "comparisons": 1, "all": 1, **ABOUT}
    assert dry.counts == {**stages, **of_both_runs, **once}


def test_checkpoints_that_are_not_kept_go_when_they_are_scored(project, finished, tiny):
    tiny["keep_checkpoints"] = "none"
    project.write(tiny)
    assert project.dry_run().counts == {}
    tiny["runs"]["slow"]["seed"] = 3
    project.write(tiny)
    project.make("scores", "tables")
    checkpoints = project.results / "runs" / "slow" / "checkpoints"
    assert list(checkpoints.glob("*/model.safetensors")) == []
    assert len(list((project.results / "runs/fast/checkpoints").glob("*/model.safetensors"))) == 6
    assert len(list((project.results / "scores/grammar/slow").iterdir())) == 6
    assert project.dry_run("scores", "tables").counts == {}
    tiny["keep_checkpoints"] = "all"
    project.write(tiny)
    assert project.dry_run("scores", "tables").counts == {}


def test_compressed_scores_make_the_same_tables(project, finished, tiny):
    tiny["score_files"] = "csv.zst"
    project.write(tiny)
    project.make("tables")
    assert contents(project.results / "tables") == contents(finished.results / "tables")
    scores = project.results / "scores"
    plain, compressed = (sorted(scores.rglob(f"*.{end}")) for end in ("csv", "csv.zst"))
    assert [file.with_suffix("") for file in compressed] == plain
    for file, same in zip(compressed, plain, strict=True):
        assert file.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"  # RFC 8878
        assert pl.read_csv(file).equals(pl.read_csv(same))
    sizes = [sum(file.stat().st_size for file in files) for files in (compressed, plain)]
    assert sizes[0] < sizes[1] / 2

    for probe in ("grammar", "held-out"):
        damaged = scores / probe / "fast" / "step-00000050.csv.zst"
        damaged.write_bytes(damaged.read_bytes()[:-9])
        table = {"grammar": "minimal_pairs", "held-out": "perplexity"}[probe]
        done = project.call("--cores", "1", f"results/tiny/tables/fast/{table}.csv")
        assert done.returncode != 0
        name = damaged.relative_to(project.folder)
        assert re.search(rf"error: {name}: .*; remove it to make it again", done.stdout)
