"""Mean and spread of trajectories over runs that differ in their seed only, and how far these agree
on each item: two tables per study."""

import argparse
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ontogeny.analysis import correlations, minimal_pairs
from ontogeny.analysis.scores import read_preference_table
from ontogeny.analysis.seeds import agreement, over_seeds
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.paths import Paths
from ontogeny.tables import read_table


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
        help="runs that differ in their seed only, after a name for them",
    )
    parser.add_argument("--seeds", type=Path, required=True, help="mean and spread (CSV)")
    parser.add_argument("--agreement", type=Path, required=True, help="of pairs of runs (CSV)")
    args = parser.parse_args()
    paths = Paths(args.study_folder)

    def tables(
        runs: list[str], table: str, read: Callable[[Path], pl.DataFrame]
    ) -> dict[str, pl.DataFrame]:
        """A table of each run; none where no run has it, since a study may lack a probe."""
        files = {run: Path(paths.run_table(run, table)) for run in runs}
        if not any(file.exists() for file in files.values()):
            return {}
        return {run: read(file) for run, file in files.items()}

    spreads, agreements = [], []
    for family, *runs in args.family:
        if len(runs) < 2:
            parser.error(f"--family {family}: give two runs or more")
        of_items = tables(runs, "correlations", _reader(correlations.COLUMNS))
        of_pairs = tables(runs, "minimal_pairs", _reader(minimal_pairs.COLUMNS))
        spreads.append(over_seeds(family, list(of_items.values()), list(of_pairs.values())))
        preferences = tables(runs, "preferences", read_preference_table)
        agreements.append(agreement(family, preferences))
    for output, parts in ((args.seeds, spreads), (args.agreement, agreements)):
        with replacing(output) as temporary:
            pl.concat(parts).write_csv(temporary)


def _reader(columns: dict[str, type[pl.DataType]]) -> Callable[[Path], pl.DataFrame]:
    return lambda path: read_table(path, columns)


if __name__ == "__main__":
    run_command(main)
