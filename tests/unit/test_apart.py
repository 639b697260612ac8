"""Checkpoints at nearly one place count as one observation; evenly spaced ones all count."""

import numpy as np
import polars as pl
import pytest
import yaml

from ontogeny.analysis.apart import apart
from ontogeny.analysis.states import COLUMNS
from ontogeny.analysis.stuck import failing_shares, paradigm_fates
from ontogeny.analysis.trajectories import reached
from ontogeny.paths import PROJECT
from ontogeny.study import load_study

WORDS = {"+": "right", "0": "undecided", "-": "wrong"}
ACCURACY = {"+": 0.9, "0": 0.5, "-": 0.2}


def counted(tokens):
    return np.array(tokens)[apart(np.array(tokens))].tolist()


def steps_after_0(study, run):
    config = yaml.safe_load((PROJECT / study).read_text())
    return load_study(config).runs[run].checkpoint_steps()[1:]


@pytest.mark.parametrize(
    ("tokens", "left_out"),
    [
        ([24, 48, 72, 96, 97], {96}),  # every 24 steps, and the end one step later
        ([24, 48, 72, 96, 107], set()),  # 107 is 11 % more than 96
        ([*range(8, 8137, 8), 8138], {8136}),  # the end is a quarter of an interval later
        ([*range(8, 8129, 8), 8138], set()),
        ([*range(8, 8129, 8), 8132], set()),  # half an interval is enough
        ([*range(8, 8129, 8), 8131], {8128}),
        ([1, 2, 4, 8, 16, 32, 64, 65], {64}),
        ([1, 2, 4, 8, 16, 32, 64, 68], set()),  # more than 5 %
        ([100, 200, 300, 301, 400, 500], {300}),  # also in the middle
        ([1000, 1001, 1002, 1003], set()),  # a list that begins late
        ([7], set()),
        ([7, 8], set()),
        ([], set()),
    ],
)
def test_what_is_left_out(tokens, left_out):
    assert counted(tokens) == [place for place in tokens if place not in left_out]


@pytest.mark.parametrize("unit", [1, 512, 1_228_800])
def test_the_unit_of_tokens_is_no_matter(unit):
    tokens = np.array([3, 24, 48, 50, 72, 96, 97])
    assert apart(tokens * unit).tolist() == apart(tokens).tolist() == [0, 1, 3, 4, 6]


@pytest.mark.parametrize("interval", [1, 8, 1000])
def test_evenly_spaced_checkpoints_all_count(interval):
    even = list(range(interval, 2_000 * interval, interval))
    assert counted(even) == even
    octaves = sorted({round(2 ** (place / 24)) for place in range(400)})
    assert counted(octaves) == octaves


def test_the_published_studies():
    """Published steps are kept as checkpoints, however near the end: 3,192 of the ablation is a
    published one, 8 steps before the end at 3,200."""
    assert steps_after_0("studies/ablation_houghton_2026.yaml", "opt-1.3b-whole")[-2:] == [
        3192,
        3200,
    ]
    assert 3192 not in counted(
        steps_after_0("studies/ablation_houghton_2026.yaml", "opt-1.3b-whole")
    )
    c4 = steps_after_0("studies/binomials_houghton_2026.yaml", "opt-350m-c4")
    assert set(c4) - set(counted(c4)) == {8136}  # which is no published one
    stuck = steps_after_0("studies/stuck_manna_2026.yaml", "opt-125m-babylm-1")
    assert counted(stuck)[-2:] == [42_090, 42_724] and stuck[-2] == 42_700
    assert {609, 1218, 2435} < set(stuck) - set(counted(stuck))  # beside multiples of 610
    demo = steps_after_0("config.yaml", "opt-s-diverse-1")
    assert counted(demo) == demo and demo[-2:] == [724, 781]


def table_of(sequence, tokens):
    rows = [
        dict.fromkeys(COLUMNS)
        | {"run": "r", "probe": "p", "phenomenon": "", "uid": "u", "n": 100, "step": place}
        | {"tokens": place, "accuracy": ACCURACY[state], "state": WORDS[state]}
        for state, place in zip(sequence, tokens, strict=True)
    ]
    return pl.DataFrame(rows, schema=COLUMNS)


@pytest.mark.parametrize(
    ("sequence", "fate"),
    [
        ("000++", "changing"),  # right at 96 and 97: one observation
        ("00+0+", "learned"),  # 72 and 97; what is left out has no say in "the last two"
        ("+++0+", "learned"),  # but "at every checkpoint" is said of all
        ("0-0--", "changing"),
        ("00---", "wrong"),
    ],
)
def test_fates_count_two_neighbours_once(sequence, fate):
    found = paradigm_fates(table_of(sequence, [24, 48, 72, 96, 97])).row(0, named=True)
    assert found["fate"] == fate
    assert found["checkpoints"] == 4


def test_an_error_at_two_neighbours_is_not_held():
    tokens = [100, 200, 300, 301, 400, 500]
    alone = paradigm_fates(table_of("00--00", tokens)).row(0, named=True)
    assert alone["onset_tokens"] is None
    held = paradigm_fates(table_of("00---0", tokens)).row(0, named=True)
    assert held["onset_tokens"] == 301
    # from 301 on: wrong up to 400, then half of the way to 500
    decades = np.log10([301, 400, 500])
    wrong = decades[1] - decades[0] + (decades[2] - decades[1]) / 2
    assert held["persistence"] == pytest.approx(wrong / (decades[2] - decades[0]))


def test_the_closing_five_are_five_observations():
    tokens = [8, 16, 24, 32, 40, 48, 56, 57]
    table = paradigm_fates(table_of("00++++++", tokens))  # 24, 32, 40, 48 and 57
    assert table["closing_state"].item() == "right"
    table = paradigm_fates(table_of("000+++++", tokens))
    assert table["closing_state"].item() == "unstable"
    few = paradigm_fates(table_of("0++++", [24, 48, 72, 96, 97]))
    assert set(failing_shares(few)["checkpoints"]) == {4}


def test_a_level_is_reached_at_two_observations_in_a_row():
    tokens = np.array([100, 200, 300, 301, 400, 500])
    r = np.array([[0.1, 0.1, 0.4, 0.4, 0.1, 0.1], [0.1, 0.1, 0.4, 0.4, 0.4, 0.1]])
    once, twice = reached(tokens, r, 0.4)
    assert once == np.inf and twice == pytest.approx(301)
