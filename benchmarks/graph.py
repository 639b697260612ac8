"""How long Snakemake takes with a study of thousands of checkpoints, when its jobs take no time.

    python benchmarks/graph.py
    python benchmarks/graph.py studies/stuck_manna_2026.yaml

In a copy of the project every job only makes its output files, empty. Text and stimuli are the toy
language's, as at the study's small scale, since empty downloads would be refused; runs and
checkpoints are those of the whole study. Measured are reading the Snakefile, the dry run when
nothing exists, all jobs, the dry run when all is there, and the dry run when one score file is
gone, which must name it. Seconds and memory are those of Snakemake's process.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from tables import print_machine, print_table

PROJECT = Path(__file__).resolve().parents[1]
PARTS = ("rules", "scripts", "data", "envs")
STAND_IN = """

def only_make_outputs(input, output, *others):
    for file in output:
        Path(file).touch()
    others[11].running_time = 0.0  # of the benchmark's record


for each in workflow.rules:
    if each.run_func is not None and not each.norun:
        each.run_func = only_make_outputs
"""


@dataclass(frozen=True)
class Measured:
    """What a call of Snakemake took, and what it printed."""

    seconds: float
    processor: float
    megabytes: float
    output: str

    def jobs(self) -> int:
        """Jobs of a dry run."""
        found = re.search(r"^total +(\d+)", self.output, re.M)
        return int(found[1]) if found else 0

    def cells(self) -> tuple[str, str, str]:
        return f"{self.seconds:.1f}", f"{self.processor:.1f}", f"{self.megabytes:.0f}"


def snakemake(folder: Path, *args: str) -> Measured:
    """Call Snakemake in a folder; raises SystemExit with its last lines where it fails."""
    with tempfile.TemporaryFile("w+") as printed:
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *args],
            cwd=folder,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        printed.seek(0)
        output = printed.read()
    if status:
        last = [line[:200] for line in output.splitlines()[-20:]]
        raise SystemExit("\n".join([*last, "Snakemake failed"]))
    return Measured(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output)


def copy_of_project(folder: Path, study: str) -> None:
    """The project, with jobs that only make their outputs, and the study as graph.yaml."""
    config = yaml.safe_load((PROJECT / study).read_text())
    small = config["scales"]["small"]
    config["scales"]["graph"] = {key: small[key] for key in ("corpora", "probes") if key in small}
    (folder / "graph.yaml").write_text(yaml.safe_dump(config))
    for part in PARTS:
        shutil.copytree(PROJECT / part, folder / part)
    text = (PROJECT / "Snakefile").read_text()
    (folder / "Snakefile").write_text(text + STAND_IN)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "study",
        nargs="?",
        default="studies/binomials_houghton_2026.yaml",
        help="a study with a scale `small`, from the project's folder (default: %(default)s)",
    )
    args = parser.parse_args()
    study = ("--configfile", "graph.yaml", "--config", "scale=graph")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_of_project(folder, args.study)
        (folder / "empty").touch()
        bare = snakemake(folder, "--list-rules", "--snakefile", "empty")
        parsed = snakemake(folder, "--list-rules", *study)
        before = snakemake(folder, "--dry-run", *study)
        done = snakemake(folder, "--cores", "2", "--scheduler", "greedy", *study)
        after = snakemake(folder, "--dry-run", *study)
        scores = sorted(folder.glob("results/*/scores/*/*/step-*"))
        checkpoints = len(list(folder.glob("results/*/runs/*/checkpoints/*/model.safetensors")))
        gone = scores[len(scores) // 2]
        gone.unlink()
        missing = snakemake(folder, "--dry-run", *study)
        named = f"Missing output files: {gone.relative_to(folder)}\n" in missing.output
    print_machine(["snakemake"], 2)
    rows = [
        ("reading an empty Snakefile (`--list-rules`)", "", *bare.cells()),
        ("reading the project's", "", *parsed.cells()),
        ("dry run, nothing exists", before.jobs(), *before.cells()),
        ("all jobs, each of which takes no time", before.jobs(), *done.cells()),
        ("dry run, all exists", after.jobs(), *after.cells()),
        (f"dry run, one score file gone ({'named' if named else 'NOT NAMED'})",
         missing.jobs(), *missing.cells()),
    ]  # fmt: skip
    head = ("what", "jobs", "seconds", "of processor time", "peak memory, MB")
    title = f"{Path(args.study).stem}: {checkpoints:,} checkpoints, {len(scores):,} score files"
    print_table(title, head, rows)


if __name__ == "__main__":
    main()
