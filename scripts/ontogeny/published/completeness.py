"""Which checkpoints of a published run are there, and which are missing."""

from collections.abc import Sequence

MOST_RANGES = 12


def completeness_line(run: str, present: Sequence[int], expected: Sequence[int] | None) -> str:
    """One line for people: how many of the expected steps are there, and which are not.

    `expected` None: what was published is not known.
    """
    if expected is None:
        return (
            f"run {run}: {len(present)} checkpoints, {ranges(present, present)}; the study does "
            "not say which were published (`checkpoints`, `last_step`)"
        )
    missing = sorted(set(expected) - set(present))
    beyond = sorted(set(present) - set(expected))
    there = len(expected) - len(missing)
    line = f"run {run}: {there} of {len(expected)} expected checkpoints"
    line += f", {len(missing)} missing: {ranges(missing, expected)}" if missing else ""
    line += f"; {len(beyond)} beside the schedule: {ranges(beyond, present)}" if beyond else ""
    return line


def ranges(steps: Sequence[int], schedule: Sequence[int]) -> str:
    """Steps as text, those that follow each other in the (sorted) schedule joined: `12-48, 96`."""
    place = {step: i for i, step in enumerate(schedule)}
    runs: list[list[int]] = []
    for step in sorted(steps):
        if runs and place[step] == place[runs[-1][-1]] + 1:
            runs[-1].append(step)
        else:
            runs.append([step])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    hidden = len(texts) - MOST_RANGES
    return ", ".join(texts[:MOST_RANGES]) + (f" and {hidden} more stretches" if hidden > 0 else "")
