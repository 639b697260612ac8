"""Fetch the checkpoints of one segment of a published model: each is downloaded at its commit into
a folder that is removed again, checked against the list's sha256, and written in the form of a
checkpoint that was trained here."""

import argparse
import platform
import shutil
import time
from pathlib import Path

import huggingface_hub
import safetensors
import torch
import transformers

from ontogeny.command import run as run_command
from ontogeny.files import write_json
from ontogeny.origins import sha256
from ontogeny.paths import Paths
from ontogeny.progress import Progress
from ontogeny.published.fetch import download, load
from ontogeny.published.hub import connect
from ontogeny.published.revisions import revisions_from
from ontogeny.study.schedule import checkpoint_name
from ontogeny.study.views import fetched
from ontogeny.training.model import check_causal, save_checkpoint
from ontogeny.versions import project_versions


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="name of the run")
    parser.add_argument("--model", required=True, help="repository on the Hub: owner/name")
    parser.add_argument("--segment", type=int, required=True, help="number of the segment, from 0")
    parser.add_argument(
        "--revisions", required=True, help="JSON: the lines of the list that are fetched"
    )
    parser.add_argument("--study-folder", required=True, help="results/<study>: outputs go below")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    rows = revisions_from(args.revisions)
    paths = Paths(args.study_folder)
    manifest = Path(paths.segment(args.name, args.segment, "manifest.json"))
    downloads = manifest.with_name(f".{args.segment:04d}.downloads")  # on the results' own disk
    made_with = project_versions()
    start = time.perf_counter()
    api = connect()
    seen: dict[str, str] = {}
    saved = []
    try:
        with Progress(f"{args.name}, from the Hub", len(rows), "checkpoints") as progress:
            for row in rows:
                shutil.rmtree(downloads, ignore_errors=True)  # also what a kill left there
                what = f"{args.model}, revision {row.revision!r}"
                download(api, args.model, row, downloads)
                model = load(downloads, what)
                if not saved:
                    check_causal(model)
                weights = Path(paths.checkpoint(args.name, row.step, "model.safetensors"))
                save_checkpoint(model, weights, weights.with_name("config.json"))
                digest = sha256(weights)
                if digest in seen:
                    raise ValueError(
                        f"{args.model}: revisions {seen[digest]!r} and {row.revision!r} hold the "
                        "same weights in different files, so at least one of them is not what its "
                        "name says; remove the wrong one's line from the list"
                    )
                seen[digest] = row.revision
                saved.append(
                    {
                        "checkpoint": checkpoint_name(row.step),
                        "step": row.step,
                        "tokens": row.tokens,
                        "sha256": digest,
                        "revision": row.revision,
                        "commit": row.commit,
                        "published_sha256": row.sha256,
                    }
                )
                progress.advance(1, row.revision)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)
    write_json(
        manifest,
        {
            "run": args.name,
            "segment": args.segment,
            "model": args.model,
            "spec": fetched(args.model, rows),
            "parameters": model.num_parameters(),
            "seconds": round(time.perf_counter() - start, 3),
            "versions": {
                **made_with,
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "safetensors": safetensors.__version__,
                "huggingface_hub": huggingface_hub.__version__,
            },
            "checkpoints": saved,
        },
    )


if __name__ == "__main__":
    run_command(main)
