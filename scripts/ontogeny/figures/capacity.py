"""Accuracy of completions against size: runs on each corpus, at the end and at their best."""

import math

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.accuracy import ALL, looks
from ontogeny.figures.tables import CAPACITY, check_table

PANEL = (2.2, 1.9)  # inches
MOST_CLASSES = 6  # of a probe that are drawn one by one; of more, all items together
APART = 0.04  # of a decade, from one series to the next


def capacity_figure(table: pl.DataFrame, name: str = "capacity") -> p9.ggplot:
    """Accuracy of completions against the number of parameters.

    A column for each corpus, a row for each weight decay. Dots are runs at their last checkpoint,
    with lines through their means over seeds; circles are runs at their best checkpoint.

    Args:
        table: columns `tables.CAPACITY`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty or lacks a column.
    """
    table = check_table(table, CAPACITY, name)
    table = table.with_columns(row=decay_label(table), series=set_series()).drop_nulls("series")
    shown = series_looks(style.in_order(table["series"]))
    places = {
        "corpus": style.in_order(table["corpus"]),
        "row": style.in_order(table.sort("weight_decay")["row"]),
    }
    width = 0.9 + PANEL[0] * len(places["corpus"]) + style.legend_width(shown)
    axis = style.TokenAxis.of(table["parameters"])
    breaks = axis.breaks(most=round(PANEL[0] / 0.45))
    margin = 0.1 + APART * len(shown) / 2
    caption = style.caption(_sentences(table), width)
    apart = {series: APART * (i - (len(shown) - 1) / 2) for i, series in enumerate(shown)}
    size = pl.col("parameters").cast(pl.Float64).log10() + pl.col("series").replace_strict(apart)
    table = table.with_columns(size=size).sort("size", maintain_order=True)
    line = [*places, "series"]
    means = table.group_by(*line, "family", "size", maintain_order=True).agg(
        pl.col("end_accuracy").mean()
    )
    means = means.filter(pl.len().over(line) > 1)  # one point makes no line
    colours, dashes = zip(*shown.values(), strict=True)
    look = {"limits": list(shown), "name": " "}
    rows = "row" if len(places["row"]) > 1 else None
    return (
        p9.ggplot(style.to_pandas(table, places), p9.aes("size", "end_accuracy", color="series"))
        + p9.geom_line(p9.aes(linetype="series"), data=style.to_pandas(means, places), size=0.6)
        + p9.geom_point(size=1.2, stroke=0, show_legend=False)
        + p9.geom_point(
            p9.aes(y="best_accuracy"), fill="none", size=2.2, stroke=0.3, show_legend=False
        )
        + p9.facet_grid(rows=rows, cols="corpus")
        + p9.scale_color_manual(values=colours, **look)
        + p9.scale_linetype_manual(values=dashes, **look)
        + p9.scale_x_continuous(
            breaks=[math.log10(count) for count in breaks],
            labels=[style.count_label(count) for count in breaks],
            limits=(axis.low - margin, axis.high + margin),
        )
        + p9.scale_y_continuous(limits=(0, 1), breaks=[0, 0.5, 1], labels=style.number_labels)
        + p9.labs(x="parameters (log scale)", y="accuracy of completions", caption=caption)
        + style.theme(width, 1.2 + PANEL[1] * len(places["row"]))
    )


def series_looks(names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes of each set of items; one whose name goes on from another's has its
    colour."""
    base = {
        name: min((one for one in names if f"{name} ".startswith(f"{one} ")), key=len)
        for name in names
    }
    found = looks(dict.fromkeys(base.values()))
    return {
        name: found[name] if name == first else (found[first][0], "dashed")
        for name, first in base.items()
    }


def set_series() -> pl.Expr:
    """The name of a set of items; null where the figures do not draw it.

    The class, or the probe where it has no classes; of a probe with more than six classes all items
    together. Sets that consist of drawn ones are not drawn.
    """
    whole, probe, name = pl.col("class") == ALL, pl.col("probe"), pl.col("class")
    is_class = ~whole & ~name.str.ends_with(f" ({ALL})")
    classes = name.filter(is_class).n_unique().over("probe")
    one_by_one = classes.is_between(1, MOST_CLASSES)
    shared = probe.n_unique().over("class") > 1
    return (
        pl.when(one_by_one & is_class)
        .then(pl.when(shared).then(pl.format("{}: {}", probe, name)).otherwise(name))
        .when(~one_by_one & whole & (probe != ALL))
        .then(probe)
    )


def decay_label(table: pl.DataFrame) -> pl.Expr:
    """`weight decay 0.1`; nothing where all runs have the same."""
    number = pl.col("weight_decay").map_elements(lambda w: f"{w:g}", return_dtype=pl.String)
    several = table["weight_decay"].n_unique() > 1
    return pl.format("weight decay {}", number) if several else pl.lit("")


def items_sentence(table: pl.DataFrame) -> str:
    """What an accuracy is, and how many items each series has."""
    items = table.group_by("series", maintain_order=True).agg("n")
    counts = [f"{series} {style.range_label(n)}" for series, n in items.rows()]
    return f"Accuracy: share of items that are completed right; items: {', '.join(counts)}."


def _sentences(table: pl.DataFrame) -> list[str]:
    sizes = ", ".join(style.in_order(table.sort("parameters")["architecture"]))
    seeds = table.group_by("family").agg(pl.col("run").n_unique())["run"]
    lines = "through them" if seeds.max() == 1 else f"means over {style.range_label(seeds)} seeds"
    return [
        items_sentence(table),
        f"From left to right: {sizes}.",
        f"Dots: runs at their last checkpoint; lines: {lines}.",
        "Circles: at the checkpoint that is best on the same items, so too high by chance.",
    ]
