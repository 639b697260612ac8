# ruff: noqa: E402
"""How fast and how exactly strings are scored, against padded batches, minicons and lm-eval.

    python benchmarks/scoring.py --text english.txt --items items.csv --blimp blimp.zip

Everything that a ratio compares is measured in this one run, in turns, on the same strings and the
same weights. Prints Markdown tables. Parts, to be chosen with `--parts`:

small        OPT with 2 layers of width 128, 2,048 entries; all items in all prompts
large        OPT-125M's shape with 8,192 entries (92M parameters); all items in two prompts
minicons     its `sequence_score` beside these two
error        distance from sums in float64; what precision `bf16` changes
blimp        all of BLiMP with the small model, and the same through lm-evaluation-harness
checkpoints  a further checkpoint of scripts/score_segment.py, against its arithmetic alone

"Padded" is what the scripts before this project did: strings in the order of the file, right-padded
to the longest of a batch rounded up to a multiple of 8, an attention mask, log_softmax over all
logits. Its strings are tokenised beforehand, ours too; minicons and lm-eval tokenise at each call.
The preferences of a new model are next to nothing: the small one is trained for 200 steps, which
on a CPU is too long for the large one, whose weights are drawn with a standard deviation of 0.03
(not 0.02) so that its preferences spread as widely.
minicons 0.3.39 and lm-eval 0.4.13 are needed for their parts only, accelerate and sacrebleu with
lm-eval.
"""

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))
for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TQDM_DISABLE"):  # read on import
    os.environ.setdefault(name, "1")

import argparse
import copy
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import torch
from cases import (
    BATCH_TOKENS,
    RUN,
    Case,
    Shape,
    best_batch_size,
    in_turns,
    index_strings,
    make_case,
    save_segment,
    segment_seconds,
    token_rows,
)
from peers import (
    LmEval,
    compiled_once,
    minicons_logprobs,
    minicons_scorer,
    nothing,
    padded_logprobs,
    plain_logprobs,
)
from tables import bf16_change, load_average, print_bf16, print_machine, print_table

from ontogeny.analysis.minimal_pairs import ALL, pair_statistics, phenomena_of
from ontogeny.analysis.scores import read_scores
from ontogeny.progress import say
from ontogeny.scoring.engine import Scorer
from ontogeny.scoring.index import (
    pair_strings,
    save_index,
)
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs
from ontogeny.scoring.trie import build_trie
from ontogeny.study.probes import BinomialsProbe, MinimalPairsProbe
from ontogeny.training.model import new_model, read_weights, set_weights

PARTS = ("small", "large", "minicons", "error", "blimp", "checkpoints")
LM_EVAL_BATCH_SIZES = (16, 64, 128, 256)
BINOMIALS = BinomialsProbe(type="binomials", items="-", references={"any": {"column": "Word1"}})
PAIRS = MinimalPairsProbe(type="minimal_pairs", pairs="-")


SMALL = Shape(
    vocab_size=2048,
    hidden_size=128,
    layers=2,
    heads=4,
    positions=256,
    init_std=0.02,
    steps=200,
    batch_size=16,
    lr=3e-3,
    items=None,
    prompts=None,
    search=2900,
    referred=200,
    halved=7250,
)
LARGE = Shape(
    vocab_size=8192,
    hidden_size=768,
    layers=12,
    heads=12,
    positions=1024,
    init_std=0.03,
    steps=0,
    batch_size=16,
    lr=1e-3,
    items=None,
    prompts=2,
    search=256,
    referred=100,
    halved=725,
)
LESS = {"items": 100, "prompts": 1, "search": 64, "referred": 4, "halved": 20}
QUICK_SMALL = replace(SMALL, steps=20, batch_size=4, **LESS)
QUICK_LARGE = replace(LARGE, **LESS)


def main() -> None:
    """Run the parts that were asked for, print their tables."""
    arguments = parse()
    os.environ["RAYON_NUM_THREADS"] = str(arguments.threads)  # of tokenizers, at their first use
    torch.set_num_threads(arguments.threads)
    print_machine(["minicons", "lm_eval"], arguments.threads)
    small, large = (QUICK_SMALL, QUICK_LARGE) if arguments.quick else (SMALL, LARGE)
    parts = set(arguments.parts)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        cases = []
        if parts - {"large"}:
            cases.append((make_case("small", small, arguments, folder / "small"), small))
        if "large" in parts:
            cases.append((make_case("large", large, arguments, folder / "large"), large))
        timed = [case for case in cases if case[0].name in parts]
        if timed:
            compare_binomials(timed, arguments.rounds, "minicons" in parts)
        if "error" in parts:
            measure_errors(cases)
        if "blimp" in parts:
            compare_blimp(cases[0][0], arguments, folder / "blimp")
        if "checkpoints" in parts:
            measure_checkpoints(cases[0][0], small, arguments, folder / "checkpoints")
    print(f"\nLoad average at the end: {load_average()}")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, required=True, help="English, a document a line")
    parser.add_argument("--items", type=Path, required=True, help="binomials: Word1,Word2")
    prompts = PROJECT / "data" / "prompts" / "prompts.csv"
    parser.add_argument("--prompts", type=Path, default=prompts, help="default: those that ship")
    parser.add_argument("--blimp", type=Path, help="BLiMP as published: a zip of 67 jsonl files")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--rounds", type=int, default=2, help="how often in turn (default: 2)")
    parser.add_argument("--quick", action="store_true", help="on little of all, to try it out")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: all, %(default)s")
    parser.add_argument("--folder", type=Path, help="where temporary files go, some 2 GB")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if "blimp" in arguments.parts and arguments.blimp is None:
        parser.error("part blimp needs --blimp")
    return arguments


# ---------------------------------------------------------------------------- binomials


def compare_binomials(cases: list[tuple[Case, Shape]], rounds: int, with_minicons: bool) -> None:
    """Ours, padded batches and minicons on the same strings."""
    table = []
    for case, shape in cases:
        methods = ways_of_scoring(case, shape, with_minicons)
        seconds, results = in_turns({name: way for name, (_, way) in methods.items()}, rounds)
        ours = seconds["ours"]
        for name, times in seconds.items():
            difference = np.abs(results[name] - results["ours"]).max()
            table.append(
                (
                    case.name,
                    name,
                    methods[name][0],
                    f"{min(times):.2f}",
                    f"{np.median(times):.2f}",
                    f"{len(case.texts) / min(times):,.0f}",
                    f"{min(times) / min(ours):.1f}",
                    f"{np.median(times) / np.median(ours):.1f}",
                    "" if name == "ours" else f"{difference:.1e}",
                )
            )
    head = ["model", "method", "batch", "best, s", "median, s", "strings/s", "best / ours"]
    head += ["median / ours", "largest difference from ours, nat"]
    print_table(f"Binomials in prompts, {rounds} rounds, the methods in turn", head, table)


def ways_of_scoring(
    case: Case, shape: Shape, with_minicons: bool
) -> dict[str, tuple[str, Callable[[], np.ndarray]]]:
    """Each method with its batch, at its best size where it has one."""
    start = time.perf_counter()
    scorer = Scorer(case.model, case.index.trie, BATCH_TOKENS)
    once = case.index_seconds + time.perf_counter() - start
    rows, texts = token_rows(case.index.trie), case.texts
    tokens, prefixes = int(case.index.trie.lengths.sum()), len(case.index.trie)
    print(
        f"\n{case.name}: {case.model.num_parameters():,} parameters; {len(rows):,} strings, "
        f"{tokens:,} tokens, {prefixes:,} different prefixes. Tokens, trie and rows are made once, "
        f"in {once:.2f} s, which is not counted below."
    )
    methods = {"ours": (f"{scorer.batch_tokens:,} tokens", scorer.string_logprobs)}

    def padded(batch_size: int, rows: list[torch.Tensor] = rows) -> np.ndarray:
        return padded_logprobs(case.model, rows, batch_size, case.info.pad_id)

    part, peers = min(shape.search, len(rows)), {"padded": (padded, rows)}
    if with_minicons:
        scorer_of_peer = minicons_scorer(case.folder)

        def minicons(batch_size: int, texts: list[str] = texts) -> np.ndarray:
            return minicons_logprobs(scorer_of_peer, texts, batch_size)

        peers["minicons"] = (minicons, texts)
    for name, (way, strings) in peers.items():
        measure = partial(seconds_on, way, strings[:part])
        size = best_batch_size(f"{case.name}, {name}", measure, part)
        methods[name] = (f"{size} strings", partial(way, size))
    return methods


def seconds_on(way: Callable, strings: list, batch_size: int) -> float:
    """Seconds of a way of scoring on some strings."""
    start = time.perf_counter()
    way(batch_size, strings)
    return time.perf_counter() - start


# ---------------------------------------------------------------------------- error


def measure_errors(cases: list[tuple[Case, Shape]]) -> None:
    """Our sums and padded ones against float64; bf16 against fp32."""
    errors, changes = [], []
    for case, shape in cases:
        trie, every = case.index.trie, token_rows(case.index.trie)
        pairs = np.linspace(0, len(every) // 2 - 1, shape.referred).astype(int)
        chosen = (2 * pairs[:, None] + [0, 1]).flatten()
        rows = [every[i] for i in chosen]
        ours = Scorer(case.model, trie, BATCH_TOKENS).string_logprobs()
        sums = {
            "ours": ours[chosen],
            "padded, 64 strings": padded_logprobs(case.model, rows, 64, case.info.pad_id),
        }
        plain = plain_logprobs(case.model, rows)
        exact = plain_logprobs(copy.deepcopy(case.model).double(), rows)
        for name, values in sums.items():
            distances = [f"{np.abs(values - other).max():.1e}" for other in (plain, exact)]
            size = f"{np.abs(exact).mean():.0f}"
            errors.append((case.name, name, len(chosen), size, *distances))
        start = time.perf_counter()
        few = every[: 2 * (shape.halved or len(every))]
        starts = np.cumsum([0, *map(len, few)])
        part = build_trie(torch.cat(few).numpy(), starts)
        half = Scorer(case.model, part, BATCH_TOKENS, "bf16").string_logprobs()
        say(f"{case.name}: bf16 took {time.perf_counter() - start:.1f} s")
        changes.append((case.name, *bf16_change(ours[: len(few)], half)))
    print_table(
        "Largest difference, in nats, from sums in float64 over strings that are run one by one",
        ["model", "method", "strings", "mean size, nat", "model in fp32", "model in float64"],
        errors,
    )
    print_bf16("Preferences in precision bf16 against fp32, on the CPU", ["model"], changes)


# ---------------------------------------------------------------------------- BLiMP


def compare_blimp(case: Case, arguments: argparse.Namespace, folder: Path) -> None:
    """Ours from the file to accuracies, and the harness on the same checkpoint."""
    paradigms = unpack(arguments.blimp, folder / "data", *((4, 100) if arguments.quick else ()))
    start = time.perf_counter()
    pairs = read_minimal_pairs(folder / "data")
    index = index_strings(pair_strings(pairs), case, folder / "index.safetensors")
    once = time.perf_counter() - start
    paths = save_segment(folder / "study", [case.model] * 3)

    def ours() -> tuple[float, list[float]]:
        return segment_seconds(paths, PAIRS, folder / "index.safetensors", case, arguments.threads)

    few, sizes = paradigms[:4], LM_EVAL_BATCH_SIZES[:: 3 if arguments.quick else 1]
    with compiled_once():
        size = best_batch_size(
            "lm-eval's scoring",
            lambda n: LmEval(case.folder, folder / "data", few, n).seconds["scoring"],
            2 * sum(pair.uid in few for pair in pairs),
            sizes,
        )
    firsts, furthers, peers = [], [], {}
    for cached in (True, False):
        first, further = ours()
        firsts.append(first)
        furthers += further
        with compiled_once() if cached else nothing():
            peers[cached] = LmEval(case.folder, folder / "data", paradigms, size)
    scores_file = paths.scores("probe", RUN, 0)
    start = time.perf_counter()
    table = pair_statistics(read_scores([scores_file], len(pairs)), phenomena_of(pairs), RUN, "-")
    tables = time.perf_counter() - start

    whole = once + min(firsts) + tables
    scoring = min(peer.seconds["scoring"] for peer in peers.values())
    rows = [
        ("ours", "file to index (sentences, tokens, trie), once for all checkpoints", once),
        ("ours", "first checkpoint: live model, weights, scores, CSV", min(firsts)),
        ("ours", "each further checkpoint: weights, scores, CSV (best)", min(furthers)),
        ("ours", "each further checkpoint (median)", float(np.median(furthers))),
        ("ours", "accuracies from the CSV", tables),
        ("ours", "file to accuracies of one checkpoint", whole),
        ("lm-eval", f"scoring alone, {size} strings at once (better of 2)", scoring),
    ]
    for cached, what in ((False, "all, as it is"), (True, "all, each template compiled once")):
        parts = ", ".join(f"{part} {value:.1f}" for part, value in peers[cached].seconds.items())
        rows.append(("lm-eval", f"{what} ({parts})", sum(peers[cached].seconds.values())))
    print_table(
        f"BLiMP, {len(pairs):,} pairs, {int(index.trie.lengths.sum()):,} tokens, "
        f"{len(index.trie):,} different prefixes; small model",
        ("", "what", "seconds"),
        [(*names, f"{seconds:.2f}") for *names, seconds in rows],
    )
    further = min(furthers)
    ratios = [
        ("lm-eval's scoring / our further checkpoint", scoring / further),
        *(
            (f"lm-eval's {what} / our {whose}", rows[place][2] / seconds)
            for what, place in (("all, as it is", -2), ("all, compiled once", -1))
            for whose, seconds in (("file to accuracies", whole), ("further checkpoint", further))
        ),
    ]
    print_table("Ratios", ("", "times"), [(name, f"{ratio:.1f}") for name, ratio in ratios])
    compare_results(table, pl.read_csv(scores_file), peers[False])


def compare_results(table: pl.DataFrame, scores: pl.DataFrame, peer: "LmEval") -> None:
    """Print where our accuracies and log-probabilities differ from lm-eval's."""
    ours = dict(table.filter(pl.col("uid") != ALL).select("uid", "accuracy").iter_rows())
    raw = max(abs(ours[uid] - accuracy) for uid, accuracy in peer.accuracies.items())
    largest, disagreements, ties = 0.0, 0, 0
    for (uid,), part in scores.group_by("uid"):
        own = part.select("good_logprob", "bad_logprob").to_numpy()
        other = np.array(peer.logprobs[uid])
        largest = max(largest, np.abs(own - other).max())
        tied = own[:, 0] == own[:, 1]
        ties += tied.sum()
        disagreements += ((own[:, 0] >= own[:, 1]) != (other[:, 0] >= other[:, 1])).sum()
    print(
        f"\nAccuracies of {len(ours)} paradigms: the largest difference is {raw:.4f} ({ties} ties "
        "count one half here, as right there); with ties counted their way, "
        f"{disagreements} of {len(scores):,} pairs differ. Largest difference of a sentence's "
        f"log-probability: {largest:.1e} nat."
    )


def unpack(
    archive: Path, folder: Path, at_most: int | None = None, pairs: int | None = None
) -> list[str]:
    """Write the first `pairs` lines of the first files of a zip; return the names of paradigms."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".jsonl"))[:at_most]
        for name in names:
            lines = opened.read(name).splitlines(keepends=True)[:pairs]
            folder.joinpath(Path(name).name).write_bytes(b"".join(lines))
    return [Path(name).stem for name in names]


# ---------------------------------------------------------------------------- checkpoints


def measure_checkpoints(
    case: Case, shape: Shape, arguments: argparse.Namespace, folder: Path
) -> None:
    """What a further checkpoint costs beside the arithmetic of its scores."""
    checkpoints = 3 if arguments.quick else 6
    models = (new_model(shape.architecture, case.info, 2, seed) for seed in range(checkpoints))
    paths = save_segment(folder / "study", models)
    file = folder / "index.safetensors"
    save_index(case.index, file)
    weights = Path(paths.checkpoint(RUN, checkpoints - 1, "model.safetensors"))
    scorer = Scorer(case.model, case.index.trie, BATCH_TOKENS)
    kept = copy.deepcopy(case.model.state_dict())
    set_weights(case.model, read_weights(weights), weights)
    scorer.string_logprobs()  # the first call also lays out the rows
    whole, alone = [], []
    for _ in range(arguments.rounds):
        seconds, _ = in_turns({"alone": scorer.string_logprobs}, checkpoints - 1)
        alone += seconds["alone"]
        whole += segment_seconds(paths, BINOMIALS, file, case, arguments.threads)[1]
    case.model.load_state_dict(kept)
    rows = [
        (what, f"{min(seconds):.2f}", f"{np.median(seconds):.2f}")
        for what, seconds in (("a further checkpoint", whole), ("`Scorer` alone", alone))
    ]
    medians = f"{np.median(whole) / np.median(alone):.2f}"
    rows.append(("times", f"{min(whole) / min(alone):.2f}", medians))
    print_table(
        f"A segment of {checkpoints} checkpoints, small model, {len(case.texts):,} strings",
        ("", "best, s", "median, s"),
        rows,
    )


if __name__ == "__main__":
    main()
