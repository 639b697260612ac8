"""Published scores of binomials, checked row by row and put into the columns of our score files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.published.precision import FINER, difference_slack, precision_of
from ontogeny.published.score_files import LABELS, PublishedFile, rows_of
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.scoring.stimuli.rows import is_empty, number

LOGPROBS = ("alpha_logprob", "nonalpha_logprob")
ROUNDING = 1e-6  # how far above 0 a log-probability may be
LEAST = -1e6  # nats, of a string: what is lower is no log-probability
Key = tuple[str, str]  # prompt, binom


def read_published(
    file: PublishedFile, items: Sequence[Binomial], prompts: Sequence[str], used: int | None = None
) -> list[dict[str, Any]]:
    """Rows in the columns of the file, in the order of the first `used` prompts and the items.

    `binom` is spelled as in `items`: an item is found by its letters where only case differs, and
    in the other order, of which `alpha_logprob` then is: both are turned. `preference` is
    the published one, or alpha_logprob - nonalpha_logprob in float64 where there is none or numbers
    are in half precision; nats. Raises ValueError with the first row that is
    wrong: an item or prompt that is not of the probe, stands twice or is missing, a number that is
    none, a log-probability that can't be, a label that is another than in the first row, and a
    preference that is further from the difference than rounding can bring it.
    """
    path = Path(file.path)
    rows, lines = _read(file, items, set(prompts))
    _check_preferences(path, rows, lines)
    wanted = [(prompt, item.alpha) for prompt in prompts for item in items]
    if missing := [key for key in wanted if key not in rows]:
        prompt, binom = missing[0]
        raise ValueError(
            f"{path}: lacks {len(missing)} of {len(wanted)} rows, the first is {binom!r} in prompt "
            f"{prompt!r}; it should have each of the probe's items in each of its prompts"
        )
    return [rows[prompt, item.alpha] for prompt in prompts[:used] for item in items]


def score_rows(
    rows: Sequence[dict[str, Any]], checkpoint: dict[str, Any], extra: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows of a score file of ours: the checkpoint's columns (model, checkpoint, step, tokens),
    the scores, then the columns `extra`, empty where the file has none."""
    ours = ("prompt", "binom", *LOGPROBS, "preference")
    return [
        {
            **checkpoint,
            **{name: row[name] for name in ours},
            **{name: row.get(name, "") for name in extra},
        }
        for row in rows
    ]


def extra_columns(files: Sequence[PublishedFile]) -> list[str]:
    """Columns that any of the files has and ours have not, in the order of their appearance."""
    ours = {"model", "checkpoint", "step", "tokens", "prompt", "binom", *LOGPROBS, "preference"}
    names = dict.fromkeys(name for file in files for name in file.columns)
    return [name for name in names if name not in ours]


def _read(
    file: PublishedFile, items: Sequence[Binomial], prompts: set[str]
) -> tuple[dict[Key, dict[str, Any]], dict[Key, int]]:
    """The rows of a checkpoint, and the line of each; a published preference stays what it was, NaN
    where there is none."""
    path = Path(file.path)
    spelling = {item.alpha.casefold(): (item.alpha, 1) for item in items}  # no two are alike
    spelling |= {item.nonalpha.casefold(): (item.alpha, -1) for item in items}
    rows: dict[Key, dict[str, Any]] = {}
    lines: dict[Key, int] = {}
    labels: dict[str, str] = {}
    for line, row in rows_of(file):
        labels = labels or {name: row[name] for name in LABELS if name in row}
        try:
            for name, value in labels.items():
                if row[name] != value:
                    raise ValueError(f"{name} is {row[name]!r}, but {value!r} in the rows above")
            binom, sign = spelling.get(row["binom"].casefold(), (None, 1))
            if binom is None:
                raise ValueError(f"binom {row['binom']!r} is not among the probe's items")
            if row["prompt"] not in prompts:
                blank = "" if row["prompt"] != "NA" else " (R makes NA of a blank prompt)"
                raise ValueError(
                    f"prompt {row['prompt']!r} is not among the probe's{blank}; to use the prompts "
                    "of published scores, name one of their files in the probe's `prompts`"
                )
            key = row["prompt"], binom
            if key in rows:
                raise ValueError(
                    f"{binom!r} in prompt {row['prompt']!r} stands already on line {lines[key]}"
                )
            scores = {name: _logprob(row, name) for name in LOGPROBS}
            none = is_empty(row.get("preference", ""))
            scores["preference"] = math.nan if none else number(row, "preference")
            if sign < 0:
                scores = dict(zip(scores, _turned(*scores.values()), strict=True))
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}") from None
        rows[key] = {**row, "binom": binom, **scores}
        lines[key] = line
    return rows, lines


def _logprob(row: Mapping[str, str], name: str) -> float:
    logprob = number(row, name)
    if logprob > ROUNDING:
        raise ValueError(
            f"{name} is {row[name]}; a log-probability is at most 0 (are these surprisals?)"
        )
    if logprob < LEAST:
        raise ValueError(f"{name} is {row[name]}; no string is so improbable")
    return logprob


def _turned(alpha: float, nonalpha: float, preference: float) -> tuple[float, float, float]:
    """The scores of an item, of its other order."""
    return nonalpha, alpha, -preference


def _check_preferences(path: Path, rows: dict[Key, dict[str, Any]], lines: dict[Key, int]) -> None:
    """Refuse a published preference that is not the difference, and set it to that.

    It stays where numbers are finer than half precision: it was rounded once, and the difference is
    of two numbers that were, so a difference near 0 keeps few of its digits.
    """
    logprobs = np.array([[row[name] for name in LOGPROBS] for row in rows.values()])
    differences = logprobs[:, 0] - logprobs[:, 1]
    published = np.array([row["preference"] for row in rows.values()])
    precision = precision_of(map(repr, logprobs.ravel().tolist()))
    values = np.column_stack([logprobs, differences])
    wrong = np.abs(published - differences) > difference_slack(values, precision)
    for key, difference, is_wrong in zip(rows, differences.tolist(), wrong, strict=True):
        if is_wrong:
            raise ValueError(
                f"{path}, line {lines[key]}: preference of {key[1]!r} is "
                f"{rows[key]['preference']:g}, but alpha_logprob - nonalpha_logprob is "
                f"{difference:g} ({wrong.sum()} of {len(rows)} rows are so)"
            )
        if precision.name != FINER or math.isnan(rows[key]["preference"]):
            rows[key]["preference"] = difference
