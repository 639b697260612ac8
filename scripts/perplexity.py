"""Gather a run's held-out perplexity over its checkpoints into one table."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.paths import Paths
from ontogeny.study.models import Run


def read_score(file: str) -> pl.DataFrame:
    """The one row of a score file."""
    table = pl.read_csv(file, truncate_ragged_lines=True, raise_if_empty=False)
    if table.height != 1 or table.null_count().sum_horizontal().item():
        raise ValueError(f"{file}: does not hold one whole row; remove it to make it again")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study-folder", required=True, help="results/<study>")
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--run", required=True, help="the run as JSON, as in a study")
    parser.add_argument("--probes", nargs="+", required=True, help="names of perplexity probes")
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths = Paths(args.study_folder)
    steps = Run.model_validate_json(args.run).checkpoint_steps()
    tables = [
        read_score(paths.scores(probe, args.name, step))
        .rename({"model": "run"})
        .insert_column(4, pl.lit(probe).alias("probe"))
        for probe in args.probes
        for step in steps
    ]
    with replacing(args.output) as temporary:
        pl.concat(tables).sort("tokens", maintain_order=True).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
