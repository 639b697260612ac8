"""Correlate a run's preferences with references, at every checkpoint and for every group of items:
one table per run."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.correlations import correlations, item_preferences
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.paths import Paths
from ontogeny.scoring.stimuli import read_all_weights, read_binomials
from ontogeny.study.models import BinomialsProbe, Run


def read_scores(files: list[str]) -> pl.LazyFrame:
    """The score files of a run on one probe. One that holds less than the others was cut short."""
    scores = pl.scan_csv(files, include_file_paths="file", raise_if_empty=False)
    held = scores.group_by("file").agg(pl.col("preference").count().alias("rows")).collect()
    rows = dict(held.iter_rows())
    expected = max(rows.values())
    for file in files:
        if rows.get(file, 0) != expected:
            raise ValueError(
                f"{file}: {rows.get(file, 0)} whole rows, but other checkpoints have {expected}; "
                "remove it to make it again"
            )
    return scores.drop("file")


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
    steps = Run.model_validate_json(args.run).checkpoint_steps()
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
