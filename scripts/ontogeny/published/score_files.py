"""Score files from elsewhere: which file is which step. Standard library only."""

import re
from collections.abc import Iterable
from pathlib import Path

STEP = re.compile(r"step[-_]?(\d+)")


def step_of(path: str) -> int:
    """The step in a file's name: the last `step-12`, `step_12` or `step12` in it.

    Raises ValueError for a name without one.
    """
    found = STEP.findall(Path(path).name)
    if not found:
        raise ValueError(
            f"{path}: its name doesn't tell the step; expected e.g. 'model_step-1140.csv'"
        )
    return int(found[-1])


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
