"""Which groups items are in, and what they are compared with."""

import csv
import itertools

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from ontogeny.analysis.groups import (
    binned,
    exposure_groups,
    final_exposures,
    item_groups,
    make_items,
    read_items,
    relative_exposure,
)
from ontogeny.exposure.counts import COLUMNS as EXPOSURES
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.binomials import Binomial, read_binomials
from ontogeny.study.probes import BinomialsProbe

PUBLISHED_ITEMS = PROJECT.parent / "shared/data/binomials/nonce_and_attested_binoms.csv"
REFERENCES = {
    "human": {"column": "GenPref"},
    "relative_frequency": {"column": "RelFreq", "attested_only": True},
}


def probe(**keys):
    return BinomialsProbe(**{"type": "binomials", "items": "x", "references": REFERENCES, **keys})


def binomials(attested=12, nonce=6, seed=0):
    """Items whose frequencies are in no order."""
    rng = np.random.default_rng(seed)
    counts = [*rng.integers(1, 1000, size=attested).astype(float), *[0.0] * nonce]
    return [
        Binomial(f"a{i:03d}", f"b{i:03d}", i < attested, count, dict.fromkeys(REFERENCES, 0.5))
        for i, count in enumerate(counts)
    ]


@pytest.mark.parametrize(("attested", "bins"), [(12, 3), (13, 3), (14, 5), (7, 7), (2, 3)])
def test_frequency_bins_are_equal_in_count_and_ordered(attested, bins):
    items = binomials(attested)
    groups = item_groups(items, bins)
    names = [f"attested-{number}of{bins}" for number in range(1, bins + 1)]
    parts = [groups.get(name, np.array([], int)) for name in names]
    sizes = [len(part) for part in parts]
    assert sum(sizes) == attested
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(parts)) == list(range(attested))
    frequencies = [[items[i].frequency for i in part] for part in parts if len(part)]
    for rarer, more_frequent in itertools.pairwise(frequencies):
        assert max(rarer) <= min(more_frequent)
    assert all(len(members) for members in groups.values())


def test_groups_without_members_are_left_out():
    assert set(item_groups(binomials(4, 0), 0)) == {"all", "attested"}
    assert set(item_groups(binomials(0, 4), 3)) == {"all", "nonce"}


def test_items_without_a_count_are_in_no_bin():
    items = [*binomials(6, 0), Binomial("c", "d", True, None, {})]
    groups = item_groups(items, 2)
    assert len(groups["attested"]) == 7
    assert [len(groups[f"attested-{n}of2"]) for n in (1, 2)] == [3, 3]


@pytest.mark.skipif(not PUBLISHED_ITEMS.is_file(), reason=f"needs {PUBLISHED_ITEMS}")
def test_groups_of_the_published_items():
    items = read_binomials(PUBLISHED_ITEMS, probe(), {})
    with open(PUBLISHED_ITEMS, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = item_groups(items, 5)
    sizes = {name: len(members) for name, members in groups.items()}
    bins = [sizes.pop(f"attested-{n}of5") for n in range(1, 6)]
    assert sizes == {"all": 725, "attested": 594, "nonce": 131}
    assert sorted(bins) == [118, 119, 119, 119, 119]
    counts = sorted(float(row["OverallFreq"]) for row in rows if row["Attested"] == "1")
    rarest = [items[i].frequency for i in groups["attested-1of5"]]
    assert sorted(rarest) == counts[: len(rarest)]


def test_an_item_on_an_edge_is_above_it_and_bins_between_edges_may_be_empty():
    counts = np.array([1, 9, 10, 11, 99, 100, 5_000])
    names = [f"item{i}" for i in range(7)]
    parts = binned("seen", np.array([6, 1, 2, 4, 5, 0]), counts, names, [10.0, 100.0, 200.0, 1e4])
    assert {name: set(part.tolist()) for name, part in parts.items()} == {
        "seen-1of5": {0, 1},
        "seen-2of5": {2, 4},
        "seen-3of5": {5},
        "seen-4of5": {6},
        "seen-5of5": set(),
    }
    groups = item_groups(binomials(6, 0), [500.0, 2000.0])
    assert "attested-3of3" not in groups
    assert len(groups["attested-1of3"]) + len(groups["attested-2of3"]) == 6


def test_equal_counts_are_split_by_the_names_whatever_the_order_of_the_items():
    names = ["d", "b", "a", "e", "c"]
    for order in itertools.permutations(range(5)):
        shuffled = [names[i] for i in order]
        parts = binned("seen", np.arange(5), np.full(5, 7), shuffled, 2)
        found = [{shuffled[i] for i in part} for part in parts.values()]
        assert found == [{"a", "b", "c"}, {"d", "e"}]


def test_bins_are_equal_in_count_and_not_in_width():
    """Cutting the range of log counts in equal parts gave 206, 185, 131, 61 and 11 of 594 items."""
    counts = np.exp(np.random.default_rng(0).gamma(2.0, 2.0, size=594))
    names = [f"item{i:03d}" for i in range(594)]
    parts = binned("attested", np.arange(594), counts, names, 5)
    assert sorted(map(len, parts.values())) == [118, 119, 119, 119, 119]


def test_what_was_seen_and_what_not():
    counts = np.array([0, 3, 0, 1, 2, 8])
    groups = exposure_groups(list("abcdef"), counts, 2)
    found = {name: members.tolist() for name, members in groups.items()}
    assert found == {
        "seen": [1, 3, 4, 5],
        "unseen": [0, 2],
        "seen-1of2": [3, 4],
        "seen-2of2": [1, 5],
    }
    assert list(exposure_groups(list("abc"), np.zeros(3), 5)) == ["unseen"]
    assert list(exposure_groups(list("ab"), np.ones(2), 0)) == ["seen"]


def test_the_share_of_one_order_is_undefined_for_what_was_never_seen():
    seen = np.array([[0, 0], [3, 0], [0, 2], [1, 3]])
    assert relative_exposure(seen).tolist()[1:] == [1.0, 0.0, 0.25]
    assert np.isnan(relative_exposure(seen)[0])


def test_a_set_has_the_items_whose_reference_is_defined():
    items = binomials(3, 2)
    items[1] = Binomial("x", "y", True, 1.0, {"human": None, "relative_frequency": 0.0})
    items[3:] = [
        Binomial(w, "z", False, 0.0, {"human": 0.2, "relative_frequency": None}) for w in "pq"
    ]
    sets = {
        (group, reference): members.tolist()
        for group, reference, members in make_items(items, probe(frequency_bins=0)).sets()
    }
    assert sets == {
        ("all", "human"): [0, 2, 3, 4],
        ("all", "relative_frequency"): [0, 1, 2],
        ("attested", "human"): [0, 2],
        ("attested", "relative_frequency"): [0, 1, 2],
        ("nonce", "human"): [3, 4],
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"references": {"relative_exposure": {"column": "R"}}},
            "'relative_exposure' is what a run has read of an item; take another name",
        ),
        ({"prior": "nobody"}, "`prior` is 'nobody', which is not under `references`; there: "),
        ({"constraints": ["Form", "Len", "Form"]}, "`constraints` names 'Form' twice"),
        ({"exposure_bins": [5, 5]}, "edges of groups must be above 0 and ascend, not [5.0, 5.0]"),
        ({"frequency_bins": [0, 1]}, "edges of groups must be above 0 and ascend"),
    ],
)
def test_a_probe_that_can_not_be_analysed_is_refused(keys, message):
    with pytest.raises(ValidationError) as refused:
        probe(**keys)
    assert message in str(refused.value)


# ---------------------------------------------------------------------------- files


def exposure_rows(counts):
    """Rows of an exposures table: from tokens to the counts of each item."""
    rows = []
    for tokens, items in counts.items():
        for binom, (alpha, nonalpha) in items.items():
            known = {"run": "r", "checkpoint": f"step-{tokens}", "step": tokens, "tokens": tokens}
            seen = {"binom": binom, "alpha_seen": alpha, "nonalpha_seen": nonalpha}
            rows.append(dict.fromkeys(EXPOSURES, 0) | known | seen)
    return pl.DataFrame(rows, schema=EXPOSURES)


def test_exposures_count_to_the_end_of_training_by_number_and_by_name(tmp_path):
    """The last checkpoint is the one with most tokens; items are found by name, capitals too."""
    stimuli = tmp_path / "items.csv"
    stimuli.write_text(
        "Word1,Word2,Attested,OverallFreq,GenPref,RelFreq\n"
        "bread,butter,1,9,.7,.9\ncats,Dogs,0,0,.4,\nBritish,French,1,3,.4,.5\n"
    )
    late = {"British and French": (5, 5), "bread and butter": (3, 1), "cats and Dogs": (0, 0)}
    early = dict.fromkeys(late, (1, 0))
    exposures = tmp_path / "run.csv"
    exposure_rows({992: early, 10_944: late}).sample(fraction=1, shuffle=True, seed=1).write_csv(
        exposures
    )
    items = read_items(probe().model_dump_json(), str(stimuli), str(exposures))
    assert items.names == ["bread and butter", "cats and Dogs", "British and French"]
    assert items.groups["seen"].tolist() == [0, 2]
    assert items.groups["unseen"].tolist() == [1]
    assert items.groups["seen-1of5"].tolist() == [0]
    share = items.references["relative_exposure"]
    assert (share.values[[0, 2]].tolist(), share.midpoint) == ([0.75, 0.5], 0.5)
    assert np.isnan(share.values[1])
    without = read_items(probe().model_dump_json(), str(stimuli))
    assert "relative_exposure" not in without.references and "seen" not in without.groups


def test_an_item_without_exposures_is_named():
    items = binomials(2, 0)
    table = exposure_rows({7: {items[0].alpha: (1, 0)}})
    with pytest.raises(ValueError, match=r"x\.csv: there are no exposures to 'a001 and b001'"):
        final_exposures(table, items, "x.csv")
