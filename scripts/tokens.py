"""Encode a corpus with a tokenizer, into flat files of token ids."""

import argparse

from ontogeny.command import run
from ontogeny.corpus.tokens import write_tokens


def main() -> None:
    """Read the arguments, write the tokens of both splits."""
    arguments = parse()
    documents = {
        "train": arguments.train_documents,
        "validation": arguments.validation_documents,
    }
    write_tokens(arguments.tokenizer, documents, arguments.output_folder)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Encode a corpus with a tokenizer. Writes, for each split, the token ids of "
        "all documents on end (train.bin) and where each document starts (train.documents.npy), "
        "and meta.json with the number type, the vocabulary size and the counts."
    )
    parser.add_argument("--tokenizer", required=True, help="tokenizer.json")
    parser.add_argument("--train-documents", required=True, help="train.parquet of the corpus")
    parser.add_argument("--validation-documents", required=True, help="its validation.parquet")
    parser.add_argument("--output-folder", required=True, help="folder to write into")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
