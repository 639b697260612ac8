"""Score files from elsewhere: which file is which step of which model. Standard library only."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from ontogeny.scoring.stimuli.rows import (
    LARGEST,
    is_empty,
    read_rows,
    require_columns,
    whole_number,
)

# What tells the step of a file, as in a run's `steps_from`: the last match in its name.
NAMES = {"name": re.compile(r"step[-_]?(\d+)"), "number": re.compile(r"(\d+)")}
COLUMN = "column"
REQUIRED = ("prompt", "binom", "alpha_logprob", "nonalpha_logprob")
LABELS = ("model", "step", "tokens")  # the same in all rows of a checkpoint, where there
UNPACK = {".gz": "gunzip", ".zst": "unzstd"}
Rows = dict[int, dict[str, str]]


@dataclass(frozen=True)
class PublishedFile:
    """One checkpoint's scores. `model` is None where the file does not name it; `among_others`:
    the file may have other checkpoints too, whose rows `rows_of` leaves out."""

    path: str
    step: int
    tokens: int
    model: str | None
    columns: tuple[str, ...]
    among_others: bool = False


def step_of(path: str, steps_from: str = "name") -> int:
    """The step in a file's name: the last `step-12`, `step_12` or `step12` in it, or with
    `number` the last number of it (`ckpt-100.csv`).

    Raises ValueError for a name without one, or with one above `LARGEST`.
    """
    found = NAMES[steps_from].findall(Path(path).name)
    if not found:
        example = "e.g. 'model_step-1140.csv'" if steps_from == "name" else "a number in it"
        raise ValueError(
            f"{path}: its name doesn't tell the step; expected {example} (`steps_from` may "
            "say what tells it: number, as in 'ckpt-100.csv', or column)"
        )
    if (step := int(found[-1])) > LARGEST:
        raise ValueError(f"{path}: its name tells step {step}; a step is at most {LARGEST:,}")
    return step


def row_step(row: Mapping[str, str], place: str = "") -> int:
    """The step of a row: its `step`, or where that is empty the last number of its `checkpoint`.

    Raises ValueError, which begins with `place`, where neither tells it.
    """
    if not is_empty(row.get("step", "")):
        return whole_number(row, "step", place)
    found = NAMES["number"].findall(row.get("checkpoint", ""))
    if not found or int(found[-1]) > LARGEST:
        raise ValueError(f"{place}neither column 'step' nor 'checkpoint' tells the step")
    return int(found[-1])


def by_step(paths: Iterable[str], steps_from: str = "name") -> dict[int, str]:
    """The file of each step, in the order of the steps as numbers; a file may have several.

    Raises ValueError where two files are of one step.
    """
    files: dict[int, str] = {}
    for path in paths:
        _require_unpacked(path)
        for step in _rows_by_step(path) if steps_from == COLUMN else [step_of(path, steps_from)]:
            if step in files:
                raise ValueError(f"two files are of step {step}: {files[step]} and {path}")
            files[step] = path
    return dict(sorted(files.items()))


def published_files(
    paths: Iterable[str], tokens_per_step: int | None, steps_from: str = "name"
) -> list[PublishedFile]:
    """The checkpoints of a run in the order of their steps, as names, headers and first rows tell.

    Raises ValueError that names the file where one is compressed or empty, lacks a column, tells
    another step than its name, or does not tell the tokens; where files are of several models (a
    name that has the step in it may change with the step); and where tokens do not grow with the
    steps.
    """
    files = [
        _first_look(path, step, tokens_per_step, steps_from == COLUMN)
        for step, path in by_step(paths, steps_from).items()
    ]
    for earlier, later in pairwise(files):
        if not _one_model(earlier, later):
            raise ValueError(
                f"{later.path}: is of model {later.model!r}, but {earlier.path} of "
                f"{earlier.model!r}; a run is one model"
            )
        if later.tokens <= earlier.tokens:
            raise ValueError(
                f"{later.path}: {later.tokens} tokens at step {later.step}, but {earlier.tokens} "
                f"at step {earlier.step} ({earlier.path}); tokens must grow with the steps"
            )
    return files


def tokens_of(row: Mapping[str, str], step: int, tokens_per_step: int | None, place: str) -> int:
    """Tokens that a checkpoint had seen: the row's `tokens`, or step x tokens_per_step.

    Raises ValueError, which begins with `place`, where the row's `step` is not `step`, where its
    `tokens` is not the product, and where neither is known.
    """
    if not is_empty(row.get("step", "")) and (found := whole_number(row, "step", place)) != step:
        raise ValueError(
            f"{place}step is {found}, but the file's name says {step}; correct the column, or "
            "remove it and the column tokens"
        )
    product = None if tokens_per_step is None else step * tokens_per_step
    empty = is_empty(row.get("tokens", ""))
    tokens = product if empty else whole_number(row, "tokens", place)
    if product is not None and product > LARGEST:
        raise ValueError(
            f"{place}step {step} x tokens_per_step {tokens_per_step} is more than {LARGEST:,} "
            "tokens; correct tokens_per_step"
        )
    if tokens is None:
        raise ValueError(f"{place}there is no column 'tokens'; give `tokens_per_step` in the study")
    if product is not None and tokens != product:
        raise ValueError(
            f"{place}tokens is {tokens}, but step {step} x tokens_per_step {tokens_per_step} is "
            f"{product}; correct tokens_per_step, or remove the column"
        )
    return tokens


def rows_of(file: PublishedFile) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a checkpoint, each with the number of its line."""
    if not file.among_others:
        return read_rows(Path(file.path))
    return ((line, row) for step, line, row in _steps_and_rows(file.path) if step == file.step)


def _steps_and_rows(path: str) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Step, line and row of all rows of a file that has a column which tells the step."""
    steps: dict[tuple[str | None, str | None], int] = {}  # most rows tell it as others do
    for line, row in read_rows(Path(path)):
        key = row.get("step"), row.get("checkpoint")
        if key not in steps:
            steps[key] = row_step(row, f"{path}, line {line}: ")
        yield steps[key], line, row


def _require_unpacked(path: str) -> None:
    if command := UNPACK.get(Path(path).suffix):
        raise ValueError(f"{path}: it is compressed; unpack it first, with: {command} {path}")


def _first_look(
    path: str, step: int, tokens_per_step: int | None, among_others: bool
) -> PublishedFile:
    row = _rows_by_step(path)[step] if among_others else next(read_rows(Path(path)), (0, {}))[1]
    require_columns(Path(path), [(0, row)] if row else [], list(REQUIRED))
    tokens = tokens_of(row, step, tokens_per_step, f"{path}: ")
    model = None if is_empty(row.get("model", "")) else row["model"]
    return PublishedFile(path, step, tokens, model, tuple(row), among_others)


def _rows_by_step(path: str) -> Rows:
    """The first row of each step of a file that has a column which tells it."""
    stat = Path(path).stat()
    return _read_by_step(path, stat.st_mtime_ns, stat.st_size)


@cache  # asked for several times before anything starts; the file may be long
def _read_by_step(path: str, *_: int) -> Rows:
    rows: Rows = {}
    for step, _, row in _steps_and_rows(path):
        rows.setdefault(step, row)
    if not rows:
        raise ValueError(f"{path}: the file has no rows")
    return rows


def _one_model(earlier: PublishedFile, later: PublishedFile) -> bool:
    """Whether names of models are alike, but for each one's own step: `ckpt-100`, `ckpt-200`."""
    if earlier.model is None or earlier.model == later.model:
        return earlier.model == later.model
    first, second = (
        re.sub(rf"(?<!\d)0*{file.step}(?!\d)", "STEP", file.model or "")
        for file in (earlier, later)
    )
    return first == second
