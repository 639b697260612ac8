"""Correlate a run's preferences with references, at every checkpoint and for every group of items:
one table per run."""

import polars as pl

from ontogeny.analysis.correlations import correlations
from ontogeny.analysis.groups import read_probes
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.study_arguments import run_table_parser, study_paths


def main() -> None:
    args = run_table_parser(__doc__).parse_args()
    probes = read_probes(study_paths(args), args.name, args.trained, args.probe)
    tables = [correlations(table, items, args.name, probe) for probe, table, items in probes]
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
