"""A published checkpoint: downloaded at its commit, checked, and loaded in fp32."""

from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download
from transformers import PreTrainedModel

from ontogeny.origins import sha256
from ontogeny.published.hub import ask, stored_files
from ontogeny.published.listing import combined_sha256, stored_hashes, weight_files
from ontogeny.published.opening import CONFIG, INDEX, load_in_fp32
from ontogeny.published.revisions import Revision


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


def load(folder: Path, what: str) -> PreTrainedModel:
    """The causal language model of a folder, in fp32.

    Raises ValueError that begins with `what` when it can't be opened (`opening.load_in_fp32`), or
    when weights are left over: they are of another model than its configuration says.
    """
    model, left_over = load_in_fp32(folder, what)
    if left_over:
        raise ValueError(
            f"{what}: does not fit its own configuration; tensor {left_over[0]!r} has no place in "
            f"the model ({len(left_over)} in all)"
        )
    return model
