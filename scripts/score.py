"""Score one model on one file of stimuli, without a study and without Snakemake.

    python scripts/score.py --model DIR_OR_HUB_ID --probe blimp.zip --output scores.csv

What the file holds is told by its name or its columns: minimal pairs (BLiMP's .jsonl, a folder or
a .zip of it, a CSV with good,bad), binomials (a CSV with Word1,Word2, scored in prompts), questions
(a CSV with prompt,answer), or text to measure perplexity on (a .txt, one document a line)."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from ontogeny.analysis import summary
from ontogeny.analysis.minimal_pairs import phenomena_of
from ontogeny.command import run as run_command
from ontogeny.command import whole_number
from ontogeny.corpus.sources import read_files
from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.device import choose_device
from ontogeny.paths import PROJECT
from ontogeny.progress import Progress, say
from ontogeny.scoring.index import (
    Strings,
    binomial_strings,
    make_index,
    pair_strings,
    question_strings,
)
from ontogeny.scoring.perplexity import perplexity
from ontogeny.scoring.probes import check_vocabulary, make_scorer
from ontogeny.scoring.published import open_model, open_tokenizer
from ontogeny.scoring.stimuli.binomials import read_prompts, read_words
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.scoring.stimuli.kinds import kind_of
from ontogeny.scoring.stimuli.minimal_pairs import known_ties, read_minimal_pairs
from ontogeny.scoring.tables import Checkpoint, perplexity_table, write_scores
from ontogeny.study.probes import (
    BinomialsProbe,
    CompletionsProbe,
    MinimalPairsProbe,
    PerplexityProbe,
    ProbeBase,
)

PROBES = {
    "binomials": BinomialsProbe,
    "minimal_pairs": MinimalPairsProbe,
    "completions": CompletionsProbe,
    "perplexity": PerplexityProbe,
}
# Keys of a study's probe that are options here too; what they mean is said there.
OPTIONS = {
    "all probes": (ProbeBase, ["precision"]),
    "binomials": (BinomialsProbe, ["max_prompts", "word1", "word2", "order"]),
    "completions": (
        CompletionsProbe,
        [
            *("decoding", "temperature", "top_k", "samples", "seed", "max_new_tokens"),
            *("stop", "pattern", "ignore_case"),
        ],
    ),
    "perplexity": (PerplexityProbe, ["max_tokens"]),
}
PROMPTS = PROJECT / "data" / "prompts" / "prompts.csv"
LONGEST_BLOCK = 1024  # tokens, of a text that perplexity is measured on
Summary = Callable[[pl.DataFrame], list[str]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a model, or owner/name (Hub)")
    parser.add_argument("--revision", help="branch, tag or commit on the Hub")
    parser.add_argument(
        "--tokenizer", help="folder with tokenizer.json, or owner/name (default: the model's)"
    )
    parser.add_argument(
        "--bos",
        action=argparse.BooleanOptionalAction,
        help="put the beginning-of-sequence token before each string, or don't (default: as the "
        "tokenizer is made to; where that says nothing, with it if there is one)",
    )
    parser.add_argument("--name", help="column model of the CSV (default: the folder's, the Hub's)")
    parser.add_argument("--step", type=whole_number(0), help="column step of the CSV")
    parser.add_argument(
        "--tokens", type=whole_number(0), help="column tokens: what it was trained on by then"
    )
    parser.add_argument("--probe", type=Path, required=True, help="file or folder of the stimuli")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    parser.add_argument(
        "--gpu", type=int, choices=[0, 1], help="1: on a GPU (default: if there is one)"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=65536,
        help="most tokens in one forward pass, which bounds memory (default: 65536)",
    )
    for title, (model, names) in OPTIONS.items():
        group = parser.add_argument_group(title)
        if model is BinomialsProbe:
            group.add_argument(
                "--prompts",
                type=Path,
                help="the contexts, column `prompt` of a CSV (default: the list that ships)",
            )
        for name in names:
            field = model.model_fields[name]
            flag = {"action": "store_const", "const": True} if field.annotation is bool else {}
            text = field.description.replace("%", "%%").replace("`", "")
            group.add_argument(f"--{name.replace('_', '-')}", help=text, **flag)
    return parser.parse_args()


def probe_of(kind: str, args: argparse.Namespace) -> ProbeBase:
    """The probe that the options describe; an option for another kind of probe is an error."""
    if args.prompts and kind != "binomials":
        raise ValueError(f"--prompts is not for {kind}: {args.probe}")
    given = {}
    for title, (_, names) in OPTIONS.items():
        for name in names:
            if (value := getattr(args, name)) is None:
                continue
            if title not in ("all probes", kind):
                raise ValueError(f"--{name.replace('_', '-')} is not for {kind}: {args.probe}")
            given[name] = value
    path = str(args.probe)
    if kind == "binomials":  # without what only tables need
        reference = {"any": {"column": "any"}}
        return BinomialsProbe(type=kind, items=path, references=reference, **given)
    place = {"minimal_pairs": {"pairs": path}, "completions": {"items": path}}
    return PROBES[kind](type=kind, **place.get(kind, {}), **given)


def read_stimuli(probe: ProbeBase, args: argparse.Namespace) -> tuple[Strings, Summary]:
    """The strings of a probe, and what tells a person of their scores."""
    if isinstance(probe, BinomialsProbe):
        prompts = read_prompts(args.prompts or PROMPTS, probe.max_prompts)
        items = read_words(args.probe, probe.word1, probe.word2, probe.order)
        return binomial_strings(items, prompts), lambda scores: summary.binomials_summary(
            scores, probe.order
        )
    if isinstance(probe, MinimalPairsProbe):
        pairs = read_minimal_pairs(args.probe)
        if ties := known_ties(pairs):
            say(f"{len(ties)} pairs of BLiMP have one sentence twice; they count as ties")
        phenomena = phenomena_of(pairs)
        return pair_strings(pairs), lambda scores: summary.pairs_summary(scores, phenomena)
    return question_strings(read_questions(args.probe)), summary.completions_summary


def text_scores(
    model: PreTrainedModel, tokenizer: Tokenizer, probe: PerplexityProbe, args: argparse.Namespace
) -> pl.DataFrame:
    """Perplexity on a text file, each line a document, as a study measures it."""
    lines = read_files([str(args.probe)], "line", "text")
    documents = [line for line in lines if line.strip()]
    encodings = tokenizer.encode_batch(documents)
    ids = np.array([i for encoding in encodings for i in encoding.ids])
    size = sum(len(document.encode()) for document in documents)
    block = min(LONGEST_BLOCK, getattr(model.config, "max_position_embeddings", LONGEST_BLOCK))
    result = perplexity(
        model,
        ids,
        block,
        probe.max_tokens,
        size / max(len(ids), 1),
        args.batch_tokens,
        probe.precision,
    )
    return perplexity_table(args.probe.name, result)


def string_scores(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    info: TokenizerInfo,
    probe: ProbeBase,
    strings: Strings,
    args: argparse.Namespace,
) -> pl.DataFrame:
    positions = getattr(model.config, "max_position_embeddings", None)
    index = make_index(strings, tokenizer, info, "", positions)
    with Progress("scoring", len(index.trie.leaves), "strings") as progress:
        done = 0.0

        def advance(share: float) -> None:
            nonlocal done
            done += share
            progress.advance(round(done * progress.total) - progress.done)

        score = make_scorer(model, probe, index, tokenizer, info, args.batch_tokens, advance)
        return score()


def main() -> None:
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.output.is_dir():
        raise ValueError(f"{args.output}: is a folder; name the CSV to write")
    kind = kind_of(args.probe, (args.word1 or "Word1", args.word2 or "Word2"))
    probe = probe_of(kind, args)
    if kind == "perplexity":
        strings, summarise = None, summary.perplexity_summary
    else:
        strings, summarise = read_stimuli(probe, args)
    tokenizer, info = open_tokenizer(args.tokenizer or args.model, args.revision, args.bos)
    bos = "no token" if info.bos_id is None else repr(tokenizer.id_to_token(info.bos_id))
    gpus = int(torch.cuda.is_available()) if args.gpu is None else args.gpu
    model = open_model(args.model, args.revision, choose_device(gpus))
    check_vocabulary(model, info.vocab_size)
    say(f"{args.model}: {model.num_parameters():,} parameters; {bos} before each string")
    if info.vocab_size < (entries := model.config.vocab_size):
        say(
            f"{args.model}: has a vocabulary of {entries:,}, the tokenizer one of "
            f"{info.vocab_size:,}; unless its own is padded so, name the right one: --tokenizer"
        )
    if strings is None:
        table = text_scores(model, tokenizer, probe, args)
    else:
        table = string_scores(model, tokenizer, info, probe, strings, args)
    path = Path(args.model)
    name = path.resolve().name if path.is_dir() else args.model
    checkpoint = Checkpoint(args.name or name, args.revision or name, args.step, args.tokens)
    write_scores(args.output, checkpoint, table)
    print("\n".join(summarise(table)))
    say(f"scores of each string: {args.output}")


if __name__ == "__main__":
    run_command(main, is_job=False)
