"""Which revisions of a repository on the Hub are checkpoints, and what their weights hash to."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoSibling

from ontogeny.progress import Progress, say
from ontogeny.published.hub import ask, stored_files
from ontogeny.published.revisions import Revision

# `step12`, `step-12`, `global_step12`, `stage1-step1000-tokens5B`
NAME = re.compile(r"(?:.*[-_])?step[-_]?(\d+)(?:[-_]tokens[-_]?(\d+)([KMBT]?))?", re.IGNORECASE)
UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
WHOLE = "model.safetensors"
SHARD = re.compile(r"model-\d{5}-of-(\d{5})\.safetensors")


def step_and_tokens(name: str) -> tuple[int, int | None] | None:
    """The step that a revision's name tells, and its tokens if it tells them; None for no step."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    step, tokens, unit = match.groups()
    return int(step), int(tokens) * UNITS[unit.upper()] if tokens else None


def weight_files(names: Iterable[str]) -> list[str]:
    """The safetensors files that hold a model's weights: one, or all shards in order.

    Raises ValueError when there are none, or not all shards.
    """
    names = set(names)
    if WHOLE in names:
        return [WHOLE]
    shards = sorted(name for name in names if SHARD.fullmatch(name))
    if not shards:
        raise ValueError("it has no safetensors weights (older formats can run code; none is read)")
    count = int(SHARD.fullmatch(shards[0])[1])
    if len(shards) != count:
        raise ValueError(f"it has {len(shards)} shards of {count}")
    return shards


def combined_sha256(hashes: Sequence[str]) -> str:
    """One hash for a model's weights: of one file its own sha256, of several shards the sha256 of
    their hexadecimal sha256s, joined in the order of the shards."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def stored_hashes(files: Mapping[str, RepoSibling]) -> list[str]:
    """The sha256 of each file of a revision's weights, as the Hub states them.

    Raises ValueError when there are no such weights, or the Hub has no sha256 of them.
    """
    weights = weight_files(files)
    without = [name for name in weights if files[name].lfs is None]
    if without:
        raise ValueError(f"the Hub states no sha256 of its {without[0]}")
    return [files[name].lfs.sha256 for name in weights]


def list_revisions(
    api: HfApi, repo: str, tokens_per_step: int | None = None, include: str = "*"
) -> dict[Revision, list[str]]:
    """The tags and branches of a repository that are checkpoints, by step, each with the sha256 of
    every file of its weights. Nothing is downloaded.

    Tokens are step x `tokens_per_step`; without it what the names tell, which is often rounded.
    Revisions without safetensors weights are left out, with a line that names them. Raises
    ValueError when no revision is left, when two are at the same step, and when tokens are unknown.
    """
    refs = ask(api, repo, api.list_repo_refs, repo)
    # an annotated tag and a branch may share a name; the commit tells them apart
    named = {(ref.name, ref.target_commit) for ref in (*refs.branches, *refs.tags)}
    found: dict[int, tuple[str, str, int]] = {}
    for name, commit in sorted(named):
        told = step_and_tokens(name)
        if told is None or not fnmatchcase(name, include):
            continue
        step, tokens = told
        if step in found:
            raise ValueError(
                f"{repo}: {found[step][0]!r} and {name!r} are both step {step}; choose with "
                "--include, for example --include 'stage1-*'"
            )
        if tokens_per_step is not None:
            tokens = step * tokens_per_step
        if tokens is None:
            raise ValueError(
                f"{repo}: the name {name!r} does not tell its tokens; give --tokens-per-step"
            )
        found[step] = (name, commit, tokens)
    if not found:
        among = "" if include == "*" else f" among those like {include!r}"
        raise ValueError(
            f"{repo}: no tag or branch{among} tells a step, as step-12, step12 or stage1-step12 do"
        )
    rows = {}
    with Progress(repo, len(found), "revisions") as progress:
        for step, (name, commit, tokens) in sorted(found.items()):
            files = stored_files(api, repo, commit, f"{repo}, revision {name!r}")
            try:
                hashes = stored_hashes(files)
            except ValueError as error:
                say(f"{repo}: revision {name!r} is left out: {error}")
            else:
                row = Revision(name, step, tokens, commit, combined_sha256(hashes))
                rows[row] = hashes
            progress.advance(1, name)
    if not rows:
        raise ValueError(
            f"{repo}: none of the {len(found)} revisions has safetensors weights; older formats "
            "can run code, so none is read"
        )
    return rows


def twins(rows: Mapping[Revision, Sequence[str]]) -> list[list[str]]:
    """Names of the revisions that share a file of weights, a list for each such set.

    One shard is enough: training changes all of them.
    """
    sharing: dict[str, list[str]] = {}
    for row, hashes in rows.items():
        for digest in dict.fromkeys(hashes):
            sharing.setdefault(digest, []).append(row.revision)
    sets = dict.fromkeys(tuple(names) for names in sharing.values() if len(names) > 1)
    return [list(names) for names in sets]
