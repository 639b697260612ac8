"""People's choices between the two orders of binomials."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny.scoring.stimuli.binomials import Binomial, is_alphabetical, words_of
from ontogeny.scoring.stimuli.rows import Problems, read_rows, require_columns

# Which order `resp` says that was chosen: Word1 first, or the alphabetical one.
FIRST = {"first": True, "second": False}
ALPHABETICAL = {"alpha": True, "nonalpha": False}


@dataclass(frozen=True)
class Response:
    """One choice: was it `word1` first? `line` is that of the file."""

    line: int
    word1: str
    word2: str
    first: bool


def read_responses(path: Path, word1: str = "Word1", word2: str = "Word2") -> list[Response]:
    """The rows of a CSV with the columns `word1` and `word2`, in any order, and `resp`: `first` or
    `second`, or, where the words are in alphabetical order, `alpha` or `nonalpha`.

    Other columns are left out. Raises ValueError with the file and every line that is wrong.
    """
    rows = list(read_rows(path))
    require_columns(path, rows, [word1, word2, "resp"])
    problems = Problems()
    responses = []
    for line, row in rows:
        try:
            words = words_of(row, word1, word2)
            responses.append(Response(line, *words, _is_first(row["resp"].strip(), *words)))
        except ValueError as error:
            problems.add(f"{path}, line {line}: {error}")
    problems.raise_any()
    return responses


def choices_by_item(
    responses: Sequence[Response], items: Sequence[Binomial], path: Path
) -> list[tuple[int, int]]:
    """How often the order of each item that preferences are for was chosen, and the other one.

    (0, 0) for an item that nobody was asked about. Capitals don't matter. Raises ValueError with
    the line of each response to something that is not an item; `path` is the responses' file.
    """
    place = {(item.word1.casefold(), item.word2.casefold()): i for i, item in enumerate(items)}
    chosen = [[0, 0] for _ in items]
    problems = Problems()
    for response in responses:
        words = (response.word1.casefold(), response.word2.casefold())
        if words in place:
            chosen[place[words]][not response.first] += 1
        elif words[::-1] in place:
            chosen[place[words[::-1]]][response.first] += 1
        else:
            problems.add(
                f"{path}, line {response.line}: '{response.word1} and {response.word2}' is no "
                "item; it should be one of the probe's items"
            )
    problems.raise_any()
    return [(first, second) for first, second in chosen]


def _is_first(choice: str, word1: str, word2: str) -> bool:
    if choice in FIRST:
        return FIRST[choice]
    if choice not in ALPHABETICAL:
        raise ValueError(
            f"resp is {choice!r}, should be first or second (or, of words in alphabetical order, "
            "alpha or nonalpha)"
        )
    if not is_alphabetical(word1, word2):  # some call the order of the row alpha, whatever it is
        raise ValueError(
            f"resp is {choice!r}, but {word1!r} comes after {word2!r} in the alphabet; write first "
            "or second"
        )
    return ALPHABETICAL[choice]
