"""The list of a published model's checkpoints: which revision of the repository is which step.

The list is a CSV that stands beside the study, so that a dry run needs no network and a result is
fixed to commits and hashes. Standard library only: the Snakefile reads it.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ontogeny.scoring.stimuli.rows import read_header, read_rows, whole_number

COLUMNS = ("revision", "step", "tokens", "commit", "sha256")

DIGITS = {"commit": 40, "sha256": 64}


@dataclass(frozen=True)
class Revision:
    """One checkpoint: its branch or tag, and the commit and weights that it stood for."""

    revision: str
    step: int
    tokens: int
    commit: str
    sha256: str


def read_revisions(path: Path) -> list[Revision]:
    """The checkpoints of a list, in the order of their steps.

    Raises ValueError that names the file and line for a missing column, a number, commit or sha256
    that is none, a step or a revision that stands twice, two steps with the same weights, and
    tokens that do not grow with the steps.
    """
    if not path.exists():
        raise ValueError(
            f"{path}: there is no such file; make it with: python scripts/list_revisions.py"
        )
    header = read_header(path)
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(
            f"{path}: there is no column {missing[0]!r}; a list of revisions has the columns "
            f"{', '.join(COLUMNS)} (python scripts/list_revisions.py writes it)"
        )
    rows = [_revision(row, f"{path}, line {line}: ") for line, row in read_rows(path)]
    if not rows:
        raise ValueError(f"{path}: lists no checkpoint")
    rows.sort(key=lambda row: row.step)
    _refuse_twins(path, rows)
    for earlier, later in pairwise(rows):
        if later.tokens <= earlier.tokens:
            raise ValueError(
                f"{path}: {later.revision!r} has {later.tokens} tokens at step {later.step}, but "
                f"{earlier.revision!r} has {earlier.tokens} at step {earlier.step}; tokens must "
                "grow with the steps (list_revisions.py has --tokens-per-step)"
            )
    return rows


def revisions_from(text: str) -> list[Revision]:
    """Checkpoints from JSON, as the script that fetches them gets them; raises ValueError."""
    try:
        rows = [Revision(**row) for row in json.loads(text)]
    except (TypeError, ValueError):
        rows = []
    if not rows:
        raise ValueError(
            f"revisions are {text!r}, should be a JSON list of objects with {', '.join(COLUMNS)}"
        )
    return rows


def sampled(rows: Sequence[Revision], count: int | None) -> list[Revision]:
    """`count` of the checkpoints, evenly spaced in log(step + 1); all where `count` is None.

    The first and the last are among them. Where several points fall on one checkpoint the next
    free ones fill up the number.
    """
    if count is None or count >= len(rows):
        return list(rows)
    places = [math.log(row.step + 1) for row in rows]
    chosen: list[int] = []
    for i in range(count):
        aim = places[0] + (places[-1] - places[0]) * i / (count - 1)
        first = chosen[-1] + 1 if chosen else 0
        last = len(rows) - (count - i)
        chosen.append(min(range(first, last + 1), key=lambda j: abs(places[j] - aim)))
    return [rows[j] for j in chosen]


def _revision(row: Mapping[str, str], place: str) -> Revision:
    if empty := [name for name in COLUMNS if not row[name]]:
        raise ValueError(f"{place}{empty[0]} is empty")
    numbers = {name: whole_number(row, name, place) for name in ("step", "tokens")}
    for name, digits in DIGITS.items():
        if not re.fullmatch(f"[0-9a-f]{{{digits}}}", row[name]):
            raise ValueError(
                f"{place}{name} is {row[name]!r}, should be {digits} digits 0-9, a-f; "
                "python scripts/list_revisions.py writes it"
            )
    return Revision(**{**{name: row[name] for name in COLUMNS}, **numbers})


def _refuse_twins(path: Path, rows: list[Revision]) -> None:
    steps: dict[int, Revision] = {}
    names: dict[str, Revision] = {}
    weights: dict[str, Revision] = {}
    for row in rows:
        if row.step in steps:
            raise ValueError(
                f"{path}: step {row.step} stands twice ({steps[row.step].revision!r} and "
                f"{row.revision!r})"
            )
        if row.sha256 in weights:
            other = weights[row.sha256]
            raise ValueError(
                f"{path}: {other.revision!r} and {row.revision!r} hold the same weights (sha256 "
                f"{row.sha256[:12]}...), so at least one of them is not what its name says; "
                "remove the wrong one's line"
            )
        if (other := names.get(row.revision.casefold())) is not None:
            raise ValueError(
                f"{path}: {other.revision!r} (step {other.step}) and {row.revision!r} (step "
                f"{row.step}) are one name, whatever their case; correct the wrong one"
            )
        steps[row.step] = weights[row.sha256] = names[row.revision.casefold()] = row
