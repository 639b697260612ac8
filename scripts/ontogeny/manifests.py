"""Manifests: what one segment of a run has made, and from what."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ontogeny.files import read_json
from ontogeny.study.views import name_of

CONTENTS = ("tokens_sha256", "tokenizer_sha256")  # of a spec; the study does not know them


def read_manifest(path: Path, trained_as: str | None = None) -> dict[str, Any]:
    """A segment's manifest.

    `trained_as` names what the study says that the run's weights are made from (`name_of` its
    view). Raises ValueError that names a manifest of another spec, or one that can't be read; one
    from before specs were recorded is taken as it is.
    """
    manifest = read_json(path)
    spec = manifest.get("spec")
    if spec is not None and trained_as is not None:
        recorded = {key: value for key, value in spec.items() if key not in CONTENTS}
        if name_of(recorded) != trained_as:
            raise ValueError(
                f"{path}: its checkpoints are not those of the study, whose run has another spec "
                "now; call Snakemake, which makes them again, or remove this file"
            )
    return manifest


def checkpoints_at(
    manifest: dict[str, Any], steps: Iterable[int] | None, path: Path
) -> list[dict[str, Any]]:
    """The entries of the checkpoints at some steps, by default of all, in the manifest's order.

    Raises ValueError for a step that the manifest does not have.
    """
    entries = {entry["step"]: entry for entry in manifest["checkpoints"]}
    wanted = entries.keys() if steps is None else set(steps)
    if lacking := sorted(wanted - entries.keys()):
        raise ValueError(
            f"{path}: has no checkpoint at step {lacking[0]}; remove it to train again"
        )
    return [entry for step, entry in entries.items() if step in wanted]


def require_whole_run(manifests: list[tuple[Path, dict[str, Any]]]) -> None:
    """Raise ValueError unless each segment, in this order, begins where the one before ended."""
    end = 0
    for path, manifest in manifests:
        if manifest["start"] != end:
            raise ValueError(
                f"{path}: begins at step {manifest['start']:,}, but the segment before it ends at "
                f"{end:,}; remove it to train again"
            )
        end = manifest["end"]
