"""What the preferences of a probe's items are compared with: groups of items, and references."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ontogeny.analysis.scores import read_preference_table
from ontogeny.exposure import read_exposures
from ontogeny.paths import Paths, project_path
from ontogeny.scoring.stimuli.binomials import Binomial, read_all_weights, read_binomials
from ontogeny.scoring.stimuli.responses import choices_by_item, read_responses
from ontogeny.study.probes import CHOICES, EXPOSURE, BinomialsProbe, Reference


@dataclass(frozen=True)
class Values:
    """A reference: one number per item, NaN where it is undefined, and the one of neither order."""

    values: np.ndarray
    midpoint: float


@dataclass(frozen=True)
class Items:
    """The items of a probe by name, groups of them (indices), and references to compare with.

    None of them changes in the course of a run, so that all its checkpoints are compared on the
    same items.
    """

    names: list[str]
    groups: Mapping[str, np.ndarray]
    references: Mapping[str, Values]

    def sets(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Each group and reference, and the items of the group where the reference is defined.

        By group, then by reference; without those that have no items.
        """
        for group, members in self.groups.items():
            for reference, of in self.references.items():
                defined = members[~np.isnan(of.values[members])]
                if len(defined):
                    yield group, reference, defined


def read_items(spec: str, stimuli: str, exposures: str | None = None) -> Items:
    """The items of a binomials probe.

    Args:
        spec: the probe as JSON.
        stimuli: CSV of its items.
        exposures: CSV of what a run has seen of them; None where that isn't known.

    Raises:
        ValueError: a file can't be read, or `exposures` lacks an item.
    """
    probe = BinomialsProbe.model_validate_json(spec)
    items = read_binomials(Path(stimuli), probe, read_all_weights(probe.references))
    seen = choices = None
    if exposures is not None:
        seen = final_exposures(read_exposures(exposures), items, exposures)
    if probe.responses is not None:
        path = Path(project_path(probe.responses))
        choices = choices_by_item(read_responses(path, probe.word1, probe.word2), items, path)
    return make_items(items, probe, seen, choices)


def read_probes(
    paths: Paths, run: str, trained: bool, probes: Iterable[tuple[str, str, str]]
) -> Iterator[tuple[str, pl.DataFrame, Items]]:
    """Each binomials probe of a run: its name, the run's preferences on it, and its items.

    `trained`: here, so that its exposures are known. Of `probes` each has its name, its JSON and
    the CSV of its items. Raises ValueError where a file can't be read.
    """
    preferences = read_preference_table(paths.run_table(run, "preferences"))
    for probe, settings, stimuli in probes:
        items = read_items(settings, stimuli, paths.exposures(probe, run) if trained else None)
        yield probe, preferences.filter(pl.col("probe") == probe), items


def make_items(
    items: Sequence[Binomial],
    probe: BinomialsProbe,
    seen: np.ndarray | None = None,
    choices: Sequence[tuple[int, int]] | None = None,
) -> Items:
    """`items` with the groups and references of a probe.

    `seen` [items, 2]: how often a run has seen the alphabetical and the other order by its end.
    `choices`: of each item, how often people chose these.
    """
    groups = item_groups(items, probe.frequency_bins)
    references = reference_values(items, probe.references)
    if seen is not None:
        names = [item.alpha for item in items]
        groups |= exposure_groups(names, seen.sum(axis=1), probe.exposure_bins)
        references[EXPOSURE] = Values(relative_exposure(seen), 0.5)
    if choices is not None:
        shares = [alpha / (alpha + other) if alpha + other else np.nan for alpha, other in choices]
        references[CHOICES] = Values(np.array(shares), 0.5)
    return Items([item.alpha for item in items], groups, references)


def item_groups(
    items: Sequence[Binomial], frequency_bins: int | Sequence[float]
) -> dict[str, np.ndarray]:
    """Indices of the items of each group that doesn't depend on a run; empty groups are left out.

    `all`; `attested` and `nonce` by the items file; and bins of the attested items by their own
    frequency (see `binned`). An attested item without a frequency is in no bin.
    """
    attested = np.array([item.attested for item in items])
    groups = {
        "all": np.arange(len(items)),
        "attested": np.flatnonzero(attested),
        "nonce": np.flatnonzero(~attested),
    }
    counts = [np.nan if item.frequency is None else item.frequency for item in items]
    names = [item.alpha for item in items]
    counted = groups["attested"][~np.isnan(counts)[attested]]
    groups |= binned("attested", counted, np.array(counts), names, frequency_bins)
    return {name: members for name, members in groups.items() if len(members)}


def exposure_groups(
    names: Sequence[str], counts: np.ndarray, bins: int | Sequence[float]
) -> dict[str, np.ndarray]:
    """Indices of the items that a run had `seen` by its end (`counts` above 0), of the `unseen`
    ones, and of bins of the seen ones (see `binned`); empty groups are left out."""
    seen = np.flatnonzero(counts > 0)
    groups = {"seen": seen, "unseen": np.flatnonzero(counts == 0)}
    groups |= binned("seen", seen, counts, names, bins)
    return {name: members for name, members in groups.items() if len(members)}


def binned(
    base: str,
    members: np.ndarray,
    counts: np.ndarray,
    names: Sequence[str],
    bins: int | Sequence[float],
) -> dict[str, np.ndarray]:
    """Items from the rarest, `base-1of3`, to the most frequent, `base-3of3`.

    A number of bins: equal in count, by rank, so that they differ by one item at most, the rarer
    ones being the larger. Items of equal counts at a border stand in the order of their names: they
    are split by the alphabet, as any rule must split them. A list of edges instead: an item on an
    edge is above it, and its bins may be empty.

    Args:
        base: what the bins are called after.
        members: indices of the items that are divided.
        counts: of all items.
        names: of all items.
        bins: how many, 0 for none; or edges, ascending.
    """
    if isinstance(bins, int):
        ranked = sorted(members, key=lambda i: (counts[i], names[i]))
        parts = np.array_split(np.array(ranked, dtype=np.int64), bins) if bins else []
    else:
        place = np.searchsorted(np.array(bins), counts[members], side="right")
        parts = [members[place == number] for number in range(len(bins) + 1)]
    return {f"{base}-{number}of{len(parts)}": part for number, part in enumerate(parts, start=1)}


def reference_values(
    items: Sequence[Binomial], references: Mapping[str, Reference]
) -> dict[str, Values]:
    """What the items file says of each item, by the name of the reference."""
    found = {}
    for name, reference in references.items():
        values = [item.references[name] for item in items]
        numbers = np.array([np.nan if value is None else value for value in values])
        found[name] = Values(numbers, reference.midpoint)
    return found


def relative_exposure(seen: np.ndarray) -> np.ndarray:
    """Share of the alphabetical order in what was seen of each item; NaN where that is nothing.

    `seen` [items, 2]: counts of the alphabetical and of the other order.
    """
    total = seen.sum(axis=1)
    return np.divide(seen[:, 0], total, out=np.full(len(seen), np.nan), where=total > 0)


def final_exposures(exposures: pl.DataFrame, items: Sequence[Binomial], source: str) -> np.ndarray:
    """What a run had seen by its last checkpoint [items, 2]: alphabetical and other order.

    `exposures` as `read_exposures` gives them. Raises ValueError that names an item which is not
    among them.
    """
    last = exposures.filter(pl.col("tokens") == pl.col("tokens").max())
    counts = {binom: pair for binom, *pair in last.select(
        "binom", "alpha_seen", "nonalpha_seen").iter_rows()}  # fmt: skip
    missing = [item.alpha for item in items if item.alpha not in counts]
    if missing:
        raise ValueError(f"{source}: there are no exposures to {missing[0]!r}")
    return np.array([counts[item.alpha] for item in items], dtype=np.int64)
