"""Tests of the Bigram Hypothesis, on worlds where it is true by design and where it is not."""

import math
import statistics
import warnings

import numpy as np
import polars as pl
import pytest
import scipy.stats
import statsmodels.formula.api as smf

from ontogeny.analysis import bigram_hypothesis as hypothesis
from ontogeny.analysis import bigram_tests
from ontogeny.analysis.bigram_tests import (
    area_under_curve,
    rank_correlation,
    slopes_within_classes,
)
from ontogeny.figures.bigrams import bigrams_figure
from ontogeny.figures.style import save_figure
from ontogeny.study.schedule import reported_steps

STEPS = [0, 1, 5, 10, 50, 100]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(bigram_tests, "DRAWS", 80)


def world(drive, classes=40, pairs=50, seed=0, noise=1.0, slope_sd=0.0, steps=STEPS):
    """Pairs at every checkpoint, and the preferences of a model that follows bigrams with slope
    `drive` (and differs in it between classes)."""
    rng = np.random.default_rng(seed)
    n = classes * pairs
    uid = np.repeat([f"class_{number:02d}" for number in range(classes)], pairs)
    bigram = np.repeat(rng.normal(0, 1, classes), pairs) + rng.normal(0, 1, n)
    unigram = 0.4 * bigram + rng.normal(0, 1, n)
    length = rng.integers(-1, 2, n)
    slope = np.repeat(drive + slope_sd * rng.normal(0, 1, classes), pairs)
    model = slope * bigram + 0.3 * length + noise * rng.normal(0, 1, n)
    tables, preferences = [], []
    for step in steps:
        key = {"run": "r", "probe": "p", "checkpoint": f"step-{step}", "step": step}
        key |= {"tokens": 1000 * step, "uid": uid, "pair_id": [str(i) for i in range(n)]}
        tables.append(
            pl.DataFrame(
                {
                    **key,
                    "bigram_difference": bigram * (step > 0),
                    "unigram_difference": unigram * (step > 0),
                    "length_difference": length,
                },
                schema_overrides=hypothesis.PAIRS,
            )
        )
        preferences.append(
            pl.DataFrame({**{k: key[k] for k in ("tokens", "uid", "pair_id")}, "preference": model})
        )
    return pl.concat(tables), pl.concat(preferences)


def paradigms(pairs, preferences):
    """The table of paradigms, from score tables as the other scripts make them."""
    return hypothesis.bigram_paradigms(*tables_of(pairs, preferences))


def tables_of(pairs, preferences):
    """Fates, the model's and the bigrams' statistics of each paradigm."""
    per_checkpoint = [part for _, part in pairs.group_by("tokens", maintain_order=True)]
    bigrams = pl.concat([hypothesis.class_statistics(part) for part in per_checkpoint])
    scores = pairs.join(preferences, on=["tokens", "uid", "pair_id"])
    d = pl.col("preference")
    model = scores.group_by("probe", "uid", "tokens", maintain_order=True).agg(
        accuracy=(d > 0).mean(), accuracy_low=pl.lit(0.0), accuracy_high=pl.lit(1.0),
        mean_difference=d.mean(), separation=d.mean() / d.std(),
    )  # fmt: skip
    end = model.filter(tokens=model["tokens"].max())
    wrong = end["accuracy"] < 0.5
    fates = end.select(
        "probe", "uid", run=pl.lit("r"), phenomenon=pl.lit("x"), n=pl.lit(50),
        fate=pl.when(wrong).then(pl.lit("entrenched")).otherwise(pl.lit("learned")),
        entrenched=wrong, onset_share=pl.when(wrong).then(0.05),
        depth=pl.lit(-1.0), depth_low=pl.lit(-1.5), depth_high=pl.lit(-0.5),
    )  # fmt: skip
    return fates, model, bigrams


def found(tests, **where):
    return tests.filter(**where).row(0, named=True)


# ---------------------------------------------------------------------------- the whole


def test_a_model_that_follows_bigrams_is_found_out():
    pairs, preferences = world(0.8)
    table = paradigms(pairs, preferences)
    between = hypothesis.between_paradigms(table)
    for test in ("early_error", "entrenched"):
        row = found(between, test=test, predictor="bigram")
        assert row["value"] > 0.95 and row["p"] < 0.001 and row["low"] > 0.8
        assert row["n"] == 40 and row["positives"] == table["entrenched"].sum() > 5
    for test, tokens in (("early_separation", 10_000), ("end_separation", 100_000)):
        row = found(between, test=test, predictor="bigram", statistic="spearman")
        assert row["value"] > 0.9 and row["p"] < 1e-6 and row["tokens"] == tokens
    within = hypothesis.within_paradigms(pairs.filter(pl.col("step") > 0), preferences)
    for test in ("early_pairs", "end_pairs", "pooled_pairs"):
        row = found(within, test=test, predictor="bigram")
        assert row["low"] < 0.8 < row["high"] and row["high"] - row["low"] < 0.2
        row = found(within, test=test, predictor="length")
        assert row["low"] < 0.3 < row["high"]
        row = found(within, test=test, predictor="unigram")
        assert row["low"] < 0 < row["high"]
    change = found(within, test="pooled_pairs", predictor=hypothesis.CHANGE)
    assert change["value"] == pytest.approx(0, abs=1e-9)
    assert found(within, test="end_pairs")["n"] == 2000
    assert found(within, test="pooled_pairs")["n"] == 2000 * 5


def test_a_slope_that_grows_with_the_logarithm_of_tokens_is_found():
    """0.9 nats a nat at the end, 0.25 less for each decade before it; bigrams and preferences of a
    class also drift apart from checkpoint to checkpoint, which says nothing of its pairs."""
    pairs, _ = world(0, steps=[1, 10, 100])
    rng = np.random.default_rng(4)
    drift = np.repeat(rng.normal(0, 5, 3 * 40), 50)
    bigram = pairs["bigram_difference"] + drift
    slope = 0.9 + 0.25 * (pairs["tokens"] / 100_000).log10()
    preference = slope * pairs["bigram_difference"] - drift + rng.normal(0, 0.5, len(pairs))
    preferences = pairs.select("tokens", "uid", "pair_id").with_columns(preference=preference)
    pairs = pairs.with_columns(bigram_difference=bigram)
    tests = hypothesis.within_paradigms(pairs, preferences)
    for predictor, planted in (("bigram", 0.9), (hypothesis.CHANGE, 0.25)):
        row = found(tests, test="pooled_pairs", predictor=predictor)
        assert row["low"] < planted < row["high"] and row["high"] - row["low"] < 0.1
    row = found(tests, test="early_pairs", predictor="bigram")
    assert row["tokens"] == 10_000 and row["low"] < 0.65 < row["high"]


def test_where_there_is_no_relation_p_is_below_05_in_5_percent_of_worlds(monkeypatch):
    monkeypatch.setattr(bigram_tests, "PERMUTATIONS", 400)
    rng = np.random.default_rng(0)
    tests = {"spearman": [], "kendall": [], "auc": [], "slope": []}
    for seed in range(200):
        x, y = rng.normal(size=(2, 40))
        monkeypatch.setattr(bigram_tests, "DRAWS", 2)
        for statistic in ("spearman", "kendall"):
            tests[statistic].append(rank_correlation(x, y, statistic)["p"])
        outcomes = rng.permutation(np.arange(40) < 12)
        tests["auc"].append(area_under_curve(np.round(x, 1), outcomes)["p"])
        pairs, preferences = world(0.0, classes=20, pairs=20, seed=seed, slope_sd=0.5, steps=[1])
        table = pairs.join(preferences, on=["tokens", "uid", "pair_id"])
        tests["slope"].append(
            slopes_within_classes(table, ["bigram_difference"])["bigram_difference"]["p"]
        )
    for name, p in tests.items():
        assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.1, name  # 2 to 20 of 200


# ---------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_the_interval_of_a_rank_correlation_covers_the_planted_one(rho):
    """Spearman's of a bivariate normal is 6/pi asin(r/2), Kendall's 2/pi asin(r)."""
    rng = np.random.default_rng(1)
    planted = {
        "spearman": 6 / math.pi * math.asin(rho / 2),
        "kendall": 2 / math.pi * math.asin(rho),
    }
    covered = dict.fromkeys(planted, 0)
    for _ in range(30):
        x, y = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 67).T
        for statistic, value in planted.items():
            row = rank_correlation(x, y, statistic)
            covered[statistic] += row["low"] <= value <= row["high"]
    assert min(covered.values()) >= 25  # of 30; 28.5 are expected


def test_ranks_are_all_that_counts():
    x = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    row = rank_correlation(x, np.exp(x), "spearman")
    assert row["value"] == pytest.approx(1) and row["low"] == pytest.approx(1) and row["n"] == 6
    concordant = {(i, j) for i in range(6) for j in range(i) if (x[i] - x[j]) * (i - j) > 0}
    kendall = (2 * len(concordant) - 15) / 15
    assert rank_correlation(x, np.arange(6.0), "kendall")["value"] == pytest.approx(kendall)


@pytest.mark.parametrize("statistic", ["spearman", "kendall"])
def test_a_constant_or_three_values_have_no_rank_correlation(statistic):
    for x in (np.ones(8), np.array([1.0, 2.0, 3.0]), np.zeros(0)):
        row = rank_correlation(x, np.arange(float(len(x))), statistic)
        assert row == {"value": None, "low": None, "high": None, "p": None, "n": len(x)}


@pytest.mark.parametrize("seed", range(5))
def test_an_area_is_that_of_all_pairs_of_outcomes(seed):
    rng = np.random.default_rng(seed)
    scores, outcomes = rng.integers(0, 6, 30) / 5, rng.random(30) < 0.3
    wins = [(a > b) + 0.5 * (a == b) for a in scores[outcomes] for b in scores[~outcomes]]
    row = area_under_curve(scores, outcomes)
    assert row["value"] == pytest.approx(statistics.fmean(wins))
    assert row["low"] < row["value"] < row["high"]
    mirrored = area_under_curve(-scores, outcomes)
    for name, other in (("value", "value"), ("low", "high"), ("high", "low")):
        assert mirrored[name] == pytest.approx(1 - row[other])
    assert mirrored["p"] == row["p"]


def test_the_p_of_an_area_is_that_of_all_permutations():
    """4 of 8: 70 ways to choose them."""
    scores = np.array([8, 7, 6, 4, 5, 3, 2, 1.0])
    outcomes = np.arange(8) < 4
    row = area_under_curve(scores, outcomes)
    assert row["value"] == 15 / 16
    # rank sums of four of 1..8 that are as far from 18: 10, 11, 25 and 26, in one way each
    assert row["p"] == pytest.approx(4 / 70, abs=0.01)


def test_an_area_of_1_from_few_is_no_certainty():
    row = area_under_curve(np.arange(9.0), np.arange(9) == 8)
    assert row["value"] == row["high"] == 1 and 0.2 < row["low"] < 0.6
    assert row["p"] == pytest.approx(2 / 9, abs=0.02)
    row = area_under_curve(np.arange(67.0), np.arange(67) >= 47)
    assert row["low"] > 0.9 and row["p"] == pytest.approx(1e-4, rel=0.01)


def test_the_interval_of_an_area_covers_the_planted_one():
    """Scores of positives are higher by 1.19 standard deviations: area .80."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(300):
        scores = rng.normal(size=45)
        outcomes = np.arange(45) < 15
        scores[outcomes] += 2**0.5 * statistics.NormalDist().inv_cdf(0.8)
        low, high = bigram_tests._area_interval(area_of(scores, outcomes), 15, 30)
        covered += low <= 0.8 <= high
    assert 275 <= covered <= 297  # 285 are expected


def area_of(scores, outcomes):
    return (scores[outcomes][:, None] > scores[~outcomes][None]).mean()


def test_without_both_outcomes_there_is_no_area():
    for outcomes in (np.zeros(5, bool), np.ones(5, bool), np.zeros(0, bool)):
        row = area_under_curve(np.arange(float(len(outcomes))), outcomes)
        assert {row[name] for name in ("value", "low", "high", "p")} == {None}
        assert (row["n"], row["positives"]) == (len(outcomes), outcomes.sum())


TERMS = ["bigram_difference", "unigram_difference", "length_difference"]


def test_slopes_are_those_of_a_regression_with_an_intercept_for_each_class():
    pairs, preferences = world(0.5, classes=8, pairs=15, slope_sd=0.2, steps=[1])
    table = pairs.join(preferences, on=["tokens", "uid", "pair_id"])
    fit = smf.ols("preference ~ " + " + ".join(TERMS) + " + C(uid)", table.to_pandas()).fit()
    slopes = slopes_within_classes(table, TERMS)
    without = [
        smf.ols(fit.model.formula, table.filter(pl.col("uid") != uid).to_pandas()).fit().params
        for uid in table["uid"].unique()
    ]
    for term in TERMS:
        row, slope = slopes[term], fit.params[term]
        error = math.sqrt(math.fsum((other[term] - slope) ** 2 for other in without))
        assert row["value"] == pytest.approx(slope)
        assert row["high"] - row["value"] == pytest.approx(2.364624 * error, rel=1e-5)
        assert row["value"] - row["low"] == pytest.approx(2.364624 * error, rel=1e-5)
        half = scipy.stats.t(7).ppf(1 - row["p"] / 2) * error  # at which the interval ends at 0
        assert half == pytest.approx(abs(slope), rel=1e-6)
        assert row["n"] == 120


@pytest.mark.parametrize(("classes", "least"), [(9, 85), (40, 89)])
def test_the_interval_of_a_slope_covers_the_planted_one_where_classes_differ(classes, least):
    """In their slopes, and in how much bigrams tell their pairs apart."""
    covered = 0
    for seed in range(100):
        pairs, _ = world(0.8, classes, 20, seed=seed, steps=[1])
        rng = np.random.default_rng([seed, 1])
        spread = np.repeat(np.exp(0.7 * rng.normal(size=classes)), 20)
        slope = np.repeat(0.8 + 0.3 * rng.normal(size=classes), 20)
        table = pairs.with_columns(pl.col("bigram_difference") * spread)
        preference = slope * table["bigram_difference"] + rng.normal(size=len(pairs))
        row = slopes_within_classes(table.with_columns(preference=preference), TERMS)
        row = row["bigram_difference"]
        covered += row["low"] <= 0.8 <= row["high"]
    assert covered >= least  # of 100; errors clustered in the usual way cover some 75


def test_a_term_that_does_not_vary_within_classes_has_no_slope():
    pairs, preferences = world(0.8, classes=6, steps=[1])
    table = pairs.join(preferences, on=["tokens", "uid", "pair_id"])
    whole = slopes_within_classes(table, TERMS[:2])
    nothing = {"value": None, "low": None, "high": None, "p": None, "n": 300}
    of_class = pl.col("uid").str.tail(2).cast(pl.Int64)
    for constant in (pl.lit(0), of_class):
        slopes = slopes_within_classes(table.with_columns(length_difference=constant), TERMS)
        assert slopes["length_difference"] == nothing
        for term in TERMS[:2]:
            assert slopes[term] == pytest.approx(whole[term])
    twice = table.with_columns(unigram_difference=2 * pl.col("bigram_difference"))
    assert slopes_within_classes(twice, TERMS) == dict.fromkeys(TERMS, nothing)
    assert slopes_within_classes(table.head(0), TERMS) == dict.fromkeys(TERMS, nothing | {"n": 0})


def test_a_term_that_varies_in_one_class_has_no_interval():
    pairs, preferences = world(0.8, classes=6, steps=[1])
    table = pairs.join(preferences, on=["tokens", "uid", "pair_id"])
    first = pl.col("uid") == "class_00"
    slopes = slopes_within_classes(
        table.with_columns(pl.when(first).then("length_difference").otherwise(0)), TERMS
    )
    assert slopes["length_difference"]["value"] is not None
    assert slopes["length_difference"]["low"] is slopes["length_difference"]["p"] is None
    assert slopes["bigram_difference"]["low"] < 0.8 < slopes["bigram_difference"]["high"]


def test_one_class_has_slopes_without_intervals():
    pairs, preferences = world(0.8, classes=1, pairs=200, noise=0.01, steps=[1])
    table = pairs.join(preferences, on=["tokens", "uid", "pair_id"])
    row = slopes_within_classes(table, TERMS)["bigram_difference"]
    assert row["value"] == pytest.approx(0.8, abs=0.01)
    assert row["low"] is row["high"] is row["p"] is None


# ---------------------------------------------------------------------------- tables


def test_pairs_are_reported_at_some_checkpoints():
    assert reported_steps([0, 1, 2, 5, 9, 11, 40, 100]) == [1, 2, 9, 11, 100]
    assert reported_steps([0, 50, 100]) == [100]
    assert reported_steps([0, 1]) == [1]
    assert reported_steps([0, 10, 100]) == [10, 100]


def test_statistics_of_classes_are_those_of_their_pairs():
    pairs, _ = world(0.0, classes=3, pairs=10, steps=[1])
    pairs = pairs.with_columns(
        bigram_difference=pl.when(pl.int_range(pl.len()) % 5 == 0)
        .then(0.0)
        .otherwise("bigram_difference")
    )
    table = hypothesis.class_statistics(pairs)
    assert table.columns == list(hypothesis.CLASSES)
    assert table["uid"].to_list() == ["all", "class_00", "class_01", "class_02"]
    for row in table.iter_rows(named=True):
        part = pairs if row["uid"] == "all" else pairs.filter(uid=row["uid"])
        assert row["n"] == len(part)
        for predictor in ("bigram", "unigram"):
            values = part[f"{predictor}_difference"].to_list()
            accuracy = statistics.fmean((v > 0) + 0.5 * (v == 0) for v in values)
            mean, sd = statistics.fmean(values), statistics.stdev(values)
            assert row[f"{predictor}_accuracy"] == pytest.approx(accuracy)
            assert row[f"{predictor}_mean_difference"] == pytest.approx(mean, abs=1e-8)
            assert row[f"{predictor}_separation"] == pytest.approx(mean / sd, abs=1e-7)
        assert row["bigram_tie_rate"] == 0.2
        assert row["length_difference"] == pytest.approx(part["length_difference"].mean())


def test_paradigms_hold_the_early_and_the_last_checkpoint():
    pairs, preferences = world(0.8, classes=5)
    preferences = preferences.with_columns(preference=pl.col("preference") + pl.col("tokens") / 1e5)
    table = paradigms(pairs, preferences)
    assert table.columns == list(hypothesis.PARADIGMS)
    assert table["early_tokens"].to_list() == [10_000] * 5  # a tenth of the tokens
    assert table["end_tokens"].to_list() == [100_000] * 5
    for when, tokens in (("early", 10_000), ("end", 100_000)):
        for row in table.iter_rows(named=True):
            d = preferences.filter(tokens=tokens, uid=row["uid"])["preference"]
            separation = d.mean() / d.std()
            half = 1.959964 * math.sqrt((1 + separation**2 / 2) / 50)
            assert row[f"{when}_separation"] == pytest.approx(separation)
            assert row[f"{when}_separation_low"] == pytest.approx(separation - half)
            assert row[f"{when}_separation_high"] == pytest.approx(separation + half)
            assert row[f"{when}_accuracy"] == pytest.approx((d > 0).mean())


def test_a_run_without_an_early_checkpoint_has_no_early_statistics():
    pairs, preferences = world(0.8, steps=[0, 50, 100])
    table = paradigms(pairs, preferences)
    assert table.select(pl.col("^early_[^e].*$")).null_count().sum_horizontal().item() == 40 * 15
    tests = pl.concat(
        [
            hypothesis.between_paradigms(table),
            hypothesis.within_paradigms(pairs.filter(pl.col("step") > 0), preferences),
        ]
    )
    early = tests.filter(pl.col("test").is_in(["early_error", "entrenched"])
                         | pl.col("test").str.starts_with("early"))  # fmt: skip
    assert early.select("tokens", "value", "low", "high", "p").null_count().row(0) == (11,) * 5
    assert found(tests, test="end_separation", predictor="bigram")["value"] > 0.9


def test_one_checkpoint_is_its_own_end():
    pairs, preferences = world(0.8, steps=[100])
    tests = hypothesis.within_paradigms(pairs, preferences)
    bigram = tests.filter(predictor="bigram")["value"].to_list()
    assert bigram[0] is None and bigram[1] == pytest.approx(bigram[2])
    assert found(tests, predictor=hypothesis.CHANGE)["value"] is None


def test_a_pair_without_a_score_is_an_error_in_one_line():
    pairs, preferences = world(0.8, classes=2, steps=[1])
    with pytest.raises(
        ValueError, match=r"run 'r', step-1: no score of pair '99' of uid 'class_01'"
    ):
        hypothesis.within_paradigms(pairs, preferences.head(99))


def test_a_paradigm_that_bigrams_or_model_lack_is_named():
    pairs, preferences = world(0.8, classes=3)
    tables = tables_of(pairs, preferences)
    for place in (1, 2):
        cut = [t.filter(pl.col("uid") != "class_02") if i == place else t
               for i, t in enumerate(tables)]  # fmt: skip
        with pytest.raises(ValueError, match=r"run 'r', probe '.*at which both have .* 'class_02'"):
            hypothesis.bigram_paradigms(*cut)
    with pytest.raises(ValueError, match="there are no paradigms"):
        hypothesis.bigram_paradigms(tables[0].head(0), *tables[1:])


# ---------------------------------------------------------------------------- the figure


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(plot, geom):
    frames = [layer._data for layer in plot.layers if type(layer.geom).__name__ == geom]
    return pl.concat([pl.from_pandas(frame) for frame in frames], how="diagonal_relaxed")


def figure(tmp_path, table):
    plot = bigrams_figure(table, hypothesis.between_paradigms(table))
    save_figure(plot, tmp_path / "a.png", tmp_path / "a.svg")
    return plot, (tmp_path / "a.svg").read_text()


def test_every_paradigm_is_drawn_early_and_at_the_end(tmp_path, no_warnings):
    table = paradigms(*world(0.8))
    plot, text = figure(tmp_path, table)
    shown = pl.from_pandas(plot.data)
    for when, panel in (("early", "early: 10k tokens"), ("end", "at the end: 100k tokens")):
        part = shown.filter(pl.col("panel").cast(str).str.starts_with(panel))
        assert part["uid"].to_list() == table["uid"].to_list()
        assert part["bigram"].to_list() == table[f"{when}_bigram_separation"].to_list()
        assert part["model"].to_list() == table[f"{when}_separation"].to_list()
        assert part["panel"].cast(str).str.contains(r"Spearman's ρ = 0\.\d\d \[.*\], n = 40").all()
    named = set(drawn(plot, "geom_text")["uid"])
    lowest = table.sort("end_separation")["uid"].head(6)
    assert named == set(lowest) and lowest[0].replace("_", " ") in text


@pytest.mark.parametrize("steps", [[0, 50, 100], [100]])
def test_without_an_early_checkpoint_there_is_one_panel(tmp_path, no_warnings, steps):
    plot, _ = figure(tmp_path, paradigms(*world(0.8, steps=steps)))
    assert plot.data["panel"].nunique() == 1 and len(plot.data) == 40


def test_two_probes_have_panels_of_their_own(tmp_path, no_warnings):
    tables = [paradigms(*world(0.8, seed=seed)) for seed in (0, 1)]
    tables[1] = tables[1].with_columns(probe=pl.lit("q"))
    tests = pl.concat(map(hypothesis.between_paradigms, tables))
    plot = bigrams_figure(pl.concat(tables), tests)
    save_figure(plot, tmp_path / "a.png", tmp_path / "a.svg")
    assert plot.data["panel"].nunique() == 4
    assert len(plot.data) == 4 * 40


def test_a_table_without_separations_is_an_error():
    table = paradigms(*world(0.8, classes=2))
    null = pl.lit(None, pl.Float64)
    table = table.with_columns(early_separation=null, end_separation=null)
    with pytest.raises(ValueError, match="no paradigm has the separation of bigrams"):
        bigrams_figure(table, hypothesis.between_paradigms(table))
