"""A study on a real Slurm, through the profile that ships with the project."""

import re

import pytest
from one_node import run

pytestmark = pytest.mark.workflow
# What a cluster without accounting needs beside the profile.
SLURM = ("--profile", "slurm", "--slurm-no-account", "--slurm-status-command", "squeue")
SLURM += ("--slurm-init-seconds-before-status-checks", "3")
STAGES = {
    "corpus": {"runtime": 7},
    "train": {"gpu": 1, "mem_mb": 1_500, "runtime": 9},
    "score": {"gpu": 1, "mem_mb": 1_400, "runtime": 8},
}


def jobs():
    """What Slurm knows of its jobs, by the rule in their comments."""
    facts = {}
    for record in run("scontrol", "show", "jobs", "--oneliner").splitlines():
        pairs = dict(re.findall(r"(\S+?)=(\S*)", record))
        facts[pairs["Comment"].removeprefix("rule_").partition("_wildcards_")[0]] = pairs
    return facts


def turns(text):
    """Of each line of gpus.txt: `take` or `leave`, the job, its GPUs."""
    return [tuple(line.split()) for line in text.splitlines()]


def test_a_study_goes_through_slurm(on_cluster, finished, tiny):
    tiny["resources"] = STAGES
    on_cluster.write(tiny)
    done = on_cluster.call("scores", *SLURM)
    assert done.returncode == 0, done.stdout

    # the same scores as on one machine, byte for byte
    scores = sorted((finished.results / "scores").rglob("*.csv"))
    assert len(scores) == 2 * 3 * 6
    for file in scores:
        made = on_cluster.results / file.relative_to(finished.results)
        assert made.read_bytes() == file.read_bytes(), file

    # each segment and each shard was a job of its own, with what the study says of its stage
    known = jobs()
    for run_name in ("slow", "fast"):
        for stage, memory, minutes in (("train", "1500M", "09"), ("score", "1400M", "08")):
            for segment in (0, 1):
                job = known[f"{stage}_{run_name}_{segment}"]
                assert job["JobState"] == "COMPLETED"
                assert job["MinMemoryNode"] == memory
                assert job["TimeLimit"] == f"00:{minutes}:00"
                assert "gpu=1" in job["TresPerJob"].replace(":", "=")
    assert "gpu" not in known["tokenizer"].get("TresPerJob", "")
    assert known["tokenizer"]["TimeLimit"] == "00:07:00"

    # each had one GPU, two were at work at once, and never on the same one
    at_work, most = {}, 0
    history = turns((on_cluster.folder / "gpus.txt").read_text())
    assert len(history) == 2 * 8
    for what, job, gpu in history:
        if what == "take":
            assert gpu in ("0", "1") and gpu not in at_work.values()
            at_work[job] = gpu
        else:
            del at_work[job]
        most = max(most, len(at_work))
    assert most == 2
    logs = on_cluster.folder / ".snakemake" / "slurm_logs"
    assert list(logs.rglob("*.log")) == []  # kept of jobs that fail
