"""The figures of minimal pairs and completions, made from tables like those of real runs."""

import io
import itertools
import subprocess
import sys
import warnings

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest

from ontogeny.figures import accuracy, style
from ontogeny.figures.completions import completions_figure
from ontogeny.figures.minimal_pairs import minimal_pairs_figure, paradigms_figure
from ontogeny.paths import PROJECT

TOY = {
    "islands": ["wh_island", "adjunct_island"],
    "agreement": [f"determiner_noun_agreement_with_a_long_name_{i}" for i in range(3)],
    "binding": ["principle_A", "principle_B", "principle_C"],
}
TOKENS = [0, *np.geomspace(4096, 3_000_000, 14).astype(int).tolist()]
LONG = [0, *range(9_830_400, 8_970_000_000, 9_830_400)]  # 912 checkpoints and step 0


def with_interval(rows, low=0.05, high=0.04):
    table = pl.DataFrame(rows, schema_overrides={"accuracy": pl.Float64})
    return table.with_columns(
        accuracy_low=(pl.col("accuracy") - low).clip(0, 1),
        accuracy_high=(pl.col("accuracy") + high).clip(0, 1),
    )


def at(step, tokens, probe):
    checkpoint = {"run": "opt-s-diverse", "checkpoint": f"step-{step}", "step": step}
    return {**checkpoint, "tokens": tokens, "probe": probe}


def synthetic_pairs(tokens=TOKENS, phenomena=TOY, probe="grammar", n=100):
    """Paradigms rise to different levels, the last one falls below chance."""
    uids = [(name, uid) for name, members in phenomena.items() for uid in members]
    rows = []
    for step, count in enumerate(tokens):
        t = np.log10(max(count, 1)) / 7
        levels = np.linspace(0.5, -0.3, len(uids)) / (1 + np.exp(-(t - 0.7) * 20))
        value = {uid: 0.5 + float(x) for (_, uid), x in zip(uids, levels, strict=True)}
        key = at(step, count, probe)
        sets = [("all", "all", list(value))]
        sets += [(name, "all", members) for name, members in phenomena.items() if name]
        sets += [(name, uid, [uid]) for name, uid in uids]
        rows += [
            key
            | {"phenomenon": name, "uid": uid, "n": n * len(members)}
            | {"accuracy": sum(value[member] for member in members) / len(members)}
            for name, uid, members in sets
        ]
    return with_interval(rows)


def synthetic_completions(tokens=TOKENS, classes=("all", "sum", "difference"), probe="arithmetic"):
    return with_interval(
        at(step, count, probe)
        | {"class": name, "n": 50, "samples": 1}
        | {"accuracy": 0.3 * step / len(tokens) / (place + 1)}
        for step, count in enumerate(tokens)
        for place, name in enumerate(classes)
    )


@pytest.fixture(autouse=True)
def no_warnings():
    """A warning of plotnine (rows removed, scales replaced ...) is a test that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(plot, *geoms):
    """The rows that layers of these kinds draw (`geom_point` ...)."""
    frames = []
    for layer in plot.layers:
        if type(layer.geom).__name__ in geoms:
            own = isinstance(layer._data, type(plot.data))
            frames.append(pl.from_pandas(layer._data if own else plot.data))
    return pl.concat(frames, how="diagonal_relaxed")


def values(table, *columns):
    return sorted(table.select(pl.col(columns).cast(pl.String)).iter_rows())


def image_of(tmp_path, plot):
    png = tmp_path / "figure.png"
    style.save_figure(plot, png, tmp_path / "figure.svg")
    return matplotlib.image.imread(png)[:, :, :3]


# What is on a figure


@pytest.mark.parametrize("tokens", [TOKENS, [2_000_000], [0], [0, 300, 500]])
def test_every_checkpoint_of_all_pairs_and_phenomena_is_drawn(tokens):
    table = synthetic_pairs(tokens)
    plot = minimal_pairs_figure(table)
    expected = table.filter(uid="all")
    columns = ("phenomenon", "tokens", "accuracy")
    assert values(drawn(plot, "geom_point"), *columns) == values(expected, *columns)
    after = expected.filter((pl.col("tokens") > 0) & (pl.len().over("phenomenon") > 2))
    assert values(drawn(plot, "geom_line"), *columns) == values(after, *columns)


def test_only_all_pairs_have_a_band():
    table = synthetic_pairs()
    plot = minimal_pairs_figure(table)
    whole = table.filter(phenomenon="all")
    columns = ("phenomenon", "tokens", "accuracy_low", "accuracy_high")
    after = whole.filter(pl.col("tokens") > 0)
    assert values(drawn(plot, "geom_ribbon"), *columns) == values(after, *columns)
    start = whole.filter(pl.col("tokens") == 0)
    assert values(drawn(plot, "geom_linerange"), *columns) == values(start, *columns)


def test_every_checkpoint_of_every_paradigm_is_drawn_with_its_interval():
    table = synthetic_pairs()
    plot = paradigms_figure(table)
    expected = table.filter(pl.col("uid") != "all")
    columns = ("uid", "tokens", "accuracy")
    assert values(drawn(plot, "geom_line", "geom_point"), *columns) == values(expected, *columns)
    columns = ("uid", "tokens", "accuracy_low", "accuracy_high")
    bands = drawn(plot, "geom_ribbon", "geom_linerange")
    assert values(bands, *columns) == values(expected, *columns)


@pytest.mark.parametrize("figure", [minimal_pairs_figure, paradigms_figure])
def test_chance_is_one_half(figure):
    assert set(drawn(figure(synthetic_pairs()), "geom_hline")["yintercept"]) == {0.5}


def test_a_long_run_is_curves_and_the_points_of_all_pairs():
    table = synthetic_pairs(LONG)
    plot = minimal_pairs_figure(table)
    points = drawn(plot, "geom_point").filter(pl.col("tokens") > 0)
    assert set(points["phenomenon"]) == {"all"} and len(points) == len(LONG) - 1
    lines = drawn(plot, "geom_line").group_by("series").len()
    assert set(lines["series"]) == {"all", *TOY} and lines["len"].max() <= 60
    assert "Lines: lowess" in plot.labels.caption
    assert "Lines" not in minimal_pairs_figure(synthetic_pairs()).labels.caption
    plot = paradigms_figure(table)
    assert drawn(plot, "geom_line").group_by("uid").len()["len"].max() <= 60
    assert "at 60 of the checkpoints" in plot.labels.caption.replace("\n", " ")


def test_panels_are_in_the_order_of_phenomena_under_their_headings():
    plot = paradigms_figure(synthetic_pairs())
    panels = [uid for members in TOY.values() for uid in members]
    assert [key.split("\n")[1] for key in plot.data["key"].cat.categories] == panels
    headings = drawn(plot, "OutsideText")
    shown = dict(zip(headings["uid"], headings["heading"].str.strip_chars(), strict=True))
    # 8 panels in rows of 4: a heading where a phenomenon or a row begins
    assert shown == {
        "wh_island": "islands",
        "determiner_noun_agreement_with_a_long_name_0": "agreement",
        "determiner_noun_agreement_with_a_long_name_2": "agreement",
        "principle_A": "binding",
    }
    assert headings.group_by("phenomenon").agg(pl.col("colour").unique().len())["colour"].sum() == 3
    assert headings["colour"].n_unique() == 3


def test_names_at_the_ends_of_lines_have_their_n_and_keep_apart():
    ends = drawn(minimal_pairs_figure(synthetic_pairs()), "OutsideText")
    assert sorted(ends["label"].str.strip_chars()) == [
        "agreement, n = 300", "all pairs, n = 800", "binding, n = 300", "islands, n = 200"
    ]  # fmt: skip
    assert set(ends["tokens"]) == {TOKENS[-1]}
    places = ends.sort("accuracy")["place"].to_numpy()
    assert np.diff(places).min() > 0.02


def test_one_panel_for_each_probe():
    table = pl.concat([synthetic_pairs(), synthetic_pairs(phenomena={"": ["u"]}, probe="own")])
    points = drawn(minimal_pairs_figure(table), "geom_point")
    shown = points.group_by(pl.col("probe").cast(str)).agg(pl.col("series").unique().sort())
    assert dict(shown.iter_rows()) == {"grammar": sorted(["all", *TOY]), "own": ["all"]}
    headings = drawn(paradigms_figure(table), "OutsideText")["heading"].str.strip_chars()
    assert "grammar: islands" in set(headings) and "own" in set(headings)


def test_completions_show_classes_or_all_items():
    classes = synthetic_completions()
    alone = synthetic_completions(classes=("all",), probe="facts")
    plot = completions_figure(pl.concat([classes, alone]))
    expected = pl.concat([classes.filter(pl.col("class") != "all"), alone])
    columns = ("probe", "class", "tokens", "accuracy")
    assert values(drawn(plot, "geom_point"), *columns) == values(expected, *columns)
    bands = drawn(plot, "geom_ribbon", "geom_linerange")
    columns = ("probe", "class", "tokens", "accuracy_low", "accuracy_high")
    assert values(bands, *columns) == values(expected, *columns)


def test_many_classes_have_no_bands_and_the_caption_says_so():
    many = synthetic_completions(classes=("all", *"abcdefg"))
    plot = completions_figure(many)
    assert drawn(plot, "geom_ribbon", "geom_linerange").is_empty()
    assert "Bands" not in plot.labels.caption
    both = completions_figure(pl.concat([many, synthetic_completions(probe="other")]))
    assert set(drawn(both, "geom_ribbon")["probe"].cast(str)) == {"other"}
    assert "where there are up to 6 classes" in both.labels.caption.replace("\n", " ")


# Looks and places


def test_no_two_lines_look_the_same():
    found = accuracy.looks(["all", *(f"p{i}" for i in range(24))])
    assert len(set(found.values())) == 25
    assert found["all"] == (style.INK, "solid")
    assert {dash for _, dash in list(found.values())[1:7]} == {"solid"}


@pytest.mark.parametrize("seed", range(4))
def test_spread_keeps_order_gaps_and_limits(seed):
    wanted = np.random.default_rng(seed).uniform(0.4, 0.8, 9)
    wanted[3] = wanted[5]
    found = accuracy.spread(wanted, 0.1, 0.0, 1.0)
    order = np.argsort(wanted, kind="stable")
    assert np.diff(found[order]).min() > 0.1 - 1e-12
    assert found.min() >= 0 and found.max() <= 1
    assert abs(found.mean() - wanted.mean()) < 0.1


def test_spread_moves_nothing_that_has_room():
    wanted = np.array([0.9, 0.1, 0.5])
    assert accuracy.spread(wanted, 0.1, 0.0, 1.0) == pytest.approx(wanted)
    assert accuracy.spread(np.array([0.5, 0.5]), 0.2, 0, 1) == pytest.approx([0.4, 0.6])
    assert accuracy.spread(np.array([0.99, 1.0]), 0.2, 0, 1) == pytest.approx([0.8, 1.0])


# Files


FIGURES = {
    "minimal_pairs": (minimal_pairs_figure, synthetic_pairs),
    "paradigms": (paradigms_figure, synthetic_pairs),
    "completions": (completions_figure, synthetic_completions),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("tokens", [TOKENS, [500], [0], [0, 300, 500]])
def test_nothing_is_clipped_at_the_edge_of_the_image(tmp_path, name, tokens):
    figure, table = FIGURES[name]
    plot = figure(table(tokens))
    image = image_of(tmp_path, plot)
    width, height = plot.theme.getp("figure_size")
    assert image.shape[:2] == pytest.approx((height * 200, width * 200), abs=1)
    assert 0.005 < (image.min(axis=2) < 0.99).mean() < 0.5
    edges = [image[:3], image[-3:], image[:, :3], image[:, -3:]]
    assert all(edge.min() > 0.99 for edge in edges)


@pytest.mark.parametrize("name", FIGURES)
def test_text_outside_of_panels_is_whole_and_overlaps_nothing(name):
    figure, table = FIGURES[name]
    drawing = figure(table()).draw()
    drawing.savefig(io.BytesIO(), dpi=style.DPI)  # which lays it out
    texts = [text for axes in drawing.axes for text in axes.texts]
    assert len(texts) == {"minimal_pairs": 4, "paradigms": 4, "completions": 2}[name]
    assert not any(text.get_clip_on() for text in texts)
    boxes = [text.get_window_extent() for text in texts]
    assert all(drawing.bbox.containsx(x) for box in boxes for x in (box.x0, box.x1))
    assert all(drawing.bbox.containsy(y) for box in boxes for y in (box.y0, box.y1))
    panels = [axes.bbox.padded(-1) for axes in drawing.axes]
    for one, other in itertools.combinations(boxes + panels, 2):
        assert not one.overlaps(other)
    plt.close(drawing)


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_bytes_each_time(tmp_path, name):
    figure, table = FIGURES[name]
    files = []
    for folder in ("a", "b"):
        image_of(tmp_path / folder, figure(table([0, 300, 500, 900])))
        files.append([(tmp_path / folder / f"figure.{x}").read_bytes() for x in ("png", "svg")])
    assert files[0] == files[1]


@pytest.mark.parametrize("name", FIGURES)
def test_scripts(tmp_path, name):
    table = tmp_path / "t.csv"
    FIGURES[name][1]().write_csv(table)
    png, svg = tmp_path / "out" / "f.png", tmp_path / "out" / "f.svg"
    script = [sys.executable, PROJECT / "scripts" / "plot.py", name, "--tables", table]
    done = subprocess.run([*script, "--png", png, "--svg", svg], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert png.stat().st_size > 10_000 and svg.stat().st_size > 10_000


# Mistakes


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_table_a_missing_column_or_two_runs_are_named(name):
    figure, table = FIGURES[name]
    table = table()
    with pytest.raises(ValueError, match=r"tables/x\.csv: the table has no rows"):
        figure(table.head(0), "tables/x.csv")
    with pytest.raises(ValueError, match=r"tables/x\.csv: there is no column 'accuracy_low'"):
        figure(table.drop("accuracy_low"), "tables/x.csv")
    two = pl.concat([table, table.with_columns(run=pl.lit("b"))])
    with pytest.raises(ValueError, match=r"x\.csv: a figure of one run, but .* opt-s-diverse, b"):
        figure(two, "x.csv")
    nothing = table.with_columns(accuracy=pl.lit(None, pl.Float64))
    with pytest.raises(ValueError, match=r"x\.csv: no row "):
        figure(nothing, "x.csv")
