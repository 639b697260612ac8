"""What is measured: models, their strings, segments of checkpoints; and how often."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

import score_segment
from ontogeny.corpus.tokenizer import TokenizerInfo, load_tokenizer, save_tokenizer, train_bpe
from ontogeny.files import write_json
from ontogeny.origins import sha256
from ontogeny.paths import Paths
from ontogeny.progress import say
from ontogeny.scoring.index import (
    Index,
    Strings,
    binomial_strings,
    make_index,
    save_index,
)
from ontogeny.scoring.stimuli.binomials import read_prompts, read_words
from ontogeny.scoring.trie import Trie
from ontogeny.study.models import Architecture, BpeTokenizer
from ontogeny.study.probes import IndexedProbe
from ontogeny.study.runs import Run
from ontogeny.training.loop import train_segment
from ontogeny.training.model import new_model, save_checkpoint
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import make_optimizer

RUN = "run"  # its name in the study folders that are made here
BATCH_TOKENS = 16384  # the default of score_segment.py
BATCH_SIZES = (16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Shape:
    """A model, how it is trained here, and how much of the stimuli it is scored on."""

    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    positions: int
    init_std: float
    steps: int  # of training; 0 for random weights
    batch_size: int  # sequences of 128 tokens in a training step
    lr: float
    items: int | None  # the first so many; None for all
    prompts: int | None  # spread over the list; None for all
    search: int  # strings on which a batch size is looked for
    referred: int  # pairs that are scored in float64 too
    halved: int | None  # the first so many pairs are scored in bf16 too; None for all

    @property
    def architecture(self) -> Architecture:
        config = {
            "hidden_size": self.hidden_size,
            "ffn_dim": 4 * self.hidden_size,
            "word_embed_proj_dim": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "max_position_embeddings": self.positions,
            "init_std": self.init_std,
        }
        return Architecture(model_type="opt", config=config)


@dataclass(frozen=True)
class Case:
    """A live model, its folder as `transformers` reads it, and the binomials it is scored on."""

    name: str
    model: PreTrainedModel
    folder: Path
    info: TokenizerInfo
    texts: list[str]
    index: Index
    index_seconds: float


def make_case(name: str, shape: Shape, arguments: argparse.Namespace, folder: Path) -> Case:
    """Train a tokenizer and, for some steps, a model; index the binomials."""
    folder.mkdir()
    lines = [line for line in arguments.text.read_text(encoding="utf-8").split("\n") if line]
    spec = BpeTokenizer(type="bpe", corpus="text", vocab_size=shape.vocab_size)
    tokenizer_file = folder / "tokenizer.json"
    save_tokenizer(train_bpe(spec, lines), tokenizer_file, folder / "tokenizer_config.json")
    tokenizer, info = load_tokenizer(tokenizer_file)
    model = new_model(shape.architecture, info, 2, seed=0)
    if shape.steps:
        loss = train_briefly(model, tokenizer, lines, shape)
        say(f"{name}: loss {loss:.2f} nat after {shape.steps} steps")
    save_checkpoint(model.eval(), folder / "model.safetensors", folder / "config.json")
    items = read_words(arguments.items)[: shape.items]
    prompts = read_prompts(arguments.prompts)
    if shape.prompts is not None:
        chosen = np.linspace(0, len(prompts) - 1, shape.prompts + 2).astype(int)[1:-1]
        prompts = [prompts[i] for i in chosen]
    start = time.perf_counter()
    index = make_index(binomial_strings(items, prompts), tokenizer, info, sha256(tokenizer_file))
    seconds = time.perf_counter() - start
    texts = list(binomial_strings(items, prompts).texts)
    return Case(name, model, folder, info, texts, index, seconds)


def token_rows(trie: Trie) -> list[torch.Tensor]:
    """Token ids of each string."""
    nodes, starts = trie.paths(trie.leaves)
    return list(
        torch.from_numpy(trie.tokens[nodes].astype(np.int64)).split(np.diff(starts).tolist())
    )


def train_briefly(model: PreTrainedModel, tokenizer, lines: Iterable[str], shape: Shape) -> float:
    """Train on the first lines of a text, as a study would; return the last loss in nats."""
    run = Run(
        **dict.fromkeys(("corpus", "tokenizer", "architecture"), "any"),
        steps=shape.steps,
        block_size=128,
        batch_size=shape.batch_size,
        optimizer={"lr": shape.lr},
    )
    ids, lines, needed = [], iter(lines), shape.steps * run.tokens_per_step
    while len(ids) < needed and (batch := list(islice(lines, 1000))):
        ids += [i for encoding in tokenizer.encode_batch(batch) for i in encoding.ids]
    optimizer = make_optimizer(model, run.optimizer)
    segment = run.segments()[0]
    objective = NextTokenLoss(model, run.precision)
    at_once = BATCH_TOKENS // run.block_size
    steps = train_segment(
        objective, optimizer, np.array(ids), run, segment, at_once, save=lambda step: None
    )
    return list(steps)[-1].loss


def in_turns(
    methods: dict[str, Callable[[], np.ndarray]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Seconds of each method in each round, and what each returned."""
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    results = {}
    for _ in range(rounds):
        for name, method in methods.items():
            start = time.perf_counter()
            results[name] = method()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def best_batch_size(
    what: str, measure: Callable[[int], float], strings: int, sizes: Sequence[int] = BATCH_SIZES
) -> int:
    """The batch size that takes the fewest seconds on a part of the strings, better of two."""
    sizes = [size for size in sizes if size <= strings] or [strings]
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(2):
        for size in sizes:
            best[size] = min(best[size], measure(size))
    times = ", ".join(f"{size}: {value / strings * 1e6:,.0f}" for size, value in best.items())
    print(f"\n{what}, microseconds a string by batch size, on {strings:,} strings: {times}")
    return min(best, key=best.get)


def index_strings(strings: Strings, case: Case, path: Path) -> Index:
    """Make and write the index of a probe."""
    file = case.folder / "tokenizer.json"
    index = make_index(strings, *load_tokenizer(file), sha256(file))
    save_index(index, path)
    return index


def save_segment(folder: Path, models: Iterable[PreTrainedModel]) -> Paths:
    """A study folder with a segment whose checkpoints are the models, at steps 0, 1 ..."""
    paths = Paths(str(folder))
    saved = []
    for step, model in enumerate(models):
        file, config = (
            Path(paths.checkpoint(RUN, step, name)) for name in ("model.safetensors", "config.json")
        )
        save_checkpoint(model, file, config)
        saved.append({"step": step, "tokens": step * 1000, "sha256": sha256(file)})
    write_json(paths.segment(RUN, 0, "manifest.json"), {"checkpoints": saved})
    return paths


def segment_seconds(
    paths: Paths, probe: IndexedProbe, index: Path, case: Case, threads: int
) -> tuple[float, list[float]]:
    """Score a segment by score_segment.py in this process.

    Seconds until the first CSV is written, and from each CSV to the next: weights (read while the
    checkpoint before is scored), scores, CSV, its hash in the record.
    """
    manifest, records = (
        Path(paths.segment(RUN, 0, name)) for name in ("manifest.json", "scores.json")
    )
    records.unlink(missing_ok=True)
    options = {
        "--name": [RUN],
        "--manifest": [manifest],
        "--study-folder": [paths.root],
        "--records": [records],
        "--tokenizer": [case.folder / "tokenizer.json"],
        "--probe": ["probe", probe.model_dump_json(), index],
        "--block-size": [128],
        "--threads": [threads],
        "--batch-tokens": [BATCH_TOKENS],
    }
    before = sys.argv
    sys.argv = ["score_segment.py", *(str(x) for name in options for x in (name, *options[name]))]
    start = time.time_ns()
    try:
        score_segment.main()
    finally:
        sys.argv = before
    steps = [checkpoint["step"] for checkpoint in json.loads(manifest.read_text())["checkpoints"]]
    written = [Path(paths.scores("probe", RUN, step)).stat().st_mtime_ns for step in steps]
    first, *further = np.diff([start, *written]) / 1e9
    return float(first), [float(seconds) for seconds in further]
