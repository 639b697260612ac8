"""Score files from elsewhere: which file is which step of which model. Standard library only."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ontogeny.scoring.stimuli.rows import LARGEST, read_rows, require_columns, whole_number

STEP = re.compile(r"step[-_]?(\d+)")
REQUIRED = ("prompt", "binom", "alpha_logprob", "nonalpha_logprob")
LABELS = ("model", "step", "tokens")  # the same in all rows of a file, where there


@dataclass(frozen=True)
class PublishedFile:
    """One checkpoint's scores. `model` is None where the file does not name it."""

    path: str
    step: int
    tokens: int
    model: str | None
    columns: tuple[str, ...]


def step_of(path: str) -> int:
    """The step in a file's name: the last `step-12`, `step_12` or `step12` in it.

    Raises ValueError for a name without one, or with one above `LARGEST`.
    """
    found = STEP.findall(Path(path).name)
    if not found:
        raise ValueError(
            f"{path}: its name doesn't tell the step; expected e.g. 'model_step-1140.csv'"
        )
    if (step := int(found[-1])) > LARGEST:
        raise ValueError(f"{path}: its name tells step {step}; a step is at most {LARGEST:,}")
    return step


def by_step(paths: Iterable[str]) -> dict[int, str]:
    """The file of each step, in the order of the steps as numbers.

    Raises ValueError where two files are of one step.
    """
    files: dict[int, str] = {}
    for path in paths:
        step = step_of(path)
        if step in files:
            raise ValueError(f"two files are of step {step}: {files[step]} and {path}")
        files[step] = path
    return dict(sorted(files.items()))


def published_files(paths: Iterable[str], tokens_per_step: int | None) -> list[PublishedFile]:
    """The files of a run in the order of their steps, as names, headers and first rows tell.

    Raises ValueError that names the file where one is compressed or empty, lacks a column, tells
    another step than its name, or does not tell the tokens; where files are of several models; and
    where tokens do not grow with the steps.
    """
    files = [_first_look(path, step, tokens_per_step) for step, path in by_step(paths).items()]
    for earlier, later in pairwise(files):
        if earlier.model != later.model:
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
    if "step" in row and (found := whole_number(row, "step", place)) != step:
        raise ValueError(
            f"{place}step is {found}, but the file's name says {step}; correct the column, or "
            "remove it and the column tokens"
        )
    product = None if tokens_per_step is None else step * tokens_per_step
    tokens = product if "tokens" not in row else whole_number(row, "tokens", place)
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


def _first_look(path: str, step: int, tokens_per_step: int | None) -> PublishedFile:
    if path.endswith(".gz"):
        raise ValueError(f"{path}: it is compressed; unpack it first, with: gunzip {path}")
    line, row = next(read_rows(Path(path)), (0, {}))
    require_columns(Path(path), [(line, row)] if row else [], list(REQUIRED))
    tokens = tokens_of(row, step, tokens_per_step, f"{path}: ")
    return PublishedFile(path, step, tokens, row.get("model"), tuple(row))
