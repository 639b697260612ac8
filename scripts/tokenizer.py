"""Make a tokenizer: train it on a corpus, or take one that exists."""

import argparse
from pathlib import Path

from pydantic import TypeAdapter

from ontogeny.command import run
from ontogeny.corpus import tokenizer as tokenizers
from ontogeny.paths import project_path
from ontogeny.study.models import BpeTokenizer, PretrainedTokenizer, Tokenizer


def main() -> None:
    """Read the arguments, write the tokenizer."""
    arguments = parse()
    spec = TypeAdapter(Tokenizer).validate_json(arguments.spec)
    specials = tokenizers.SPECIALS
    if isinstance(spec, PretrainedTokenizer):
        if (folder := Path(project_path(spec.path))).is_dir():
            spec = spec.model_copy(update={"path": str(folder)})
        made, specials = tokenizers.take_pretrained(spec)
    else:
        if not arguments.documents:
            raise ValueError(f"--documents: a tokenizer of type {spec.type!r} needs a corpus")
        documents = tokenizers.read_documents(arguments.documents, "training the tokenizer")
        if isinstance(spec, BpeTokenizer):
            made = tokenizers.train_bpe(spec, documents)
        else:
            made = tokenizers.make_characters(spec, documents)
    tokenizers.save_tokenizer(made, arguments.output, arguments.output_config, specials)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Make a tokenizer: byte-level BPE or single characters from a corpus's "
        "training documents, or one that exists in a folder or on the Hub. Writes tokenizer.json, "
        "and the tokenizer_config.json that makes AutoTokenizer load it exactly as it is."
    )
    parser.add_argument("--spec", required=True, help="the tokenizer of the study, as JSON")
    parser.add_argument("--documents", help="train.parquet of its corpus (not for `pretrained`)")
    parser.add_argument("--output", required=True, help="tokenizer.json to write")
    parser.add_argument("--output-config", required=True, help="tokenizer_config.json to write")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
