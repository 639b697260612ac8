"""What runs prefer of items that were inserted into a corpus so many times: one table per study."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.insertions import insertion_table
from ontogeny.analysis.observations import read_observations
from ontogeny.command import add_probes
from ontogeny.command import run as run_command
from ontogeny.files import read_json, replacing
from ontogeny.paths import Paths
from ontogeny.study.probes import BinomialsProbe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study-folder", required=True, help="results/<study>")
    parser.add_argument(
        "--run",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "CORPUS"),
        help="a run: its name, its corpus, and the probes that it is scored on",
    )
    add_probes(parser)
    parser.add_argument(
        "--inserted",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "PROVENANCE"),
        help="a corpus with insertions: its name, and its provenance.json",
    )
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths = Paths(args.study_folder)
    plans = {name: read_json(file)["documents"]["items"] for name, file in args.inserted}
    tables = []
    for name, corpus, *scored_on in args.run:
        for probe_name, spec, stimuli in args.probe:
            if probe_name not in scored_on:
                continue
            probe = BinomialsProbe.model_validate_json(spec)
            seen = read_observations(paths, name, True, probe_name, probe, Path(stimuli))
            tables += [insertion_table(seen, corpus, *plan) for plan in plans.items()]
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
