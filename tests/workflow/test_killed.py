"""A study that is killed goes on where it was, and ends as if nothing had happened."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from ontogeny.origins import sha256

pytestmark = pytest.mark.workflow

PATIENCE = 600  # seconds until a file must be there


def kill_when(workflow, target, exists):
    """Make a target; when `exists` is there, kill Snakemake and all that it started, at once."""
    process = workflow.start("--cores", "2", target)
    deadline = time.monotonic() + PATIENCE
    while not exists.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert exists.exists(), (workflow.folder / "started.log").read_text()
    wait_for_group(process.pid)


def wait_for_group(group):
    """Wait until no process of a killed group is left."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        alive = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(its_group) == group and state != "Z":
                alive.append(stat)
        if not alive:
            return
        time.sleep(0.01)
    raise AssertionError(f"{alive} outlived the kill")


def finish(workflow, target):
    """What a person does next: unlock, then run again; returns what the dry run promises."""
    assert workflow.call("--cores", "2", target).returncode != 0
    assert workflow.call("--unlock").returncode == 0
    promised = workflow.dry_run("--rerun-incomplete", target)
    workflow.make("--rerun-incomplete", target)
    return promised


def visible_files(folder):
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    shown = {path for path in files if not any(part[0] == "." for part in path.parts)}
    return {path for path in shown if not path.match("*.scores.json")}


def test_killed_training_ends_with_the_same_weights(project, finished):
    run = Path("runs", "slow")
    shutil.rmtree(project.results / run)
    checkpoints = project.results / run / "checkpoints"
    kill_when(project, "runs", checkpoints / "step-00000150" / "config.json")
    segments = project.results / run / "segments"
    assert (segments / "0000.manifest.json").exists()
    assert not (segments / "0001.manifest.json").exists()
    assert not (checkpoints / "step-00000200" / "config.json").exists()

    assert finish(project, "runs").counts == {"train_1": 1, "runs": 1}
    for expected in (finished.results / run).rglob("*.safetensors"):
        made = project.results / expected.relative_to(finished.results)
        assert sha256(made) == sha256(expected), made
    assert project.dry_run("runs").counts == {}
    # What the kill left half-written has a hidden name, which nothing reads.
    assert visible_files(project.results / run) == visible_files(finished.results / run)


def test_killed_scoring_ends_with_the_same_scores(project, finished):
    for probe in ("binomials", "grammar", "held-out"):
        shutil.rmtree(project.results / "scores" / probe / "slow")
    for record in (project.results / "runs" / "slow" / "segments").glob("*.scores.json"):
        record.unlink()
    first = project.results / "scores" / "binomials" / "slow" / "step-00000000.csv"
    kill_when(project, "scores", first)
    finish(project, "scores")
    for expected in (finished.results / "scores").rglob("*.csv"):
        made = project.results / expected.relative_to(finished.results)
        assert made.read_bytes() == expected.read_bytes(), made
    assert project.dry_run("scores").counts == {}
