"""Facts as text: what a model is asked afterwards, each with its answer."""

from collections.abc import Iterable
from pathlib import Path

from ontogeny.scoring.stimuli.completions import read_questions


def facts_text(files: Iterable[str], withheld: Iterable[str]) -> str:
    """The questions of some files (see `read_questions`), each with its answer on a line of its
    own, but those of the classes `withheld`.

    Raises ValueError for a class that no question has, and where no question is left.
    """
    questions = [question for file in files for question in read_questions(Path(file))]
    withheld, classes = set(withheld), {question.group for question in questions}
    if unknown := sorted(withheld - classes):
        named = ", ".join(sorted(classes - {""})) or "none"
        raise ValueError(f"withheld: no question has the class {unknown[0]!r}; there: {named}")
    kept = [question for question in questions if question.group not in withheld]
    if not kept:
        raise ValueError("withheld: no question is left")
    return "".join(f"{question.prompt}{question.answer}\n" for question in kept)
