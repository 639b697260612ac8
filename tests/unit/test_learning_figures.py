"""The figures of regressions and of learning show what is in their tables."""

import warnings

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from ontogeny.figures import style
from ontogeny.figures.coefficients import coefficients_figure
from ontogeny.figures.relative_frequency import relative_frequency_figure
from ontogeny.figures.thresholds import thresholds_figure

FULL = ["genpref_c", "freq_prob_c", "log_total_c", "genpref_c:log_total_c"]
FULL += ["freq_prob_c:log_total_c"]
TOKENS = [0, 300, 4096, 20_000, 3_000_000]
LONG = [0, *(np.arange(1, 1000) * 9_830_400).tolist()]


def regressions(tokens=TOKENS, models=None, probes=("binomials",), seed=0):
    """Estimates with an interval of 0.2 on each side; none of exposure at 0 tokens."""
    models = models or {
        "preference_prior": (["all", "attested", "nonce", "seen"], FULL[:1]),
        "preference_full": (["seen", "both_orders"], FULL),
    }
    rng = np.random.default_rng(seed)
    rows = []
    for probe in probes:
        for model, (sets, terms) in models.items():
            for items in sets:
                for t in [*tokens, None]:  # a row over training has no tokens
                    for term in ["intercept", *terms]:
                        known = t != 0 or term in ("intercept", "genpref_c")
                        estimate = rng.normal() if known else None
                        rows.append(
                            {
                                "run": "opt-s",
                                "probe": probe,
                                "model_name": model,
                                "items": items,
                                "tokens": t,
                                "term": term,
                                "estimate": estimate,
                                "lo": None if estimate is None else estimate - 0.2,
                                "hi": None if estimate is None else estimate + 0.2,
                                "n_items": {"nonce": 60, "both_orders": 84}.get(items, 120),
                            }
                        )
    return pl.DataFrame(rows, schema_overrides={"tokens": pl.Int64}, infer_schema_length=None)


def items(seen=40, unseen=20, probe="binomials", seed=0):
    rng = np.random.default_rng(seed)
    alpha, nonalpha = rng.integers(0, 50, (2, seen)) + 1
    counts = np.stack([np.append(c, np.zeros(unseen, int)) for c in (alpha, nonalpha)])
    ratio = np.log((counts[0] + 0.5) / (counts[1] + 0.5))
    return pl.DataFrame(
        {
            "run": "opt-s",
            "probe": probe,
            "binom": [f"a{i} and b{i}" for i in range(seen + unseen)],
            "alpha_seen": counts[0],
            "nonalpha_seen": counts[1],
            "log_ratio": ratio,
            "preference": 0.5 * ratio + 0.1 * rng.normal(size=seen + unseen),
        }
    )


def learning(bins=8, probe="binomials"):
    exposure = np.append(0, 1.5 * 2.0 ** np.arange(bins - 1))
    correct = expit(-0.3 + 0.5 * np.log(exposure + 1))
    return pl.DataFrame(
        {
            "run": "opt-s",
            "probe": probe,
            "mean_exposure": exposure,
            "n": 50,
            "n_items": np.arange(bins)[::-1] * 10 + 1,
            "correct": correct,
            "correct_lo": correct - 0.1,
            "correct_hi": np.minimum(correct + 0.1, 1),
        }
    )


def thresholds(estimate=15.4, low=8.0, high=40.0, probe="binomials", slope=0.5):
    rows = [("intercept", -0.3, -0.5, -0.1), ("log_exposure", slope, 0.3, 0.7)]
    rows += [("exposure_at_0.6", 2.0, 1.0, 4.0), ("exposure_at_0.75", estimate, low, high)]
    table = pl.DataFrame(rows, schema=["term", "estimate", "lo", "hi"], orient="row")
    both = [table.with_columns(model=pl.lit(m)) for m in ("correct", "correct_at_end")]
    return pl.concat(both).with_columns(
        run=pl.lit("opt-s"), probe=pl.lit(probe), n_items=pl.lit(71)
    )


def drawn(plot, geom):
    """The data of all layers of a geom that have their own."""
    frames = [layer._data for layer in plot.layers if type(layer.geom).__name__ == geom]
    frames = [pl.from_pandas(frame.reset_index(drop=True)) for frame in frames]
    return pl.concat(frames, how="diagonal_relaxed")


# ---------------------------------------------------------------------------- coefficients


@pytest.mark.parametrize("tokens", [TOKENS, LONG, [500], [0], [0, 500]])
def test_a_panel_for_each_term_with_every_checkpoint(tokens):
    table = regressions(tokens)
    plot = coefficients_figure(table)
    points = drawn(plot, "geom_point").with_columns(pl.col("items", "panel").cast(str))
    assert points["panel"].unique(maintain_order=True).sort().to_list() == sorted(
        {
            "human prior alone",
            "human prior",
            "relative exposure",
            "log exposure",
            "human prior\n× log exposure",
            "relative exposure\n× log exposure",
        }
        if tokens != [0]
        else {"human prior alone", "human prior"}
    )
    wanted = table.filter(
        pl.col("tokens").is_not_null(),
        pl.col("estimate").is_not_null(),
        pl.col("term") != "intercept",
        (pl.col("model_name") == "preference_full") | pl.col("items").is_in(["attested", "nonce"]),
    )
    key = ["model_name", "items", "term", "tokens", "estimate"]
    assert sorted(points.select(key).rows()) == sorted(wanted.select(key).rows())
    blank = drawn(plot, "geom_blank")
    assert blank["panel"].n_unique() == 6
    bands = [drawn(plot, geom) for geom in ("geom_ribbon", "geom_linerange")]
    bands = pl.concat(bands, how="diagonal_relaxed")
    assert (bands["hi"] - bands["lo"]).to_list() == pytest.approx([0.4] * len(bands))
    if len(tokens) < 60:
        assert len(bands) == len(points)


def test_without_a_prior_or_exposures_there_are_fewer_panels():
    alone = regressions(models={"preference_prior": (["all"], FULL[:1])})
    points = drawn(coefficients_figure(alone), "geom_point")
    assert set(points["items"].cast(str)) == {"all"}
    model = {"preference_exposure": (["all", "seen"], [FULL[1], FULL[2], FULL[4]])}
    plot = coefficients_figure(regressions(models=model))
    points = drawn(plot, "geom_point")
    assert set(points["items"].cast(str)) == {"seen"}
    assert points["panel"].n_unique() == 3
    with pytest.raises(ValueError, match="none of the models"):
        coefficients_figure(regressions(models={"responses": (["answered"], ["preference_z"])}))


def test_both_orders_are_left_out_where_they_are_all_that_was_seen():
    table = regressions().with_columns(n_items=pl.lit(100))
    assert "both_orders" not in set(
        drawn(coefficients_figure(table), "geom_point")["items"].cast(str)
    )


def test_wide_intervals_are_cut_and_the_caption_says_so():
    table = regressions()
    wide = (pl.col("tokens") == 300) & (pl.col("items") == "seen")
    hi = pl.when(wide).then(1e4).otherwise("hi")
    plot = coefficients_figure(table.with_columns(hi=hi))
    assert drawn(plot, "geom_ribbon")["hi"].max() < 20
    assert "Wide ones are cut." in plot.labels.caption
    assert "cut" not in coefficients_figure(table).labels.caption


# ---------------------------------------------------------------------------- frequency


def test_unseen_items_stand_apart_and_all_items_are_there():
    table = items()
    plot = relative_frequency_figure(table)
    points = drawn(plot, "geom_point")
    assert sorted(points["preference"]) == sorted(table["preference"])
    seen = points.filter(pl.col("alpha_seen") + pl.col("nonalpha_seen") > 0)
    unseen = points.filter(pl.col("alpha_seen") + pl.col("nonalpha_seen") == 0)
    assert seen.sort("binom")["log_ratio"].to_list() == pytest.approx(
        table.head(40).sort("binom")["log_ratio"].to_list()
    )
    assert unseen["log_ratio"].max() < seen["log_ratio"].min()
    assert unseen["log_ratio"].n_unique() == 20
    r = np.corrcoef(table["log_ratio"][:40], table["preference"][:40])[0, 1]
    caption = plot.labels.caption.replace("\n", " ")
    assert f"n = 40 items seen, r = {r:.2f} [" in caption
    assert "20 never seen" in caption
    assert drawn(plot, "geom_smooth")["binom"].n_unique() == 40


@pytest.mark.parametrize(("seen", "unseen"), [(0, 5), (1, 0), (3, 4), (40, 0)])
def test_few_items_have_no_line(seen, unseen):
    plot = relative_frequency_figure(items(seen, unseen))
    geoms = [type(layer.geom).__name__ for layer in plot.layers]
    assert ("geom_smooth" in geoms) == (seen > 3)
    assert ("r = " in plot.labels.caption) == (seen > 3)
    assert len(drawn(plot, "geom_point")) == seen + unseen


# ---------------------------------------------------------------------------- thresholds


def test_the_threshold_is_marked_on_its_curve():
    plot = thresholds_figure(learning(), thresholds())
    mark = drawn(plot, "geom_segment").row(0, named=True)
    assert mark["x"] == pytest.approx(np.log(15.4 + 1))
    assert (mark["low"], mark["high"]) == pytest.approx((np.log(9), np.log(41)))
    curve = drawn(plot, "geom_line")
    assert curve["correct"].to_numpy() == pytest.approx(expit(-0.3 + 0.5 * curve["x"].to_numpy()))
    points = drawn(plot, "geom_linerange")
    assert points["x"].to_list() == pytest.approx(np.log(learning()["mean_exposure"] + 1).to_list())
    caption = plot.labels.caption.replace("\n", " ")
    assert "n = 71 items with a majority order" in caption
    assert "at 75 % after 15.4 exposures [8.0, 40]." in caption


def test_an_open_interval_and_a_threshold_beyond_what_was_seen():
    plot = thresholds_figure(learning(), thresholds(high=None))
    assert drawn(plot, "geom_segment")["high"][0] == pytest.approx(np.log(97))  # the last bin
    assert "∞)." in plot.labels.caption
    plot = thresholds_figure(learning(), thresholds(estimate=5e6, low=200.0, high=None))
    assert not [layer for layer in plot.layers if type(layer.geom).__name__ == "geom_segment"]
    assert "beyond those seen" in plot.labels.caption.replace("\n", " ")


def test_no_threshold_no_curve_no_items():
    none = thresholds(estimate=None, low=None, high=None)
    plot = thresholds_figure(learning(), none)
    assert "no exposure at which" in plot.labels.caption.replace("\n", " ")
    assert len(drawn(plot, "geom_line")) == 200
    nulls = {
        c: pl.lit(None, pl.Float64)
        for c in ("mean_exposure", "correct", "correct_lo", "correct_hi")
    }
    empty = learning(1).with_columns(n=0, n_items=0, **nulls)
    unknown = none.with_columns(estimate=pl.lit(None, pl.Float64), n_items=pl.lit(0))
    plot = thresholds_figure(empty, unknown)
    assert drawn(plot, "geom_linerange").is_empty()


# ---------------------------------------------------------------------------- files


def two(make):
    return pl.concat([make(probe="one"), make(probe="the-other-probe-with-a-long-name")])


FIGURES = {
    "coefficients": lambda: coefficients_figure(regressions()),
    "coefficients, long": lambda: coefficients_figure(regressions(LONG)),
    "coefficients, one checkpoint": lambda: coefficients_figure(regressions([0])),
    "coefficients, probes": lambda: coefficients_figure(regressions(probes=("a", "b" * 40))),
    "frequency": lambda: relative_frequency_figure(items()),
    "frequency, unseen": lambda: relative_frequency_figure(items(0)),
    "frequency, probes": lambda: relative_frequency_figure(two(items)),
    "thresholds": lambda: thresholds_figure(learning(), thresholds()),
    "thresholds, probes": lambda: thresholds_figure(two(learning), two(thresholds)),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_figures_are_drawn_without_warnings(make, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.save_figure(make(), tmp_path / "a.png", tmp_path / "a.svg")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_tables_of_two_runs_are_refused():
    for figure, table in (
        (coefficients_figure, regressions()),
        (relative_frequency_figure, items()),
    ):
        both = pl.concat([table, table.with_columns(run=pl.lit("opt-m"))])
        with pytest.raises(ValueError, match="a figure of one run, but the table has opt-s, opt-m"):
            figure(both, "t.csv")
