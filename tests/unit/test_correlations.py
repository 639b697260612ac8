import math

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from ontogeny.analysis.correlations import COLUMNS, accuracy, correlations, pearson, spearman
from ontogeny.analysis.groups import make_items as with_groups
from ontogeny.analysis.scores import item_preferences
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study.probes import BinomialsProbe

PROBE = BinomialsProbe(
    type="binomials",
    items="items.csv",
    frequency_bins=3,
    references={
        "human": {"column": "GenPref"},
        "relative_frequency": {"column": "RelFreq", "attested_only": True},
    },
)


def make_items(attested=12, nonce=6, seed=0):
    """Items whose frequencies are in no order; nonce items have no relative frequency."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(attested + nonce):
        seen = number < attested
        human, relative = rng.uniform(size=2)
        references = {"human": human, "relative_frequency": relative if seen else None}
        frequency = float(rng.integers(1, 1000)) if seen else 0.0
        items.append(Binomial(f"a{number:03d}", f"b{number:03d}", seen, frequency, references))
    return items


def make_scores(items, steps, prompts=(" ",), seed=1, tokens_per_step=100):
    """A score table in random row order."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "checkpoint": f"step-{step}",
            "step": step,
            "tokens": step * tokens_per_step,
            "prompt": prompt,
            "binom": item.alpha,
            "preference": rng.normal(),
        }
        for step in steps
        for prompt in prompts
        for item in items
    ]
    return pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=seed).lazy()


def table(items, scores, seen=None):
    preferences = item_preferences(scores)
    return correlations(preferences, with_groups(items, PROBE, seen), "opt-s", "binomials")


def one_pearson(x, y):
    """Of one row, as numbers."""
    return {name: float(value[0]) for name, value in pearson(x[None], y).items()}


def one_accuracy(x, y, midpoint):
    return {name: float(value[0]) for name, value in accuracy(x[None], y, midpoint).items()}


def one_row(rows, **keys):
    (row,) = rows.filter(**keys).to_dicts()
    return row


# ---------------------------------------------------------------------------- statistics


@pytest.mark.parametrize(("n", "slope"), [(4, 0.0), (10, -3.0), (131, 0.1), (594, 1.0)])
def test_pearson_is_that_of_scipy_with_its_fisher_interval(n, slope):
    x, noise = np.random.default_rng(n).normal(size=(2, n))
    y = slope * x + noise
    theirs = stats.pearsonr(x, y)
    interval = theirs.confidence_interval(0.95)
    assert one_pearson(x, y) == pytest.approx(
        {"r": theirs.statistic, "r_low": interval.low, "r_high": interval.high}, abs=1e-12
    )


def test_pearson_at_its_limits():
    x = np.arange(6.0)
    assert one_pearson(x, 2 * x + 1) == pytest.approx({"r": 1, "r_low": 1, "r_high": 1})
    assert one_pearson(x, -x)["r"] == pytest.approx(-1)
    for one, other in ((x, np.ones(6)), (np.zeros(6), x), (x[:1], x[:1])):
        assert np.isnan(list(one_pearson(one, other).values())).all()
    three = one_pearson(x[:3], np.array([1.0, 3.0, 2.0]))
    assert three["r"] == pytest.approx(0.5)
    assert np.isnan([three["r_low"], three["r_high"]]).all()


def test_each_row_is_by_itself():
    x, y = np.random.default_rng(0).normal(size=(5, 12)), np.arange(12.0) % 7
    x[3] = 1.0  # constant, beside rows that are not
    x[4] = np.round(x[4])  # ties
    rows = [0, 1, 2, 4]
    expected = [stats.pearsonr(x[row], y).statistic for row in rows]
    assert pearson(x, y)["r"][rows] == pytest.approx(expected)
    assert spearman(x, y)[rows] == pytest.approx([stats.spearmanr(x[row], y)[0] for row in rows])
    assert np.isnan(pearson(x, y)["r"][3]) and np.isnan(spearman(x, y)[3])


def test_accuracy_counts_ties_one_half_and_leaves_out_the_undecided():
    preference = np.array([1.0, -2.0, 0.0, 0.5, 0.0, -9.0])
    reference = np.array([0.9, 0.1, 0.8, 0.2, 0.5, 0.5])
    # right, right, tie, wrong; two at the midpoint
    result = one_accuracy(preference, reference, 0.5)
    assert result["accuracy"] == (1 + 1 + 0.5) / 4
    assert result["accuracy_n"] == 4
    assert one_accuracy(-preference, reference, 0.5)["accuracy"] == 1.5 / 4
    assert one_accuracy(preference, reference - 0.5, 0.0) == result
    nothing = one_accuracy(preference[4:], reference[4:], 0.5)
    assert nothing.pop("accuracy_n") == 0
    assert np.isnan(list(nothing.values())).all()


def test_the_threshold_of_a_log_odds_is_zero():
    preference = np.array([0.2, 0.4, -0.2])
    assert one_accuracy(preference, np.array([0.6, 0.7, 0.1]), 0.5)["accuracy"] == 1.0


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (7, 10), (2.5, 4), (400, 594)])
def test_the_interval_of_accuracy_is_wilsons(right, n):
    x = np.r_[np.ones(math.floor(right)), np.zeros(math.ceil(right % 1))]
    x = np.r_[x, -np.ones(n - len(x))]
    result = one_accuracy(x, np.full(n, 0.9), 0.5)
    z, p = 1.959963984540054, right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert result["accuracy"] == pytest.approx(p)
    assert result["accuracy_low"] == pytest.approx(centre - half, abs=1e-9)
    assert result["accuracy_high"] == pytest.approx(centre + half, abs=1e-9)
    theirs = proportion_confint(right, n, method="wilson")
    assert (result["accuracy_low"], result["accuracy_high"]) == pytest.approx(theirs, abs=1e-9)


# ---------------------------------------------------------------------------- the table


def test_preferences_are_means_over_prompts():
    items = make_items(3, 1)
    scores = make_scores(items, [1, 2], prompts=["a ", "b ", "c "])
    preferences = item_preferences(scores)
    assert preferences.columns == ["checkpoint", "step", "tokens", "binom", "preference"]
    assert len(preferences) == 2 * 4
    for row in preferences.iter_rows(named=True):
        chosen = scores.filter(step=row["step"], binom=row["binom"]).collect()["preference"]
        assert row["preference"] == pytest.approx(sum(chosen) / 3)


def test_checkpoints_are_ordered_by_tokens_and_not_by_name():
    steps = [12, 992, 996, 9_996, 10_944]
    items = make_items()
    names = [f"step-{step}" for step in steps]
    assert sorted(names) != names
    preferences = item_preferences(make_scores(items, steps[::-1]))
    assert preferences["step"].unique(maintain_order=True).to_list() == steps
    rows = table(items, make_scores(items, steps[::-1]))
    assert rows["tokens"].unique(maintain_order=True).to_list() == [100 * step for step in steps]
    assert rows["checkpoint"].unique(maintain_order=True).to_list() == names
    shuffled = preferences.sample(fraction=1, shuffle=True, seed=3)
    again = correlations(shuffled, with_groups(items, PROBE), "opt-s", "binomials")
    assert again.equals(rows)


def test_each_row_is_of_its_group_reference_and_checkpoint():
    items, steps = make_items(), [3, 20]
    scores = make_scores(items, steps, prompts=["a ", "b "])
    rows = table(items, scores)
    assert dict(rows.schema) == COLUMNS
    assert len(rows) == 2 * ((3 + 3) + (2 + 3))  # human: 6 groups; no nonce for the other
    means = scores.group_by("step", "binom").agg(pl.col("preference").mean()).collect()
    for step in steps:
        value = dict(means.filter(step=step).select("binom", "preference").iter_rows())
        for group, members in (("attested", items[:12]), ("nonce", items[12:]), ("all", items)):
            x = [value[item.alpha] for item in members]
            y = [item.references["human"] for item in members]
            row = one_row(rows, step=step, group=group, reference="human")
            assert row["n"] == row["accuracy_n"] == len(members)
            assert row["r"] == pytest.approx(stats.pearsonr(x, y).statistic)
            assert row["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
            right = [(a > 0) == (b > 0.5) for a, b in zip(x, y, strict=True)]
            assert row["accuracy"] == pytest.approx(sum(right) / len(right))
            assert row["tie_rate"] == 0
            assert (row["run"], row["probe"]) == ("opt-s", "binomials")
            assert row["tokens"] == 100 * step


def test_a_reference_for_attested_items_has_no_nonce_rows():
    rows = table(make_items(), make_scores(make_items(), [1]))
    chosen = rows.filter(reference="relative_frequency")
    assert "nonce" not in chosen["group"].to_list()
    assert one_row(chosen, group="all")["n"] == one_row(chosen, group="attested")["n"] == 12
    assert one_row(rows, group="nonce", reference="human")["n"] == 6


def test_exposure_adds_groups_and_a_reference_of_the_same_items_at_every_checkpoint():
    items = make_items()
    seen = np.zeros((18, 2), dtype=int)
    seen[4:14] = np.random.default_rng(2).integers(1, 9, size=(10, 2))  # 2 of them nonce
    scores = make_scores(items, [0, 1, 50])
    rows = table(items, scores, seen)
    assert one_row(rows, step=50, group="seen", reference="human")["n"] == 10
    assert one_row(rows, step=50, group="unseen", reference="human")["n"] == 8
    counts = rows.filter(reference="relative_exposure").group_by("group").agg(pl.col("n").unique())
    assert {group: n for group, (n,) in counts.iter_rows()} == {
        **{"all": 10, "attested": 8, "nonce": 2, "seen": 10},
        **{f"attested-{i}of3": n for i, n in zip((1, 2, 3), bins_of(items, seen), strict=True)},
        **{f"seen-{i}of5": 2 for i in range(1, 6)},
    }
    value = dict(item_preferences(scores).filter(step=50).select("binom", "preference").iter_rows())
    x = [value[item.alpha] for item in items[4:14]]
    expected = stats.pearsonr(x, seen[4:14, 0] / seen[4:14].sum(axis=1)).statistic
    row = one_row(rows, step=50, group="seen", reference="relative_exposure")
    assert row["r"] == pytest.approx(expected)
    others = rows.filter(pl.col("reference") != "relative_exposure")
    others = others.filter(~pl.col("group").str.contains("seen"))
    assert others.equals(table(items, scores))


def bins_of(items, seen):
    """How many items of each third by frequency the run has seen."""
    order = sorted(range(12), key=lambda i: items[i].frequency)
    return [sum(bool(seen[i].sum()) for i in order[k : k + 4]) for k in (0, 4, 8)]


def test_constant_preferences_have_no_correlation_but_ties():
    items = make_items()
    scores = make_scores(items, [0]).with_columns(preference=pl.lit(0.0))
    for row in table(items, scores).to_dicts():
        assert [row[key] for key in ("r", "r_low", "r_high", "spearman")] == [None] * 4
        assert (row["accuracy"], row["tie_rate"]) == (0.5, 1.0)


def test_a_missing_item_is_an_error_that_names_it():
    items = make_items()
    scores = make_scores(items, [1, 2])
    hole = ~((pl.col("step") == 2) & (pl.col("binom") == items[4].alpha))
    with pytest.raises(
        ValueError, match=r"run 'opt-s', step-2: no preference for 1 items.*a004 and b"
    ):
        table(items, scores.filter(hole))


@pytest.mark.parametrize("value", [math.nan, -math.inf, None])
def test_a_score_that_is_no_number_is_an_error(value):
    items = make_items()
    bad = pl.when(pl.col("binom") == items[4].alpha).then(pl.lit(value, pl.Float64))
    scores = make_scores(items, [1]).with_columns(preference=bad.otherwise("preference"))
    with pytest.raises(ValueError, match=r"no preference for 1 items.*a004 and b"):
        table(items, scores)


def test_the_order_of_items_and_others_in_the_scores_change_nothing():
    items = make_items()
    scores = make_scores(items, [1])
    other = make_scores(make_items(20, 6)[18:], [1], seed=5).with_columns(
        binom=pl.col("binom") + pl.lit("x")
    )
    expected = table(items, scores)
    assert table(items, pl.concat([other, scores])).equals(expected)
    turned = table(items[::-1], scores).sort("group", "reference")
    for key in ("r", "spearman", "accuracy", "n"):
        assert turned[key].to_list() == pytest.approx(
            expected.sort("group", "reference")[key].to_list()
        )


def test_items_without_any_reference_are_an_error():
    items = [Binomial(f"a{i}", f"b{i}", False, None, {"human": None}) for i in range(5)]
    with pytest.raises(ValueError, match="probe 'p': no reference is defined for any"):
        correlations(*defined_nowhere(items), "r", "p")


def defined_nowhere(items):
    probe = BinomialsProbe(
        type="binomials", items="x", references={"human": {"column": "H"}}, frequency_bins=0
    )
    preferences = pl.DataFrame(
        {"checkpoint": "step-00000001", "step": 1, "tokens": 9, "preference": 1.0}
    ).join(pl.DataFrame({"binom": [item.alpha for item in items]}), how="cross")
    return preferences, with_groups(items, probe)
