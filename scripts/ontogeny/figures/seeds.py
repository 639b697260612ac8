"""Trajectories over runs that differ in their seed only: their mean, and a band over seeds."""

import math

import pandas as pd
import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.smooth import smoothed, spaced
from ontogeny.figures.tables import SEEDS, check_table
from ontogeny.figures.trajectories import CURVE, group_order, in_main, scale_r, with_panel

PANEL = (2.4, 2.0)  # inches
STRIP = 24  # characters of a line of a panel's title
SPARSE = 60  # checkpoints that still show one by one
FEWEST = 3  # seeds of a band: the interval of two covers nearly all that there can be
MOST_COLUMNS = 4
ALL_PAIRS = "all pairs"
KEY = ["panel", "label", "series"]


def seeds_figure(table: pl.DataFrame, name: str = "seeds") -> p9.ggplot:
    """All families: mean over seeds against tokens, with its interval.

    Correlations have a panel for each reference, with the groups of the items file; minimal pairs
    have one for each probe, with all pairs. Families are columns, up to four of them, or rows.

    Args:
        table: columns `tables.SEEDS`; `mean` null where undefined.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, or has no mean.
    """
    table = _series(check_table(table, SEEDS, name).drop_nulls("mean"))
    if table.is_empty():
        raise ValueError(f"{name}: no row has a mean")
    panels, labels = style.in_order(table["panel"]), style.in_order(table["label"])
    series = group_order(table.with_columns(group="series"))
    orders = {"panel": panels, "label": labels, "series": series}
    if 1 < len(labels) <= MOST_COLUMNS or len(panels) > MOST_COLUMNS:
        facets, counts = p9.facet_grid("panel", "label"), (len(labels), len(panels))
    else:
        facets, counts = p9.facet_grid("label", "panel"), (len(panels), len(labels))
    names = [f"{one}, n = {_counts(table, one)}" for one in series]
    width = 0.9 + PANEL[0] * counts[0] + style.legend_width(names)
    plot, sentences = _layers(table, orders)
    palette = style.colours(series) | {ALL_PAIRS: style.INK}
    colours = [palette[one] for one in series]
    return (
        plot
        + facets
        + p9.scale_color_manual(values=colours, limits=series, labels=names)
        + p9.scale_fill_manual(values=colours, limits=series, guide=None)
        + p9.labs(
            y=f"mean over seeds of\n{_measures(table)}",
            caption=style.caption(sentences, width),
            color="",
        )
        + style.theme(width, 1.2 + PANEL[1] * counts[1])
    )


def _series(table: pl.DataFrame) -> pl.DataFrame:
    """The rows that are drawn, with `panel`, `label` (family and number of seeds) and `series`."""
    r = table.filter(pl.col("statistic") == "r").with_columns(run="family")
    r = with_panel(r.filter(in_main())) if len(r) else r.with_columns(panel=pl.lit(""))
    r = r.drop("run").with_columns(series="group")
    accuracy = table.filter(pl.col("statistic") == "accuracy", pl.col("phenomenon") == "all")
    accuracy = accuracy.with_columns(
        panel=pl.format("{}: accuracy", "probe"), series=pl.lit(ALL_PAIRS)
    )
    seeds = pl.col("n_seeds").max().over("family")
    return pl.concat([r, accuracy]).with_columns(
        panel=style.wrapped_column("panel", STRIP),
        label=pl.format("{}\n{} seeds", style.wrapped_column("family", STRIP), seeds),
    )


def _layers(table: pl.DataFrame, orders: dict[str, list[str]]) -> tuple[p9.ggplot, list[str]]:
    """Bands, lines and points of all panels, and sentences for the caption."""
    axis = style.TokenAxis.of(table["tokens"])
    dense = table.group_by(KEY).len()["len"].max() > SPARSE

    def place(part: pl.DataFrame) -> pd.DataFrame:
        key = pl.concat_str(KEY, separator="\n")
        return style.to_pandas(axis.place(part.with_columns(key=key)), orders)

    points = place(table)
    lines = place(smoothed(table, "mean", KEY)) if dense else points
    banded = table.filter(pl.col("n_seeds") >= FEWEST).drop_nulls(["low", "high"])
    band = place(spaced(banded, KEY, SPARSE) if dense else banded)
    alone = style.no_line(band, "key")
    low, high = _limits(table, banded)
    chance = table.select("panel", chance=(pl.col("statistic") == "accuracy") * 0.5).unique()
    chance = style.to_pandas(chance, {"panel": orders["panel"]})
    plot = (
        p9.ggplot(mapping=p9.aes("position", "mean", color="series"))
        + p9.geom_hline(p9.aes(yintercept="chance"), data=chance, color=style.PALE, size=0.5)
        + axis.layers(PANEL[0])
        + p9.geom_ribbon(
            p9.aes("position", ymin="low", ymax="high", fill="series", group="key"),
            data=band.drop(alone.index), alpha=0.2, inherit_aes=False, show_legend=False,
        )
        + p9.geom_linerange(
            p9.aes(ymin="low", ymax="high"), data=alone, alpha=0.35, size=0.9, show_legend=False
        )
        + p9.geom_point(
            data=points, stroke=0, raster=dense,
            size=0.6 if dense else 1.2, alpha=0.35 if dense else 0.8,
        )
        + style.line(lines, "key", mapping=p9.aes(group="key"), size=0.9)
        + scale_r(low, high)
    )  # fmt: skip
    sentences = ["n: items or pairs."]
    if len(banded):
        some = "" if len(banded) == len(table) else f", where there are {FEWEST} or more"
        sentences.append(f"Bands: 95 % t interval of the mean over seeds{some}.")
    return plot, sentences + [CURVE] * dense


def _limits(table: pl.DataFrame, banded: pl.DataFrame) -> tuple[float, float]:
    """Limits of the axis: quarters around all that is drawn, at least 0 to .5."""
    values = [*table["mean"], *banded["low"], *banded["high"]]
    low, high = min([0.0, *values]), max([0.5, *values])
    return math.floor(low * 4) / 4, math.ceil(high * 4) / 4


def _counts(table: pl.DataFrame, series: str) -> str:
    return style.range_label(table.filter(pl.col("series") == series)["n"])


def _measures(table: pl.DataFrame) -> str:
    words = {"r": "the correlation (Pearson r)", "accuracy": "the accuracy"}
    return " or ".join(words[one] for one in style.in_order(table["statistic"]))
