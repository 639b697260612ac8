"""Check, before anything is trained, that an architecture can be built for a tokenizer and is
causal; write its configuration and its numbers of parameters."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.files import write_json
from ontogeny.progress import say
from ontogeny.study.models import Architecture
from ontogeny.training.model import check_causal, count_parameters, new_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the architecture as JSON, as in a study")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--block-size", type=int, required=True, help="longest training sequence")
    parser.add_argument("--output", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    architecture = Architecture.model_validate_json(args.spec)
    _, tokenizer = load_tokenizer(args.tokenizer)
    model = new_model(architecture, tokenizer, args.block_size, seed=0)
    check_causal(model)
    counts = count_parameters(model)
    say(
        f"{architecture.model_type}: {counts['parameters']:,} parameters, {counts['trained']:,} "
        f"trained, {counts['trained_without_positions']:,} of them without positions"
    )
    write_json(args.output, {**counts, "config": model.config.to_diff_dict()})


if __name__ == "__main__":
    run(main)
