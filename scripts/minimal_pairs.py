"""Accuracy on minimal pairs at every checkpoint, for all pairs, each phenomenon and each paradigm:
one table per run."""

from pathlib import Path

import polars as pl

from ontogeny.analysis.minimal_pairs import pair_statistics, phenomena_of
from ontogeny.analysis.scores import read_scores
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.inputs import checkpoint_steps
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs, sampled
from ontogeny.study.probes import MinimalPairsProbe
from ontogeny.study.runs import read_run
from ontogeny.study_arguments import run_table_parser, study_paths


def main() -> None:
    args = run_table_parser(__doc__, from_scores=True).parse_args()
    paths = study_paths(args)
    steps = checkpoint_steps(read_run(args.run))
    tables = []
    for name, spec, stimuli in args.probe:
        probe = MinimalPairsProbe.model_validate_json(spec)
        pairs = sampled(read_minimal_pairs(Path(stimuli)), probe.sample)
        files = [paths.scores(name, args.name, step) for step in steps]
        scores = read_scores(files, stimuli=len(pairs))
        tables.append(pair_statistics(scores, phenomena_of(pairs), args.name, name))
    with replacing(args.output) as temporary:
        pl.concat(tables).write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
