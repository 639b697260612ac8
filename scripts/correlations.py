"""Correlate a run's preferences with references, at every checkpoint and for every group of items:
one table per run."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.correlations import correlations
from ontogeny.analysis.scores import item_preferences, read_scores
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.inputs import checkpoint_steps
from ontogeny.paths import Paths
from ontogeny.progress import say
from ontogeny.published.completeness import completeness_line
from ontogeny.scoring.stimuli.binomials import read_all_weights, read_binomials
from ontogeny.study.probes import BinomialsProbe
from ontogeny.study.runs import ScoresRun, read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study-folder", required=True, help="results/<study>")
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--run", required=True, help="the run as JSON, as in a study")
    parser.add_argument(
        "--probe",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "SPEC", "ITEMS"),
        help="a binomials probe: its name, its JSON as in a study, and the CSV of its items",
    )
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths = Paths(args.study_folder)
    run = read_run(args.run)
    steps = checkpoint_steps(run)
    if isinstance(run, ScoresRun):
        say(completeness_line(args.name, steps, run.expected_steps()))
    tables = []
    for name, spec, items_file in args.probe:
        probe = BinomialsProbe.model_validate_json(spec)
        items = read_binomials(Path(items_file), probe, read_all_weights(probe.references))
        scores = read_scores([paths.scores(name, args.name, step) for step in steps])
        tables.append(
            correlations(
                item_preferences(scores),
                items,
                probe.references,
                probe.frequency_bins,
                args.name,
                name,
            )
        )
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
