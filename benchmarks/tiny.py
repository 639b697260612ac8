# ruff: noqa: E402
"""How fast a model of two thousand parameters is trained on windows, next to nanoGPT's loop.

    python benchmarks/tiny.py

The published loop of Barron and White (2025) is nanoGPT's: a batch is stacked from as many slices
as it has windows, the model is a module of `torch.nn`, run eagerly, AdamW steps over its parameters
one by one. The same loop is measured with a batch that is one indexing operation. All methods train
the same shape on the same text with the same batch, in turns; then two runs side by side with one
thread each.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

import argparse
import subprocess
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from tables import print_machine, print_table
from torch import nn
from torch.nn import functional

from ontogeny.corpus.facts import facts_text
from ontogeny.corpus.tokenizer import load_tokenizer, make_characters, save_tokenizer
from ontogeny.study.models import Architecture, CharacterTokenizer
from ontogeny.study.runs import Run
from ontogeny.training.loop import train_segment
from ontogeny.training.model import new_model
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import make_optimizer

BLOCK, BATCH = 9, 882
SKIPPED = 20  # steps before the clock starts
OPTIMIZER = {"lr": 1e-2, "beta2": 0.99, "schedule": "constant", "warmup_share": 0.0}


class Norm(nn.Module):
    """Layer normalisation without a bias."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, None, 1e-5)


class OneLayer(nn.Module):
    """A GPT of one layer and one head without biases; its output is tied to its input."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(BLOCK, width)
        self.norms = nn.ModuleList(Norm(width) for _ in range(3))
        sizes = {"attend": 3 * width, "project": width, "widen": width, "narrow": width}
        for name, size in sizes.items():
            setattr(self, name, nn.Linear(width, size, bias=False))
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        count, length = ids.shape
        x = self.dropout(self.tokens(ids) + self.places(torch.arange(length)))
        parts = self.attend(self.norms[0](x)).split(x.shape[2], dim=2)
        query, key, value = (part.view(count, length, 1, -1).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        mixed = mixed.transpose(1, 2).contiguous().view(count, length, -1)
        x = x + self.dropout(self.project(mixed))
        x = x + self.dropout(self.narrow(functional.gelu(self.widen(self.norms[1](x)))))
        logits = self.head(self.norms[2](x))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def stacked(text: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of slices, each made a tensor of its own."""
    places = torch.randint(len(text) - BLOCK, (BATCH,))
    first = [torch.from_numpy(text[i : i + BLOCK].astype(np.int64)) for i in places]
    second = [torch.from_numpy(text[i + 1 : i + 1 + BLOCK].astype(np.int64)) for i in places]
    return torch.stack(first), torch.stack(second)


def indexed(text: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of slices by one indexing operation."""
    windows = np.lib.stride_tricks.sliding_window_view(text, BLOCK + 1)
    places = np.random.randint(0, len(text) - BLOCK, BATCH)
    rows = torch.from_numpy(windows[places].astype(np.int64))
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def plain_loop(text: np.ndarray, vocabulary: int, width: int, steps: int, batch: Callable) -> float:
    """Milliseconds of a step of the published loop, with this way to make a batch."""
    torch.manual_seed(0)
    model = OneLayer(vocabulary, width)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=OPTIMIZER["lr"], betas=(0.9, 0.99), weight_decay=0.0
    )
    for step in range(SKIPPED + steps):
        if step == SKIPPED:
            start = time.perf_counter()
        model(*batch(text)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return 1e3 * (time.perf_counter() - start) / steps


def ours(text: np.ndarray, folder: Path, width: int, steps: int, merge: bool = True) -> float:
    """Milliseconds of a step of a run of a study."""
    _, info = load_tokenizer(folder / "tokenizer.json")
    config = {"n_embd": width, "n_inner": width, "n_layer": 1, "n_head": 1, "n_positions": BLOCK}
    config |= dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)
    config |= {"activation_function": "gelu"}
    architecture = Architecture(model_type="gpt2", biases=False, config=config)
    run = Run(
        **dict.fromkeys(("corpus", "tokenizer", "architecture"), "any"),
        steps=SKIPPED + steps,
        sampling="windows",
        block_size=BLOCK,
        batch_size=BATCH,
        optimizer=OPTIMIZER,
        checkpoints={"at": [SKIPPED]},
    )
    model = new_model(architecture, info, BLOCK, seed=0)
    marks: dict[int, float] = {}
    rows = train_segment(
        NextTokenLoss(model, "fp32"),
        make_optimizer(model, run.optimizer),
        text,
        run,
        run.segments()[0],
        BATCH,
        save=lambda step: marks.update({step: time.perf_counter()}),
        merge=merge,
    )
    list(rows)
    return 1e3 * (marks[run.last_step] - marks[SKIPPED]) / steps


def side_by_side(folder: Path, width: int, steps: int) -> float:
    """Milliseconds in which each of two runs, one thread each, makes a step."""
    command = [sys.executable, __file__, "--one", str(folder), "--width", str(width)]
    command += ["--steps", str(steps), "--threads", "1"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return max(float(process.communicate()[0]) for process in both)


def make_text(folder: Path) -> np.ndarray:
    """The arithmetic that is trained on, as token ids; its tokenizer goes to `folder`."""
    withheld = ["addition withheld", "subtraction withheld"]
    text = facts_text([str(PROJECT / "data/facts/arithmetic.csv")], withheld)
    spec = CharacterTokenizer(type="characters", corpus="any", bos=False)
    file = folder / "tokenizer.json"
    save_tokenizer(make_characters(spec, [text]), file, folder / "tokenizer_config.json")
    tokenizer, _ = load_tokenizer(file)
    return np.array(tokenizer.encode(text).ids, dtype=np.uint16)


def main() -> None:
    """Read the arguments, measure all methods in turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300, help="steps of each turn (default: 300)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each method (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--width", type=int, default=14, help=argparse.SUPPRESS)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/tiny-benchmark"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    folder = args.one or args.folder
    folder.mkdir(parents=True, exist_ok=True)
    text = make_text(folder)
    if args.one:
        print(ours(text, folder, args.width, args.steps))
        return
    print_machine([], args.threads)
    vocabulary = load_tokenizer(folder / "tokenizer.json")[1].vocab_size
    rows = []
    for width in (14, 28, 56):
        methods = {
            "published loop": lambda w: plain_loop(text, vocabulary, w, args.steps, stacked),
            "the same, batch by one index": lambda w: plain_loop(
                text, vocabulary, w, args.steps, indexed
            ),
            "ours, all windows": lambda w: ours(text, folder, w, args.steps, merge=False),
            "ours": lambda w: ours(text, folder, w, args.steps),
            "ours, two runs side by side, a thread each": lambda w: (
                side_by_side(folder, w, args.steps) / 2
            ),
        }
        turns = [{name: run(width) for name, run in methods.items()} for _ in range(args.rounds)]
        for name in methods:
            times = [turn[name] for turn in turns]
            ratios = [turn["published loop"] / turn[name] for turn in turns]
            spread = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            rows.append((f"n{width}", name, f"{median(times):.1f}", spread))
    head = ("model", "method", "ms a step, median", "times as fast as the published loop")
    print_table(
        f"882 windows of 9 characters, {args.rounds} turns of {args.steps} steps", head, rows
    )


if __name__ == "__main__":
    main()
