"""Tokenise the stimuli of a probe once, for every checkpoint of every run that is scored on it."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.files import sha256
from ontogeny.progress import say
from ontogeny.scoring.index import index_binomials, save_index
from ontogeny.scoring.stimuli.binomials import read_all_weights, read_binomials, read_prompts
from ontogeny.study.probes import BinomialsProbe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the probe as JSON, as in a study")
    parser.add_argument("--items", type=Path, required=True, help="CSV of the items")
    parser.add_argument("--prompts", type=Path, required=True, help="CSV of the prompts")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument(
        "--positions", type=int, help="the longest input of the models; a longer string is an error"
    )
    parser.add_argument("--output", type=Path, required=True, help="the index (.safetensors)")
    args = parser.parse_args()
    probe = BinomialsProbe.model_validate_json(args.spec)
    items = read_binomials(args.items, probe, read_all_weights(probe.references))
    prompts = read_prompts(args.prompts, probe.max_prompts)
    tokenizer, info = load_tokenizer(args.tokenizer)
    index = index_binomials(items, prompts, tokenizer, info, sha256(args.tokenizer))
    if args.positions is not None and index.longest > args.positions:
        raise ValueError(
            f"the longest string has {index.longest} tokens, more than the {args.positions} "
            "positions of a model that is scored on it; raise its max_position_embeddings, or "
            f"shorten the longest of {args.prompts} and {args.items}"
        )
    save_index(index, args.output)
    say(
        f"{len(items):,} items x 2 orders x {len(prompts)} prompts = {len(index.starts) - 1:,} "
        f"strings, {len(index.ids):,} tokens, the longest {index.longest}"
    )


if __name__ == "__main__":
    run(main)
