"""Find the items of a probe, and their words, in a corpus, as positions in its token file."""

import argparse
from pathlib import Path

from ontogeny.command import add_words, run, whole_number
from ontogeny.exposure.occurrences import items_told, write_occurrences
from ontogeny.exposure.phrases import phrases_of
from ontogeny.progress import say
from ontogeny.scoring.stimuli.binomials import only_words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=Path, required=True, help="CSV of the items")
    add_words(parser)
    parser.add_argument("--documents", required=True, help="train.parquet of the corpus")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument(
        "--tokens-folder", required=True, help="folder of the corpus' train.bin and meta.json"
    )
    parser.add_argument("--threads", type=whole_number(1), default=1, help="default: %(default)s")
    parser.add_argument("--output", type=Path, required=True, help="the occurrences (parquet)")
    args = parser.parse_args()
    items = only_words(args.items, args.word1, args.word2, args.order)
    phrases = phrases_of(items)
    counts = write_occurrences(
        phrases, args.documents, args.tokenizer, args.tokens_folder, args.output, args.threads
    )
    say(items_told(items, phrases, counts))


if __name__ == "__main__":
    run(main)
