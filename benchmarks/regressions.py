# ruff: noqa: E402
"""How long the regressions and thresholds of one run take, and in how much memory.

    python benchmarks/regressions.py [--checkpoints 1000] [--items 725] [--prompts 51]

Makes the tables of a run of so many checkpoints with ten constraints, a human prior, exposures and
people's choices, its preferences drawn from them with noise. Runs scripts/regressions.py and
scripts/learning.py as the workflow does, each in its own process, and prints a row of a Markdown
table for each.
"""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np
import polars as pl
from tables import print_machine, print_table

from ontogeny.paths import Paths

RUN, PROBE = "run", "binomials"
TOKENS_PER_STEP = 1000
CONSTRAINTS = [f"Constraint{number}" for number in range(1, 11)]
PARTICIPANTS = 116


def main() -> None:
    """Make the tables, run the two scripts, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoints", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--items", type=int, default=725, help="default: %(default)s")
    parser.add_argument("--prompts", type=int, default=51, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="of BLAS; default: %(default)s")
    parser.add_argument("--folder", help="work here and keep the files")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        make_run(folder, arguments.checkpoints, arguments.items, arguments.prompts)
        scripts = {
            "regressions": ("regressions", "deviations", "constraints"),
            "learning": ("items", "learning", "thresholds"),
        }
        for script, outputs in scripts.items():
            seconds, peak = run(script, options(folder, arguments, outputs), arguments.threads)
            lines = sum(len(pl.read_csv(folder / f"{name}.csv")) for name in outputs)
            rows.append((f"scripts/{script}.py", f"{lines:,}", f"{seconds:.1f}", f"{peak:,.0f}"))
    print_machine(["polars", "statsmodels", "numpy"], arguments.threads)
    print_table(
        f"{arguments.checkpoints:,} checkpoints x {arguments.items:,} items",
        ("script", "rows written", "seconds", "peak memory, MB"),
        rows,
    )


def make_run(folder: Path, checkpoints: int, items: int, prompts: int) -> None:
    """Write the items, choices, preferences, exposures and last scores of a made-up run."""
    rng = np.random.default_rng(1)
    paths = Paths(str(folder))
    constraints = rng.normal(size=(items, len(CONSTRAINTS)))
    prior = 1 / (1 + np.exp(-constraints @ rng.normal(scale=0.3, size=len(CONSTRAINTS))))
    rates = np.exp(rng.normal(2, 2, size=items)) * (rng.random(items) < 0.8)
    share = rng.beta(prior * 4, (1 - prior) * 4)
    words = [(f"a{number:04d}", f"b{number:04d}") for number in range(items)]
    names = [f"{word1} and {word2}" for word1, word2 in words]

    steps = np.arange(checkpoints)
    counts = rng.poisson(rates, size=(checkpoints, items)).cumsum(axis=0)
    counts[0] = 0
    alpha = rng.binomial(counts, share)
    alpha = np.maximum.accumulate(np.minimum(alpha, counts), axis=0)
    counts = np.maximum(counts, alpha)
    nonalpha = np.maximum.accumulate(counts - alpha, axis=0)
    ratio = np.log((alpha + 0.5) / (nonalpha + 0.5))
    progress = (steps / max(checkpoints - 1, 1))[:, None]
    preference = progress * (0.5 * ratio + 3 * (prior - 0.5))
    preference = preference + rng.normal(size=items) + rng.normal(scale=0.3, size=ratio.shape)

    grid = {
        "run": RUN,
        "checkpoint": np.repeat([f"step-{step:08d}" for step in steps], items),
        "step": np.repeat(steps, items),
        "tokens": np.repeat(steps * TOKENS_PER_STEP, items),
        "binom": names * checkpoints,
    }
    write(
        paths.run_table(RUN, "preferences"),
        grid | {"probe": PROBE, "n": prompts, "preference": preference.ravel()},
    )
    around = {
        name: (counts * 5 + rng.poisson(20, size=items)).ravel()
        for name in ("w1_total", "w2_total", "w1_and", "w2_and", "and_w1", "and_w2")
    }
    seen = {"alpha_seen": alpha.ravel(), "nonalpha_seen": nonalpha.ravel()}
    write(paths.exposures(PROBE, RUN), grid | seen | around)

    columns = dict(zip(CONSTRAINTS, constraints.T, strict=True))
    both = {"Word1": [a for a, _ in words], "Word2": [b for _, b in words]}
    more = {"OverallFreq": rates * 1000, "GenPref": prior, "Attested": (rates > 0).astype(int)}
    write(folder / "stimuli.csv", both | more | columns)
    chosen = rng.random((PARTICIPANTS, items)) < prior
    choices = {name: words * PARTICIPANTS for name, words in both.items()}
    resp = np.where(chosen.ravel(), "alpha", "nonalpha")
    write(folder / "responses.csv", choices | {"resp": resp})
    noise = rng.normal(scale=0.5, size=(prompts, items))
    last = preference[-1] + noise - noise.mean(axis=0)
    scores = {"prompt": np.repeat([f"prompt {i}" for i in range(prompts)], items)}
    scores |= {"binom": names * prompts, "preference": last.ravel()}
    same = {"model": RUN, "checkpoint": f"step-{steps[-1]:08d}", "step": steps[-1]}
    same |= {"tokens": steps[-1] * TOKENS_PER_STEP}
    write(paths.scores(PROBE, RUN, steps[-1]), same | scores)


def write(path: str | Path, columns: dict) -> None:
    """Write a table, and the folders above it."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_csv(path)


def options(folder: Path, arguments: argparse.Namespace, outputs: tuple[str, ...]) -> list[str]:
    """The command line of one script; `outputs` are its three tables."""
    run = {"corpus": "x", "tokenizer": "x", "architecture": "x", "block_size": 10}
    run |= {"batch_size": TOKENS_PER_STEP // 10, "steps": arguments.checkpoints - 1 or 1}
    probe = {
        "type": "binomials",
        "items": str(folder / "stimuli.csv"),
        "references": {"human": {"column": "GenPref"}},
        "constraints": CONSTRAINTS,
        "responses": str(folder / "responses.csv"),
    }
    files = dict(zip(("output", *outputs[1:]), outputs, strict=True))
    return [
        *("--study-folder", str(folder), "--name", RUN, "--run", json.dumps(run)),
        *("--probe", PROBE, json.dumps(probe), str(folder / "stimuli.csv")),
        *(
            text
            for key, name in files.items()
            for text in (f"--{key}", str(folder / f"{name}.csv"))
        ),
    ]


def run(script: str, arguments: list[str], threads: int) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one script in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment["POLARS_MAX_THREADS"] = str(threads)
    start = time.perf_counter()
    command = [sys.executable, str(SCRIPTS / f"{script}.py"), *arguments]
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{script} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss: bytes, or KiB
    return time.perf_counter() - start, usage.ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
