"""Which steps are checkpoints, and which job trains them: pure arithmetic, no files.

A step consumes `tokens_per_step` tokens, so checkpoint `step` has seen `step * tokens_per_step`.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

MOST_CHECKPOINTS = 1_000_000
EARLY = 0.1  # of a run's tokens
REPORTED = (0.01, 0.03, EARLY, 0.3, 1.0)


@dataclass(frozen=True)
class Segment:
    """Consecutive checkpoints of a run that one job trains and one job scores.

    `start` is the step whose training state the segment begins from (0: a new model), `end` the
    last step it trains, `checkpoints` the steps it saves. Segment 0 also saves step 0. The last
    segment of a run leaves the state that a longer run would go on from.
    """

    number: int
    start: int
    end: int
    checkpoints: tuple[int, ...]
    is_last: bool


def total_steps(tokens: int, tokens_per_step: int) -> int:
    """Steps that fit in a budget of `tokens`: the last, incomplete step is not taken."""
    return tokens // tokens_per_step


def checkpoint_steps(
    last_step: int,
    tokens_per_step: int,
    every_tokens: int | None = None,
    every_steps: int | None = None,
    log2: bool | int = False,
    per_octave: int | None = None,
    at: Iterable[int] = (),
    ends: bool = True,
) -> list[int]:
    """Sorted steps at which a run of `last_step` steps is saved.

    The union of: each multiple of `every_steps`; each multiple of the whole steps in
    `every_tokens` (at least one step); the powers of two (`log2`: true, or the largest step that
    they reach); `per_octave` points between each power of two and the next, rounded to whole
    steps; the steps `at`; and, unless `ends` is false, step 0 and the last step. Raises ValueError
    for more than a million.
    """
    strides = [every_steps, every_tokens and max(1, every_tokens // tokens_per_step)]
    count = sum(last_step // stride for stride in strides if stride)
    if count > MOST_CHECKPOINTS:
        raise ValueError(
            f"checkpoints: a run of {last_step:,} steps would have {count:,} of them; keep fewer, "
            "or give the length in steps, not in tokens"
        )
    steps = {0, last_step} if ends else set()
    if every_steps:
        steps.update(range(every_steps, last_step + 1, every_steps))
    if every_tokens:
        stride = max(1, every_tokens // tokens_per_step)
        steps.update(range(stride, last_step + 1, stride))
    if log2:
        limit = last_step if log2 is True else min(log2, last_step)
        steps.update(1 << exponent for exponent in range(limit.bit_length()))
    if per_octave:
        exponent = 0
        while (step := round(2 ** (exponent / per_octave))) <= last_step:
            steps.add(step)
            exponent += 1
    steps.update(at)
    return sorted(step for step in steps if 0 <= step <= last_step)


def segments(steps: list[int], checkpoints_per_segment: int) -> list[Segment]:
    """Cut a schedule into segments of `checkpoints_per_segment` checkpoints.

    Step 0 costs nothing to train, so it joins the first segment without being counted.
    """
    first = 1 if steps[0] == 0 else 0
    cuts = range(first + checkpoints_per_segment, len(steps), checkpoints_per_segment)
    groups = [steps[i:j] for i, j in itertools.pairwise([0, *cuts, len(steps)])]
    result = []
    start = 0
    for number, group in enumerate(groups):
        is_last = number == len(groups) - 1
        result.append(Segment(number, start, group[-1], tuple(group), is_last))
        start = group[-1]
    return result


def reported_steps(steps: list[int]) -> list[int]:
    """The checkpoints (of sorted `steps`) at which minimal pairs are looked at one by one: the last
    ones within the shares `REPORTED` of a run, without step 0."""
    within = {max(step for step in steps if step <= share * steps[-1]) for share in REPORTED}
    return sorted(within - {0})


def checkpoint_name(step: int) -> str:
    """`step-00000012`: padded, so that names sort as their steps do."""
    return f"step-{step:08d}"


def checkpoint_step(name: str) -> int:
    """The step of a checkpoint's name: `step-00000012`, `step-12`, `step12` all give 12."""
    digits = name.rsplit("step", 1)[-1].lstrip("-")
    if not digits.isdigit():
        raise ValueError(f"{name!r} is not a checkpoint's name; expected e.g. 'step-00000012'")
    return int(digits)
