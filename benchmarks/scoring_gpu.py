# ruff: noqa: E402
"""What a further checkpoint costs on a GPU, in fp32 and bf16, and what bf16 changes.

    python benchmarks/scoring_gpu.py --text english.txt --items items.csv --blimp blimp.zip

OPT-125M's shape with 8,192 entries (92M parameters), trained for some steps and saved as a segment
of a study, whose checkpoints are scored by the functions of scripts/score_segment.py: the next
checkpoint is read while one is scored. Without `--blimp` or `--items` as many strings of about the
same length are made up from the toy language's words; without `--text` the model is trained on the
stimuli. Needs torch, transformers, polars, pydantic and pyarrow, but no Snakemake.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

import argparse
import copy
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from cases import RUN, Shape, save_segment, token_rows, train_briefly
from peers import plain_logprobs
from scoring import BINOMIALS, LARGE, PAIRS
from scoring_memory import words, write_pairs
from tables import bf16_change, load_average, print_bf16, print_machine, print_table
from transformers import PreTrainedModel

import score_segment
from ontogeny.corpus.tokenizer import load_tokenizer, save_tokenizer, train_bpe
from ontogeny.files import read_json
from ontogeny.origins import sha256
from ontogeny.paths import Paths
from ontogeny.progress import say
from ontogeny.scoring.index import Index, binomial_strings, make_index, pair_strings
from ontogeny.scoring.probes import make_scorer
from ontogeny.scoring.records import Records
from ontogeny.scoring.stimuli.binomials import Binomial, read_prompts, read_words
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs
from ontogeny.scoring.tables import Checkpoint, write_scores
from ontogeny.study.models import BpeTokenizer
from ontogeny.study.probes import IndexedProbe
from ontogeny.training.model import new_model, set_weights

TRAINED = replace(LARGE, init_std=0.02, steps=100, batch_size=32)
QUICK = replace(TRAINED, layers=2, steps=1, batch_size=2)
BLIMP_PAIRS, ITEMS = 67_000, 725  # as many as are published
REFERRED = 200  # pairs of each probe that are scored in float64 too


@dataclass(frozen=True)
class Stimuli:
    """A probe, its index, and the columns of its two sums."""

    name: str
    probe: IndexedProbe
    index: Index
    columns: tuple[str, str]


def main() -> None:
    """Make the segment, score it in both precisions, print tables."""
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    gpus = int(arguments.device == "cuda")
    print_machine(["polars"], arguments.threads)
    print(f"on {torch.cuda.get_device_name() if gpus else 'the CPU'}", flush=True)
    shape = QUICK if arguments.quick else TRAINED
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        stimuli, sentences = make_stimuli(arguments, folder, shape.vocab_size)
        tokenizer = load_tokenizer(folder / "tokenizer.json")
        model = new_model(shape.architecture, tokenizer[1], 2, seed=0).to(arguments.device)
        trained = train_and_yield(model, tokenizer[0], sentences, shape, arguments.checkpoints)
        paths = save_segment(folder / "study", trained)
        alone = [seconds_to_read(paths, step) for step in range(arguments.checkpoints)]
        print(f"\nA checkpoint is read and checked in {min(alone):.2f} s by itself.", flush=True)
        exact = in_float64(model, stimuli, arguments.quick)
        model.cpu()  # not part of the GPU memory that is measured below
        times, tables = [], {}
        for precision in ("fp32", "bf16"):
            seconds, peak, tables[precision] = score_segment_timed(
                paths, stimuli, tokenizer, precision, gpus, arguments
            )
            times += time_rows(precision, seconds, peak)
    head = ["precision", "checkpoint", "all, s", "wait for weights, s", "set, s"]
    for one in stimuli:
        head += [f"{one.name}: score, s", f"{one.name}: CSV, s"]
    print_table("Seconds of a checkpoint", [*head, "peak GPU memory, GB"], times)
    print_errors(stimuli, tables, exact)
    print(f"\nLoad average at the end: {load_average()}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, help="English, a document a line, to train on")
    parser.add_argument("--items", type=Path, help="binomials: Word1,Word2")
    prompts = PROJECT / "data" / "prompts" / "prompts.csv"
    parser.add_argument("--prompts", type=Path, default=prompts, help="default: those that ship")
    parser.add_argument("--blimp", type=Path, help="BLiMP as published, a zip")
    parser.add_argument("--checkpoints", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--batch-tokens", type=int, default=65536, help="default: %(default)s")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--threads", type=int, default=4, help="CPU threads (default: 4)")
    parser.add_argument("--quick", action="store_true", help="on little of all, to try it out")
    parser.add_argument("--folder", type=Path, help="where temporary files go, some 2 GB")
    return parser.parse_args()


# ---------------------------------------------------------------------------- what is scored


def make_stimuli(
    arguments: argparse.Namespace, folder: Path, vocab_size: int
) -> tuple[list[Stimuli], list[str]]:
    """Both probes, tokenised by a BPE that is made here; and the sentences to train on."""
    if arguments.blimp:
        pairs = read_minimal_pairs(arguments.blimp, 2 if arguments.quick else None)
    else:
        write_pairs(folder / "pairs.csv", 100 if arguments.quick else BLIMP_PAIRS)
        pairs = read_minimal_pairs(folder / "pairs.csv")
    items = read_words(arguments.items) if arguments.items else made_up_items()
    prompts = read_prompts(arguments.prompts, 2 if arguments.quick else None)
    items = items[:20] if arguments.quick else items
    if arguments.text:
        text = arguments.text.read_text(encoding="utf-8").split("\n")
        sentences = [line for line in text if line]
    else:
        sentences = [pair.good for pair in pairs] + [item.alpha for item in items]
    made = train_bpe(BpeTokenizer(type="bpe", corpus="any", vocab_size=vocab_size), sentences)
    missing = vocab_size - made.get_vocab_size()
    made.add_tokens([f"<unused{i}>" for i in range(missing)])  # for an output matrix of full size
    save_tokenizer(made, folder / "tokenizer.json", folder / "tokenizer_config.json")
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    digest = sha256(folder / "tokenizer.json")
    stimuli = []
    for name, probe, strings, columns in (
        ("BLiMP", PAIRS, pair_strings(pairs), ("good_logprob", "bad_logprob")),
        (
            "binomials",
            BINOMIALS,
            binomial_strings(items, prompts),
            ("alpha_logprob", "nonalpha_logprob"),
        ),
    ):
        start = time.perf_counter()
        index = make_index(strings, *tokenizer, digest)
        print(
            f"\n{name}: {len(index.trie.leaves):,} strings, {int(index.trie.lengths.sum()):,} "
            f"tokens, {len(index.trie):,} different prefixes; indexed once, in "
            f"{time.perf_counter() - start:.2f} s"
        )
        stimuli.append(Stimuli(name, probe, index, columns))
    return stimuli, sentences


def made_up_items() -> list[Binomial]:
    """Pairs of the toy language's words."""
    rng, known = random.Random(0), sorted(words(), key=str.casefold)
    chosen = {tuple(sorted(rng.sample(range(len(known)), 2))) for _ in range(2 * ITEMS)}
    return [Binomial(known[i], known[j], False, None) for i, j in sorted(chosen)[:ITEMS]]


def train_and_yield(
    model: PreTrainedModel, tokenizer, sentences: list[str], shape: Shape, count: int
) -> Iterator[PreTrainedModel]:
    """The model, so many times, trained some steps further each time."""
    for _ in range(count):
        loss = train_briefly(model, tokenizer, sentences, shape)
        say(f"{model.num_parameters():,} parameters, loss {loss:.2f}")
        yield model.eval()


# ---------------------------------------------------------------------------- measuring


def checkpoint_files(paths: Paths) -> tuple[Path, list[Path], list[str]]:
    """The manifest of the segment, and its checkpoints with their hashes."""
    manifest = Path(paths.segment(RUN, 0, "manifest.json"))
    saved = read_json(manifest)["checkpoints"]
    files = [Path(paths.checkpoint(RUN, one["step"], "model.safetensors")) for one in saved]
    return manifest, files, [one["sha256"] for one in saved]


def seconds_to_read(paths: Paths, step: int) -> float:
    """Seconds until the weights of a checkpoint are in memory, their hash compared."""
    manifest, files, hashes = checkpoint_files(paths)
    start = time.perf_counter()
    score_segment.whole_weights(files[step], hashes[step], manifest)
    return time.perf_counter() - start


def score_segment_timed(
    paths: Paths,
    stimuli: list[Stimuli],
    tokenizer: tuple,
    precision: str,
    gpus: int,
    arguments: argparse.Namespace,
) -> tuple[np.ndarray, float, dict[str, pl.DataFrame]]:
    """What the loop of score_segment.py does, with a clock.

    Returns seconds [checkpoints, parts], peak GPU memory in bytes, and the last checkpoint's
    tables. Parts: wait for weights, set them, and for each probe scores and CSV.
    """
    manifest, files, hashes = checkpoint_files(paths)
    if gpus:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = score_segment.live_model(files[0].parent, gpus)
    scorers = [
        make_scorer(
            model,
            one.probe.model_copy(update={"precision": precision}),
            one.index,
            *tokenizer,
            arguments.batch_tokens,
        )
        for one in stimuli
    ]
    records = Records(Path(paths.segment(RUN, 0, f"{precision}.json")))
    seconds, tables = [], {}
    marks = [time.perf_counter()]
    ahead = score_segment.read_ahead(files, hashes, manifest)
    for step, tensors in enumerate(ahead):
        marks.append(time.perf_counter())
        set_weights(model, tensors, files[step])
        if gpus:
            torch.cuda.synchronize()
        marks.append(time.perf_counter())
        for one, scorer in zip(stimuli, scorers, strict=True):
            tables[one.name] = scorer()
            marks.append(time.perf_counter())
            output = Path(paths.scores(f"{one.name}-{precision}", RUN, step))
            write_scores(output, Checkpoint(RUN, str(step), step, step), tables[one.name])
            records.add(output, precision)
            marks.append(time.perf_counter())
        seconds.append(np.diff(marks))
        marks = marks[-1:]
    peak = torch.cuda.max_memory_allocated() if gpus else float("nan")
    return np.array(seconds), peak, tables


def time_rows(precision: str, seconds: np.ndarray, peak: float) -> list[tuple[str, ...]]:
    """The first checkpoint, and the median of the others."""
    rows = []
    for name, parts in (("first", seconds[0]), ("further", np.median(seconds[1:], axis=0))):
        cells = [f"{value:.2f}" for value in (parts.sum(), *parts)]
        rows.append((precision, name, *cells, f"{peak / 1e9:.2f}"))
    return rows


# ---------------------------------------------------------------------------- error


def in_float64(
    model: PreTrainedModel, stimuli: list[Stimuli], quick: bool
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Some strings of each probe, by number, and their sums: one by one, all in float64."""
    exact = {}
    double = copy.deepcopy(model).double()
    for one in stimuli:
        rows = token_rows(one.index.trie)
        count = 4 if quick else REFERRED
        pairs = np.linspace(0, len(rows) // 2 - 1, count).astype(int)
        chosen = (2 * pairs[:, None] + [0, 1]).flatten()
        rows = [rows[i].to(double.device) for i in chosen]
        exact[one.name] = chosen, plain_logprobs(double, rows)
    return exact


def print_errors(
    stimuli: list[Stimuli],
    tables: dict[str, dict[str, pl.DataFrame]],
    exact: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    """Sums of the last checkpoint against float64, and preferences in bf16 against fp32."""
    errors, changes = [], []
    for one in stimuli:
        chosen, expected = exact[one.name]
        sums = {
            precision: of[one.name].select(one.columns).to_numpy().astype(np.float64).flatten()
            for precision, of in tables.items()
        }
        for precision, found in sums.items():
            distance = np.abs(found[chosen] - expected)
            cells = (f"{distance.max():.1e}", f"{distance.mean():.1e}")
            errors.append((one.name, precision, len(chosen), *cells))
        changes.append((one.name, *bf16_change(sums["fp32"], sums["bf16"])))
    head = ["probe", "precision", "strings", "largest, nat", "mean, nat"]
    print_table("Difference of a string's sum from all in float64", head, errors)
    print_bf16("Preferences in precision bf16 against fp32", ["probe"], changes)


if __name__ == "__main__":
    main()
