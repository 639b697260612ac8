# ruff: noqa: E402
"""How fast models of the published shapes are trained on a GPU, next to their authors' recipe.

    python benchmarks/train_gpu.py                  # needs torch and transformers alone
    python benchmarks/train_gpu.py --quick          # a tiny shape, to see that it works

OPT-125M, 350M and 1.3B with 8,192 entries on blocks of 1,024 random ids from a file: our loop
(bf16, compiled, fused AdamW, the micro-batch that fits) and the recipe of the published runs (bf16,
gradient checkpointing, nothing compiled): Hugging Face's Trainer where `accelerate` is installed,
else the same steps by hand. MFU counts 6 N + 12 L H T operations a token, without recomputation,
against the device's dense bf16 peak.
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

import argparse
import gc
import importlib.util
import tempfile
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from tables import print_machine, print_table
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from ontogeny.training.loop import train_segment
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import make_optimizer
from ontogeny.training.speed import find_micro_batch, flops_per_token, peak_flops

VOCABULARY = 8192
SKIPPED = 10  # steps before the clock starts
SHAPES = {  # hidden size, layers, heads, block, and sequences of a step
    "OPT-125M": (768, 12, 12, 1024, 128),
    "OPT-350M (post-norm)": (1024, 24, 16, 1024, 128),
    "OPT-1.3B": (2048, 24, 32, 1024, 128),
}
QUICK = {"tiny": (64, 2, 4, 128, 8)}


def make_model(shape: tuple[int, ...], device: torch.device) -> PreTrainedModel:
    """OPT with new weights; the 350M shape is post-norm, as it was published."""
    hidden, layers, heads, block, _ = shape
    config = AutoConfig.for_model(
        "opt",
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        ffn_dim=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=block,
        word_embed_proj_dim=hidden,
        do_layer_norm_before=hidden != 1024,
        dropout=0.1,
        use_cache=False,
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(device)


def make_run(shape: tuple[int, ...], steps: int) -> SimpleNamespace:
    """What the loop reads of a run, without the checks of a study."""
    _, _, _, block, batch = shape
    optimizer = SimpleNamespace(
        lr=3e-4,
        schedule="linear",
        warmup_tokens=None,
        warmup_share=0.1,
        min_lr_share=0.0,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        weight_decay=0.0,
        max_grad_norm=1.0,
    )
    return SimpleNamespace(
        seed=0,
        shuffle=True,
        block_size=block,
        batch_size=batch,
        tokens_per_step=block * batch,
        last_step=steps,
        optimizer=optimizer,
    )


def ours(shape: tuple[int, ...], tokens: np.ndarray, device: torch.device, steps: int) -> dict:
    """Our loop: tokens per second, losses, the micro-batch and the seconds of compiling."""
    model, run = make_model(shape, device), make_run(shape, steps)
    optimizer = make_optimizer(model, run.optimizer)
    objective = torch.compile(NextTokenLoss(model, "bf16", compiled=True))
    start = time.perf_counter()
    at_once = find_micro_batch(objective, optimizer, run.batch_size, run.block_size)
    compiling = time.perf_counter() - start
    marks = {}
    segment = SimpleNamespace(start=0, end=steps, checkpoints=(SKIPPED, steps))

    def mark(step: int) -> None:  # is called when the device is done with the step
        marks[step] = time.perf_counter()

    rows = list(train_segment(objective, optimizer, tokens, run, segment, at_once, mark))
    speed = (steps - SKIPPED) * run.tokens_per_step / (marks[steps] - marks[SKIPPED])
    return {
        "speed": speed,
        "loss": rows[-1].loss,
        "micro_batch": at_once,
        "compiling": compiling,
        "flops": flops_per_token(model, run.block_size),
    }


def recipe(
    shape: tuple[int, ...], tokens: np.ndarray, device: torch.device, steps: int, at_once: int
) -> dict:
    """The published runs' way: Trainer's where it can be had, else its steps by hand."""
    model, run = make_model(shape, device), make_run(shape, steps)
    blocks = torch.from_numpy(tokens[: len(tokens) // run.block_size * run.block_size].astype("i8"))
    blocks = blocks.view(-1, run.block_size)
    if importlib.util.find_spec("accelerate"):
        return {**with_trainer(model, blocks, run, at_once, device), "micro_batch": at_once}
    model.gradient_checkpointing_enable()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=run.optimizer.lr, fused=True)
    for step in range(steps):
        if step == SKIPPED:
            wait(device)
            start = time.perf_counter()
        first = step * run.batch_size
        batch = blocks[torch.arange(first, first + run.batch_size) % len(blocks)]
        for part in batch.split(at_once):
            ids = part.to(device)
            with torch.autocast(device.type, torch.bfloat16):
                loss = model(input_ids=ids, labels=ids).loss
            (loss * len(part) / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    wait(device)
    seconds = time.perf_counter() - start
    speed = (steps - SKIPPED) * run.tokens_per_step / seconds
    return {"speed": speed, "loss": loss.item(), "micro_batch": at_once}


def with_trainer(
    model: PreTrainedModel,
    blocks: torch.Tensor,
    run: SimpleNamespace,
    at_once: int,
    device: torch.device,
) -> dict:
    """The same steps by Hugging Face's Trainer."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    marks = {}

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step in (SKIPPED, state.max_steps):
                wait(device)
                marks[state.global_step] = time.perf_counter()

    examples = [{"input_ids": block, "labels": block} for block in blocks]
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=run.batch_size // at_once,
            max_steps=run.last_step,
            learning_rate=run.optimizer.lr,
            warmup_steps=run.last_step // 10,
            bf16=True,
            gradient_checkpointing=True,
            logging_steps=10,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=device.type == "cpu",
        )
        worker = Trainer(model=model, args=settings, train_dataset=examples, callbacks=[Clock()])
        result = worker.train()
    seconds = marks[run.last_step] - marks[SKIPPED]
    speed = (run.last_step - SKIPPED) * run.tokens_per_step / seconds
    return {"speed": speed, "loss": result.training_loss}


def wait(device: torch.device) -> None:
    """Return when the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def measured(device: torch.device, method: Callable[[], dict]) -> dict:
    """What a method gives, with the most memory that it held."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.compiler.reset()
    result = method()
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    return {**result, "memory": "" if peak is None else f"{peak / 1e9:.1f}"}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny shape, also on a CPU")
    parser.add_argument("--steps", type=int, default=40, help="steps of each run (default: 40)")
    parser.add_argument("--only", help="only the shapes whose name begins so")
    parser.add_argument(
        "--micro-batch", type=int, default=16, help="sequences at once of the recipe (default: 16)"
    )
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not arguments.quick:
        parser.error("no GPU is visible; --quick tries a tiny shape on the CPU")
    torch.set_float32_matmul_precision("highest")
    print_machine(("accelerate",), torch.get_num_threads())
    print(torch.cuda.get_device_name() if device.type == "cuda" else "on the CPU")
    peak = peak_flops(device)
    rows = []
    shapes = QUICK if arguments.quick else SHAPES
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in shapes.items():
            if arguments.only and not name.startswith(arguments.only):
                continue
            file = Path(folder, "train.bin")
            ids = np.random.default_rng(0).integers(0, VOCABULARY, 4096 * shape[3], np.uint16)
            ids.tofile(file)
            tokens = np.memmap(file, np.uint16, mode="r")
            at_once = min(arguments.micro_batch, shape[4])
            given = (shape, tokens, device, arguments.steps)
            mine = measured(device, partial(ours, *given))
            theirs = measured(device, partial(recipe, *given, at_once))
            for method, result in (("ours", mine), ("recipe", theirs)):
                mfu = f"{result['speed'] * mine['flops'] / peak:.1%}" if peak else ""
                speed, ratio = result["speed"], result["speed"] / theirs["speed"]
                rows.append(
                    (
                        name,
                        method,
                        f"{speed:,.0f}",
                        mfu,
                        f"{ratio:.2f}",
                        result["memory"],
                        result["micro_batch"],
                        f"{result.get('compiling', 0.0):.0f}",
                        f"{result['loss']:.3f}",
                    )
                )
                print(rows[-1], flush=True)
    head = ("shape", "method", "tokens/s", "MFU", "times the recipe", "peak memory, GB")
    head += ("sequences at once", "seconds to compile", "loss")
    print_table(f"bf16, {arguments.steps} steps, the first {SKIPPED} not timed:", head, rows)


if __name__ == "__main__":
    main()
