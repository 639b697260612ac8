"""Binomials, the numbers that come with them, and the prompts they stand in."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ontogeny.origins import counting_only
from ontogeny.paths import project_path
from ontogeny.scoring.stimuli.rows import (
    Problems,
    number,
    optional_number,
    read_rows,
    require_columns,
)
from ontogeny.study.probes import BinomialsProbe, Reference

WORDS = "words"  # what counts of a file of items where only these are read


@dataclass(frozen=True)
class Binomial:
    """Two words, `word1` first in the alphabet, and what is known of them.

    `references` holds one number per reference of the probe, or None where it is undefined;
    `frequency` counts both orders together, in the unit of the items file; `constraints` holds the
    value of each of the probe's constraints.
    """

    word1: str
    word2: str
    attested: bool
    frequency: float | None
    references: Mapping[str, float | None] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)

    @property
    def alpha(self) -> str:
        """The alphabetical order."""
        return f"{self.word1} and {self.word2}"

    @property
    def nonalpha(self) -> str:
        return f"{self.word2} and {self.word1}"


def read_binomials(
    path: Path, probe: BinomialsProbe, weights: Mapping[str, Mapping[str, float]]
) -> list[Binomial]:
    """The items of a probe, in the order of the file.

    `weights` holds, for each reference that is computed from constraints, the weight of each
    column (see `read_weights`). Raises ValueError with the file and every line that is wrong.
    """
    columns = needed_columns(probe, weights)
    return _items(path, columns, lambda row: _binomial(row, probe, weights))


def read_words(path: Path) -> list[Binomial]:
    """The items of a file of which only the two words matter, `Word1` and `Word2`."""
    return _items(path, ["Word1", "Word2"], lambda row: Binomial(*_words(row), False, None))


def only_words(path: Path) -> list[Binomial]:
    """`read_words` of a file of which a job reads nothing else, so that a change in other columns
    makes nothing again."""
    items = read_words(path)
    counting_only(path, WORDS, words_of(items))
    return items


def words_of(items: Sequence[Binomial]) -> list[list[str]]:
    """The two words of each item: all of a file that scores and exposures depend on."""
    return [[item.word1, item.word2] for item in items]


def read_weights(path: Path) -> dict[str, float]:
    """Constraint weights by column, the row `intercept` included, from a CSV `column,weight`."""
    rows = list(read_rows(path))
    require_columns(path, rows, ["column", "weight"])
    weights = {}
    for line, row in rows:
        if row["column"] in weights:
            raise ValueError(f"{path}, line {line}: {row['column']!r} has a weight already")
        weights[row["column"]] = number(row, "weight", f"{path}, line {line}: ")
    return weights


def read_all_weights(references: Mapping[str, Reference]) -> dict[str, dict[str, float]]:
    """`read_weights` for each reference that has weights."""
    return {
        name: read_weights(Path(project_path(reference.weights)))
        for name, reference in references.items()
        if reference.weights is not None
    }


def read_prompts(path: Path, at_most: int | None = None) -> list[str]:
    """Distinct values of the column `prompt`, in the order of their first appearance."""
    rows = list(read_rows(path))
    require_columns(path, rows, ["prompt"])
    prompts = list(dict.fromkeys(row["prompt"] for _, row in rows))
    if not prompts:
        raise ValueError(f"{path}: no prompts below the header")
    return prompts[:at_most]


def human_preference(row: Mapping[str, str], weights: Mapping[str, float]) -> float:
    """Probability of the alphabetical order from constraint values.

    The logistic of intercept + sum of weight x value, as in Morgan and Levy (2016).
    """
    log_odds = weights.get("intercept", 0.0)
    for column, weight in weights.items():
        if column != "intercept":
            log_odds += weight * number(row, column)
    return math.exp(min(log_odds, 0.0)) / (1.0 + math.exp(-abs(log_odds)))  # never overflows


def _items(
    path: Path, columns: list[str], item_of: Callable[[Mapping[str, str]], Binomial]
) -> list[Binomial]:
    rows = list(read_rows(path))
    require_columns(path, rows, columns)
    problems = Problems()
    items: list[Binomial] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows:
        try:
            item = item_of(row)
            key = (item.word1.casefold(), item.word2.casefold())
            if key in seen:
                raise ValueError(f"{item.alpha!r} stands already on line {seen[key]}")
        except ValueError as error:
            problems.add(f"{path}, line {line}: {error}")
            continue
        seen[key] = line
        items.append(item)
    problems.raise_any()
    return items


def _binomial(
    row: Mapping[str, str], probe: BinomialsProbe, weights: Mapping[str, Mapping[str, float]]
) -> Binomial:
    word1, word2 = _words(row)
    flag = row[probe.attested_column].strip()
    if flag not in ("0", "1"):
        raise ValueError(f"{probe.attested_column} is {flag!r}, should be 1 (attested) or 0")
    attested = flag == "1"
    references = {}
    for name, reference in probe.references.items():
        if reference.attested_only and not attested:
            references[name] = None
        elif reference.weights is not None:
            references[name] = human_preference(row, weights[name])
        else:
            references[name] = optional_number(row, reference.column)
    frequency = optional_number(row, probe.frequency_column) if probe.frequency_bins else None
    constraints = {name: number(row, name) for name in probe.constraints}
    return Binomial(word1, word2, attested, frequency, references, constraints)


def _words(row: Mapping[str, str]) -> tuple[str, str]:
    word1, word2 = (row[column].strip() for column in ("Word1", "Word2"))
    for column, word in (("Word1", word1), ("Word2", word2)):
        if not word:
            raise ValueError(f"{column} is empty")
    if word1.casefold() == word2.casefold():
        raise ValueError(f"both words are {word1!r}")
    if word1.casefold() > word2.casefold():
        raise ValueError(
            f"{word1!r} comes after {word2!r} in the alphabet; preferences and references are for "
            "the alphabetical order, so Word1 must be the earlier word"
        )
    return word1, word2


def needed_columns(probe: BinomialsProbe, weights: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The columns that a probe reads of its items; `weights` as `read_all_weights` gives them."""
    columns = ["Word1", "Word2", probe.attested_column]
    if probe.frequency_bins:
        columns.append(probe.frequency_column)
    for name, reference in probe.references.items():
        if reference.column is not None:
            columns.append(reference.column)
        else:
            columns.extend(column for column in weights[name] if column != "intercept")
    columns.extend(probe.constraints)
    return list(dict.fromkeys(columns))
