"""States, fates and failing shares of paradigms, on trajectories whose course is planted."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from ontogeny.analysis import minimal_pairs, states, stuck
from ontogeny.analysis.minimal_pairs import pair_statistics
from ontogeny.analysis.states import pair_states
from ontogeny.analysis.stuck import FATES, failing_shares, paradigm_fates
from ontogeny.paths import PROJECT

PUBLISHED = PROJECT.parent / "shared/data/blimp_models_summary.jsonl"
WORDS = {"+": "right", "0": "undecided", "-": "wrong"}
LOG2 = [0, *(1000 * 2**i for i in range(21))]


def row(accuracy, separation=None, **other):
    """A row of a table of minimal pairs; what a test doesn't care for is as given here."""
    given = {
        "run": "opt-s", "checkpoint": "c", "step": 1, "tokens": 100, "probe": "blimp",
        "phenomenon": "islands", "uid": "wh_island", "n": 100, "accuracy": accuracy,
        "accuracy_low": 0.0, "accuracy_high": 1.0, "mean_difference": 0.0,
        "separation": separation, "tie_rate": 0.0,
    }  # fmt: skip
    return given | other


def pairs_table(rows):
    return pl.DataFrame(rows, schema=minimal_pairs.COLUMNS)


def given_states(sequences, tokens=None, accuracy=None, probe="blimp"):
    """A table of states: a string of `+0-` for each uid, at 1000 x 2^i tokens unless stated."""
    rows = []
    for uid, sequence in sequences.items():
        places = tokens or [1000 * 2**i for i in range(len(sequence))]
        levels = accuracy or [{"+": 0.9, "0": 0.5, "-": 0.2}[state] for state in sequence]
        for step, state in enumerate(sequence):
            common = dict.fromkeys(states.COLUMNS) | {"run": "opt-s", "probe": probe}
            own = {"uid": uid, "phenomenon": "", "step": step, "tokens": places[step], "n": 100}
            level = {"accuracy": levels[step], "state": WORDS[state]}
            rows.append(common | own | level)
    return pl.DataFrame(rows, schema=states.COLUMNS)


def fates_of(*arguments, **options):
    return {
        row["uid"]: row for row in paradigm_fates(given_states(*arguments, **options)).to_dicts()
    }


# ---------------------------------------------------------------------------- states


def binomial_p(right, trials):
    """Two-sided, of a fair coin: all outcomes that are no more probable."""
    ways = [math.comb(trials, k) for k in range(trials + 1)]
    return sum(w for w in ways if w <= ways[right]) / 2**trials


def step_up(p):
    """Benjamini & Hochberg 1995: least p_(j) m / j over the ranks j from one's own on."""
    m, order = len(p), sorted(range(len(p)), key=lambda i: p[i])
    return [
        min(1.0, *(p[order[j]] * m / (j + 1) for j in range(order.index(i), m))) for i in range(m)
    ]


def test_p_and_q_by_hand():
    # right, wrong and ties of each paradigm
    counts = {"a": (20, 0, 0), "b": (3, 17, 0), "c": (10, 10, 0), "d": (10, 0, 10), "e": (0, 0, 9),
              "f": (1, 0, 0), "g": (31, 9, 5)}  # fmt: skip
    rows = []
    for uid, (right, wrong, ties) in counts.items():
        n = right + wrong + ties
        rows.append(row((right + ties / 2) / n, None, uid=uid, n=n, tie_rate=ties / n))
    table = pair_states(pairs_table(rows))
    p = [binomial_p(right, right + wrong) for right, wrong, _ in counts.values()]
    assert p[3] == 2 / 2**10 and p[4] == p[5] == 1
    assert table["p"].to_list() == pytest.approx(p, rel=1e-9)
    q = step_up(p)
    assert table["q"].to_list() == pytest.approx(q, rel=1e-9)
    assert q[0] == pytest.approx(7 * 2 / 2**20)
    expected = ["right", "wrong", "undecided", "right", "undecided", "undecided", "right"]
    assert table["state"].to_list() == expected


@pytest.mark.parametrize(
    ("accuracy", "separation", "state"),
    [
        (0.9, 0.2, "right"),
        (0.9, 0.199, "undecided"),
        (0.9, -1.0, "undecided"),  # a few large differences the other way
        (0.1, -0.2, "wrong"),
        (0.1, -0.199, "undecided"),
        (0.1, 1.0, "undecided"),
        (0.55, 0.5, "undecided"),  # p = .37
        (1.0, None, "right"),  # all pairs have one preference
        (0.0, None, "wrong"),
        (0.5, None, "undecided"),
    ],
)
def test_a_state_needs_the_test_and_a_separation_of_the_same_sign(accuracy, separation, state):
    table = pair_states(pairs_table([row(accuracy, separation)]))
    assert dict(table.schema) == states.COLUMNS
    assert table["state"].to_list() == [state]


def test_only_ties_or_one_pair_decide_nothing():
    rows = [row(0.5, uid="ties", tie_rate=1.0), row(1.0, uid="one", n=1), row(0.0, uid="no", n=1)]
    table = pair_states(pairs_table(rows))
    assert table["p"].to_list() == [1, 1, 1] and set(table["state"]) == {"undecided"}
    assert table["separation_low"].null_count() == 3


def test_a_family_of_tests_is_one_probe():
    weak = row(0.61, 0.5, uid="weak", tokens=100)  # p = .035
    crowd = [row(0.5, 0.0, uid=f"u{i}", tokens=100) for i in range(9)]
    alone = pair_states(pairs_table([weak]))
    assert alone["state"].item() == "right" and alone["q"].item() == alone["p"].item() < 0.05
    together = pair_states(pairs_table([weak, *crowd])).filter(uid="weak")
    assert together["state"].item() == "undecided"
    apart = [other | {"probe": "other"} for other in crowd]
    both = pair_states(pairs_table([weak, *apart]))
    assert both.filter(uid="weak").equals(alone)
    later = [weak | {"tokens": 200 + i, "accuracy": 0.5} for i in range(9)]
    assert set(pair_states(pairs_table([weak, *later]))["state"]) == {"undecided"}


def test_rows_of_all_pairs_and_phenomena_are_left_out_and_tokens_are_in_order():
    rows = [
        row(0.9, 1.0, tokens=tokens, phenomenon=phenomenon, uid=uid, step=tokens // 100)
        for tokens in (900, 10_000, 100)
        for phenomenon, uid in (("all", "all"), ("x", "all"), ("x", "u"), ("", ""))
    ]
    table = pair_states(pairs_table(rows))
    assert list(table.select("tokens", "uid").iter_rows()) == [
        (tokens, uid) for tokens in (100, 900, 10_000) for uid in ("u", "")
    ]
    with pytest.raises(ValueError, match="no row of a single paradigm"):
        pair_states(pairs_table(rows[:2]))


def test_false_states_among_paradigms_at_chance_are_rare():
    """The error rate of the whole family where nothing is planted, and the false discovery rate
    where half of the paradigms are decided; pairs of one preference, so that the test decides."""
    rng = np.random.default_rng(1)
    some, shares = 0, []
    for _ in range(100):
        chance = rng.binomial(100, 0.5, 200) / 100
        null = pair_states(pairs_table([row(a, uid=f"{i}") for i, a in enumerate(chance)]))
        some += (null["state"] != "undecided").any()
        level = rng.binomial(100, 0.7, 200) / 100
        mixed = [row(a, uid=f"{i}") for i, a in enumerate([*chance, *level])]
        found = (pair_states(pairs_table(mixed))["state"] != "undecided").to_numpy()
        assert found[200:].sum() > 150
        shares.append(found[:200].sum() / found.sum())
    assert some <= 5 + 3 * math.sqrt(100 * 0.05 * 0.95)
    assert 0.005 < np.mean(shares) < 0.05


def test_the_interval_of_the_separation_covers_the_planted_one():
    rng = np.random.default_rng(2)
    planted, covered = -0.6, []
    for n in (30, 100):
        sample = rng.normal(planted, 1, (2000, n))
        separation = sample.mean(axis=1) / sample.std(axis=1, ddof=1)
        rows = [row(0.3, s, n=n, uid=f"{i}") for i, s in enumerate(separation)]
        table = pair_states(pairs_table(rows))
        inside = (table["separation_low"] < planted) & (table["separation_high"] > planted)
        covered.append(inside.mean())
    assert covered == pytest.approx([0.95, 0.95], abs=0.02)


# ---------------------------------------------------------------------------- fates


@pytest.mark.parametrize(
    ("sequence", "fate"),
    [
        ("++++++++", "always right"),
        ("+", "always right"),
        ("++", "always right"),
        ("000000++", "learned"),
        ("0-00-0++", "learned"),  # never two wrong in a row
        ("0+--+0++", "recovered"),
        ("0000000+", "changing"),
        ("00+++++0", "changing"),
        ("+-", "changing"),
        ("00000000", "undecided"),
        ("00----00", "undecided"),
        ("0+0+0+00", "undecided"),  # never two right in a row
        ("0", "undecided"),
        ("0+++--00", "lost"),
        ("00+++000", "lost"),
        ("0+++00--", "lost"),
        ("000000--", "wrong"),
        ("-00000--", "wrong"),
        ("-", "wrong"),
        ("--------", "entrenched"),
        ("++------", "entrenched"),  # from 4,000 of 128,000 tokens on
        ("00------", "entrenched"),
        ("0--0-----------", "entrenched"),
        ("00----------00", "undecided"),  # persistence .86
        ("00-----------0", "changing"),  # persistence .95, but not wrong at the end
        ("0--00---------", "wrong"),  # persistence .8
    ],
)
def test_the_fate_of_a_sequence(sequence, fate):
    found = fates_of({"u": sequence})["u"]
    assert found["fate"] == fate and fate in FATES
    assert found["entrenched"] == (fate == "entrenched")
    assert found["end_state"] == WORDS[sequence[-1]]
    assert found["checkpoints"] == len(sequence)


def test_onset_persistence_recovery_and_burden_by_hand():
    tokens = [10, 100, 1_000, 10_000, 100_000, 1_000_000]
    accuracy = [0.5, 0.3, 0.4, 0.6, 0.1, 0.9]
    found = fates_of({"u": "0--0-+"}, tokens, accuracy)["u"]
    assert (found["onset_tokens"], found["onset_share"]) == (100, 1e-4)
    # from 100 on, four decades: wrong 1, 1/2, 1/2 and 1/2 of each
    assert found["persistence"] == pytest.approx(2.5 / 4)
    assert found["recovery_tokens"] is None
    # shortfalls 0, .2, .1, 0, .4, 0, in the mean of neighbours
    assert found["burden"] == pytest.approx(0.1 + 0.15 + 0.05 + 0.2 + 0.2)
    assert (found["end_accuracy"], found["closing_accuracy"]) == (0.9, 0.1)
    found = fates_of({"u": "0--+++"}, tokens, accuracy)["u"]
    assert found["persistence"] == pytest.approx(1.5 / 4)
    assert found["recovery_tokens"] == 10_000
    found = fates_of({"u": "--00++"}, tokens, accuracy)["u"]
    assert (found["onset_tokens"], found["recovery_tokens"]) == (10, 100_000)
    found = fates_of({"u": "++--++"}, tokens, accuracy)["u"]
    assert (found["onset_tokens"], found["recovery_tokens"]) == (1_000, 100_000)
    # unequal steps: log10 2, then log10 5
    found = fates_of({"u": "--0"}, [10, 20, 100], [0.4, 0.2, 0.5])["u"]
    half = 0.5 * math.log10(5)
    assert found["persistence"] == pytest.approx(math.log10(2) + half)
    assert found["burden"] == pytest.approx(0.2 * math.log10(2) + 0.3 * half)


def test_persistence_is_of_log_tokens_and_hardly_of_the_schedule():
    sparse = [10**i for i in range(1, 7)]
    dense = sorted({round(10 ** (1 + 5 * i / 500)) for i in range(501)})
    course = {True: "-", False: "0"}  # wrong up to 1000 tokens
    one = fates_of({"u": "".join(course[t <= 1000] for t in sparse)}, sparse)["u"]
    other = fates_of({"u": "".join(course[t <= 1000] for t in dense)}, dense)["u"]
    assert one["persistence"] == pytest.approx(2.5 / 5)
    assert other["persistence"] == pytest.approx(2 / 5, abs=0.01)


@pytest.mark.parametrize(("share", "fate"), [(0.1, "entrenched"), (0.11, "wrong")])
def test_an_early_error_begins_within_a_tenth_of_the_tokens(share, fate):
    tokens = [1, round(1000 * share), 500, 1000]
    assert fates_of({"u": "0---"}, tokens)["u"]["fate"] == fate


def test_the_untrained_model_has_no_part_in_fates():
    found = fates_of({"a": "--0++", "b": "-++++", "c": "--000"}, [0, 10, 100, 1000, 10_000])
    assert [found[uid]["fate"] for uid in "abc"] == ["learned", "always right", "undecided"]
    assert {found[uid]["onset_tokens"] for uid in "abc"} == {None}
    assert {found[uid]["checkpoints"] for uid in "abc"} == {4}
    table = given_states({"a": "-00"}, [0, 10, 100]).with_columns(
        separation=pl.Series([-2.0, -0.3, 0.1])
    )
    deepest = paradigm_fates(table).row(0, named=True)
    assert (deepest["depth"], deepest["depth_tokens"]) == (-0.3, 10)


@pytest.mark.parametrize(
    ("sequence", "tokens", "fate"),
    [("-", [0], "wrong"), ("+", [0], "always right"), ("-+", [0, 9], "always right"),
     ("+-", [0, 9], "wrong"), ("0--", [0, 9, 80], "wrong"), ("-0", [0, 9], "undecided")],
)  # fmt: skip
def test_few_checkpoints(sequence, tokens, fate):
    found = fates_of({"u": sequence}, tokens)["u"]
    assert found["fate"] == fate
    assert (found["depth"], found["depth_tokens"]) == (None, None)
    if len(sequence) < 3:
        assert (found["persistence"], found["burden"]) == (None, None)


def test_a_separation_that_is_undefined_is_no_depth():
    table = given_states({"u": "000"}).with_columns(separation=pl.Series([None, 0.4, 0.1]))
    assert paradigm_fates(table)["depth"].to_list() == [0.1]


# ---------------------------------------------------------------------------- planted courses

# From which of the 21 checkpoints after step 0 on the mean preference is how many of the standard
# deviations of the pairs.
COURSES = {
    "learned": [(0, 0.0), (9, 0.5), (11, 1.2)],
    "entrenched": [(0, 0.0), (6, -0.8)],
    "recovered": [(0, 0.0), (5, -0.8), (11, 0.0), (15, 1.0)],
    "undecided": [(0, 0.0)],
    "lost": [(0, 0.0), (6, 1.0), (14, 0.0)],
    "wrong": [(0, 0.0), (18, -0.8)],
}


def planted(n, seed, courses=COURSES, tokens=LOG2):
    """The table of minimal pairs of pairs that differ by themselves (sd .9) and from checkpoint to
    checkpoint (sd .43), together 1."""
    rng = np.random.default_rng(seed)
    frames = []
    for uid, course in courses.items():
        own = rng.normal(0, 0.9, n)
        for step, count in enumerate(tokens):
            level = [value for start, value in course if step - 1 >= start or start == 0][-1]
            preference = level + (own if step else 0) + rng.normal(0, 0.43 if step else 1, n)
            frames.append(
                pl.DataFrame({"preference": preference}).with_columns(
                    checkpoint=pl.lit(f"step-{step}"), step=step, tokens=count, uid=pl.lit(uid)
                )
            )
    scores = pl.concat(frames)
    return pair_statistics(scores, dict.fromkeys(courses, "planted"), "opt-s", "blimp")


@pytest.mark.parametrize(("n", "late"), [(1000, 0), (100, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_planted_fates_are_found(n, late, seed):
    """`late`: how many checkpoints an onset may be found late (a factor of 2 each)."""
    table = paradigm_fates(pair_states(planted(n, seed)))
    assert dict(table.schema) == stuck.PARADIGMS
    assert dict(table.select("uid", "fate").iter_rows()) == {uid: uid for uid in COURSES}
    found = {row["uid"]: row for row in table.to_dicts()}
    onsets = {"entrenched": 6, "recovered": 5, "wrong": 18}
    for uid, row in found.items():
        assert (row["n"], row["checkpoints"]) == (n, 21)
        if uid not in onsets:
            assert row["onset_tokens"] is row["persistence"] is row["recovery_tokens"] is None
            continue
        places = [LOG2[1 + onsets[uid] + i] for i in range(late + 1)]
        assert row["onset_tokens"] in places
        assert row["onset_share"] == row["onset_tokens"] / LOG2[-1]
        assert row["depth"] == pytest.approx(-0.8, abs=4 * math.sqrt(1.32 / n))
        assert row["depth_low"] < row["depth"] < row["depth_high"] < 0
    assert found["entrenched"]["persistence"] == 1 == found["wrong"]["persistence"]
    # wrong at 6 of the 16 checkpoints from its onset on, the last of them half
    assert found["recovered"]["persistence"] == pytest.approx(5.5 / 15, abs=0.1)
    assert found["recovered"]["recovery_tokens"] == LOG2[1 + 15]
    # a normal preference that is .8 sd below 0 is above it in .212 of the pairs
    decades = 14 * math.log10(2)
    noise = 0.4 * 20 * math.log10(2) / math.sqrt(n)
    assert found["entrenched"]["burden"] == pytest.approx(0.288 * (decades + 0.15), abs=2 * noise)
    assert found["undecided"]["burden"] < 4 * noise


def test_nothing_is_found_where_nothing_is_planted():
    chance = {f"u{i}": [(0, 0.0)] for i in range(67)}
    table = pair_states(planted(100, 4, chance))
    assert (table["state"] != "undecided").mean() < 0.005
    fates = paradigm_fates(table)
    assert (fates["fate"] == "undecided").sum() >= 66
    assert failing_shares(fates)["failing"].to_list() == [67] * 5


# ---------------------------------------------------------------------------- failing


def test_failing_shares_by_hand():
    sequences = {
        "high": "0+++++", "low": "0+++++", "one": "0++0++", "none": "+00000", "bad": "------0",
        "gone": "0------",
    }  # fmt: skip
    levels = {"high": 0.95, "low": 0.65}
    table = given_states(sequences).with_columns(
        accuracy=pl.col("uid").replace_strict(levels, default=pl.col("accuracy"))
    )
    table = failing_shares(paradigm_fates(table))
    assert dict(table.schema) == stuck.FAILING
    assert table["threshold"].to_list() == [0.5, 0.6, 0.7, 0.75, 0.8]
    assert set(table["n"]) == {6} and set(table["checkpoints"]) == {5}
    assert table["failing"].to_list() == [4, 4, 5, 5, 5]
    assert table["below"].to_list() == [0, 0, 1, 1, 1]
    assert set(table["wrong"]) == {1} and set(table["undecided"]) == {1}
    assert set(table["unstable"]) == {2}
    p, z = 4 / 6, 1.959963984540054
    centre = (p + z * z / 12) / (1 + z * z / 6)
    half = z * math.sqrt(p * (1 - p) / 6 + z * z / 144) / (1 + z * z / 6)
    first = table.row(0, named=True)
    assert first["share"] == p
    ends = (first["share_low"], first["share_high"])
    assert ends == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_an_accuracy_at_the_threshold_passes_and_the_lowest_of_five_counts():
    accuracy = [0.1, 0.9, 0.9, 0.75, 0.9, 0.9]  # the first is the sixth from the end
    table = failing_shares(paradigm_fates(given_states({"u": "0+++++"}, accuracy=accuracy)))
    assert table["failing"].to_list() == [0, 0, 0, 0, 1]


def test_probes_and_short_runs_have_shares_of_their_own():
    one = given_states({"a": "+", "b": "-"}, [50])
    two = given_states({"a": "-++"}, [0, 10, 50], probe="other")
    table = failing_shares(paradigm_fates(pl.concat([one, two])))
    rows = table.filter(threshold=0.5).select("probe", "checkpoints", "n", "failing").rows()
    assert rows == [("blimp", 1, 2, 1), ("other", 2, 1, 0)]


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the accuracies that BLiMP publishes")
@pytest.mark.parametrize("model", ["ngram", "lstm", "txl", "gpt2"])
def test_the_failing_share_of_published_accuracies_is_a_direct_count(model):
    lines = [json.loads(line) for line in PUBLISHED.read_text().splitlines()]
    published = {line["UID"]: line[model] for line in lines if line["UID"] != "overall"}
    assert len(published) == 67
    rows = [row(accuracy, uid=uid, n=1000) for uid, accuracy in published.items()]
    found = failing_shares(paradigm_fates(pair_states(pairs_table(rows))))
    right = [round(1000 * accuracy) for accuracy in published.values()]
    p = [binomtest(k, 1000).pvalue for k in right]
    decided = multipletests(p, 0.05, method="fdr_bh")[0]
    for threshold, failing in found.select("threshold", "failing").iter_rows():
        passing = [
            k > 500 and k >= 1000 * threshold and sure
            for k, sure in zip(right, decided, strict=True)
        ]
        assert failing == 67 - sum(passing)
    if model == "gpt2":
        assert 0 < found["failing"][0] < found["failing"][-1] < 40


# ---------------------------------------------------------------------------- the script


def test_67_paradigms_and_1000_checkpoints_take_no_time():
    rng = np.random.default_rng(0)
    tokens = np.repeat(np.arange(1000) * 9_830_400, 67)
    accuracy = rng.binomial(1000, 0.6, 67_000) / 1000
    filler = row(0.5)
    table = pl.DataFrame({"tokens": tokens, "accuracy": accuracy}).with_columns(
        uid=pl.Series([f"u{i}" for i in range(67)] * 1000),
        separation=pl.col("accuracy") - 0.5,
        **{key: pl.lit(value) for key, value in filler.items()
           if key not in ("uid", "tokens", "accuracy", "separation")},
    ).cast(minimal_pairs.COLUMNS)  # fmt: skip
    start = time.process_time()
    fates = paradigm_fates(pair_states(table))
    failing_shares(fates)
    assert time.process_time() - start < 5
    assert len(fates) == 67 and set(fates["checkpoints"]) == {999}


def script(folder, table):
    folder.mkdir(exist_ok=True)
    outputs = {name: folder / f"{name}.csv" for name in ("states", "paradigms", "failing")}
    arguments = [word for name, path in outputs.items() for word in (f"--{name}", path)]
    command = [sys.executable, PROJECT / "scripts/stuck.py", "--table", table, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False), outputs


def test_the_script(tmp_path):
    table = tmp_path / "minimal_pairs.csv"
    planted(100, 0).write_csv(table)
    done, outputs = script(tmp_path / "a", table)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    for name, columns in (
        ("states", states.COLUMNS),
        ("paradigms", stuck.PARADIGMS),
        ("failing", stuck.FAILING),
    ):
        assert pl.read_csv(outputs[name]).columns == list(columns)
    assert len(pl.read_csv(outputs["states"])) == 6 * 22
    fates = pl.read_csv(outputs["paradigms"])
    assert fates["uid"].to_list() == fates["fate"].to_list()
    again = script(tmp_path / "b", table)[1]
    assert [p.read_bytes() for p in outputs.values()] == [p.read_bytes() for p in again.values()]
