"""What goes wrong on a cluster: a study ends with the same bytes, and what was whole is not made
again."""

import os
import re
import shutil
import signal
from collections import Counter
from functools import partial

import pytest
from calling_slurm import SLURM, jobs_by_number, turns
from one_node import run, wait_for

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("slurm")]
SEGMENT_1 = "train_slow_1"
OF_THE_REST = {"train_slow_0": 1, "score_slow_0": 1, "score_slow_1": 1}


@pytest.fixture
def unfinished(to_cluster, project, tiny):
    """The tiny study without one of its runs."""
    tiny["resources"] = {"train": {"gpu": 1}, "score": {"gpu": 1}}
    project.write(tiny)
    shutil.rmtree(project.results / "runs" / "slow")
    for scores in (project.results / "scores").iterdir():
        shutil.rmtree(scores / "slow")
    return to_cluster(project)


@pytest.fixture
def start(unfinished):
    """Start the study; returns Snakemake's process, and the turn of the training that then stands
    still between two checkpoints of its second segment. The first segment is scored by then."""
    started = []

    def start(*args):
        hold = unfinished.folder / "hold.txt"
        checkpoints = unfinished.results / "runs" / "slow" / "checkpoints"
        hold.write_text(str(checkpoints / "step-00000150" / "config.json"))
        controller = unfinished.start("scores", *SLURM, *args)
        started.append(controller)
        wait_for(
            "training stands still",
            lambda: bool(turns(unfinished, "hold")) or controller.poll() is not None,
            600,
        )
        assert controller.poll() is None, log_of(unfinished)
        hold.unlink()
        assert not (checkpoints / "step-00000200" / "config.json").exists()
        (held,) = turns(unfinished, "hold")
        scored = partial(states, unfinished, "score_slow_0")
        wait_for("the first segment is scored", lambda: "COMPLETED" in scored(), 600)
        return controller, held

    yield start
    for controller in started:
        if controller.poll() is None:
            os.killpg(controller.pid, signal.SIGKILL)
    run("scancel", "--user", "root")


def log_of(workflow):
    return (workflow.folder / "started.log").read_text()


def assert_undisturbed(workflow, finished):
    """Scores, weights and losses are those of a study to which nothing has happened."""
    for pattern in (
        "scores/*/slow/*.csv",
        "runs/slow/**/*.safetensors",
        "runs/slow/**/*losses.csv",
    ):
        expected = sorted(finished.results.glob(pattern))
        assert expected
        for file in expected:
            made = workflow.results / file.relative_to(finished.results)
            assert made.read_bytes() == file.read_bytes(), file
    assert workflow.dry_run("scores").counts == {}


def work(workflow):
    """How often each rule was at work on a GPU."""
    known = jobs_by_number()
    return Counter(known[turn.job]["rule"] for turn in turns(workflow, "take"))


def states(workflow, rule):
    """Of the jobs of a rule."""
    jobs = jobs_by_number().values()
    ours = (job for job in jobs if job["WorkDir"] == str(workflow.folder))
    return [job["JobState"] for job in ours if job["rule"] == rule]


def test_a_job_that_is_cancelled_is_made_by_the_next_run(start, unfinished, finished):
    controller, held = start("--retries", "0")
    run("scancel", held.job)
    assert controller.wait(600) != 0
    done = unfinished.call("scores", *SLURM)
    assert done.returncode == 0, done.stdout
    assert work(unfinished) == OF_THE_REST | {SEGMENT_1: 2}
    assert_undisturbed(unfinished, finished)


def test_a_job_whose_node_goes_down_is_made_when_it_is_back(node, start, unfinished, finished):
    """By Slurm, which starts the same job again; Snakemake does not send a second one."""
    controller, held = start()
    node.crash()
    with pytest.raises(ProcessLookupError):
        os.kill(held.process, 0)
    wait_for("the node is down", lambda: not node.takes_jobs(), 600)
    node.start_node()
    assert controller.wait(900) == 0, log_of(unfinished)
    assert states(unfinished, SEGMENT_1) == ["COMPLETED"]
    assert work(unfinished) == OF_THE_REST | {SEGMENT_1: 2}
    assert_undisturbed(unfinished, finished)


def test_a_job_that_runs_out_of_time_is_tried_again(start, unfinished, finished, tiny):
    tiny["resources"]["train"]["runtime"] = 2
    unfinished.write(tiny)
    controller, _ = start()
    assert controller.wait(900) == 0, log_of(unfinished)
    assert states(unfinished, SEGMENT_1) == ["TIMEOUT", "COMPLETED"]
    assert work(unfinished) == OF_THE_REST | {SEGMENT_1: 2}
    assert_undisturbed(unfinished, finished)


def test_jobs_outlive_snakemake(start, unfinished, finished):
    """They end as they would have, and the next run goes on from there."""
    controller, held = start()
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    os.kill(held.process, signal.SIGCONT)
    ended = partial(states, unfinished, SEGMENT_1)
    wait_for("the job ends", lambda: ended() == ["COMPLETED"], 600)
    locked = unfinished.call("scores", *SLURM)
    assert locked.returncode != 0
    assert re.search("snakemake.*--unlock", locked.stdout)
    assert unfinished.call("--unlock").returncode == 0
    done = unfinished.call("scores", *SLURM)
    assert done.returncode == 0, done.stdout
    assert work(unfinished) == OF_THE_REST | {SEGMENT_1: 1}
    assert_undisturbed(unfinished, finished)
