"""Preferences with planted correlations, for the tests of trajectories."""

import math

import numpy as np
import polars as pl
from scipy import stats

from ontogeny.analysis.groups import Items, Values


def checkpoints(tokens):
    tokens = np.asarray(tokens)
    names = [f"step-{step}" for step in tokens // 10]
    return pl.DataFrame({"checkpoint": names, "step": tokens // 10, "tokens": tokens})


def planted(rng, true_r, n, memory=0.8):
    """Preferences [checkpoints, n] and a reference [n], with the given true r at each checkpoint.

    Errors of an item are alike at neighbouring checkpoints, as they are in training.
    """
    y, error = rng.normal(size=(2, n))
    rows = []
    for r in true_r:
        error = memory * error + math.sqrt(1 - memory**2) * rng.normal(size=n)
        rows.append(r * y + math.sqrt(1 - r**2) * error)
    return np.array(rows), y


def no_more_than(rate, count):
    """The most events that 99.9 % of samples have at this rate."""
    return stats.binom.ppf(0.999, count, rate)


def items_of(references, groups=None):
    n = len(next(iter(references.values())))
    groups = {"all": np.arange(n)} if groups is None else groups
    names = [f"item{i:02d}" for i in range(n)]
    return Items(names, groups, {name: Values(of, 0.5) for name, of in references.items()})


def preferences_of(tokens, matrix, items):
    """The table in random order, its checkpoints' names in another order than their tokens."""
    rows = [
        (f"step-{count // 10}", count // 10, count, name, float(value))
        for count, values in zip(tokens, matrix, strict=True)
        for name, value in zip(items.names, values, strict=True)
    ]
    schema = ["checkpoint", "step", "tokens", "binom", "preference"]
    return pl.DataFrame(rows, schema=schema, orient="row").sample(fraction=1, shuffle=True, seed=0)
