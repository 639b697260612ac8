"""Count how often a run had read each item of a probe by each of its checkpoints, by replaying the
order of its data over the occurrences in its corpus."""

import argparse
from pathlib import Path

from ontogeny.command import add_words
from ontogeny.command import run as run_command
from ontogeny.exposure.counts import exposures
from ontogeny.files import read_json, replacing
from ontogeny.scoring.stimuli.binomials import only_words
from ontogeny.study.runs import read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--run", required=True, help="the run as JSON, as in a study")
    parser.add_argument("--items", type=Path, required=True, help="CSV of the items")
    add_words(parser)
    parser.add_argument("--occurrences", required=True, help="what occurrences.py has made")
    parser.add_argument("--meta", required=True, help="meta.json of the tokens of its corpus")
    parser.add_argument(
        "--documents", type=Path, required=True, help="where its documents begin (.npy)"
    )
    parser.add_argument("--output", type=Path, required=True, help="the table (CSV)")
    args = parser.parse_args()
    tokens = read_json(args.meta)["splits"]["train"]["tokens"]
    run = read_run(args.run)
    items = only_words(args.items, args.word1, args.word2, args.order)
    table = exposures(args.name, run, tokens, items, args.occurrences, args.documents)
    with replacing(args.output) as temporary:
        table.write_csv(temporary)


if __name__ == "__main__":
    run_command(main)
