"""A study at another scale: its sections with some of their keys overridden."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ontogeny.study.errors import StudyError, nearest

# What makes two sections of one name different things: nothing of one belongs into the other.
KINDS = {"source": "train", "type": None, "model_type": None}


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """A study with the later ones laid over it, at no scale."""
    return functools.reduce(overridden, map(dict, layers), {})


def at_scale(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """A study and what is laid over it, each with its overrides for the `scale`, and `-<scale>` in
    the study's name.

    So keys of a later layer (another file, the command line) hold at every scale. Where no scale
    is named, the layers are merged. Raises StudyError for a scale that is not defined.
    """
    whole = layered(*layers)
    scale, scales = whole.get("scale"), whole.get("scales")
    if not isinstance(scale, str) or not isinstance(scales or {}, dict):
        return whole  # none, or what no study may say
    if scale not in (scales or {}):
        raise StudyError([f"scale: {scale!r} is not defined; {nearest(scale, scales or {})}"])
    overrides = scales[scale]
    if not isinstance(overrides, dict):
        raise StudyError(
            [f"scales.{scale}: found {overrides!r}, should be a mapping (`key: value`)"]
        )
    if nested := sorted({"scale", "scales"} & set(overrides)):
        raise StudyError([f"scales.{scale}.{nested[0]}: one scale can't choose another"])
    result: dict[str, Any] = {}
    for layer in layers:
        result = overridden(result, {key: layer[key] for key in layer if key != "scales"})
        own = layer.get("scales")
        own = own.get(scale) if isinstance(own, dict) else None
        result = overridden(result, own if isinstance(own, dict) else {})
    if isinstance(result.get("study"), str):
        result["study"] += f"-{scale}"
    return result


def overridden(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`.

    Mappings in both are merged, but a section whose `source`, `type` or `model_type` differs is
    replaced as a whole. Lists and scalars are replaced, and one budget (`tokens`, `steps`) replaces
    the other. `null` removes a key that `base` has.
    """
    result = dict(base)
    if over.get("tokens") is not None or over.get("steps") is not None:
        result.pop("tokens", None)
        result.pop("steps", None)
    for key, value in over.items():
        there = base.get(key)
        if value is None and key in base:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(there, dict) and not _other_kind(there, value):
            result[key] = overridden(there, value)
        else:
            result[key] = value
    return result


def _other_kind(base: dict[str, Any], over: dict[str, Any]) -> bool:
    return any(key in over and over[key] != base.get(key, unsaid) for key, unsaid in KINDS.items())


def with_scale(lines: Iterable[str], config: dict[str, Any]) -> Iterator[str]:
    """Lines about keys of a study; those whose key its scale gives, told of `scales.<scale>`."""
    scale, scales = config.get("scale"), config.get("scales")
    is_chosen = isinstance(scale, str) and isinstance(scales, dict)
    overrides = scales.get(scale) if is_chosen else None
    for line in lines:
        yield f"scales.{scale}.{line}" if _is_given(line, overrides) else line


def _is_given(line: str, overrides: Any) -> bool:
    """Whether the key that a line begins with, or the section that misses it, is overridden."""
    rest, section = line, overrides
    while True:  # key by key: names have dots in them, so a path can't be split at its dots
        for key, value in _entries(section):
            if rest.startswith((f"{key}.", f"{key}[", f"{key}:")):
                rest, section = rest[len(key) :].removeprefix("."), value
                break
        else:
            is_missing = rest.endswith(": this key is required")
            return section is not overrides and is_missing and "." not in rest
        if rest.startswith(":"):
            return True


def _entries(section: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values, or positions and elements; `opt-1.3b` before `opt-1`."""
    if isinstance(section, dict):
        keys = sorted(section, key=str, reverse=True)
        yield from ((str(key), section[key]) for key in keys)
    if isinstance(section, list):
        yield from ((f"[{position}]", value) for position, value in enumerate(section))
