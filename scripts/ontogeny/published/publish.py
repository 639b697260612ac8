"""Checkpoints of a run onto the Hub: a commit and a tag for each, and proof that all are there.

What a repository already has is looked at first, so an upload that was interrupted goes on with
what is missing. Nothing that another run has put there is ever overwritten.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.hf_api import RepoSibling

from ontogeny.files import require_config
from ontogeny.origins import sha256
from ontogeny.progress import say
from ontogeny.published.hub import ask, is_same, stored_files

MAIN = "main"
WEIGHTS = "model.safetensors"
WEIGHT_FORMS = (".safetensors", ".bin", ".index.json", ".gguf", ".h5", ".msgpack")

Files = dict[str, Path]


@dataclass(frozen=True)
class Step:
    """One checkpoint to publish: where it stands in training, and its files by name."""

    step: int
    tokens: int
    sha256: str
    files: Files

    @property
    def tag(self) -> str:
        return f"step-{self.step}"


def check_local(steps: Iterable[Step]) -> None:
    """Raise ValueError that names the first checkpoint that is not what training wrote, or that
    lacks its config.json."""
    for step in steps:
        require_config(step.files["config.json"])
        path = step.files[WEIGHTS]
        if _hash(path) != step.sha256:
            raise ValueError(
                f"{path}: is not what training wrote (the sha256 in the manifest is another); "
                "remove it to make it again"
            )


def publish(
    api: HfApi, repo: str, private: bool, steps: list[Step], on_main: Files
) -> dict[str, Any]:
    """Upload checkpoints and what stands beside the last one on `main`; the record of it.

    Raises ValueError when the Hub can't be reached or refuses, when the repository holds other
    weights under one of the tags, or another model on `main`, and when something is missing or
    different after all has been uploaded.
    """
    ask(api, repo, api.create_repo, repo, private=private, exist_ok=True)
    tags = _tags(api, repo)
    _refuse_other_models(api, repo, steps, on_main)
    for step in steps:
        what = f"{repo}, {step.tag}"
        if step.tag in tags:
            if wrong := _differences(_stored(api, repo, tags[step.tag], what), step.files):
                raise ValueError(
                    f"{what}: the tag is there with other files than this run's ({wrong}), and is "
                    "not overwritten; publish to another repository, or delete the tag"
                )
            say(f"{what}: is there, verified")
            continue
        commit = _commit(api, repo, f"Step {step.step:,}, {step.tokens:,} tokens", step.files, what)
        ask(api, what, api.create_tag, repo, tag=step.tag, revision=commit, exist_ok=True)
        say(f"{what}: uploaded")
    _commit(api, repo, "Model card, loss, tables", steps[-1].files | on_main, f"{repo}, {MAIN}")
    return _verified(api, repo, steps, on_main)


def _verified(api: HfApi, repo: str, steps: list[Step], on_main: Files) -> dict[str, Any]:
    """Ask the server for everything that should be there; the record, with its commits."""
    tags = _tags(api, repo)
    problems = [f"{step.tag} is missing" for step in steps if step.tag not in tags]
    expected = [(step.tag, step.files) for step in steps if step.tag in tags]
    for revision, files in [*expected, (MAIN, steps[-1].files | on_main)]:
        what = f"{repo}, {revision}"
        wrong = _differences(_stored(api, repo, tags.get(revision, MAIN), what), files)
        problems += [f"{revision}: {wrong}"] if wrong else []
    if problems:
        raise ValueError(
            f"{repo}: not all is there after the upload: {'; '.join(problems)}; run the same "
            "command again"
        )
    return {
        "repo": repo,
        "main": ask(api, repo, api.model_info, repo, revision=MAIN).sha,
        "steps": [
            {
                "step": step.step,
                "tokens": step.tokens,
                "tag": step.tag,
                "commit": tags[step.tag],
                "sha256": step.sha256,
            }
            for step in steps
        ],
    }


def _tags(api: HfApi, repo: str) -> dict[str, str]:
    """Commit of each tag."""
    return {tag.name: tag.target_commit for tag in ask(api, repo, api.list_repo_refs, repo).tags}


def _stored(api: HfApi, repo: str, revision: str, what: str) -> dict[str, RepoSibling]:
    return stored_files(api, repo, revision, what)


def _refuse_other_models(api: HfApi, repo: str, steps: list[Step], on_main: Files) -> None:
    """A repository in which somebody keeps another model, in whatever form, is left alone.

    An upload of ours that was interrupted has weights of ours beside all else.
    """
    stored = _stored(api, repo, MAIN, repo)
    weights = stored.pop(WEIGHTS, None)
    if weights is not None and not any(is_same(weights, None, step.sha256) for step in steps):
        raise ValueError(
            f"{repo}: {MAIN} holds the weights of another model, or of this run before it was "
            "changed; publish to another repository, or delete that one"
        )
    overwritten = steps[-1].files | on_main if weights is None else {}
    for name in stored:
        if name.endswith(WEIGHT_FORMS) or name in overwritten:
            raise ValueError(
                f"{repo}: {MAIN} holds {name}, which is not of this run; publish to another "
                "repository, or delete that one"
            )


def _commit(api: HfApi, repo: str, message: str, files: Files, what: str) -> str:
    """Commit files to `main`; the commit's name. Files that are there already are not sent."""

    def send() -> str:  # an operation can't be used twice, so each try makes its own
        operations = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        return api.create_commit(repo, operations, commit_message=message, revision=MAIN).oid

    return ask(api, what, send)


def _differences(stored: dict[str, RepoSibling], files: Files) -> str:
    """Names of the files that are not there, or not the same; empty when all is well."""
    wrong = []
    for name, path in files.items():
        if name not in stored:
            wrong.append(f"{name} is missing")
        elif not is_same(stored[name], _content(path, stored[name]), _hash(path)):
            wrong.append(f"{name} is another")
    return ", ".join(wrong)


def _content(path: Path, stored: RepoSibling) -> bytes | None:
    return path.read_bytes() if stored.lfs is None else None


_hash: Callable[[Path], str] = cache(sha256)  # weights are read once
