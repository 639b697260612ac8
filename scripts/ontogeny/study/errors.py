"""Telling a person what is wrong with a study: the key, what was found, what would be right."""

import difflib
import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError


class StudyError(ValueError):
    """A study that can't be run as written. The message lists every problem found."""

    def __init__(self, problems: Iterable[str]):
        self.problems = list(problems)
        count = len(self.problems)
        head = "The study has an error" if count == 1 else f"The study has {count} errors"
        super().__init__(head + ":\n" + "\n".join(f"  - {line}" for line in self.problems))


def nearest(name: Any, names: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the names there are."""
    names = sorted(names)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if not close:  # 'babylm' for 'babylm100m'
        close = [other for other in names if len(str(name)) > 2 and str(name) in other][:1]
    if close:
        return f"did you mean {close[0]!r}?"
    return "there is: " + ", ".join(names) if names else "none is defined"


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line for each error of a validation of `model`, with the key's path."""
    return [_line(item, model) for item in error.errors()]


def _line(item: dict[str, Any], model: type[BaseModel]) -> str:
    path, section = _walk(item["loc"], model)
    kind, found = item["type"], item["input"]
    context = item.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: unknown key; {nearest(item['loc'][-1], _keys(section))}"
    if kind == "missing":
        return f"{path}: this key is required"
    if kind == "union_tag_invalid":
        tag = context["discriminator"].strip("'")
        allowed = [name.strip("' ") for name in context["expected_tags"].split(",")]
        found = context["tag"]
        return f"{path}.{tag}: {found!r} is not one of them; {nearest(found, allowed)}"
    if kind == "union_tag_not_found":
        return f"{path}.{context['discriminator'].strip(chr(39))}: this key is required"
    if kind == "literal_error":
        expected = context["expected"].replace(" or ", ", ").split(", ")
        allowed = [name.strip("'") for name in expected]
        return f"{path}: {found!r} is not allowed; {nearest(found, allowed)}"
    if kind == "string_pattern_mismatch":
        return (
            f"{path}: the name {found!r} is not allowed; names are lowercase letters, digits, "
            "'.', '_' and '-', and begin with a letter or digit"
        )
    if kind == "value_error":
        return f"{path}: {context['error']}"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return f"{path}: found {found!r}, should be a mapping (`key: value`)"
    message = item["msg"][0].lower() + item["msg"][1:].replace("Input", "the value")
    message = message.replace("input should", "should").replace(" after validation", "")
    if kind in ("less_than", "less_than_equal") and "share" in str(item["loc"][-1]):
        message += "; a share is between 0 and 1, and 5 % is 0.05"
    shown = repr(found)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{path}: found {shown}, {message}"


def _keys(section: type[BaseModel] | None) -> list[str]:
    return list(section.model_fields) if section else []


def _walk(loc: tuple, model: type[BaseModel]) -> tuple[str, type[BaseModel] | None]:
    """The path of a location as a person writes it, the section that holds its last key.

    Pydantic puts the tag of a discriminated union into the location (`corpora.a.toy.words`);
    it is no key of the file, so it is left out.
    """
    parts: list[str] = []
    kind: Any = model
    section: type[BaseModel] | None = model
    for part in loc:
        kind = _bare(kind)
        choices = _union_of_models(kind)
        if choices and part in (tag_of := {_tag(choice): choice for choice in choices}):
            kind = section = tag_of[part]
            continue
        if part == "[key]" or (isinstance(part, str) and _is_choice(kind)):
            continue
        parts.append(f"[{part}]" if isinstance(part, int) else str(part))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section = kind
            field = kind.model_fields.get(part)
            kind = field.annotation if field else Any
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) is list:
            kind = get_args(kind)[0]
    return ".".join(parts).replace(".[", "["), section


def _bare(kind: Any) -> Any:
    """The type without `Annotated` and without `| None`."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        rest = [choice for choice in get_args(kind) if choice is not type(None)]
        if len(rest) == 1:
            return _bare(rest[0])
    return kind


def _union_of_models(kind: Any) -> list[type[BaseModel]]:
    """The sections that stand to choose from, those of unions in a union too."""
    if get_origin(kind) not in (Union, types.UnionType):
        return []
    choices = [_bare(choice) for choice in get_args(kind)]
    nested = [section for choice in choices for section in _union_of_models(choice)]
    return nested + [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]


def _is_choice(kind: Any) -> bool:
    """Whether the next part of a location is which of several types was tried: no key of a file."""
    return get_origin(kind) in (Union, types.UnionType) and not _union_of_models(kind)


def _tag(section: type[BaseModel]) -> str | None:
    for key in ("source", "type"):
        if key in section.model_fields:
            return get_args(section.model_fields[key].annotation)[0]
    return None
