"""Write grammatical minimal pairs of the toy language."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.corpus.sources import TOY_FOLDER
from ontogeny.corpus.toy import load_language
from ontogeny.corpus.toy_minimal_pairs import minimal_pairs
from ontogeny.files import write_rows


def main() -> None:
    """Read the arguments, write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language-seed", type=int, required=True, help="seed of the language")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    args = parser.parse_args()
    write_rows(args.output, minimal_pairs(load_language(TOY_FOLDER, args.language_seed)))


if __name__ == "__main__":
    run(main)
