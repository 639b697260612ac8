"""Write grammatical minimal pairs of the toy language."""

import argparse
import csv
from pathlib import Path

from ontogeny.command import run
from ontogeny.corpus.sources import TOY_FOLDER
from ontogeny.corpus.toy import load_language
from ontogeny.corpus.toy_minimal_pairs import minimal_pairs
from ontogeny.files import replacing


def main() -> None:
    """Read the arguments, write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language-seed", type=int, required=True, help="seed of the language")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    args = parser.parse_args()
    rows = minimal_pairs(load_language(TOY_FOLDER, args.language_seed))
    with (
        replacing(args.output) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run(main)
