"""What regressions are made from: of each item, at each checkpoint, its preference and exposure.

Every item is defined at every checkpoint. The log ratio of the two orders has 0.5 added to each, so
it is 0 for an item that has not been seen, and no item joins or leaves along a trajectory. Sets of
items are fixed by what the run has seen at its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from ontogeny.analysis.scores import preference_matrix, read_preference_table
from ontogeny.exposure import read_exposures
from ontogeny.exposure.bigrams import bigram_log_odds
from ontogeny.paths import Paths
from ontogeny.scoring.stimuli.binomials import Binomial, read_all_weights, read_binomials
from ontogeny.study.probes import BinomialsProbe

RELATIVE_FREQUENCY = "relative_frequency"  # the reference with this name, where there is one
CORPUS, OUTSIDE = "corpus", "outside"
OCCURRED = ("seen", "counted", "both_orders")  # sets of items that depend on exposures
ADDED = 0.5  # to the count of each order


@dataclass(frozen=True)
class Exposures:
    """How often each order of each item occurred; arrays of shape (checkpoints, items).

    `source` is `corpus` (what the run had been trained on by each checkpoint) or `outside` (the
    items' own frequency, the same at all checkpoints). `bigram_logodds` is `bigram_log_odds`
    without the item itself, None where the counts are from outside.
    """

    source: str
    alpha: np.ndarray
    nonalpha: np.ndarray
    bigram_logodds: np.ndarray | None = None

    @cached_property
    def total(self) -> np.ndarray:
        return self.alpha + self.nonalpha

    @cached_property
    def log_ratio(self) -> np.ndarray:
        """ln of alphabetical over other, 0.5 added to each."""
        return np.log((self.alpha + ADDED) / (self.nonalpha + ADDED))

    @cached_property
    def relative(self) -> np.ndarray:
        """Share of the alphabetical order, 0.5 added to each: the logistic of `log_ratio`."""
        return (self.alpha + ADDED) / (self.total + 2 * ADDED)

    @cached_property
    def log_total(self) -> np.ndarray:
        return np.log(self.total + 1)


@dataclass(frozen=True)
class Observations:
    """One run on one probe.

    `checkpoints` has their names, steps and tokens, in the order of tokens; `preference` is in
    nats, shape (checkpoints, items); `prior` is what people prefer, shape (items,), NaN where it is
    undefined, None where the probe has no such reference, and `midpoint` its value for neither
    order; `exposures` is None where they are not known.
    """

    run: str
    probe: str
    checkpoints: pl.DataFrame
    items: Sequence[Binomial]
    preference: np.ndarray
    prior: np.ndarray | None
    midpoint: float
    exposures: Exposures | None

    @cached_property
    def sets(self) -> dict[str, np.ndarray]:
        """Indices of the items of each set that has any.

        `all`; by the items file `attested` and `nonce`; by what has occurred by the run's end
        `seen` (in either order) and `both_orders`. Where counts are from outside, `seen` is
        `counted`.
        """
        attested = np.array([item.attested for item in self.items], dtype=bool)
        sets = {"all": np.ones(len(self.items), bool), "attested": attested, "nonce": ~attested}
        if self.exposures is not None:
            alpha, nonalpha = self.exposures.alpha[-1], self.exposures.nonalpha[-1]
            seen = "seen" if self.exposures.source == CORPUS else "counted"
            sets |= {seen: alpha + nonalpha > 0, "both_orders": (alpha > 0) & (nonalpha > 0)}
        return {name: np.flatnonzero(member) for name, member in sets.items() if member.any()}

    @cached_property
    def constraints(self) -> dict[str, np.ndarray]:
        """Values of each constraint, shape (items,)."""
        names = self.items[0].constraints
        return {name: np.array([item.constraints[name] for item in self.items]) for name in names}

    @cached_property
    def tokens(self) -> np.ndarray:
        return self.checkpoints["tokens"].to_numpy()

    def with_prior(self, members: np.ndarray) -> np.ndarray:
        """Those of the items whose prior is defined."""
        return members[~np.isnan(self.prior[members])]


def read_observations(
    paths: Paths, name: str, trained: bool, probe_name: str, probe: BinomialsProbe, items: Path
) -> Observations:
    """The observations of a run, from its table of preferences and, if it is trained here, its
    exposures. Raises ValueError that names what is wrong."""
    binomials = read_binomials(items, probe, read_all_weights(probe.references))
    preferences = read_preference_table(paths.run_table(name, "preferences"))
    counts = None
    if trained:
        counts = read_exposures(paths.exposures(probe_name, name))
    preferences = preferences.filter(probe=probe_name)
    return observations(preferences, binomials, probe, counts, name, probe_name)


def observations(
    preferences: pl.DataFrame,
    items: Sequence[Binomial],
    probe: BinomialsProbe,
    counts: pl.DataFrame | None,
    run: str,
    probe_name: str,
) -> Observations:
    """The observations of one run and probe, in the order of tokens and of the items.

    Args:
        preferences: those of the run and probe, in the columns of `scores.PREFERENCES`.
        items: those of the probe.
        probe: names the prior.
        counts: exposures as `read_exposures` gives them; None where the run was not trained here.
            Then they are the items' own frequency, divided between the orders by the reference
            `relative_frequency`, where there are these.
        run: its name.
        probe_name: the probe's.

    Raises:
        ValueError: a checkpoint lacks an item or its exposures, or a relative frequency is not
            between 0 and 1.
    """
    checkpoints, preference = preference_matrix(preferences, [item.alpha for item in items], run)
    if counts is None:
        exposures = _outside(items, len(checkpoints))
    else:
        exposures = _of_corpus(counts, checkpoints, items, f"exposures of run {run!r}")
    prior, midpoint = None, 0.5
    if probe.prior in probe.references:
        prior = np.array([item.references[probe.prior] for item in items], dtype=np.float64)
        midpoint = probe.references[probe.prior].midpoint
    return Observations(run, probe_name, checkpoints, items, preference, prior, midpoint, exposures)


def _outside(items: Sequence[Binomial], checkpoints: int) -> Exposures | None:
    """Counts of each order from the items' own numbers; 0 for an item that lacks them."""
    alpha, nonalpha = np.zeros(len(items)), np.zeros(len(items))
    for i, item in enumerate(items):
        share = item.references.get(RELATIVE_FREQUENCY)
        if share is None or not item.frequency:
            continue
        if not 0 <= share <= 1:
            raise ValueError(
                f"reference {RELATIVE_FREQUENCY!r} of {item.alpha!r} is {share:g}, should be the "
                "share of the alphabetical order, from 0 to 1; give another name to another number"
            )
        alpha[i], nonalpha[i] = item.frequency * share, item.frequency * (1 - share)
    if not (alpha + nonalpha).any():
        return None
    shape = (checkpoints, len(items))
    return Exposures(OUTSIDE, np.broadcast_to(alpha, shape), np.broadcast_to(nonalpha, shape))


def _of_corpus(
    table: pl.DataFrame, checkpoints: pl.DataFrame, items: Sequence[Binomial], what: str
) -> Exposures:
    """Exposures of a run that was trained here, from a table of them in any order."""
    table = table.with_columns(bigrams=bigram_log_odds(leave_out=True))
    columns = ["alpha_seen", "nonalpha_seen", "bigrams"]
    names = pl.DataFrame({"binom": [item.alpha for item in items]})
    grid = checkpoints.join(names, how="cross", maintain_order="left_right")
    table = table.select("tokens", "binom", pl.col(columns).cast(pl.Float64))
    found = grid.join(
        table, on=["tokens", "binom"], how="left", maintain_order="left", validate="1:1"
    )
    for row in found.filter(pl.any_horizontal(pl.col(columns).is_null())).iter_rows(named=True):
        raise ValueError(f"{what}: {row['checkpoint']} has none of {row['binom']!r}")
    shape = (len(checkpoints), len(items))
    return Exposures(CORPUS, *(found[column].to_numpy().reshape(shape) for column in columns))
