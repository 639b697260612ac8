"""What records cost: hashing of what jobs read, and a dry run next to that of another version.

    python benchmarks/records.py results/demo
    python benchmarks/records.py results/demo --other ../ontogeny-before

The first table has, for each kind of job of a study that was run here, the processor time of its
jobs (Snakemake's own measurement) and the time it takes to read and hash the files that they read
and wrote. With --other, the folder of a checkout of another version, both make dry runs in turn, of
a study of which nothing is there: processor seconds, the median of several, and the ratio.
"""

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tables import print_machine, print_table

PROJECT = Path(__file__).resolve().parents[1]
STUDIES = ("config.yaml", "studies/binomials_houghton_2026.yaml")
SCRIPTS = {"score_segment": "score"}  # whose rule has another name


def hashing(results: Path) -> None:
    """Print how much of each kind of job's time hashing is."""
    from ontogeny.origins import sha256

    hashed: dict[str, float] = defaultdict(float)
    seen = set()
    for path in results.rglob(".origins/*.json"):
        record = json.loads(path.read_text())
        file = path.parents[1] / path.name.removesuffix(".json")
        for name in (*record["read"], str(file)):
            job = (json.dumps(record["command"]), name)
            if job in seen or not Path(name).is_file():
                continue
            seen.add(job)
            start = time.process_time()
            sha256(name)
            hashed[record["command"][0][0]] += time.process_time() - start
    worked: dict[str, float] = defaultdict(float)
    for path in (results / "benchmarks").rglob("*.tsv"):
        stage = path.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        with open(path, newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                stage = "plot" if stage.startswith("plot_") else stage
                worked[stage] += float(row["cpu_time"])
    rows = []
    for script in sorted(hashed, key=hashed.get, reverse=True):
        seconds = worked.get(SCRIPTS.get(script, script))
        if seconds:
            share = hashed[script] / seconds
            rows.append((script, f"{seconds:.1f}", f"{hashed[script]:.3f}", f"{share:.2%}"))
    total = sum(hashed.values()) / sum(worked.values())
    rows.append(
        ("all", f"{sum(worked.values()):.0f}", f"{sum(hashed.values()):.2f}", f"{total:.2%}")
    )
    print_table("Hashing:", ("job", "processor s", "hashing s", "share"), rows)


def dry_run(project: Path, study: str) -> float:
    """Processor seconds of a dry run in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "-n", "-q", "--directory", folder]
        command += ["--snakefile", str(project / "Snakefile"), "--configfile", str(project / study)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True, env=os.environ)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def dry_runs(other: Path, times: int) -> None:
    """Print how long dry runs of both versions take, one after the other."""
    rows = []
    for study in STUDIES:
        taken: dict[Path, list[float]] = {other: [], PROJECT: []}
        for _ in range(times):
            for project, seconds in taken.items():
                seconds.append(dry_run(project, study))
        before, now = (statistics.median(seconds) for seconds in taken.values())
        rows.append((study, f"{before:.2f}", f"{now:.2f}", f"{now / before:.2f}"))
    print_table("Dry runs:", ("study", "other, s", "this, s", "ratio"), rows)


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="results/<study>, made here")
    parser.add_argument("--other", type=Path, help="a checkout of another version")
    parser.add_argument("--times", type=int, default=5, help="dry runs of each (default: 5)")
    args = parser.parse_args()
    sys.path.insert(0, str(PROJECT / "scripts"))
    print_machine(["snakemake"], threads=1)
    hashing(args.results)
    if args.other:
        dry_runs(args.other.resolve(), args.times)


if __name__ == "__main__":
    main()
