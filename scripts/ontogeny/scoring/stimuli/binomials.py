"""Binomials, the numbers that come with them, and the prompts they stand in.

A pair may be written in either order. Preferences are for the alphabetical one, so a pair in the
other order is turned, and all that is of an order with it: a probability p of `Word1` first
becomes 1 - p, a log odds and a constraint change their sign. What is of both orders together, the
frequency, stays. A probe whose `order` is `first` turns nothing.
"""

import math
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ontogeny.origins import counting_only
from ontogeny.paths import project_path
from ontogeny.scoring.stimuli.rows import (
    Problems,
    number,
    optional_number,
    read_header,
    read_rows,
    require_columns,
)
from ontogeny.study.probes import BinomialsProbe, Reference

ALPHABETICAL = "alphabetical"  # an order, of a probe or a reference; the other is `first`
DEFAULT_ATTESTED = BinomialsProbe.model_fields["attested_column"].default
WORDS = "words"  # what counts of a file of items where only these are read


@dataclass(frozen=True)
class Binomial:
    """Two words, `word1` first in the order that preferences are for, and what is known of them.

    `references` holds one number per reference of the probe, or None where it is undefined;
    `frequency` counts both orders together, in the unit of the items file; `constraints` holds the
    value of each of the probe's constraints. `turned`: the items file has the words the other way.
    """

    word1: str
    word2: str
    attested: bool
    frequency: float | None
    references: Mapping[str, float | None] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    turned: bool = False

    @property
    def alpha(self) -> str:
        """The order that preferences are for: the alphabetical one, unless a probe says `first`."""
        return f"{self.word1} and {self.word2}"

    @property
    def nonalpha(self) -> str:
        return f"{self.word2} and {self.word1}"

    @property
    def given(self) -> str:
        """The order of the items file."""
        return self.nonalpha if self.turned else self.alpha


def read_binomials(
    path: Path, probe: BinomialsProbe, weights: Mapping[str, Mapping[str, float]]
) -> list[Binomial]:
    """The items of a probe, in the order of the file.

    `weights` holds, for each reference that is computed from constraints, the weight of each
    column (see `read_weights`). Raises ValueError with the file and every line that is wrong.
    """
    columns = needed_columns(probe, weights)
    if probe.attested_column == DEFAULT_ATTESTED:
        for name in read_header(path):
            if name != DEFAULT_ATTESTED and name.casefold() == DEFAULT_ATTESTED.casefold():
                raise ValueError(f"{path}: name its column {name!r} in `attested_column`")
    return _items(path, columns, lambda row: _binomial(row, probe, weights))


def read_words(
    path: Path, word1: str = "Word1", word2: str = "Word2", order: str = ALPHABETICAL
) -> list[Binomial]:
    """The items of a file of which only the two words matter, in the columns `word1` and `word2`;
    `order` as in a probe."""

    def item(row: Mapping[str, str]) -> Binomial:
        first, second = words_of(row, word1, word2)
        if turned := order == ALPHABETICAL and not is_alphabetical(first, second):
            first, second = second, first
        return Binomial(first, second, False, None, turned=turned)

    return _items(path, [word1, word2], item)


def words_of(row: Mapping[str, str], word1: str = "Word1", word2: str = "Word2") -> tuple[str, str]:
    """The two words of a row, as it has them; raises ValueError where one is none."""
    words = row[word1].strip(), row[word2].strip()
    for column, word in zip((word1, word2), words, strict=True):
        if not word:
            raise ValueError(f"{column} is empty")
        if word == "NA":
            raise ValueError(f"{column} is NA, as R writes an empty field")
        if '"' in word or any(unicodedata.category(character) == "Cc" for character in word):
            raise ValueError(
                f"{column} is {word!r}, should be without quotation marks and line ends"
            )
    if words[0].casefold() == words[1].casefold():
        raise ValueError(f"both words are {words[0]!r}")
    return words


def is_alphabetical(word1: str, word2: str) -> bool:
    """Whether `word1` comes first in the alphabet; capitals don't matter."""
    return word1.casefold() < word2.casefold()


def only_words(
    path: Path, word1: str = "Word1", word2: str = "Word2", order: str = ALPHABETICAL
) -> list[Binomial]:
    """`read_words` of a file of which a job reads nothing else, so that a change in other columns
    makes nothing again."""
    counting_only(path, [WORDS, word1, word2, order], spelled(path, word1, word2, order))
    return read_words(path, word1, word2, order)


def spelled(path: Path, word1: str, word2: str, order: str) -> list[list[str | bool]]:
    """The two words of each item, and whether they were turned: all of a file that scores and
    exposures depend on."""
    items = read_words(path, word1, word2, order)
    return [[item.word1, item.word2, item.turned] for item in items]


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


def human_preference(
    row: Mapping[str, str], weights: Mapping[str, float], sign: float = 1.0
) -> float:
    """Probability of the alphabetical order from constraint values; `sign` -1 where these are of
    the other order (the intercept is of the alphabetical one).

    The logistic of intercept + sum of weight x value, as in Morgan and Levy (2016).
    """
    log_odds = weights.get("intercept", 0.0)
    for column, weight in weights.items():
        if column != "intercept":
            log_odds += weight * sign * number(row, column)
    return math.exp(min(log_odds, 0.0)) / (1.0 + math.exp(-abs(log_odds)))  # never overflows


def _items(
    path: Path, columns: list[str], item_of: Callable[[Mapping[str, str]], Binomial]
) -> list[Binomial]:
    rows = list(read_rows(path))
    require_columns(path, rows, columns)
    problems = Problems()
    items: list[Binomial] = []
    seen: dict[frozenset[str], int] = {}
    for line, row in rows:
        try:
            item = item_of(row)
            key = frozenset((item.word1.casefold(), item.word2.casefold()))
            if key in seen:
                raise ValueError(f"{item.given!r} stands already on line {seen[key]}")
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
    words = words_of(row, probe.word1, probe.word2)
    alphabetical = is_alphabetical(*words)
    turned = probe.order == ALPHABETICAL and not alphabetical
    sign = -1.0 if turned else 1.0
    attested = _is_attested(row, probe.attested_column)
    references = {}
    for name, reference in probe.references.items():
        if reference.attested_only and not attested:
            references[name] = None
        elif reference.weights is not None:
            references[name] = human_preference(row, weights[name], sign)
        else:
            value = _value(row, reference)
            if value is not None and not alphabetical and reference.of != probe.order:
                value = 2 * reference.midpoint - value
            references[name] = value
    frequency = optional_number(row, probe.frequency_column) if probe.frequency_bins else None
    if frequency is not None and frequency < 0:
        raise ValueError(f"{probe.frequency_column} is {frequency:g}, should be 0 or more")
    constraints = {name: sign * number(row, name) for name in probe.constraints}
    first, second = reversed(words) if turned else words
    return Binomial(first, second, attested, frequency, references, constraints, turned)


def _is_attested(row: Mapping[str, str], column: str | None) -> bool:
    if column is None or (column == DEFAULT_ATTESTED and column not in row):
        return True
    flag = row[column].strip()
    if flag not in ("0", "1"):
        raise ValueError(f"{column} is {flag!r}, should be 1 (attested) or 0")
    return flag == "1"


def _value(row: Mapping[str, str], reference: Reference) -> float | None:
    if reference.log_ratio is None:
        return optional_number(row, reference.column)
    terms = [optional_number(row, column) for column in reference.log_ratio]
    if None in terms:
        return None
    for column, term in zip(reference.log_ratio, terms, strict=True):
        if term <= 0:
            raise ValueError(
                f"{column} is {row[column].strip()}, which has no logarithm; add a constant to "
                "both columns, or leave the field empty"
            )
    return math.log(terms[0]) - math.log(terms[1])


def needed_columns(probe: BinomialsProbe, weights: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The columns that a probe reads of its items; `weights` as `read_all_weights` gives them."""
    columns = [probe.word1, probe.word2]
    if probe.attested_column not in (None, DEFAULT_ATTESTED):
        columns.append(probe.attested_column)
    if probe.frequency_bins:
        columns.append(probe.frequency_column)
    for name, reference in probe.references.items():
        columns.extend(reference.columns)
        if reference.weights is not None:
            columns.extend(column for column in weights[name] if column != "intercept")
    columns.extend(probe.constraints)
    return list(dict.fromkeys(columns))
