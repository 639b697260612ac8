"""Accuracy of completions and probability of the answers at every checkpoint, for all items and
each class: one table per run."""

from pathlib import Path

import polars as pl

from ontogeny.analysis.completions import completion_statistics
from ontogeny.analysis.scores import read_scores
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.inputs import checkpoint_steps
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.study.probes import CompletionsProbe
from ontogeny.study.runs import read_run
from ontogeny.study_arguments import run_table_parser, study_paths


def main() -> None:
    args = run_table_parser(__doc__, from_scores=True).parse_args()
    paths = study_paths(args)
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
