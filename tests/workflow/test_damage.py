"""A disk that is full and files that are damaged: a study ends with the same bytes, and what was
whole is not made again."""

import os
import re
import shutil
import subprocess

import pytest
from result_files import contents, is_record

pytestmark = pytest.mark.workflow


def mount(place, options):
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def small_disk(project):
    """Put a disk of so many kB in the place of a folder of the results."""
    places = []

    def small_disk(folder, kilobytes):
        place = project.results / folder
        shutil.rmtree(place)
        place.mkdir()
        done = mount(place, f"size={kilobytes}k")
        if done.returncode:
            pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")
        places.append(place)
        # Snakemake removes folders that a failed job leaves empty; a mounted one can't be removed
        (place / "not-empty").touch()
        return place

    yield small_disk
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


def states_of(folder):
    """Content, and which file it is, of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not is_record(path))
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_ino) for path in files}


@pytest.mark.parametrize(
    ("folder", "kilobytes", "target", "pattern"),
    [
        ("runs/slow", 500, "runs", "runs/slow/**/*.safetensors"),
        ("scores/grammar/slow", 200, "scores", "scores/grammar/slow/*.csv"),
    ],
)
def test_a_full_disk_loses_nothing(
    project, finished, small_disk, folder, kilobytes, target, pattern
):
    place = small_disk(folder, kilobytes)
    done = project.call("--cores", "1", target)
    assert done.returncode != 0
    complaint = rf"^error: results/tiny/{folder}/.*: No space left on device$"
    assert re.search(complaint, done.stdout, re.M), done.stdout
    assert "Traceback" not in done.stdout
    assert list(place.rglob(".*.tmp")) == []  # nothing half-written

    assert mount(place, "remount,size=100m").returncode == 0
    project.make(target)
    assert contents(project.results, pattern) == contents(finished.results, pattern)
    assert project.dry_run(target).counts == {}


def test_a_checkpoint_that_was_cut_short_is_trained_again(project, finished):
    """With its whole run, whose states have gone; what was scored is not scored again."""
    checkpoint = project.results / "runs/fast/checkpoints/step-00000050/model.safetensors"
    os.truncate(checkpoint, checkpoint.stat().st_size // 2)
    scores = project.results / "scores"
    missing = scores / "grammar/fast/step-00000050.csv"
    missing.unlink()
    done = project.call("--cores", "1", "scores")
    assert done.returncode != 0
    name = checkpoint.relative_to(project.folder)
    assert f"error: {name}: is not what training wrote" in done.stdout
    assert "remove it to make it again" in done.stdout

    checkpoint.unlink()
    before = states_of(scores)
    both = {f"{stage}_{segment}": 1 for stage in ("train", "score") for segment in (0, 1)}
    assert project.dry_run("scores").counts == {**both, "scores": 1}
    project.make("scores")
    for pattern in ("scores/**/*.csv", "runs/**/*.safetensors"):
        assert contents(project.results, pattern) == contents(finished.results, pattern)
    after = states_of(scores)
    assert {path: after[path] for path in before} == before
    assert after.keys() - before.keys() == {missing.relative_to(scores)}


def test_a_score_file_cut_in_half_is_made_again(project, finished):
    scores = project.results / "scores"
    damaged = scores / "grammar/fast/step-00000050.csv"
    os.truncate(damaged, damaged.stat().st_size // 2)
    table = project.results / "tables/fast/minimal_pairs.csv"
    table.unlink()
    done = project.call("--cores", "1", "tables")
    assert done.returncode != 0
    assert f"error: {damaged.relative_to(project.folder)}: " in done.stdout
    assert "remove it to make it again" in done.stdout

    damaged.unlink()
    before = states_of(scores)
    project.make("tables")
    for pattern in ("scores/**/*.csv", "tables/**/*.csv"):
        assert contents(project.results, pattern) == contents(finished.results, pattern)
    after = states_of(scores)
    assert {path: after[path] for path in before} == before


def test_a_config_that_is_missing_is_told(project):
    """Beside the weights that are scored; it is no declared output."""
    config = project.results / "runs/fast/checkpoints/step-00000050/config.json"
    config.unlink()
    assert project.dry_run("scores").counts == {}
    (project.results / "scores/grammar/fast/step-00000050.csv").unlink()
    done = project.call("--cores", "1", "scores")
    assert done.returncode != 0
    complaint = f"error: {config.relative_to(project.folder)}: it is missing; copy that of another"
    assert complaint in done.stdout
    assert "Traceback" not in done.stdout
