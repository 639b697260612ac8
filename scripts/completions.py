"""Accuracy of completions and probability of the answers at every checkpoint, for all items and
each class: one table per run."""

import argparse
from pathlib import Path

import polars as pl

from ontogeny.analysis.completions import completion_statistics
from ontogeny.analysis.scores import read_scores
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.inputs import checkpoint_steps
from ontogeny.paths import Paths
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.study.probes import CompletionsProbe
from ontogeny.study.runs import read_run


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
        metavar=("NAME", "SPEC", "STIMULI"),
        help="a completions probe: its name, its JSON as in a study, and the CSV of its items",
    )
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    paths = Paths(args.study_folder)
    steps = checkpoint_steps(read_run(args.run))
    tables = []
    for name, spec, stimuli in args.probe:
        CompletionsProbe.model_validate_json(spec)
        items = read_questions(Path(stimuli))
        files = [paths.scores(name, args.name, step) for step in steps]
        scores = read_scores(files, stimuli=len(items))
        tables.append(completion_statistics(scores, args.name, name))
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
