"""Train one segment of a run: from the state that the segment before it left (or a new model)
to its last checkpoint. Writes the segment's checkpoints, its part of the loss curve, the state
for the next segment and a manifest with the sha256 of every checkpoint."""

import argparse
import csv
import json
import platform
import time
from pathlib import Path

import numpy
import tokenizers
import torch
import transformers

import ontogeny
from ontogeny.command import run as run_command
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.corpus.tokens import read_tokens
from ontogeny.device import choose_device
from ontogeny.files import read_json, replacing, sha256, write_json
from ontogeny.paths import Paths
from ontogeny.progress import Progress, say
from ontogeny.study.models import Architecture
from ontogeny.study.runs import Run
from ontogeny.study.schedule import checkpoint_name
from ontogeny.training.loop import Step, count_blocks, train_segment
from ontogeny.training.model import new_model, save_checkpoint
from ontogeny.training.optimizer import make_optimizer
from ontogeny.training.state import StateInfo, load_state, save_state


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--spec", required=True, help='JSON {"run": ..., "architecture": ...}, as in a study'
    )
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--segment", type=int, required=True, help="number of the segment, from 0")
    parser.add_argument("--tokens", type=Path, required=True, help="token file to train on")
    parser.add_argument("--meta", type=Path, required=True, help="meta.json beside it")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--state", type=Path, help="state at the end of the segment before")
    parser.add_argument("--study-folder", required=True, help="results/<study>: outputs go below")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs; 0 trains on the CPU")
    parser.add_argument(
        "--batch-tokens", type=int, default=16384, help="most tokens in one forward pass"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    spec = json.loads(args.spec)
    run = Run.model_validate(spec["run"])
    segment = run.segments()[args.segment]
    paths = Paths(args.study_folder)
    meta = read_json(args.meta)
    tokens = read_tokens(args.tokens, meta["dtype"])
    blocks = count_blocks(len(tokens), run, f"corpus {run.corpus!r}")
    torch.set_num_threads(args.threads)
    device = choose_device(args.gpu)
    _, tokenizer = load_tokenizer(args.tokenizer)
    architecture = Architecture.model_validate(spec["architecture"])
    model = new_model(architecture, tokenizer, run.block_size, run.seed).to(device)
    optimizer = make_optimizer(model, run.optimizer)
    hashes: list[str] = []
    if args.state is not None:
        info = load_state(args.state, model, optimizer)
        if info.step != segment.start:
            raise ValueError(
                f"{args.state}: ends at step {info.step}, but segment {segment.number} begins at "
                f"step {segment.start}; remove it to make it again"
            )
        hashes.append(info.checkpoint_sha256)
    saved = []

    def save(step: int) -> None:
        weights = Path(paths.checkpoint(args.name, step, "model.safetensors"))
        save_checkpoint(model, weights, Path(paths.checkpoint(args.name, step, "config.json")))
        digest = sha256(weights)
        if digest in hashes:
            raise ValueError(f"{weights}: equals an earlier checkpoint; the model does not change")
        hashes.append(digest)
        saved.append(
            {
                "checkpoint": checkpoint_name(step),
                "step": step,
                "tokens": step * run.tokens_per_step,
                "sha256": digest,
            }
        )

    start = time.perf_counter()
    curve = Path(paths.segment(args.name, segment.number, "losses.csv"))
    steps = segment.end - segment.start
    say(
        f"{args.name}, segment {segment.number}: steps {segment.start:,} to {segment.end:,}, "
        f"{model.num_parameters():,} parameters, {blocks:,} blocks, on {device}"
    )
    with (
        replacing(curve) as temporary,
        open(temporary, "w", newline="") as file,
        Progress(args.name, steps * run.tokens_per_step, "tokens") as progress,
    ):
        rows = csv.DictWriter(file, ["run", *Step.__annotations__], lineterminator="\n")
        rows.writeheader()
        for row in train_segment(model, optimizer, tokens, run, segment, args.batch_tokens, save):
            rows.writerow({"run": args.name, **vars(row)})
            progress.advance(run.tokens_per_step, f"loss {row.loss:.3f}")
    seconds = time.perf_counter() - start
    save_state(
        Path(paths.state(args.name, segment.number)),
        model,
        optimizer,
        StateInfo(segment.end, hashes[-1]),
    )
    manifest = {
        "run": args.name,
        "segment": segment.number,
        "start": segment.start,
        "end": segment.end,
        "seed": run.seed,
        "parameters": model.num_parameters(),
        "blocks": blocks,
        "device": str(device),
        "threads": args.threads,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(steps * run.tokens_per_step / seconds, 1),
        "versions": {
            "ontogeny": ontogeny.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
            "numpy": numpy.__version__,
        },
        "checkpoints": saved,
    }
    write_json(paths.segment(args.name, segment.number, "manifest.json"), manifest)


if __name__ == "__main__":
    run_command(main)
