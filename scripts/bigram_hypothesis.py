"""Do the bigrams that a run has read predict which minimal pairs it gets wrong, early on and for
good? Writes what bigrams and the model prefer in each paradigm, and the tests."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis import bigram_hypothesis as hypothesis
from ontogeny.analysis import minimal_pairs, stuck
from ontogeny.analysis.scores import read_scores
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.study_arguments import add_study_folder, study_paths
from ontogeny.tables import read_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_study_folder(parser)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--probes", nargs="+", required=True, help="names of minimal pairs probes")
    parser.add_argument("--tests", type=Path, required=True, help="table of the tests (CSV)")
    parser.add_argument("--classes", type=Path, required=True, help="table of paradigms (CSV)")
    args = parser.parse_args()
    paths = study_paths(args)
    fates = read_table(paths.run_table(args.name, "paradigms"), stuck.PARADIGMS)
    model = read_table(paths.run_table(args.name, "minimal_pairs"), minimal_pairs.COLUMNS)
    paradigms, tests = [], []
    for probe in args.probes:
        bigrams, pairs = (
            read_table(paths.bigrams(probe, args.name, file), columns)
            for file, columns in (
                ("classes.csv", hypothesis.CLASSES),
                ("pairs.csv", hypothesis.PAIRS),
            )
        )
        if pairs.is_empty():
            raise ValueError(f"{paths.bigrams(probe, args.name, 'pairs.csv')}: it has no rows")
        steps = pairs["step"].unique().sort()
        scores = read_scores([paths.scores(probe, args.name, step) for step in steps])
        of_probe = (table.filter(pl.col("probe") == probe) for table in (fates, model))
        paradigms.append(hypothesis.bigram_paradigms(*of_probe, bigrams))
        tests += [
            hypothesis.between_paradigms(paradigms[-1]),
            hypothesis.within_paradigms(pairs, scores.collect()),
        ]
    for path, tables in ((args.classes, paradigms), (args.tests, tests)):
        with replacing(path) as temporary:
            pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
