"""Correlate a run's preferences with references, at every checkpoint and for every group of items:
one table per run."""

import polars as pl

from ontogeny.analysis.correlations import correlations
from ontogeny.analysis.groups import read_items
from ontogeny.analysis.scores import read_preference_table
from ontogeny.command import run as run_command
from ontogeny.command import run_table_parser
from ontogeny.files import replacing
from ontogeny.paths import Paths
from ontogeny.study.runs import Run, read_run


def main() -> None:
    args = run_table_parser(__doc__).parse_args()
    paths, trained = Paths(args.study_folder), isinstance(read_run(args.run), Run)
    preferences = read_preference_table(paths.run_table(args.name, "preferences"))
    tables = []
    for name, spec, stimuli in args.probe:
        items = read_items(spec, stimuli, paths.exposures(name, args.name) if trained else None)
        table = preferences.filter(pl.col("probe") == name)
        tables.append(correlations(table, items, args.name, name))
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
