"""Put the score files that someone has published for a run into our columns: one CSV per
checkpoint. CSVs that are whole and were made from the same files are kept."""

import argparse
import os
from pathlib import Path

from ontogeny.command import add_words
from ontogeny.command import run as run_command
from ontogeny.files import write_rows
from ontogeny.inputs import matching_files
from ontogeny.origins import sha256_of
from ontogeny.progress import Progress
from ontogeny.published.binomial_scores import extra_columns, read_published, score_rows
from ontogeny.published.score_files import published_files
from ontogeny.scoring.records import Records, fingerprint
from ontogeny.scoring.stimuli.binomials import only_words, read_prompts
from ontogeny.study.runs import read_run
from ontogeny.study.schedule import checkpoint_name
from ontogeny.study_arguments import add_study_folder, study_paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_study_folder(parser)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--run", required=True, help="the run as JSON, as in a study")
    parser.add_argument("--items", type=Path, required=True, help="CSV of the probe's items")
    add_words(parser)
    parser.add_argument("--prompts", type=Path, required=True, help="CSV of the probe's prompts")
    parser.add_argument("--max-prompts", type=int, help="use the first so many prompts")
    parser.add_argument("--records", type=Path, required=True, help="what was made from what")
    args = parser.parse_args()
    paths, run = study_paths(args), read_run(args.run)
    items = only_words(args.items, args.word1, args.word2, args.order)
    prompts = read_prompts(args.prompts)
    files = published_files(matching_files(run.files), run.tokens_per_step, run.steps_from)
    hashes = {path: sha256_of(path) for path in {file.path for file in files}}
    extra = extra_columns(files)
    stimuli = [[item.alpha for item in items], prompts, args.max_prompts]
    records = Records(args.records)
    with Progress(f"{args.name} scores", len(files), "files") as progress:
        for file in files:
            output = Path(paths.scores(run.probe, args.name, file.step))
            made_from = fingerprint(stimuli, extra, file.tokens, hashes[file.path])
            if records.keeps(output, made_from):
                os.utime(output)
            else:
                rows = read_published(file, items, prompts, args.max_prompts)
                checkpoint = {
                    "model": args.name,
                    "checkpoint": checkpoint_name(file.step),
                    "step": file.step,
                    "tokens": file.tokens,
                }
                write_rows(output, score_rows(rows, checkpoint, extra), record=False)
                records.add(output, made_from)
            progress.advance(1, f"step {file.step:,}")
    records.write()


if __name__ == "__main__":
    run_command(main)
