"""A published checkpoint: downloaded at its commit, checked, and loaded in fp32."""

from pathlib import Path

import torch
from huggingface_hub import HfApi, hf_hub_download
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from ontogeny.origins import sha256
from ontogeny.published.hub import ask, stored_files
from ontogeny.published.listing import combined_sha256, stored_hashes, weight_files
from ontogeny.published.revisions import Revision

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"  # which shard holds which tensor
WRONG_KEYS = ("missing_keys", "unexpected_keys", "mismatched_keys")


def download(api: HfApi, repo: str, row: Revision, folder: Path) -> None:
    """Put configuration and weights of a revision into `folder`, and nothing into a cache.

    Raises ValueError that names the revision when it can't be had, or when its weights are not
    those of the list: before the download by what the Hub states, after it by what has arrived.
    """
    what = f"{repo}, revision {row.revision!r}"
    files = stored_files(api, repo, row.commit, what)
    try:
        stated = combined_sha256(stored_hashes(files))
        weights = weight_files(files)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if stated != row.sha256:
        raise ValueError(
            f"{what}: the Hub has other weights (sha256 {stated[:12]}...) than the list "
            f"({row.sha256[:12]}...); make the list again with: python scripts/list_revisions.py"
        )
    if CONFIG not in files:
        raise ValueError(f"{what}: has no {CONFIG}")
    for name in (CONFIG, *([INDEX] if INDEX in files else []), *weights):
        ask(
            api,
            what,
            hf_hub_download,
            repo,
            name,
            revision=row.commit,
            local_dir=folder,
            token=api.token,
            endpoint=api.endpoint,
        )
    arrived = combined_sha256([sha256(folder / name) for name in weights])
    if arrived != row.sha256:
        raise ValueError(
            f"{what}: what has arrived has the sha256 {arrived[:12]}..., the list says "
            f"{row.sha256[:12]}...: it was damaged on the way; run the same command again"
        )


def load_in_fp32(folder: Path, what: str) -> PreTrainedModel:
    """The causal language model of a folder; 16-bit weights are widened, which is exact.

    Raises ValueError that begins with `what` when it is no such model, would need code of its
    own, or when some weights are missing, left over or of another shape: nothing stays random.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # of many kinds, from the configuration to the tensors
        if "trust_remote_code" in str(error):
            raise ValueError(
                f"{what}: needs code from its repository to run, and none is run"
            ) from None
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{what}: can't be loaded as a causal language model ({reason})") from None
    for key in WRONG_KEYS:
        if report.get(key):
            first = sorted(map(str, report[key]))[0]
            raise ValueError(
                f"{what}: does not fit its own configuration; {key.removesuffix('_keys')} weights: "
                f"{first} ({len(report[key])} in all)"
            )
    return model
