"""Gather a run's held-out perplexity over its checkpoints into one table."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.scores import read_perplexity_score
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.inputs import checkpoint_steps
from ontogeny.scoring.records import require_as_scored
from ontogeny.study.runs import read_run
from ontogeny.study_arguments import add_run, add_study_folder, study_paths

DIVERGENCES = ("kl_unigram", "kl_bigram")  # empty where no probe has `ngrams`


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_study_folder(parser)
    parser.add_argument("--name", required=True, help="name of the run")
    add_run(parser)
    parser.add_argument("--probes", nargs="+", required=True, help="names of perplexity probes")
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths = study_paths(args)
    steps = checkpoint_steps(read_run(args.run))
    require_as_scored(
        paths.scores(probe, args.name, step) for probe in args.probes for step in steps
    )
    tables = [
        read_perplexity_score(paths.scores(probe, args.name, step))
        .rename({"model": "run"})
        .insert_column(4, pl.lit(probe).alias("probe"))
        for probe in args.probes
        for step in steps
    ]
    unmeasured = pl.DataFrame(schema=dict.fromkeys(DIVERGENCES, pl.Float64))
    table = pl.concat([*tables, unmeasured], how="diagonal")
    with replacing(args.output) as temporary:
        table.sort("tokens", maintain_order=True).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
