"""What the tests that call Snakemake share: a tiny study, and a folder to run it in."""

import copy
import fcntl
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "config.yaml", "rules", "scripts", "envs", "data")
NOTHING_TO_DO = "Nothing to be done"

# Two runs that differ in one number; six checkpoints each, in two segments.
RUN = {
    "corpus": "toy",
    "tokenizer": "bpe",
    "architecture": "opt",
    "steps": 200,
    "block_size": 32,
    "batch_size": 8,
    "checkpoints": {"at": [4, 50, 100, 150], "per_segment": 3},
}
TINY = {
    "study": "tiny",
    "corpora": {"toy": {"source": "toy", "words": 25_000}},
    "tokenizers": {"bpe": {"type": "bpe", "corpus": "toy", "vocab_size": 400}},
    "architectures": {
        "opt": {
            "model_type": "opt",
            "config": {
                "hidden_size": 32,
                "ffn_dim": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "max_position_embeddings": 64,
                "dropout": 0.0,
            },
        }
    },
    "probes": {
        "binomials": {
            "type": "binomials",
            "items_from": "toy",
            "prompts": "data/toy/prompts.csv",
            "max_prompts": 2,
            "references": {
                "truth": {"column": "TruePreference", "midpoint": 0},
                "human": {"column": "GenPref"},
            },
            "constraints": ["Anim", "Power"],
        },
        "grammar": {"type": "minimal_pairs", "pairs_from": "toy"},
        "held-out": {"type": "perplexity", "max_tokens": 1_000, "ngrams": True},
    },
    "runs": {
        "slow": {**RUN, "optimizer": {"lr": 1e-3}},
        "fast": {**RUN, "optimizer": {"lr": 1e-2}},
    },
}


# Rules of one run, as `train_RUN_0` and `preferences_RUN`.
OF_ONE_RUN = re.compile(
    r"^(train|score|fetch|preferences|minimal_pairs|completions|perplexity)_.+?(_\d+)?$"
)


@dataclass(frozen=True)
class DryRun:
    """What a dry run says: jobs by stage, and for each job its message and its reason.

    Jobs of rules that are of one run count together: `train_RUN_0` as `train_0`.
    """

    output: str
    counts: dict[str, int]
    jobs: dict[str, str]


@dataclass(frozen=True)
class Workflow:
    """A folder in which Snakemake runs, with the Snakefile that it runs there."""

    folder: Path
    snakefile: Path = PROJECT / "Snakefile"

    @property
    def study(self) -> Path:
        return self.folder / "study.yaml"

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    def write(self, study: dict[str, Any]) -> None:
        self.study.write_text(yaml.safe_dump(study, sort_keys=False))

    def command(self, *args: str) -> list[str]:
        """The command line; the study file of the folder, where there is one, takes the place of
        the default study."""
        place = ["--snakefile", str(self.snakefile), "--directory", str(self.folder)]
        given = ["--configfile", str(self.study)] if self.study.exists() else []
        return [sys.executable, "-m", "snakemake", *args, *place, *given]

    def call(self, *args: str) -> subprocess.CompletedProcess:
        """Run Snakemake to its end; its output, errors included, is in `stdout`."""
        return subprocess.run(
            self.command(*args),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )

    def start(self, *args: str) -> subprocess.Popen:
        """Start Snakemake in a process group of its own; it prints into `started.log`."""
        with open(self.folder / "started.log", "w") as log:
            return subprocess.Popen(
                self.command(*args),
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def make(self, *args: str) -> str:
        """Make targets on two cores; fails the test with Snakemake's output."""
        done = self.call("--cores", "2", *args)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def dry_run(self, *args: str) -> DryRun:
        done = self.call("--dry-run", *args)
        assert done.returncode == 0, done.stdout
        return self.dry_run_of(done.stdout)

    @staticmethod
    def dry_run_of(output: str) -> DryRun:
        """What a dry run has printed."""
        table = re.search(r"^Job stats:\n.*?\n-.*?\n(.*?)^total +(\d+)", output, re.M | re.S)
        counts = {}
        if table:
            for rule, count in map(str.split, table[1].strip().splitlines()):
                stage = OF_ONE_RUN.sub(r"\1\2", rule)
                counts[stage] = counts.get(stage, 0) + int(count)
            assert sum(counts.values()) == int(table[2])
        else:
            assert NOTHING_TO_DO in output, output
        jobs = re.findall(r"^Job \d+: (.*)\nReason: (.*)$", output, re.M)
        return DryRun(output, counts, dict(jobs))

    def duplicate(self, folder: Path) -> "Workflow":
        """A copy of the folder, with the times of its files."""
        shutil.copytree(self.folder, folder)
        return Workflow(folder, folder / self.snakefile.relative_to(self.folder))


def environment() -> dict[str, str]:
    """The environment of this process without what would change Snakemake's own settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE_")}
    return {**kept, "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The tiny study, to change at will."""
    return copy.deepcopy(TINY)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Workflow:
    """An empty folder in which the project's own Snakefile runs."""
    return Workflow(tmp_path)


def copied(folder: Path) -> Workflow:
    """A copy of the project at `folder`, without results."""
    for part in PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, target)
        else:
            shutil.copy2(PROJECT / part, target)
    return Workflow(folder, folder / "Snakefile")


@pytest.fixture
def fresh(tmp_path: Path) -> Workflow:
    """A copy of the project in which nothing has run."""
    return copied(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """A copy of the project in which the tiny study has run. Tests read it and leave it alone; it
    is made once, by the first of pytest's processes that needs it."""
    here = tmp_path_factory.getbasetemp()
    shared = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here
    folder = shared / "finished"
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            workflow = copied(tmp_path_factory.mktemp("making") / "project")
            workflow.write(TINY)
            workflow.make()
            workflow.folder.rename(folder)
    return Workflow(folder, folder / "Snakefile")


@pytest.fixture
def project(finished: Workflow, tmp_path: Path) -> Workflow:
    """A copy of the finished project, to change at will."""
    return finished.duplicate(tmp_path / "project")
