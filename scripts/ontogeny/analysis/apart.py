"""Which checkpoints are observations of their own where "two in a row" or "the last five" count.

A schedule may save a run twice at nearly one place: at its end, just after the last multiple of
`every_tokens`, or where two kinds of schedule meet (`per_octave` and `every_tokens`). The two hold
nearly the same weights. Both are kept and have their rows: they may be published checkpoints, and a
list of somebody else's follows no schedule of ours.
"""

import numpy as np

CLOSE = 0.05  # more tokens, as a share


def apart(tokens: np.ndarray) -> np.ndarray:
    """The places of the checkpoints that count, in order; the first and the last always do.

    Backwards from the end, a checkpoint is left out if the next one that counts has less than 5 %
    more tokens and is less than half as far away as the checkpoint before. So all of evenly spaced
    checkpoints count, also late ones that are .1 % apart.

    Args:
        tokens: of a run's checkpoints, ascending.
    """
    if len(tokens) < 3:
        return np.arange(len(tokens))
    kept = [len(tokens) - 1]
    for place in range(len(tokens) - 2, 0, -1):
        distance = tokens[kept[-1]] - tokens[place]
        before = tokens[place] - tokens[place - 1]
        if distance >= CLOSE * tokens[place] or 2 * distance >= before:
            kept.append(place)
    return np.array([0, *reversed(kept)])
