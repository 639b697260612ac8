"""The figures, made from tables like those of real runs."""

import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import polars as pl
import pytest
from figure_tables import (
    LONG,
    synthetic_correlations,
    synthetic_losses,
    synthetic_perplexity,
    synthetic_seeds,
)
from statsmodels.nonparametric.smoothers_lowess import lowess as statsmodels_lowess

from ontogeny.figures import smooth, style
from ontogeny.figures.correlation import correlation_figure
from ontogeny.figures.loss import loss_figure
from ontogeny.figures.overview import overview_figure
from ontogeny.figures.perplexity import perplexity_figure
from ontogeny.figures.seeds import seeds_figure
from ontogeny.figures.tables import CORRELATIONS, check_table, read_table

SCRIPTS = Path(__file__).parents[2] / "scripts"
BANDS = ("geom_ribbon", "geom_linerange")


@pytest.fixture(autouse=True)
def no_warnings():
    """A warning of plotnine (rows removed, scales replaced ...) is a test that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(plot, geom):
    """The rows that layers of a kind draw (`geom_point` ...)."""
    frames = [layer._data for layer in plot.layers if type(layer.geom).__name__ == geom]
    return pl.concat([pl.from_pandas(frame) for frame in frames], how="diagonal_relaxed")


def written(tmp_path, plot, name="figure"):
    png, svg = tmp_path / f"{name}.png", tmp_path / f"{name}.svg"
    style.save_figure(plot, png, svg)
    return png, svg


# What is on a figure


@pytest.mark.parametrize("tokens", [None, LONG, [2_000_000], [0], [0, 300, 500]])
def test_every_checkpoint_is_drawn(tokens):
    table = synthetic_correlations(tokens=tokens)
    points = drawn(correlation_figure(table), "geom_point")
    table = table.filter(pl.col("group") != "all").with_columns(
        panel=pl.col("reference").str.replace("_", " ")
    )
    columns = ["panel", "group", "tokens", "r"]
    expected = table.filter(pl.col("r").is_not_null()).select(columns)
    points = points.with_columns(pl.col("panel", "group").cast(str))
    assert expected.join(points, on=columns, how="anti").is_empty()
    marks = points.join(expected, on=columns, how="anti")
    assert len(points) == len(marks) + len(expected)
    assert set(marks["tokens"]) == set(table.filter(pl.col("r").is_null())["tokens"])
    for panel in set(table["panel"]):
        shown = points.filter(pl.col("panel") == panel)
        assert set(shown["tokens"]) == set(table["tokens"])
    assert points["position"].null_count() == 0


def test_a_null_correlation_is_a_mark_at_the_edge_and_not_a_value():
    table = synthetic_correlations()
    points = drawn(correlation_figure(table), "geom_point").filter(pl.col("tokens") == 0)
    assert len(points) == 6  # a mark for each of three references and two rows
    assert points["r"].max() < -0.25


def test_groups_by_exposure_have_a_row_of_their_own():
    by_frequency = [f"attested-{i}of3" for i in (1, 2, 3)]
    by_exposure = [f"seen-{i}of5" for i in range(1, 6)]
    groups = ("all", "attested", "nonce", "seen", "unseen", *by_frequency, *by_exposure)
    plot = correlation_figure(synthetic_correlations(groups=groups))
    rows = (
        drawn(plot, "geom_point")
        .group_by(pl.col("row").cast(str))
        .agg(pl.col("group").cast(str).unique())
    )
    shown = {row: set(of) for row, of in rows.iter_rows()}
    assert shown == {
        "attested, nonce": {"attested", "nonce"},
        "by frequency": set(by_frequency),
        "by exposure": set(by_exposure),
    }
    assert "had seen an item by its end" in plot.labels.caption.replace("\n", " ")
    assert "seen" not in correlation_figure(synthetic_correlations()).labels.caption
    colours = style.colours(by_frequency + by_exposure)
    assert len(set(colours.values())) == 8


def test_seen_and_unseen_take_nobodys_place():
    """Where the items file has no parts, `all` is drawn, and nothing by exposure beside it."""
    table = synthetic_correlations(groups=("all", "seen", "unseen"), references=("human",))
    for figure in (correlation_figure(table), overview_figure({"a": table})):
        points = drawn(figure, "geom_point").filter(pl.col("tokens") > 0)
        assert set(points["group"].cast(str)) == {"all"}


def test_a_defined_correlation_at_step_0_is_drawn_with_its_interval_but_not_smoothed():
    table = synthetic_correlations().with_columns(
        pl.col("r").fill_null(0.1), pl.col("r_low").fill_null(0.0), pl.col("r_high").fill_null(0.2)
    )
    plot = correlation_figure(table)
    for geom, values in (("geom_point", {0.1}), ("geom_linerange", {0.1})):
        assert set(drawn(plot, geom).filter(pl.col("tokens") == 0)["r"]) == values
    assert drawn(plot, "geom_line")["tokens"].min() > 4000


def test_all_is_drawn_only_where_it_is_the_only_group():
    alone = synthetic_correlations(groups=("all",), references=("human",), probes=("pairs",))
    plot = correlation_figure(pl.concat([synthetic_correlations(), alone]))
    points = drawn(plot, "geom_point")
    shown = points.filter(pl.col("group").cast(str) == "all")
    assert set(shown["probe"]) == {"pairs"}


def test_intervals_of_a_long_run_are_spaced_and_the_points_all_there():
    plot = correlation_figure(synthetic_correlations(tokens=LONG, references=("human",)))
    bars = drawn(plot, "geom_linerange").group_by("group").len()
    assert bars["len"].max() <= 60
    assert len(drawn(plot, "geom_point").filter(pl.col("tokens") > 0)) == 5 * (len(LONG) - 1)


def test_overview_has_every_checkpoint_of_every_run_on_one_axis():
    tables = {
        f"{i}.csv": synthetic_correlations(
            run=f"opt-125m-babylm-150m-seed{i}", tokens=[0, *(10 ** np.linspace(3, 5 + i, 8))]
        )
        for i in range(4)
    }
    points = drawn(overview_figure(tables), "geom_point")
    for table in tables.values():
        assert set(points.filter(pl.col("run") == table["run"][0])["tokens"]) == set(
            table["tokens"]
        )
    zeros = points.filter(pl.col("tokens") == 0)["position"]
    assert zeros.n_unique() == 1
    assert zeros[0] < points.filter(pl.col("tokens") > 0)["position"].min()
    assert not set(points["group"].cast(str)) - {"attested", "nonce"}


def test_perplexity_has_every_checkpoint():
    probes = (("heldout", "diverse", 5), ("heldout", "c4", 6))
    table = synthetic_perplexity(probes=probes)
    points = drawn(perplexity_figure(table), "geom_point")
    assert points.sort("perplexity")["perplexity"].to_list() == sorted(table["perplexity"])


@pytest.mark.parametrize("tokens", [None, LONG, [500], [0], [0, 300, 500]])
def test_seeds_show_every_checkpoint_of_main_groups_and_of_all_pairs(tokens):
    table = synthetic_seeds(tokens=tokens)
    plot = seeds_figure(table)
    points = drawn(plot, "geom_point").with_columns(pl.col("series").cast(str))
    groups = (pl.col("statistic") == "r") & pl.col("group").is_in(["attested", "nonce"])
    expected = table.filter(groups | (pl.col("uid") == "all") & (pl.col("phenomenon") == "all"))
    expected = expected.filter(pl.col("mean").is_not_null())
    key = ["family", "reference", "group", "tokens", "mean"]
    assert sorted(points.select(key).rows(), key=str) == sorted(
        expected.select(key).rows(), key=str
    )
    assert set(points["panel"].cast(str)) <= {"human", "relative frequency", "grammar: accuracy"}
    bands = [layer._data for layer in plot.layers if type(layer.geom).__name__ in BANDS]
    bands = pl.concat([pl.from_pandas(frame) for frame in bands], how="diagonal_relaxed")
    if tokens is LONG:
        assert bands.group_by("key").len()["len"].max() <= 61
    else:
        assert len(bands) == len(expected)
    assert (bands["high"] - bands["low"]).to_list() == pytest.approx([0.1] * len(bands))


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_less_than_three_seeds_have_no_band(n_seeds):
    plot = seeds_figure(synthetic_seeds(n_seeds=n_seeds))
    assert all(layer._data.empty for layer in plot.layers if type(layer.geom).__name__ in BANDS)
    assert "Bands" not in plot.labels.caption
    labels = set(drawn(plot, "geom_point")["label"].cast(str))
    assert labels == {f"{family}\n{n_seeds} seeds" for family in ("opt-s", "opt-m")}


@pytest.mark.parametrize("steps", [1, 2, 50, 200_000])
def test_loss_shows_the_extremes_and_few_rows(steps):
    table = synthetic_losses(steps)
    plot = loss_figure(table)
    raw = drawn(plot, "geom_line") if steps > 1 else drawn(plot, "geom_point")
    raw = raw.filter(pl.col("panel").cast(str).str.starts_with("training"))
    assert {table["loss"].min(), table["loss"].max()} <= set(raw["value"])
    assert len(raw) <= 1700


# Colours, labels, axis


def test_colours_are_distinct_and_the_same_in_every_figure():
    groups = ["all", "attested", "nonce", *(f"attested-{i}of5" for i in range(1, 6)), "a", "b"]
    found = style.colours(groups)
    assert list(found) == groups
    assert len(set(found.values())) == len(groups)
    assert all(found[group] == style.colours([group])[group] for group in groups[:8])
    assert len(set(style.colours(f"probe{i}" for i in range(30)).values())) == 30


def test_frequency_groups_darken():
    found = style.colours(f"attested-{i}of7" for i in range(1, 8)).values()
    brightness = [sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in found]
    assert brightness == sorted(brightness, reverse=True)


@pytest.mark.parametrize(
    ("count", "label"),
    [(0, "0"), (300, "300"), (999, "999"), (1_000, "1k"), (4096, "4.1k"), (12_500, "12.5k"),
     (999_999, "1M"), (9_830_400, "9.83M"), (10_000_000_000, "10B"), (3e12, "3T")],
)  # fmt: skip
def test_count_label(count, label):
    assert style.count_label(count) == label


@pytest.mark.parametrize("low", [1, 300, 4096, 9_830_400])
@pytest.mark.parametrize("factor", [1, 1.3, 4, 30, 1000, 1e6, 1e9])
@pytest.mark.parametrize("most", [4, 5, 7])
def test_breaks_are_round_inside_and_not_crowded(low, factor, most):
    axis = style.TokenAxis.of(pl.Series([0, low, round(low * factor)]))
    breaks = axis.breaks(most)
    assert breaks[0] == 0
    assert len(breaks) <= most
    assert len(breaks) >= 3 or round(low * factor) <= low + 1
    assert breaks == sorted(set(breaks))
    assert all(low <= tokens <= low * factor + 1 for tokens in breaks[1:])


def test_zero_is_left_of_the_first_checkpoint():
    axis = style.TokenAxis.of(pl.Series([4096, 0, 1_000_000]))
    positions = axis.place(pl.DataFrame({"tokens": [0, 4096, 1_000_000]}))["position"]
    assert positions.to_list() == pytest.approx([axis.zero, np.log10(4096), 6])
    assert axis.zero < np.log10(4096) - 0.3
    assert style.TokenAxis.of(pl.Series([4096, 8192])).zero is None


def test_wrapped_keeps_every_character_and_the_width():
    name = "opt-125m-babylm-150m-seed964_" + "x" * 40
    lines = style.wrapped(name, 12).split("\n")
    assert "".join(lines) == name
    assert max(map(len, lines)) <= 12
    assert lines[0] == "opt-125m-"


# Curves


def test_lowess_is_that_of_statsmodels():
    x = np.linspace(0, 3, 40)
    y = np.sin(2 * x) + np.random.default_rng(0).normal(0, 0.1, 40)
    at, curve = smooth.lowess(x[::-1], y[::-1])
    assert np.array_equal(at, x)
    assert curve == pytest.approx(statsmodels_lowess(y, x, frac=0.4, it=0)[:, 1])
    assert np.abs(curve - y).max() > 0.05


@pytest.mark.parametrize("count", [5, 9, 60, 900])
def test_a_straight_line_stays_straight(count):
    tokens = np.arange(1, count + 1) * 9_830_400  # crowded at the right of a log axis
    r = 0.1 * np.log10(tokens) - 0.3
    table = pl.DataFrame({"group": "nonce", "tokens": tokens, "r": r})
    curve = smooth.smoothed(table, "r", ["group"])
    expected = 0.1 * np.log10(curve["tokens"].to_numpy()) - 0.3
    assert curve["r"].to_numpy() == pytest.approx(expected, abs=1e-9)
    assert 5 <= len(curve) <= 60


def test_early_checkpoints_of_a_dense_schedule_keep_their_level():
    """Half of 900 equal steps are in the last octave; a fall before it must still be seen."""
    tokens = np.arange(1, 901) * 10_000_000
    r = np.where(tokens < 1e8, 0.7, 0.2)
    curve = smooth.smoothed(pl.DataFrame({"group": "a", "tokens": tokens, "r": r}), "r", ["group"])
    assert curve["r"][0] > 0.6
    assert curve["r"][-1] == pytest.approx(0.2, abs=0.02)


def test_no_curve_through_few_points_or_nulls():
    table = pl.DataFrame(
        {"group": "a", "tokens": [0, 1, 2, 4, 8, 16], "r": [0.1, 0.2, 0.3, 0.4, 0.5, None]}
    )
    assert smooth.smoothed(table, "r", ["group"]).is_empty()


def test_thinned_rows_are_rows_of_the_table_with_the_extremes_of_each_interval():
    table = synthetic_losses(200_000)
    kept = smooth.thinned(table, "loss", bins=50)
    assert len(kept) <= 200
    assert kept.join(table, on=table.columns, how="anti").is_empty()
    position = np.log10(table["tokens"].to_numpy())
    loss = table["loss"].to_numpy()
    last = loss[smooth.bin_index(position, 50) == 49]
    assert {last.min(), last.max(), loss[0], loss[-1]} <= set(kept["loss"])
    assert kept["tokens"].is_sorted()


def test_binned_means_are_means():
    table = pl.DataFrame({"tokens": [0, 10, 100, 1000, 900], "loss": [9.0, 8, 6, 2, 4]})
    means = smooth.binned_means(table, "loss", bins=4)
    assert means["loss"].to_list() == [8, 6, 3]
    assert means["tokens"].to_list() == pytest.approx([10, 100, np.sqrt(900_000)])


# Files


def figures():
    base = {"tokens": [0, 300, 4096, 20_000, 100_000, 3_000_000]}
    return {
        "correlation": lambda: correlation_figure(synthetic_correlations(references=("human",))),
        "one group": lambda: correlation_figure(
            synthetic_correlations(groups=("all",), references=("human",))
        ),
        "single": lambda: correlation_figure(
            synthetic_correlations(tokens=[500], references=("human",))
        ),
        "step 0": lambda: correlation_figure(
            synthetic_correlations(tokens=[0], references=("human",))
        ),
        "long": lambda: correlation_figure(
            synthetic_correlations(tokens=LONG, references=("human",), groups=("nonce",))
        ),
        "overview": lambda: overview_figure(
            {run: synthetic_correlations(run, references=("human",)) for run in "abcd"}
        ),
        "loss": lambda: loss_figure(synthetic_losses()),
        "one step": lambda: loss_figure(synthetic_losses(1)),
        "perplexity": lambda: perplexity_figure(synthetic_perplexity(**base)),
        "seeds": lambda: seeds_figure(synthetic_seeds()),
        "long seeds": lambda: seeds_figure(
            synthetic_seeds(["a"], LONG, references=("human",), probes=())
        ),
        "one perplexity": lambda: perplexity_figure(synthetic_perplexity([500])),
    }


@pytest.mark.parametrize("name", figures())
def test_files_are_the_same_bytes_each_time_and_not_blank(tmp_path, name):
    plot = figures()[name]()
    once = written(tmp_path, plot, "once")
    again = written(tmp_path, figures()[name](), "again")
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    image = matplotlib.image.imread(once[0])
    width, height = plot.theme.getp("figure_size")
    assert image.shape[:2] == pytest.approx((height * 200, width * 200), abs=1)
    assert 0.01 < (image[:, :, :3].min(axis=2) < 0.99).mean() < 0.5
    assert once[1].read_text().lstrip().startswith("<?xml")
    assert "<dc:date>" not in once[1].read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{kind}.{suffix}" for kind in ("once", "again") for suffix in ("png", "svg")
    )


@pytest.mark.parametrize("name", ["correlation", "overview", "loss", "perplexity", "seeds"])
def test_nothing_is_clipped_at_the_edge_of_the_image(tmp_path, name):
    image = matplotlib.image.imread(written(tmp_path, figures()[name]())[0])[:, :, :3]
    edges = [image[:3], image[-3:], image[:, :3], image[:, -3:]]
    assert all(edge.min() > 0.99 for edge in edges)


# Mistakes


@pytest.mark.parametrize(
    ("figure", "table"),
    [
        (correlation_figure, synthetic_correlations()),
        (loss_figure, synthetic_losses()),
        (perplexity_figure, synthetic_perplexity()),
        (seeds_figure, synthetic_seeds()),
        (lambda table, name: overview_figure({name: table}), synthetic_correlations()),
    ],
)
def test_an_empty_table_or_a_missing_column_is_named(figure, table):
    with pytest.raises(ValueError, match=r"tables/x\.csv: the table has no rows"):
        figure(table.head(0), "tables/x.csv")
    with pytest.raises(ValueError, match=r"tables/x\.csv: there is no column 'tokens'"):
        figure(table.drop("tokens"), "tables/x.csv")


def test_a_value_that_is_no_number_is_named():
    table = synthetic_correlations().with_columns(r=pl.lit("high"))
    with pytest.raises(ValueError, match=r"x\.csv: column 'r' is not Float64.*high"):
        check_table(table, CORRELATIONS, "x.csv")


def test_one_figure_is_of_one_run_and_a_run_of_one_table():
    two = pl.concat([synthetic_correlations("a"), synthetic_correlations("b")])
    with pytest.raises(ValueError, match=r"t\.csv: a figure of one run, but the table has a, b"):
        correlation_figure(two, "t.csv")
    with pytest.raises(ValueError, match="run 'a' is in two tables: x and y"):
        overview_figure({"x": synthetic_correlations("a"), "y": synthetic_correlations("a")})


def test_nan_and_empty_fields_of_a_csv_are_null(tmp_path):
    path = tmp_path / "t.csv"
    table = synthetic_correlations(run="007")
    table.with_columns(r_low=pl.lit(float("nan"))).write_csv(path)
    read = read_table(path, CORRELATIONS)
    assert read["run"][0] == "007"
    assert read["r_low"].null_count() == len(read)
    assert read["r"].null_count() == table["r"].null_count() > 0


@pytest.mark.parametrize("name", ["correlation", "loss", "perplexity", "overview", "seeds"])
def test_scripts(tmp_path, name):
    tables = {
        "correlation": [synthetic_correlations(references=("human",))],
        "loss": [synthetic_losses()],
        "perplexity": [synthetic_perplexity()],
        "overview": [synthetic_correlations(run) for run in ("a", "b")],
        "seeds": [synthetic_seeds()],
    }[name]
    paths = [tmp_path / f"{i}.csv" for i in range(len(tables))]
    for table, path in zip(tables, paths, strict=True):
        table.write_csv(path)
    png, svg = tmp_path / "out" / "f.png", tmp_path / "out" / "f.svg"
    script = [sys.executable, SCRIPTS / "plot.py", name, "--png", png, "--svg", svg, "--tables"]
    done = subprocess.run([*script, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert png.stat().st_size > 10_000 and svg.stat().st_size > 10_000


def test_a_script_reports_a_mistake_in_one_line(tmp_path):
    path = tmp_path / "losses.csv"
    synthetic_losses().head(0).write_csv(path)
    script = [sys.executable, SCRIPTS / "plot.py", "loss", "--png", "a", "--svg", "b", "--tables"]
    done = subprocess.run([*script, path], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path}: the table has no rows")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]
