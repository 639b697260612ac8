"""Runs with planted coefficients, for the tests of regressions and of learning."""

import numpy as np
import polars as pl

from ontogeny.analysis.observations import Exposures, Observations
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.schedule import checkpoint_name

# What preferences are made of in `full_world`, nats; the terms are those of `terms`, in its order.
FULL = {
    "intercept": 0.2,
    "genpref_c": 1.5,
    "freq_prob_c": 2.0,
    "log_total_c": -0.4,
    "genpref_c:log_total_c": -0.6,
    "freq_prob_c:log_total_c": 0.8,
}


def centred(values):
    """z-scores, by the standard deviation of a sample."""
    return (values - np.mean(values)) / np.std(values, ddof=1)


def terms(prior, alpha, nonalpha):
    """Each term of the full model by its name, from the priors and counts of items [items]."""
    total = centred(np.log(alpha + nonalpha + 1))
    people, share = prior - 0.5, (alpha + 0.5) / (alpha + nonalpha + 1) - 0.5
    columns = (np.ones(len(prior)), people, share, total, people * total, share * total)
    return dict(zip(FULL, columns, strict=True))


def some_counts(rng, items):
    """How often each item was seen in either order, [items] each: at least once, the rarer ones
    often in one order only."""
    total = rng.lognormal(3, 1.2, items).astype(int) + 1
    alpha = rng.binomial(total, rng.beta(0.6, 0.6, items))
    return alpha, total - alpha


def full_world(rng, items, checkpoints=3, noise=0.5, coefficients=FULL):
    """A run whose preferences are the sum of the terms times their coefficients, plus noise.

    Checkpoints differ in their noise alone, whose spread is `noise` times 0.5 for an item of which
    people prefer neither order, up to 1.5 for one that they always say in the same.
    """
    prior, (alpha, nonalpha) = rng.uniform(size=items), some_counts(rng, items)
    columns = terms(prior, alpha, nonalpha)
    expected = sum((value * columns[term] for term, value in coefficients.items()), np.zeros(items))
    spread = noise * (0.5 + 2 * np.abs(prior - 0.5))
    preference = expected + spread * rng.normal(size=(checkpoints, items))
    return observed(preference, alpha, nonalpha, prior)


def make_items(count, names=None, attested=None, constraints=None):
    """Items; the first `attested` of them (all, if None) are, and constraints are [items] each."""
    names = names or [(f"a{i:04d}", f"b{i:04d}") for i in range(count)]
    attested = count if attested is None else attested
    columns = {name: np.asarray(of, float).tolist() for name, of in (constraints or {}).items()}
    return [
        Binomial(*words, i < attested, 1.0, {}, {name: of[i] for name, of in columns.items()})
        for i, words in enumerate(names)
    ]


def checkpoints_of(steps):
    """Checkpoints at these steps, of 1,000 tokens each."""
    names = [checkpoint_name(step) for step in steps]
    table = pl.DataFrame({"checkpoint": names, "step": steps})
    return table.with_columns(tokens=1000 * pl.col("step"))


def observed(
    preference,
    alpha=None,
    nonalpha=None,
    prior=None,
    *,
    attested=None,
    steps=None,
    names=None,
    constraints=None,
    bigram=None,
):
    """A run with these preferences [checkpoints, items].

    Counts are [items], the same at all checkpoints, or [checkpoints, items]; without them nothing
    is known of exposures. Steps are 1, 2, 3 ... unless they are given.
    """
    preference = np.asarray(preference, float)
    checkpoints, count = preference.shape
    exposures = None
    if alpha is not None:
        counts = (
            np.broadcast_to(np.asarray(of, float), preference.shape) for of in (alpha, nonalpha)
        )
        exposures = Exposures("corpus", *counts, bigram)
    return Observations(
        run="a-run",
        probe="a-probe",
        checkpoints=checkpoints_of(range(1, checkpoints + 1) if steps is None else steps),
        items=make_items(count, names, attested, constraints),
        preference=preference,
        prior=prior,
        midpoint=0.5,
        exposures=exposures,
    )


def tables_of(items, counts, steps):
    """The tables of preferences and of exposures of the run "r" on the probe "p".

    `counts` [checkpoints, items, 2]: of the alphabetical and the other order. Preferences are 0, 1,
    2 ... by checkpoint and item. Elsewhere, some words stand beside "and" more often than others.
    """
    names = pl.DataFrame({"binom": [item.alpha for item in items]})
    grid = checkpoints_of(steps).join(names, how="cross", maintain_order="left_right")
    grid = grid.with_columns(run=pl.lit("r"))
    preferences = grid.with_columns(
        probe=pl.lit("p"), n=1, preference=pl.Series(np.arange(len(grid), dtype=float))
    )
    alpha, other = np.asarray(counts).reshape(-1, 2).astype(int).T
    elsewhere = grid["step"].to_numpy() * np.tile(np.arange(len(items)) % 3, len(steps))
    around = {
        "w1_and": alpha + elsewhere,
        "w2_and": other,
        "and_w1": other + elsewhere,
        "and_w2": alpha,
    }
    totals = {f"{w}_total": around[f"{w}_and"] + around[f"and_{w}"] for w in ("w1", "w2")}
    exposures = grid.with_columns(
        pl.Series(name, of)
        for name, of in {"alpha_seen": alpha, "nonalpha_seen": other, **totals, **around}.items()
    )
    return preferences, exposures


def rows_of(table, model, items, **where):
    """The rows of one model on one set of items."""
    return table.filter(model_name=model, items=items, **where)


def by_term(table, **where):
    """The rows of a table by their term, of which each has one."""
    rows = {row["term"]: row for row in table.filter(**where).iter_rows(named=True)}
    assert len(rows) == len(table.filter(**where))
    return rows
