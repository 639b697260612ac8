"""What the tests on Slurm share: how Snakemake is called, and what Slurm knows of its jobs."""

import re
from typing import NamedTuple

from one_node import run

# What a cluster without accounting needs beside the profile.
SLURM = ("--profile", "slurm", "--slurm-no-account", "--slurm-status-command", "squeue")
SLURM += ("--slurm-init-seconds-before-status-checks", "3")


def jobs_by_number():
    """What Slurm knows of each of its jobs, and `rule`, from the comment that Snakemake makes."""
    facts = {}
    for record in run("scontrol", "show", "jobs", "--oneliner").splitlines():
        pairs = dict(re.findall(r"(\S+?)=(\S*)", record))
        rule = pairs["Comment"].removeprefix("rule_").partition("_wildcards_")[0]
        facts[pairs["JobId"]] = pairs | {"rule": rule}
    return facts


class Turn(NamedTuple):
    """A line of gpus.txt, which the stand-in for `ontogeny.device` writes."""

    what: str  # take, hold or leave
    job: str
    gpus: str
    process: int


def turns(workflow, *what):
    """The turns of the jobs of a study, in order; only those of some kinds, if they are given."""
    file = workflow.folder / "gpus.txt"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    every = [Turn(*words, int(process)) for *words, process in lines]
    return [turn for turn in every if not what or turn.what in what]
