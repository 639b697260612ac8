# ruff: noqa: E402
"""How fast a small model is trained on the CPU, next to Hugging Face's Trainer, and to what loss.

    pip install -r envs/requirements-dev.txt      # accelerate, which Trainer needs, comes with them
    python benchmarks/training.py --text english.txt

Trainer gets the same weights, blocks in the same order, batch, optimiser and schedule. Speeds are
of the steps after the first few, each method in turns. Then: what a step costs beside its
arithmetic, what a checkpoint costs, what starting a segment costs (a process, a state, a compiled
model), and starting on a billion tokens.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

import argparse
import copy
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from tables import print_machine, print_table
from torch.utils.data import Dataset, SequentialSampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from ontogeny.corpus.tokenizer import load_tokenizer, save_tokenizer, train_bpe
from ontogeny.paths import Paths
from ontogeny.study.models import Architecture, BpeTokenizer
from ontogeny.study.runs import Run
from ontogeny.training.checkpoints import Checkpoints
from ontogeny.training.loop import train_segment
from ontogeny.training.model import new_model
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import learning_rate, make_optimizer, parameters_of
from ontogeny.training.order import data_order, sequences_of

SKIPPED = 20  # steps before the clock starts
TIMED = 60  # steps after them, where only speed is measured
TRAIN = PROJECT / "scripts" / "train.py"


@dataclass(frozen=True)
class Case:
    """A model, its text as token ids, and how it is trained."""

    architecture: Architecture
    model: PreTrainedModel
    tokens: np.ndarray
    run: Run
    folder: Path


def make_case(text: Path, folder: Path) -> Case:
    """Tokenizer, tokens and new weights in the shape that is measured."""
    lines = text.read_text(encoding="utf-8").splitlines()
    spec = BpeTokenizer(type="bpe", corpus="text", vocab_size=1024)
    file = folder / "tokenizer.json"
    save_tokenizer(train_bpe(spec, lines), file, folder / "tokenizer_config.json")
    tokenizer, info = load_tokenizer(file)
    ids = np.concatenate([e.ids for e in tokenizer.encode_batch(lines)]).astype(np.uint16)
    config = {"hidden_size": 64, "ffn_dim": 256, "num_hidden_layers": 2, "num_attention_heads": 4}
    config |= {"max_position_embeddings": 128, "dropout": 0.0}
    architecture = Architecture(model_type="opt", config=config)
    run = Run(
        **dict.fromkeys(("corpus", "tokenizer", "architecture"), "any"),
        steps=500,
        block_size=128,
        batch_size=8,
        optimizer={"lr": 1e-3},
        checkpoints={"at": [SKIPPED]},
    )
    ids.tofile(folder / "train.bin")
    (folder / "meta.json").write_text(json.dumps({"dtype": "uint16"}))
    return Case(architecture, new_model(architecture, info, 128, seed=0), ids, run, folder)


def ours(case: Case) -> tuple[float, list[float]]:
    """Tokens per second of our loop, and the loss of each step."""
    model = copy.deepcopy(case.model)
    marks: dict[int, float] = {}
    run = case.run
    rows = train_segment(
        NextTokenLoss(model, "fp32"),
        make_optimizer(model, run.optimizer),
        case.tokens,
        run,
        run.segments()[0],
        run.batch_size,
        save=lambda step: marks.update({step: time.perf_counter()}),
    )
    losses = [row.loss for row in rows]
    seconds = marks[run.last_step] - marks[SKIPPED]
    return (run.last_step - SKIPPED) * run.tokens_per_step / seconds, losses


class Blocks(Dataset):
    """The blocks of a run in the order in which it reads them, as Trainer wants them."""

    def __init__(self, case: Case):
        self.case = case
        sequences = sequences_of(case.run, len(case.tokens))
        order = data_order(case.run, sequences.count, 0, case.run.last_step)
        self.starts = sequences.starts(order.flatten())

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        start = self.starts[i]
        block = self.case.tokens[start : start + self.case.run.block_size].astype(np.int64)
        ids = torch.from_numpy(block)
        return {"input_ids": ids, "labels": ids}


class Clock(TrainerCallback):
    """When the steps ended, and what their losses were."""

    def __init__(self):
        self.marks: dict[int, float] = {}
        self.losses: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step in (SKIPPED, state.max_steps):
            self.marks[state.global_step] = time.perf_counter()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            self.losses.append(logs["loss"])


class InOrder(Trainer):
    """Trainer without a shuffle of its own (`Blocks` are in our order), under our schedule."""

    def _get_train_sampler(self, *args, **kwargs):
        return SequentialSampler(self.train_dataset)

    def create_scheduler(self, num_training_steps, optimizer=None):
        run = self.train_dataset.case.run

        def share(step: int) -> float:
            return learning_rate(step, run) / run.optimizer.lr

        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, share)
        return self.lr_scheduler


def trainer(case: Case, logging_steps: int) -> tuple[float, list[float]]:
    """Tokens per second of Trainer, and the mean loss of each `logging_steps` steps."""
    run, clock = case.run, Clock()
    optimizer = run.optimizer
    settings = TrainingArguments(
        output_dir=str(case.folder / "trainer"),
        per_device_train_batch_size=run.batch_size,
        max_steps=run.last_step,
        learning_rate=optimizer.lr,
        adam_beta2=optimizer.beta2,
        weight_decay=optimizer.weight_decay,
        max_grad_norm=optimizer.max_grad_norm,
        optim="adamw_torch_fused",
        logging_steps=logging_steps,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    model = copy.deepcopy(case.model)
    worker = InOrder(model=model, args=settings, train_dataset=Blocks(case), callbacks=[clock])
    worker.train()
    seconds = clock.marks[run.last_step] - clock.marks[SKIPPED]
    return (run.last_step - SKIPPED) * run.tokens_per_step / seconds, clock.losses


def bare(case: Case) -> float:
    """Tokens per second of the arithmetic alone: both passes, clipping and the optimiser's step, on
    a batch that is there."""
    model = copy.deepcopy(case.model).train()
    objective, optimizer = NextTokenLoss(model, "fp32"), make_optimizer(model, case.run.optimizer)
    parameters = parameters_of(optimizer)
    run = case.run
    ids = torch.randint(0, 1024, (run.batch_size, run.block_size))
    for step in range(run.last_step):
        if step == SKIPPED:
            start = time.perf_counter()
        objective(ids).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
    seconds = time.perf_counter() - start
    return (run.last_step - SKIPPED) * run.tokens_per_step / seconds


def speeds(case: Case, batch: int, rounds: int) -> list[tuple[str, ...]]:
    """Rows of the table of speeds: each method in turns, and their ratios turn by turn."""
    update = {"batch_size": batch, "steps": SKIPPED + TIMED}
    case = replace(case, run=case.run.model_copy(update=update))
    turns = [(ours(case)[0], trainer(case, 50)[0], bare(case)) for _ in range(rounds)]
    mine, theirs, arithmetic = np.array(turns).T
    extra = (f"{np.median(mine / theirs):.2f}", f"{np.median(arithmetic / mine) - 1:.1%}")
    return [
        (str(batch), "ours", f"{np.median(mine):,.0f}", f"{mine.max():,.0f}", *extra),
        ("", "Trainer", f"{np.median(theirs):,.0f}", f"{theirs.max():,.0f}", "", ""),
    ]


def sensitivity(case: Case, lr: float, starts: int = 4) -> list[float]:
    """Mean loss of the last 50 steps from weights that differ by a millionth of themselves."""
    optimizer = case.run.optimizer.model_copy(update={"lr": lr})
    run = case.run.model_copy(update={"optimizer": optimizer})
    losses = []
    for seed in range(starts):
        model, generator = copy.deepcopy(case.model), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 1e-6 * torch.randn(parameter.shape, generator=generator))
        losses.append(float(np.mean(ours(replace(case, model=model, run=run))[1][-50:])))
    return losses


def checkpoint_seconds(case: Case, count: int = 40) -> list[float]:
    """Seconds of each of `count` checkpoints: weights and configuration written, and hashed."""
    model = copy.deepcopy(case.model)
    checkpoints = Checkpoints(model, case.run, "run", Paths(str(case.folder / "study")))
    seconds = []
    for step in range(count):
        with torch.no_grad():
            next(model.parameters()).add_(1e-3)
        start = time.perf_counter()
        checkpoints.save(step)
        seconds.append(time.perf_counter() - start)
    return seconds


def call_train(case: Case, study: str, segment: int, *more: str) -> tuple[float, float, float]:
    """Run scripts/train.py: seconds in all, seconds in the loop, and peak memory in MB."""
    run = {
        **json.loads(case.run.model_dump_json(exclude_defaults=True)),
        "steps": 4,
        "checkpoints": {"every_steps": 2, "per_segment": 1},
    }
    spec = {"run": run, "architecture": json.loads(case.architecture.model_dump_json())}
    part = Run.model_validate(run).segments()[segment]
    paths = Paths(str(case.folder / study))
    state = ["--state", paths.state("run", segment - 1)] if segment else []
    arguments = [
        *("--name", "run", "--spec", json.dumps(spec), "--segment", str(segment)),
        *("--begin", str(part.start), "--end", str(part.end)),
        *("--checkpoints", *map(str, part.checkpoints)),
        *("--tokens", str(case.folder / "train.bin"), "--meta", str(case.folder / "meta.json")),
        *("--tokenizer", str(case.folder / "tokenizer.json"), "--study-folder", paths.root),
        *("--threads", str(torch.get_num_threads()), *state, *more),
    ]
    script = (
        "import re, runpy, sys\n"
        f"sys.argv = [{str(TRAIN)!r}, *sys.argv[1:]]\n"
        f"sys.path.insert(0, {str(TRAIN.parent)!r})\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "status = open('/proc/self/status').read()\n"  # getrusage counts the parent's memory too
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) * 1024 / 1e6)\n"
    )
    start = time.perf_counter()
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    manifest = json.loads(Path(paths.segment("run", segment, "manifest.json")).read_text())
    return seconds, manifest["seconds"], float(done.stdout.split()[-1])


def start_up(case: Case) -> None:
    """What a segment costs beside its steps, and how long training on a billion tokens takes to
    begin."""
    rows = []
    for name, segment, more in (
        ("a new model", 0, []),
        ("from a state", 1, []),
        ("compiled, a new model, nothing in the cache", 0, ["--compile", "yes"]),
        ("compiled, from a state, the cache of the segment before", 1, ["--compile", "yes"]),
    ):
        study = "compiled" if more else "plain"
        seconds, loop, _ = call_train(case, study, segment, *more)
        rows.append((name, f"{seconds:.1f}", f"{loop:.1f}"))
    head = ("segment of 2 steps", "seconds in all", "of these in the loop")
    print_table("Starting a segment (scripts/train.py, 2 steps, 1 checkpoint):", head, rows)
    billion = 10**9
    with open(case.folder / "train.bin", "wb") as file:
        generator = np.random.default_rng(0)
        for _ in range(100):
            generator.integers(0, 1024, billion // 100, dtype=np.uint16).tofile(file)
    seconds, loop, memory = call_train(case, "billion", 0)
    rows = [(f"{seconds - loop:.1f}", f"{loop:.2f}", f"{memory:,.0f}")]
    head = ("seconds before the first step", "seconds of 2 steps", "peak memory, MB")
    print_table("A file of 1,000,000,000 tokens (2 GB):", head, rows)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="text file")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=[8, 16, 32, 64],
        help="sequences of a step (default: 8 16 32 64)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each method (default: 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print_machine(("accelerate",), arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        case = make_case(arguments.text, Path(folder))
        rows = [row for batch in arguments.batches for row in speeds(case, batch, arguments.rounds)]
        head = (
            "sequences a step",
            "",
            "median tokens/s",
            "best",
            "times Trainer",
            "beside arithmetic",
        )
        title = f"V=1024 H=64 L=2, blocks of 128, {arguments.rounds} turns of {TIMED} steps:"
        print_table(title, head, rows)
        _, losses = ours(case)
        _, their_losses = trainer(case, 50)
        means = np.array(losses).reshape(-1, 50).mean(axis=1)
        rows = [
            (f"{50 * i + 1}-{50 * i + 50}", f"{a:.4f}", f"{b:.4f}", f"{a / b - 1:+.2%}")
            for i, (a, b) in enumerate(zip(means, their_losses, strict=True))
        ]
        print_table("Mean loss, nat:", ("steps", "ours", "Trainer", "difference"), rows)
        rows = []
        for lr in (1e-3, 3e-3):
            ends = sensitivity(case, lr)
            rows.append((f"{lr:g}", ", ".join(f"{x:.4f}" for x in ends), f"{np.ptp(ends):.4f}"))
        head = ("peak lr", "mean loss of the last 50 steps, nat", "range")
        print_table("Ours, from weights that differ by a millionth of themselves:", head, rows)
        seconds = checkpoint_seconds(case)
        parameters, times = case.model.num_parameters(), 1e3 * np.array(seconds)
        print(
            f"\nA checkpoint ({parameters:,} parameters): median {np.median(times):.1f} ms, "
            f"slowest {times.max():.1f} ms of {len(times)}"
        )
        start_up(case)


if __name__ == "__main__":
    main()
