"""Tokenise the stimuli of a probe once, for every checkpoint of every run that is scored on it."""

import argparse
from pathlib import Path

from ontogeny.command import run
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.origins import off_record, sha256_of
from ontogeny.progress import say
from ontogeny.scoring.index import (
    Strings,
    binomial_strings,
    make_index,
    pair_strings,
    question_strings,
    save_index,
)
from ontogeny.scoring.stimuli.binomials import (
    only_words,
    read_all_weights,
    read_binomials,
    read_prompts,
)
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.scoring.stimuli.minimal_pairs import known_ties, read_minimal_pairs, sampled
from ontogeny.scoring.stimuli.remarks import remarks
from ontogeny.study.probes import BinomialsProbe, Probe
from ontogeny.study.views import read_probe


def strings_of(probe: Probe, stimuli: Path, prompts: Path | None) -> Strings:
    """The strings of a probe from its files, each line of which is checked."""
    if probe.type == "binomials":
        items = only_words(stimuli, probe.word1, probe.word2, probe.order)
        return binomial_strings(items, read_prompts(prompts, probe.max_prompts))
    if probe.type == "minimal_pairs":
        pairs = sampled(read_minimal_pairs(stimuli), probe.sample)
        for pair in known_ties(pairs):
            say(f"a tie by design: pair {pair.pair_id} of {pair.uid} has one sentence twice")
        return pair_strings(pairs)
    return question_strings(read_questions(stimuli))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spec", required=True, help="the probe as JSON: what its strings depend on"
    )
    parser.add_argument(
        "--check",
        help="the whole probe, as JSON: its items are checked for what tables will need of them, "
        "before anything is trained",
    )
    parser.add_argument("--stimuli", type=Path, required=True, help="file or folder of the items")
    parser.add_argument("--prompts", type=Path, help="CSV of the prompts, for binomials")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument(
        "--positions", type=int, help="the longest input of the models; a longer string is an error"
    )
    parser.add_argument("--output", type=Path, required=True, help="the index (.safetensors)")
    args = parser.parse_args()
    probe = read_probe(args.spec)
    if args.check and probe.type == "binomials":
        whole = BinomialsProbe.model_validate_json(args.check)
        with off_record():
            items = read_binomials(args.stimuli, whole, read_all_weights(whole.references))
        for line in remarks(items, whole):
            say(f"{args.stimuli}: {line}")
    strings = strings_of(probe, args.stimuli, args.prompts)
    tokenizer, info = load_tokenizer(args.tokenizer)
    positions = None if getattr(probe, "context", None) else args.positions
    index = make_index(strings, tokenizer, info, sha256_of(args.tokenizer), positions)
    save_index(index, args.output)
    count, total = len(index.trie.leaves), int(index.trie.lengths.sum())
    say(
        f"{count:,} strings of {total:,} tokens, the longest {index.longest}; "
        f"{len(index.trie):,} different prefixes ({len(index.trie) / total:.0%})"
    )


if __name__ == "__main__":
    run(main)
