"""Score the checkpoints of one segment on every probe: one CSV per checkpoint and probe. CSVs that
are whole and were made from the same weights, stimuli and settings are kept."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from ontogeny.command import run as run_command
from ontogeny.corpus.tokens import read_tokens
from ontogeny.device import choose_device
from ontogeny.files import read_json, sha256
from ontogeny.paths import Paths
from ontogeny.progress import Progress, say
from ontogeny.scoring.engine import string_logprobs
from ontogeny.scoring.index import load_index
from ontogeny.scoring.perplexity import perplexity
from ontogeny.scoring.records import Records, fingerprint
from ontogeny.scoring.tables import write_binomials, write_perplexity
from ontogeny.study.probes import PerplexityProbe
from ontogeny.training.model import load_weights


@dataclass(frozen=True)
class Task:
    """One probe: what its score files are made from, and how one is written."""

    probe: str
    made_from: str
    score: Callable[[PreTrainedModel, Path, int, int], None]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of the segment")
    parser.add_argument("--study-folder", required=True, help="results/<study>: outputs go below")
    parser.add_argument("--records", type=Path, required=True, help="what was scored from what")
    parser.add_argument(
        "--binomials", nargs=2, action="append", default=[], metavar=("PROBE", "INDEX")
    )
    parser.add_argument(
        "--perplexity",
        nargs=4,
        action="append",
        default=[],
        metavar=("PROBE", "SPEC", "CORPUS", "TOKENS_FOLDER"),
    )
    parser.add_argument("--block-size", type=int, required=True, help="block of perplexity probes")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs; 0 scores on the CPU")
    parser.add_argument(
        "--batch-tokens", type=int, default=16384, help="most tokens in one forward pass"
    )
    return parser.parse_args()


def binomials_task(probe: str, index_file: str, name: str, batch_tokens: int) -> Task:
    index = load_index(Path(index_file))

    def score(model: PreTrainedModel, output: Path, step: int, tokens: int) -> None:
        if model.config.vocab_size != index.vocab_size:
            raise ValueError(
                f"{index_file}: made for {index.vocab_size} tokens, but {name} has a vocabulary "
                f"of {model.config.vocab_size}"
            )
        positions = getattr(model.config, "max_position_embeddings", index.longest)
        if index.longest > positions:
            raise ValueError(
                f"probe {probe!r}: a string of {index.longest} tokens does not fit into the "
                f"{positions} positions of {name}"
            )
        logprobs = string_logprobs(model, index.ids, index.starts, batch_tokens)
        write_binomials(output, name, step, tokens, index, logprobs)

    return Task(probe, fingerprint("binomials", sha256(index_file)), score)


def perplexity_task(
    probe: str, spec: str, corpus: str, folder: str, name: str, block_size: int, batch_tokens: int
) -> Task:
    settings = PerplexityProbe.model_validate_json(spec)
    meta = read_json(Path(folder, "meta.json"))
    held_out = meta["splits"]["validation"]
    stream = read_tokens(Path(folder, "validation.bin"), meta["dtype"])

    def score(model: PreTrainedModel, output: Path, step: int, tokens: int) -> None:
        result = perplexity(
            model,
            stream,
            block_size,
            settings.max_tokens,
            held_out["bytes"] / held_out["tokens"],
            batch_tokens,
        )
        write_perplexity(output, name, step, tokens, corpus, result)

    made_from = fingerprint(
        "perplexity", sha256(Path(folder, "validation.bin")), settings.max_tokens, block_size
    )
    return Task(probe, made_from, score)


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    device = choose_device(args.gpu)
    paths = Paths(args.study_folder)
    tasks = [binomials_task(*given, args.name, args.batch_tokens) for given in args.binomials]
    tasks += [
        perplexity_task(*given, args.name, args.block_size, args.batch_tokens)
        for given in args.perplexity
    ]
    records = Records(args.records)
    missing = []
    for checkpoint in read_json(args.manifest)["checkpoints"]:
        for task in tasks:
            output = Path(paths.scores(task.probe, args.name, checkpoint["step"]))
            made_from = fingerprint(task.made_from, checkpoint["sha256"])
            if records.is_whole(output, made_from):
                os.utime(output)
            else:
                missing.append((checkpoint, task, output, made_from))
    if not missing:
        say(f"{args.name}: every score file is whole and up to date")
        os.utime(args.records)
        return
    model = None
    loaded = None
    with Progress(f"{args.name} scores", len(missing), "files") as progress:
        for checkpoint, task, output, made_from in missing:
            step = checkpoint["step"]
            if loaded != step:
                weights = Path(paths.checkpoint(args.name, step, "model.safetensors"))
                if model is None:
                    config = AutoConfig.from_pretrained(weights.parent)
                    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
                    model = model.to(device).eval()
                if sha256(weights) != checkpoint["sha256"]:
                    raise ValueError(
                        f"{weights}: is not what training wrote (the sha256 in {args.manifest} is "
                        "another); remove it to make it again"
                    )
                load_weights(model, weights)
                loaded = step
            task.score(model, output, step, checkpoint["tokens"])
            records.add(output, made_from)
            progress.advance(1, f"step {step:,}")


if __name__ == "__main__":
    run_command(main)
