"""Compare the trajectories of all pairs of runs on the same items: one table per study."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.comparisons import comparisons
from ontogeny.analysis.groups import read_items
from ontogeny.analysis.scores import read_preference_table
from ontogeny.command import add_probes
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.paths import Paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study-folder", required=True, help="results/<study>")
    parser.add_argument("--runs", nargs="+", required=True, help="names of the runs, in order")
    add_probes(parser)
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths = Paths(args.study_folder)
    read = {run: read_preference_table(paths.run_table(run, "preferences")) for run in args.runs}
    tables = []
    for name, spec, stimuli in args.probe:
        of_probe = {run: table.filter(pl.col("probe") == name) for run, table in read.items()}
        scored = {run: table for run, table in of_probe.items() if len(table)}
        tables.append(comparisons(scored, read_items(spec, stimuli), name))
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
