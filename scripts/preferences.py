"""Average each item's preference over its prompts, at every checkpoint of a run: one table per run,
which the other analyses of binomials read."""

from pathlib import Path

import polars as pl

from ontogeny.analysis.scores import read_preferences
from ontogeny.command import run as run_command
from ontogeny.files import replacing
from ontogeny.inputs import checkpoint_steps
from ontogeny.progress import say
from ontogeny.published.completeness import completeness_line
from ontogeny.scoring.stimuli.binomials import only_words
from ontogeny.study.runs import ScoresRun, read_run
from ontogeny.study.views import read_probe
from ontogeny.study_arguments import run_table_parser, study_paths


def main() -> None:
    args = run_table_parser(__doc__, from_scores=True).parse_args()
    paths, run = study_paths(args), read_run(args.run)
    steps = checkpoint_steps(run)
    if isinstance(run, ScoresRun):
        say(completeness_line(args.name, steps, run.expected_steps()))
    tables = []
    for name, spec, stimuli in args.probe:
        probe = read_probe(spec)
        items = only_words(Path(stimuli), probe.word1, probe.word2, probe.order)
        files = {step: paths.scores(name, args.name, step) for step in steps}
        table = read_preferences(files, [item.alpha for item in items], args.name, name)
        if any(item.turned for item in items):
            given = {item.alpha: item.given for item in items}
            table = table.with_columns(given=pl.col("binom").replace_strict(given))
        tables.append(table)
    with replacing(args.output) as temporary:
        pl.concat(tables, how="diagonal").write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
