"""People's choices between the two orders of binomials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.scoring.stimuli.rows import Problems, read_rows, require_columns

ALPHABETICAL, OTHER = "alpha", "nonalpha"


@dataclass(frozen=True)
class Response:
    """One choice: was it the alphabetical order of the two words? `line` is that of the file."""

    line: int
    word1: str
    word2: str
    alphabetical: bool


def read_responses(path: Path) -> list[Response]:
    """The rows of a CSV with the columns `Word1`, `Word2` and `resp` (`alpha` or `nonalpha`).

    Other columns are left out. Raises ValueError with the file and every line that is wrong.
    """
    rows = list(read_rows(path))
    require_columns(path, rows, ["Word1", "Word2", "resp"])
    problems = Problems()
    responses = []
    for line, row in rows:
        try:
            responses.append(_response(line, row))
        except ValueError as error:
            problems.add(f"{path}, line {line}: {error}")
    problems.raise_any()
    return responses


def choices_by_item(
    responses: Sequence[Response], items: Sequence[Binomial], path: Path
) -> list[tuple[int, int]]:
    """How often the alphabetical and the other order of each item were chosen.

    (0, 0) for an item that nobody was asked about. Capitals don't matter. Raises ValueError with
    the line of each response to something that is not an item; `path` is the responses' file.
    """
    place = {(item.word1.casefold(), item.word2.casefold()): i for i, item in enumerate(items)}
    chosen = [[0, 0] for _ in items]
    problems = Problems()
    for response in responses:
        words = (response.word1.casefold(), response.word2.casefold())
        if words in place:
            chosen[place[words]][not response.alphabetical] += 1
            continue
        shown = f"{response.word1} and {response.word2}"
        hint = (
            f"the item is {response.word2!r}, {response.word1!r}: Word1 must be the earlier word"
            if words[::-1] in place
            else "it should be one of the probe's items"
        )
        problems.add(f"{path}, line {response.line}: {shown!r} is no item; {hint}")
    problems.raise_any()
    return [(alphabetical, other) for alphabetical, other in chosen]


def _response(line: int, row: Mapping[str, str]) -> Response:
    word1, word2, choice = (row[column].strip() for column in ("Word1", "Word2", "resp"))
    for column, word in (("Word1", word1), ("Word2", word2)):
        if not word:
            raise ValueError(f"{column} is empty")
    if choice not in (ALPHABETICAL, OTHER):
        raise ValueError(
            f"resp is {choice!r}, should be {ALPHABETICAL} (the alphabetical order) or {OTHER}"
        )
    return Response(line, word1, word2, choice == ALPHABETICAL)
