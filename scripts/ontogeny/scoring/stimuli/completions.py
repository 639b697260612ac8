"""Prompts and the answers that should follow them."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from sys import intern

from ontogeny.scoring.stimuli.rows import OneSpelling, Problems, read_rows, require_columns


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and its answer; `group` is the column `class`, empty where there is none.

    Prompt and answer are kept as they are written, spaces included.
    """

    group: str
    prompt: str
    answer: str


def read_questions(path: Path, at_most: int | None = None) -> list[Question]:
    """The questions of a CSV with the columns `prompt`, `answer` and perhaps `class`, in its order.

    `at_most` so many are read. Raises ValueError with the file and every line that is wrong.
    """
    rows = read_rows(path)
    first = list(islice(rows, 1))
    require_columns(path, first, ["prompt", "answer"])
    problems = Problems()
    seen: dict[Question, int] = {}
    classes = OneSpelling("class")
    for line, row in islice((row for part in (first, rows) for row in part), at_most):
        try:
            question = _question(row)
            classes.check(question.group, f"line {line}")
            if question in seen:
                group = f" of class {question.group!r}" if question.group else ""
                raise ValueError(
                    f"prompt {question.prompt!r} with answer {question.answer!r}{group} stands "
                    f"already on line {seen[question]}; remove one"
                )
        except ValueError as error:
            problems.add(f"{path}, line {line}: {error}")
            continue
        seen[question] = line
    problems.raise_any()
    return list(seen)


def _question(row: dict[str, str]) -> Question:
    if not row["prompt"]:
        raise ValueError("prompt is empty; it should be what the answer continues")
    if not row["answer"].strip():
        raise ValueError("answer is empty; it should be how the prompt is continued")
    return Question(intern(row.get("class", "").strip()), row["prompt"], row["answer"])
