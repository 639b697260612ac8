"""Regress a run's preferences on what people prefer, on exposure and on constraints, at every
checkpoint and over training; how far preferences are from the exposures, and how well they agree
with each constraint: three tables per run."""

from pathlib import Path

import polars as pl

from ontogeny.analysis.constraints import constraint_statistics
from ontogeny.analysis.deviations import deviations
from ontogeny.analysis.mixed import mixed_regression
from ontogeny.analysis.observations import Observations, read_observations
from ontogeny.analysis.regressions import checkpoint_regressions, training_regressions
from ontogeny.analysis.responses import response_regressions
from ontogeny.analysis.scores import read_scores
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.paths import project_path
from ontogeny.scoring.stimuli.responses import choices_by_item, read_responses
from ontogeny.study.probes import BinomialsProbe
from ontogeny.study_arguments import run_table_parser, study_paths


def main() -> None:
    parser = run_table_parser(__doc__)
    parser.add_argument(
        "--deviations", type=Path, required=True, help="table of distances to exposures (CSV)"
    )
    parser.add_argument(
        "--constraints", type=Path, required=True, help="table of constraints (CSV)"
    )
    args = parser.parse_args()
    paths = study_paths(args)
    tables: dict[Path, list[pl.DataFrame]] = {
        args.output: [],
        args.deviations: [],
        args.constraints: [],
    }
    for name, spec, items in args.probe:
        probe = BinomialsProbe.model_validate_json(spec)
        seen = read_observations(paths, args.name, args.trained, name, probe, Path(items))
        last = paths.scores(name, args.name, seen.checkpoints["step"][-1])
        tables[args.output] += [
            checkpoint_regressions(seen),
            training_regressions(seen),
            mixed_regression(seen, read_scores([last])),
            *answers(seen, probe),
        ]
        tables[args.deviations].append(deviations(seen))
        tables[args.constraints].append(constraint_statistics(seen))
    for path, parts in tables.items():
        with replacing(path) as temporary:
            pl.concat(parts).write_csv(temporary)


def answers(seen: Observations, probe: BinomialsProbe) -> list[pl.DataFrame]:
    """The regressions of people's choices on the model's preferences, if there are choices."""
    if probe.responses is None:
        return []
    path = Path(project_path(probe.responses))
    choices = choices_by_item(read_responses(path, probe.word1, probe.word2), seen.items, path)
    return [response_regressions(seen, choices)]


if __name__ == "__main__":
    run_command(main)
