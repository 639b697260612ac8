"""Score the checkpoints of one segment on every probe: one CSV per checkpoint and probe. CSVs that
are whole and were made from the same weights, stimuli and settings are kept."""

import argparse
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy import sparse
from transformers import PreTrainedModel

from ontogeny.command import run as run_command
from ontogeny.corpus.bigrams import count_bigrams
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.corpus.tokens import read_tokens
from ontogeny.device import choose_device
from ontogeny.files import read_json, require_config
from ontogeny.manifests import checkpoints_at, read_manifest
from ontogeny.origins import reading, sha256, sha256_of
from ontogeny.progress import Progress, say
from ontogeny.published.opening import shaped
from ontogeny.scoring.divergence import Divergence
from ontogeny.scoring.index import load_index
from ontogeny.scoring.perplexity import perplexity
from ontogeny.scoring.probes import make_scorer
from ontogeny.scoring.records import Records, fingerprint
from ontogeny.scoring.tables import Checkpoint, perplexity_table, write_scores
from ontogeny.study.probes import CompletionsProbe, PerplexityProbe
from ontogeny.study.schedule import checkpoint_name
from ontogeny.study.views import read_probe
from ontogeny.study_arguments import add_study_folder, study_paths
from ontogeny.training.model import read_weights, set_weights


@dataclass(frozen=True)
class Task:
    """A probe, what its scores are made from besides the weights, and what makes a live model's
    scorer for it."""

    probe: str
    made_from: str
    scorer_for: Callable[[PreTrainedModel], Callable[[], pl.DataFrame]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of the segment")
    parser.add_argument("--trained-as", help="name of the spec that the manifest must be of")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        help="those of its checkpoints that are scored; default: all",
    )
    add_study_folder(parser)
    parser.add_argument("--records", type=Path, required=True, help="what was scored from what")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the run")
    parser.add_argument(
        "--probe",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "SPEC", "INDEX"),
        help="a probe with an index: its name, its JSON as in a study, its index",
    )
    parser.add_argument(
        "--perplexity",
        nargs=4,
        action="append",
        default=[],
        metavar=("NAME", "SPEC", "CORPUS", "TOKENS_FOLDER"),
        help="a perplexity probe: its name, its JSON, and the corpus with its token files",
    )
    parser.add_argument(
        "--training-tokens",
        type=Path,
        help="token files of the run's own corpus, for perplexity probes with `ngrams`",
    )
    parser.add_argument("--block-size", type=int, required=True, help="block of perplexity probes")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--gpu", type=int, default=0, help="GPUs; 0 (default) scores on the CPU")
    parser.add_argument(
        "--batch-tokens",
        type=int,
        default=16384,
        help="most tokens in one forward pass (default: 16384)",
    )
    return parser.parse_args()


def indexed_task(name: str, spec: str, index_file: str, args: argparse.Namespace) -> Task:
    probe = read_probe(spec)
    index = load_index(Path(index_file), sha256_of(args.tokenizer))
    tokenizer, info = load_tokenizer(args.tokenizer)
    settings: Any = probe.precision  # a reference, say, changes nothing in the scores
    if isinstance(probe, CompletionsProbe):
        settings = probe.model_dump(exclude={"items", "only_corpora"})
    return Task(
        name,
        fingerprint(probe.type, sha256_of(index_file), settings),
        lambda model: make_scorer(model, probe, index, tokenizer, info, args.batch_tokens),
    )


def perplexity_task(
    name: str, spec: str, corpus: str, folder: str, args: argparse.Namespace
) -> Task:
    probe = PerplexityProbe.model_validate_json(spec)
    meta = read_json(Path(folder, "meta.json"))
    held_out = meta["splits"]["validation"]
    stream = read_tokens(Path(folder, "validation.bin"), meta["dtype"])
    bytes_per_token = held_out["bytes"] / max(held_out["tokens"], 1)
    by_document = probe.sequences == "documents"
    documents = None
    if by_document:
        documents = np.load(reading(Path(folder, "validation.documents.npy")))
    own = args.training_tokens if probe.ngrams else None

    def scorer_for(model: PreTrainedModel) -> Callable[[], pl.DataFrame]:
        divergence = Divergence(text_bigrams(own), model.device) if own else None
        return lambda: perplexity_table(
            corpus,
            perplexity(
                model,
                stream,
                args.block_size,
                probe.max_tokens,
                bytes_per_token,
                args.batch_tokens,
                probe.precision,
                divergence,
                documents,
            ),
        )

    made_from = fingerprint(
        "perplexity",
        sha256_of(Path(folder, "validation.bin")),
        probe.max_tokens,
        args.block_size,
        probe.precision,
        *([sha256_of(own / "train.bin")] if own else []),
        *(["documents"] if by_document else []),
    )
    return Task(name, made_from, scorer_for)


@cache
def text_bigrams(folder: Path) -> sparse.csr_array:
    """The bigrams of a training text, counted once for all probes."""
    meta = read_json(folder / "meta.json")
    return count_bigrams(read_tokens(folder / "train.bin", meta["dtype"]), meta["vocab_size"])


def whole_weights(path: Path, expected: str, manifest: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint whose sha256 is the expected one."""
    if sha256(path) != expected:
        raise ValueError(
            f"{path}: is not what training wrote (the sha256 in {manifest} is another); remove it "
            "to make it again"
        )
    return read_weights(path)


def read_ahead(
    files: list[Path], hashes: list[str], manifest: Path
) -> Iterator[dict[str, torch.Tensor]]:
    """The weights of each file in turn; the next file is read while one is in use."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        waiting = None
        for file, expected in zip(files, hashes, strict=True):
            following = reader.submit(whole_weights, file, expected, manifest)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        yield waiting.result()


def live_model(config_folder: Path, gpus: int) -> PreTrainedModel:
    """A model of a checkpoint's shape, whose weights are still to be set."""
    require_config(config_folder / "config.json")
    return shaped(config_folder, str(config_folder)).to(choose_device(gpus)).eval()


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    paths = study_paths(args)
    tasks = [indexed_task(*given, args) for given in args.probe]
    tasks += [perplexity_task(*given, args) for given in args.perplexity]
    records = Records(args.records)
    missing = []
    manifest = read_manifest(args.manifest, args.trained_as)
    for checkpoint in checkpoints_at(manifest, args.steps, args.manifest):
        wanted = []
        for task in tasks:
            output = Path(paths.scores(task.probe, args.name, checkpoint["step"]))
            made_from = fingerprint(task.made_from, checkpoint["sha256"])
            if records.keeps(output, made_from):
                os.utime(output)
            else:
                wanted.append((task, output, made_from))
        if wanted:
            missing.append((checkpoint, wanted))
    records.write()
    if not missing:
        say(f"{args.name}: every score file is whole and up to date")
        return
    files = [
        Path(paths.checkpoint(args.name, checkpoint["step"], "model.safetensors"))
        for checkpoint, _ in missing
    ]
    hashes = [checkpoint["sha256"] for checkpoint, _ in missing]
    model = live_model(files[0].parent, args.gpu)
    scorers = {task.probe: task.scorer_for(model) for task in tasks}
    count = sum(len(wanted) for _, wanted in missing)
    with Progress(f"{args.name} scores", count, "files") as progress:
        ahead = read_ahead(files, hashes, args.manifest)
        for (checkpoint, wanted), file, tensors in zip(missing, files, ahead, strict=True):
            set_weights(model, tensors, file)
            step = checkpoint["step"]
            label = Checkpoint(args.name, checkpoint_name(step), step, checkpoint["tokens"])
            for task, output, made_from in wanted:
                write_scores(output, label, scorers[task.probe]())
                records.add(output, made_from)
                progress.advance(1, f"step {step:,}")


if __name__ == "__main__":
    run_command(main)
