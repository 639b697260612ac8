"""How fast score files become tables, and in how much memory, against a bare scan of the same.

    python benchmarks/reading.py FOLDER [--files 450] [--threads 2]

FOLDER holds released score files (`*_step-12.csv` ...) and `bigram_stats.csv`, the reference. They
are repeated, with steps and tokens of their own, until there are so many checkpoints. The bare scan
is polars reading the three columns that it needs for the mean of each checkpoint and item, checking
nothing. It and ours run in turns, each time in a process of its own, the best of several; then the
scripts of the table stage, start of Python included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.append(str(SCRIPTS))

import polars as pl  # noqa: E402
from tables import load_average, print_machine, print_table  # noqa: E402

from ontogeny.paths import Paths  # noqa: E402
from ontogeny.published.score_files import by_step  # noqa: E402

RUN, PROBE = "released", "novel"
STEP, TOKENS_PER_STEP = 12, 1_638_400
HEAD = ("what", "seconds", "times the bare scan", "peak memory, MB")

# The peak of a process counts that of the one that it was started from, so a small one does that.
MEASURE = """import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)"""

BARE = """import sys, time
import polars as pl
start = time.perf_counter()
scores = pl.scan_csv(sys.argv[1] + "/*.csv").group_by("step", "binom")
scores.agg(pl.col("preference").mean()).collect(engine="streaming")
print(time.perf_counter() - start)"""

OURS = """import pathlib, sys, time
import polars as pl
from ontogeny.analysis.scores import read_preferences
files = sorted(map(str, pathlib.Path(sys.argv[1]).glob("*.csv")))
items = pl.read_csv(files[0])["binom"].unique(maintain_order=True).to_list()
start = time.perf_counter()
read_preferences({int(path[-12:-4]): path for path in files}, items, "run", "probe")
print(time.perf_counter() - start)"""


def main() -> None:
    """Make the files, read them, make the tables; print what each took."""
    arguments = parse()
    os.environ |= {
        **dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), str(arguments.threads)),
        "PYTHONPATH": str(SCRIPTS),
    }
    print_machine(["polars", "numpy", "scipy"], arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        paths = Paths(name)
        rows, size = make_files(arguments.released, arguments.files, paths)
        scores = str(Path(paths.scores(PROBE, RUN, 0)).parent)
        best = {code: (float("inf"), 0.0) for code in (BARE, OURS)}
        for _ in range(arguments.repeats):
            for code in best:
                seconds, peak, _ = measured([sys.executable, "-c", code, scores])
                best[code] = min(best[code], (seconds, peak))
        bare = best[BARE][0]
        cells = [row("a bare scan and mean", *best[BARE], bare)]
        cells.append(row("`read_preferences`", *best[OURS], bare))
        stage = [
            (table, *script(table, arguments.released, paths))
            for table in ("preferences", "correlations", "trajectories")
        ]
        cells += [row(f"scripts/{table}.py", *found, bare) for table, *found in stage]
        seconds, peaks = zip(*(found for _, *found in stage), strict=True)
        cells.append(row("the table stage", sum(seconds), max(peaks), bare))
        title = f"{arguments.files} files, {rows:,} rows, {size / 1e9:.2f} GB"
        print_table(f"{title}; load average after: {load_average()}", HEAD, cells)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("released", type=Path, help="folder of the released score files")
    parser.add_argument("--files", type=int, default=450, help="checkpoints (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of which the best (%(default)s)")
    parser.add_argument("--folder", help="where temporary files go, some 4 MB a checkpoint")
    return parser.parse_args()


def make_files(released: Path, count: int, paths: Paths) -> tuple[int, int]:
    """Write the released files over and over as those of other steps; return rows and bytes."""
    texts = [
        (path.read_text(encoding="utf-8"), pl.read_csv(path, n_rows=1).row(0, named=True))
        for path in by_step(map(str, released.glob("*_step-*.csv"))).values()
        for path in [Path(path)]
    ]
    rows = size = 0
    for number in range(count):
        text, first = texts[number % len(texts)]
        step = STEP * number
        old = f",{first['checkpoint']},{first['step']},{first['tokens']},"
        text = text.replace(old, f",step-{step:08d},{step},{step * TOKENS_PER_STEP},")
        path = Path(paths.scores(PROBE, RUN, step))
        path.parent.mkdir(parents=True, exist_ok=True)
        size += path.write_text(text, encoding="utf-8")
        rows += text.count("\n") - 1
    return rows, size


def script(table: str, released: Path, paths: Paths) -> tuple[float, float]:
    """Make a table as the workflow does; seconds of the process and its peak memory in MB."""
    items = Path(paths.root, "items.csv")
    if not items.exists():
        statistics = pl.read_csv(released / "bigram_stats.csv")
        ratio = (pl.col("bigram_alpha") / pl.col("bigram_nonalpha")).log()
        columns = {"Word1": "word1", "Word2": "word2", "Attested": pl.lit(0), "Ratio": ratio}
        statistics.select(**columns).write_csv(items)
    references = {"bigram": {"column": "Ratio", "midpoint": 0}}
    probe = {"type": "binomials", "items": str(items), "references": references}
    probe["frequency_bins"] = 0
    scores = str(Path(paths.scores(PROBE, RUN, 0)).parent / "*.csv")
    run = {"source": "scores", "probe": PROBE, "files": [scores]}
    command = [sys.executable, str(SCRIPTS / f"{table}.py"), "--study-folder", paths.root]
    command += ["--name", RUN, "--run", json.dumps(run), "--probe", PROBE, json.dumps(probe)]
    command += [str(items), "--output", paths.run_table(RUN, table)]
    _, peak, seconds = measured(command)
    return seconds, peak


def measured(command: list[str]) -> tuple[float, float, float]:
    """Seconds that a process says it took (its last line), its peak in MB, its seconds in all."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"error: {done.stderr.strip() or done.stdout.strip()}")
    *said, peak = done.stdout.splitlines()
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes, or KiB
    told = float(said[-1]) if said and command[1] == "-c" else 0.0
    return told, int(peak) * unit / 1e6, seconds


def row(what: str, seconds: float, peak: float, bare: float) -> tuple[str, ...]:
    """Cells of the table."""
    return what, f"{seconds:.2f}", f"{seconds / bare:.2f}", f"{peak:,.0f}"


if __name__ == "__main__":
    main()
