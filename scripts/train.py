"""Train one segment of a run: from the state that the segment before it left (or a new model)
to its last checkpoint. Writes the segment's checkpoints, its part of the loss curve, the state
for the next segment and a manifest with the sha256 of every checkpoint. With several GPUs it starts
a process for each, under torchrun."""

import argparse
import csv
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import tokenizers
import torch
import transformers
from torch._inductor.exc import InductorError

from ontogeny.command import run as run_command
from ontogeny.command import whole_number
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.corpus.tokens import read_tokens
from ontogeny.files import read_json, replacing, write_json
from ontogeny.origins import sha256_of
from ontogeny.paths import Paths
from ontogeny.progress import Progress, say
from ontogeny.study.models import Architecture
from ontogeny.study.runs import Run
from ontogeny.study.schedule import Segment
from ontogeny.study.views import trained
from ontogeny.training.checkpoints import Checkpoints
from ontogeny.training.loop import Step, TrainingError, require_one_batch, train_segment
from ontogeny.training.model import has_dropout, new_model
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import make_optimizer
from ontogeny.training.order import sequences_of
from ontogeny.training.processes import Processes, join, launch, leave
from ontogeny.training.speed import (
    CPU_BATCH_TOKENS,
    find_micro_batch,
    flops_per_token,
    peak_flops,
)
from ontogeny.training.state import StateInfo, load_state, save_state
from ontogeny.versions import project_versions


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spec", required=True, help='JSON {"run": ..., "architecture": ...}, as in a study'
    )
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--segment", type=whole_number(0), required=True, help="number, from 0")
    parser.add_argument(
        "--begin", type=whole_number(0), required=True, help="the step that it begins from"
    )
    parser.add_argument("--end", type=whole_number(1), required=True, help="its last step")
    parser.add_argument(
        "--checkpoints",
        type=whole_number(0),
        nargs="+",
        required=True,
        help="the steps that are kept, in order; the last one among them",
    )
    parser.add_argument(
        "--max-loss",
        type=float,
        help="end with an error when a step's loss is above (default: 2 ln(vocabulary))",
    )
    parser.add_argument("--tokens", type=Path, required=True, help="token file to train on")
    parser.add_argument("--meta", type=Path, required=True, help="meta.json beside it")
    parser.add_argument(
        "--documents", type=Path, required=True, help="where its documents begin (.npy)"
    )
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--state", type=Path, help="state at the end of the segment before")
    parser.add_argument("--study-folder", required=True, help="results/<study>: outputs go below")
    parser.add_argument(
        "--threads", type=whole_number(1), default=1, help="CPU threads of one process (default: 1)"
    )
    parser.add_argument(
        "--gpu", type=whole_number(0), default=0, help="GPUs (default: 0, which trains on the CPU)"
    )
    parser.add_argument(
        "--processes",
        type=whole_number(1),
        help="processes that share each step (default: one a GPU)",
    )
    parser.add_argument(
        "--batch-tokens",
        type=whole_number(0),
        default=0,
        help="most tokens in one forward pass (default: 0, 16384 on the CPU; on a GPU the first "
        "segment tries what fits)",
    )
    parser.add_argument(
        "--compile",
        choices=["auto", "yes", "no"],
        default="auto",
        help="compile the model (default: auto, on a GPU only)",
    )
    return parser.parse_args()


def begin(
    args: argparse.Namespace,
    segment: Segment,
    checkpoints: Checkpoints,
    optimizer: torch.optim.Optimizer,
    spec: dict[str, Any],
) -> int | None:
    """Load the state that the segment begins from; its micro-batch, None for a new model. Raises
    ValueError for a state that training from `spec` has not left at that step."""
    if args.state is None and segment.start:
        raise ValueError(f"segment {segment.number} begins from a state; name it with --state")
    if args.state is None:
        return None
    info = load_state(args.state, checkpoints.model, optimizer, spec)
    if info.step != segment.start:
        raise ValueError(
            f"{args.state}: ends at step {info.step}, but segment {segment.number} begins at "
            f"step {segment.start}; remove it to make it again"
        )
    checkpoints.last_sha256 = info.checkpoint_sha256
    return info.micro_batch


def sequences_at_once(
    args: argparse.Namespace,
    run: Run,
    objective: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    kept: int | None,
    processes: Processes,
) -> int:
    """The micro-batch: as asked for, or, on a GPU, what the state says or what fits."""
    device = next(objective.parameters()).device
    if args.batch_tokens or device.type == "cpu":
        return max(1, (args.batch_tokens or CPU_BATCH_TOKENS) // run.block_size)
    share = -(-run.batch_size // processes.count)
    found = find_micro_batch(objective, optimizer, share, run.block_size, kept)
    return processes.smallest(found, device)


def write_curve(path: Path, name: str, rows: Iterator[Step], run: Run, segment: Segment) -> None:
    """Write the loss curve of a segment as training yields it."""
    tokens = (segment.end - segment.start) * run.tokens_per_step
    with (
        replacing(path) as temporary,
        open(temporary, "w", newline="") as file,
        Progress(name, tokens, "tokens") as progress,
    ):
        writer = csv.DictWriter(file, ["run", *Step.__annotations__], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({"run": name, **vars(row)})
            progress.advance(run.tokens_per_step, f"loss {row.loss:.3f}")


def share_of(tokens_per_second: float, peak: float | None) -> float | None:
    """MFU: the share of the speed at which the device would do nothing but the model's products."""
    return round(tokens_per_second / peak, 4) if peak else None


def main() -> None:
    args = arguments()
    spec = json.loads(args.spec)
    run = Run.model_validate(spec["run"])
    kept = tuple(args.checkpoints)
    segment = Segment(args.segment, args.begin, args.end, kept, args.end == run.last_step)
    if list(kept) != sorted(set(kept)) or kept[-1] != args.end or kept[0] < args.begin:
        raise ValueError(
            f"--checkpoints: {list(kept)}, should be steps from {args.begin} to {args.end}, in "
            "order, the last one among them"
        )
    count = args.processes or max(1, args.gpu)
    if count > 1 and "LOCAL_RANK" not in os.environ:
        launch(count, args.gpu, run.batch_size)
        return
    try:
        train(args, run, Architecture.model_validate(spec["architecture"]), segment)
    except InductorError as error:
        reason = next(iter(str(error).splitlines()), "")
        raise ValueError(
            f"the model can't be compiled ({reason}); install a C++ compiler, or set compile: "
            "false under resources: train"
        ) from None


def train(args: argparse.Namespace, run: Run, architecture: Architecture, segment: Segment) -> None:
    """Train one segment in this process, or this process' share of it."""
    paths = Paths(args.study_folder)
    tokens = read_tokens(args.tokens, read_json(args.meta)["dtype"])
    sequences = sequences_of(run, len(tokens), args.documents)
    require_one_batch(sequences, len(tokens), run, f"corpus {run.corpus!r}")
    torch.set_num_threads(args.threads)
    processes, device = join(args.gpu)
    _, tokenizer = load_tokenizer(args.tokenizer)
    spec = {
        **trained(run, architecture),
        "tokens_sha256": sha256_of(args.tokens),
        "tokenizer_sha256": sha256_of(args.tokenizer),
    }
    model = new_model(architecture, tokenizer, run.block_size, run.seed).to(device)
    optimizer = make_optimizer(model, run.optimizer)
    checkpoints = Checkpoints(model, run, args.name, paths)
    kept = begin(args, segment, checkpoints, optimizer, spec)

    compiled = args.compile == "yes" or (args.compile == "auto" and device.type == "cuda")
    objective = NextTokenLoss(model, run.precision, compiled)
    if compiled:
        # what one segment has compiled, the next ones find here
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(paths.compiled()).absolute())
        objective = torch.compile(objective)
    at_once = sequences_at_once(args, run, objective, optimizer, kept, processes)

    made_with = project_versions()  # now: who commits while this trains changes nothing in it
    start = time.perf_counter()
    rows = train_segment(
        processes.wrapped(objective),
        optimizer,
        tokens,
        run,
        segment,
        at_once,
        checkpoints.save if processes.is_first else lambda step: None,
        args.max_loss or 2 * math.log(tokenizer.vocab_size),
        processes,
        documents=args.documents,
        merge=device.type == "cpu" and not compiled and not has_dropout(model),
    )
    if processes.is_first:
        say(
            f"{args.name}, segment {segment.number}: steps {segment.start:,} to {segment.end:,}, "
            f"{model.num_parameters():,} parameters, {sequences.count:,} {run.sampling}, "
            f"on {device}" + (f", {processes.count} processes" if processes.count > 1 else "")
        )
        peak = peak_flops(device)
        peak_speed = peak and peak * processes.count / flops_per_token(model, run.block_size)
        curve = Path(paths.segment(args.name, segment.number, "losses.csv"))
        write_curve(curve, args.name, rows, run, segment)
        seconds = time.perf_counter() - start
        speed = (segment.end - segment.start) * run.tokens_per_step / seconds
        save_state(
            Path(paths.state(args.name, segment.number)),
            model,
            optimizer,
            StateInfo(segment.end, checkpoints.last_sha256, at_once, spec),
        )
        manifest = {
            "run": args.name,
            "segment": segment.number,
            "start": segment.start,
            "end": segment.end,
            "seed": run.seed,
            "spec": spec,
            "parameters": model.num_parameters(),
            "sequences": sequences.count,
            **machine(device, processes, made_with),
            "threads": args.threads,
            "compiled": compiled,
            "micro_batch": at_once,
            "seconds": round(seconds, 3),
            "tokens_per_second": round(speed, 1),
            "mfu": share_of(speed, peak_speed),
            "checkpoints": checkpoints.entries,
        }
        write_json(paths.segment(args.name, segment.number, "manifest.json"), manifest)
    else:  # the first process writes the rows, and says it when training can't go on
        try:
            for _ in rows:
                pass
        except TrainingError:
            sys.exit(1)
    leave()


def machine(
    device: torch.device, processes: Processes, made_with: dict[str, str]
) -> dict[str, Any]:
    """What the segment was trained on."""
    is_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if is_gpu else "cpu",
        "processes": processes.count,
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if is_gpu else None,
        "versions": {
            **made_with,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "numpy": numpy.__version__,
        },
    }


if __name__ == "__main__":
    run_command(main)
