"""How much of the completion probes each run gets right, at its last and at its best checkpoint,
and the spread over seeds: two tables per study; and the trajectories of the runs on each corpus."""

import argparse
import json
from pathlib import Path

import polars as pl

from ontogeny.analysis import completions
from ontogeny.analysis.capacity import Run, capacity, curves, summary
from ontogeny.command import run as run_command
from ontogeny.files import read_json, replacing
from ontogeny.paths import Paths
from ontogeny.tables import read_table

LOSSES = {"step": pl.Int64, "loss": pl.Float64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study-folder", required=True, help="results/<study>: the runs' tables are read there"
    )
    parser.add_argument(
        "--family",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "RUN"),
        help="runs that differ in their seed only (or one alone), after a name for them",
    )
    parser.add_argument(
        "--runs",
        required=True,
        help="JSON: for each run its architecture, corpus, tokenizer, weight_decay and seed",
    )
    parser.add_argument("--capacity", type=Path, required=True, help="each run (CSV)")
    parser.add_argument("--summary", type=Path, required=True, help="mean and spread (CSV)")
    parser.add_argument(
        "--curves",
        nargs=2,
        action="append",
        default=[],
        metavar=("CORPUS", "OUTPUT"),
        help="trajectories of the runs that are trained on a corpus (CSV)",
    )
    args = parser.parse_args()
    paths, settings = Paths(args.study_folder), json.loads(args.runs)
    families = [
        [_read(paths, run, {**settings[run], "family": name}) for run in runs]
        for name, *runs in args.family
    ]
    tables = [[capacity(run) for run in runs] for runs in families]
    _write(args.capacity, [table for family in tables for table in family])
    _write(args.summary, [summary(family) for family in tables])
    for corpus, output in args.curves:
        runs = [run for family in families for run in family if run.labels["corpus"] == corpus]
        _write(Path(output), [curves(run) for run in runs])


def _read(paths: Paths, name: str, settings: dict[str, str | int | float]) -> Run:
    sizes = Path(paths.architecture(settings["architecture"], settings["tokenizer"]))
    parameters = read_json(sizes)["trained_without_positions"]
    return Run(
        labels={**settings, "run": name, "parameters": parameters},
        completions=read_table(paths.run_table(name, "completions"), completions.COLUMNS),
        losses=read_table(paths.run_table(name, "losses"), LOSSES),
    )


def _write(output: Path, tables: list[pl.DataFrame]) -> None:
    with replacing(output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
