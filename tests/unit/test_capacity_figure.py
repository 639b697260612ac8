"""The figures of capacity show what is in their tables."""

import warnings

import polars as pl
import pytest
from capacity_tables import CORPORA, SIZES, made_up_study

from ontogeny.figures import style
from ontogeny.figures.capacity import capacity_figure, series_looks, set_series
from ontogeny.figures.capacity_curves import ABOVE, capacity_curves_figure

STEPS = range(0, 1_001, 50)


@pytest.fixture(scope="module")
def study():
    return made_up_study(steps=STEPS, seeds=2)


def on(table, corpus):
    return table.filter(pl.col("corpus") == corpus)


def layers(plot):
    """The data of the layers, by their geom."""
    frames = {}
    for layer in plot.layers:
        frame = pl.from_pandas(layer._data.reset_index(drop=True).astype({"row": str}))
        frames.setdefault(type(layer.geom).__name__, []).append(frame)
    return frames


def text(plot):
    return plot.labels.caption.replace("\n", " ")


def draws(plot, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.save_figure(plot, tmp_path / "a.png", tmp_path / "a.svg")
    assert (tmp_path / "a.png").stat().st_size > 5_000


# ---------------------------------------------------------------------------- over training


def test_lines_are_means_over_seeds_and_bands_their_range(study):
    table = on(study[1], "both")
    found = layers(capacity_curves_figure(table))
    (lines,), (bands,) = found["geom_line"], found["geom_ribbon"]
    drawn = table.filter(pl.col("class").ne_missing("all") | (pl.col("probe") == "capitals"))
    drawn = drawn.filter(pl.col("n").is_null() | (pl.col("n") > 10))
    key = ["family", "time", "series"]
    series = pl.coalesce(
        pl.when(pl.col("statistic") == "loss").then(
            pl.format("training loss, weight decay {}", pl.col("weight_decay").cast(str))
        ),
        pl.when(pl.col("class") == "all").then("probe"),
        "class",
    ).str.replace(".0", "", literal=True)
    expected = (
        drawn.with_columns(series=series, time="step")
        .group_by(key)
        .agg(mean=pl.col("value").mean(), low=pl.col("value").min(), high=pl.col("value").max())
    )
    lines = lines.with_columns(pl.col("series").cast(str))
    joined = lines.join(expected, on=key, suffix="_expected")
    assert len(joined) == len(expected)
    for name in ("mean", "low", "high"):
        assert joined[name].to_list() == pytest.approx(joined[f"{name}_expected"].to_list())
    assert len(bands) == len(joined)
    assert (joined["low"] < joined["high"]).any()


def test_sets_of_few_items_are_running_means_without_a_band(study):
    """Of 60 checkpoints over 3; the mean of two seeds over these."""
    table = made_up_study(("arithmetic",), ("n14",), (0.0,), 2, steps=range(0, 600, 10))[1]
    plot = capacity_curves_figure(table)
    found = layers(plot)
    (lines,), (bands,) = found["geom_line"], found["geom_ribbon"]
    assert not any("withheld" in key for key in bands["key"].unique())
    drawn = lines.filter(pl.col("series").cast(str) == "addition withheld").sort("time")
    raw = (
        table.filter(pl.col("class") == "addition withheld")
        .group_by("step")
        .agg(pl.col("value").mean())
    )
    raw = raw.sort("step")["value"].to_list()
    expected = [
        sum(raw[max(0, i - 1) : i + 2]) / len(raw[max(0, i - 1) : i + 2]) for i in range(60)
    ]
    assert drawn["mean"].to_list() == pytest.approx(expected)
    assert "Of fewer than 10 items: running mean over 3 checkpoints, no band." in text(plot)
    few = made_up_study(("arithmetic",), ("n14",), (0.0,), 1, steps=range(0, 200, 10))[1]
    assert "running mean" not in text(capacity_curves_figure(few))


def test_dots_are_the_checkpoints_at_which_all_items_are_right(study):
    table = on(study[1], "capitals")
    plot = capacity_curves_figure(table)
    dots = layers(plot)["geom_point"][-1]
    perfect = table.filter(pl.col("statistic") == "accuracy", pl.col("value") == 1)
    seeds = pl.col("seed").rank("dense").over("family")
    height = 1 + ABOVE * seeds / 2
    expected = perfect.select(time="step", mean=height).sort("time", "mean")
    dots = dots.sort("time", "mean")
    for name in ("time", "mean"):
        assert dots[name].to_list() == pytest.approx(expected[name].to_list())
    assert "Red dots: checkpoints at which all items are right, a row for each seed." in text(plot)
    assert len(perfect) > 0


def test_dots_need_all_probes():
    """Sums are all right at some checkpoints and capitals at others: there is no dot."""
    table = made_up_study(("both",), ("n28",), (0.0,), 1, steps=[0, 10, 20])[1]
    accuracy = (pl.col("statistic") == "accuracy") & (pl.col("class") == "all")
    right = (pl.col("probe") == "capitals") & (pl.col("step") == 10)
    right |= (pl.col("probe") == "arithmetic") & (pl.col("step") == 20)
    planted = table.with_columns(
        value=pl.when(accuracy & right).then(1.0).when(accuracy).then(0.5).otherwise("value")
    )
    plot = capacity_curves_figure(planted)
    assert layers(plot)["geom_point"][-1].is_empty()
    assert "Red dots" not in text(plot)
    both = planted.with_columns(value=pl.when(accuracy).then(1.0).otherwise("value"))
    dots = layers(capacity_curves_figure(both))["geom_point"][-1]
    assert dots["time"].to_list() == [0, 10, 20]


def test_columns_are_ordered_by_size_and_rows_by_weight_decay(study):
    plot = capacity_curves_figure(on(study[1], "arithmetic").reverse())
    frame = plot.layers[0]._data
    assert [name.split("\n") for name in frame["column"].cat.categories] == [
        [name, f"{size:,} parameters"] for name, size in SIZES.items()
    ]
    assert list(frame["row"].cat.categories) == [
        "accuracy\nweight decay 0",
        "accuracy\nweight decay 0.1",
        "training loss\n(nats)",
    ]
    one = on(study[1], "arithmetic").filter(pl.col("weight_decay") == 0)
    frame = capacity_curves_figure(one).layers[0]._data
    assert list(frame["row"].cat.categories) == ["accuracy", "training loss\n(nats)"]


def test_time_is_steps_only_where_all_runs_have_as_many_tokens_in_one(study):
    table = on(study[1], "capitals")
    assert capacity_curves_figure(table).labels.x == "training step"
    twice = pl.when(pl.col("architecture") == "n14").then(2).otherwise(1)
    plot = capacity_curves_figure(table.with_columns(tokens=pl.col("tokens") * twice))
    assert plot.labels.x == "training tokens"
    assert layers(plot)["geom_line"][0]["time"].max() == 2 * table["tokens"].max()


@pytest.mark.parametrize(
    ("corpus", "sizes", "decays", "seeds", "steps"),
    [
        ("both", ["n14", "n28"], (0.0, 0.1), 2, [0, 100, 200]),
        ("arithmetic", ["n28"], (0.1,), 1, [300]),
        ("capitals", ["mlt"], (0.0,), 2, [0, 300]),
    ],
)
def test_the_figures_are_drawn(tmp_path, corpus, sizes, decays, seeds, steps):
    tables = made_up_study((corpus,), sizes, decays, seeds, steps=steps)
    draws(capacity_figure(tables[0]), tmp_path)
    draws(capacity_curves_figure(tables[1]), tmp_path)


def test_without_a_loss_there_is_no_row_for_it(study, tmp_path):
    table = on(study[1], "capitals").filter(pl.col("statistic") == "accuracy")
    plot = capacity_curves_figure(table.filter(pl.col("architecture") == "n14"))
    assert len(plot.layers[0]._data["row"].cat.categories) == 2
    draws(plot, tmp_path)


def test_a_table_that_is_no_curve_is_named(study):
    with pytest.raises(ValueError, match=r"x\.csv: a figure of one corpus, but .* arithmetic, cap"):
        capacity_curves_figure(study[1], "x.csv")
    losses = on(study[1], "both").filter(pl.col("statistic") == "loss")
    with pytest.raises(ValueError, match=r"x\.csv: no row has an accuracy"):
        capacity_curves_figure(losses, "x.csv")
    with pytest.raises(ValueError, match=r"x\.csv: there is no column 'parameters'"):
        capacity_curves_figure(losses.drop("parameters"), "x.csv")
    with pytest.raises(ValueError, match=r"x\.csv: the table has no rows"):
        capacity_figure(study[0].clear(), "x.csv")


# ---------------------------------------------------------------------------- by size


def test_each_run_is_a_dot_and_a_circle(study):
    plot = capacity_figure(study[0])
    frame = pl.from_pandas(plot.data.astype({"row": str, "corpus": str}))
    drawn = study[0].filter(
        ((pl.col("class") != "all") & ~pl.col("class").str.ends_with("(all)"))
        | (pl.col("probe") == "capitals")
    )
    key = ["run", "probe", "class"]
    joined = frame.join(drawn, on=key)
    assert len(frame) == len(drawn) == len(joined)
    assert [layer.mapping.get("y") for layer in plot.layers][1:] == [None, "best_accuracy"]


def test_lines_go_through_the_means_at_the_end(study):
    plot = capacity_figure(study[0])
    line = pl.from_pandas(plot.layers[0]._data.astype({"row": str, "corpus": str}))
    capitals = line.filter(pl.col("corpus") == "capitals", pl.col("row") == "weight decay 0")
    expected = on(study[0], "capitals").filter(pl.col("weight_decay") == 0)
    expected = expected.group_by("architecture", maintain_order=True).agg(
        pl.col("end_accuracy").mean()
    )
    assert capitals["end_accuracy"].to_list() == pytest.approx(expected["end_accuracy"].to_list())
    assert "lines: means over 2 seeds" in text(plot)
    assert "From left to right: n14, n28, n56, mlt." in text(plot)


def test_of_one_size_there_is_no_line(tmp_path):
    table = made_up_study(("capitals",), ("n14",), (0.0,), 2, steps=[0, 10])[0]
    plot = capacity_figure(table)
    assert plot.layers[0]._data.empty
    assert list(CORPORA)[1] in set(plot.data["corpus"])


# ---------------------------------------------------------------------------- what is drawn


def named(rows):
    table = pl.DataFrame(rows, schema=["probe", "class"], orient="row")
    table = table.with_columns(series=set_series())
    return dict(zip(table.select("probe", "class").rows(), table["series"], strict=True))


def test_classes_are_drawn_or_their_probe():
    whole = {("all", "all"): None, ("p", "all"): None, ("p", "a (all)"): None}
    drawn = {("p", "a"): "a", ("p", "a b"): "a b", ("q", "all"): "q"}
    assert named([*whole, *drawn]) == whole | drawn


def test_a_name_that_two_probes_have_is_told_apart():
    rows = [(probe, name) for probe in "pq" for name in ("all", "a")]
    assert [name for name in named(rows).values() if name] == ["p: a", "q: a"]


def test_of_many_classes_all_items_are_drawn_together():
    for count, expected in ((6, [f"c{i}" for i in range(6)]), (7, ["p"])):
        rows = [("p", "all"), *(("p", f"c{i}") for i in range(count))]
        assert [name for name in named(rows).values() if name] == expected


def test_what_goes_on_from_another_name_has_its_colour_and_dashes():
    found = series_looks(["sum", "sum odd", "sums", "capitals", "sum odd long"])
    assert found["sum odd"] == found["sum odd long"] == (found["sum"][0], "dashed")
    colours = [found[name][0] for name in ("sum", "sums", "capitals")]
    assert len(set(colours)) == 3
    assert {found[name][1] for name in ("sum", "sums", "capitals")} == {"solid"}
