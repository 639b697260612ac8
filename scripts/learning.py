"""How many exposures the items of a run needed until it preferred the order that its text prefers:
three tables per run, of its items, of learning by exposure, and of thresholds."""

from pathlib import Path

import polars as pl

from ontogeny.analysis.learning import item_table, learning_curve
from ontogeny.analysis.observations import read_observations
from ontogeny.analysis.thresholds import thresholds
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.study.probes import BinomialsProbe
from ontogeny.study_arguments import run_table_parser, study_paths


def main() -> None:
    parser = run_table_parser(__doc__)
    parser.add_argument(
        "--learning", type=Path, required=True, help="table by exposure so far (CSV)"
    )
    parser.add_argument("--thresholds", type=Path, required=True, help="table of thresholds (CSV)")
    args = parser.parse_args()
    paths = study_paths(args)
    made = {args.output: item_table, args.learning: learning_curve, args.thresholds: thresholds}
    runs = []
    for name, spec, items in args.probe:
        probe = BinomialsProbe.model_validate_json(spec)
        runs.append(read_observations(paths, args.name, args.trained, name, probe, Path(items)))
    for path, table in made.items():
        with replacing(path) as temporary:
            pl.concat([table(seen) for seen in runs], how="diagonal").write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
