"""What runs prefer of items that were inserted into a corpus a given number of times."""

import math

import numpy as np
import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.smooth import smoothed
from ontogeny.figures.tables import INSERTIONS, check_table
from ontogeny.figures.thresholds import COUNTS

PANEL = (3.4, 2.1)  # inches
SPREAD = 0.06  # of the axis: how far the points of one count lie apart
MOST_BREAKS = 8
SPARSE = 60  # checkpoints that still show one by one
PREFERENCE, SHARE = "mean preference (nats)", "share of items"
STATISTICS = {PREFERENCE: "preference", SHARE: "share"}
NEITHER = {PREFERENCE: 0.0, SHARE: 0.5}


def insertions_figure(table: pl.DataFrame, name: str = "insertions") -> p9.ggplot:
    """Preference for the inserted order by inserted count, at the last checkpoint of each run.

    Above its mean over items, below the share of items that prefer it; a point with a bar is a run,
    its colour what it was trained on. A column for each corpus with insertions and probe.

    Args:
        table: columns `tables.INSERTIONS`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty or lacks a column.
    """
    table = _with_columns(check_table(table, INSERTIONS, name))
    last = table.filter(pl.col("tokens") == pl.col("tokens").max().over("run"))
    high = max(math.log(3), *(last["mean_count"] + 1).log())
    runs, corpora = style.in_order(last["run"]), style.in_order(last["corpus"])
    order = last.select("corpus", "run").unique(maintain_order=True).sort(
        pl.col("corpus").replace_strict(corpora, range(len(corpora))), maintain_order=True
    )  # fmt: skip
    offsets = (np.arange(len(order)) - (len(order) - 1) / 2) * SPREAD * high / max(len(order), 6)
    offset = pl.col("run").replace_strict(order["run"], offsets, return_dtype=pl.Float64)
    last = last.with_columns(x=(pl.col("mean_count") + 1).log() + offset)
    parts = [
        last.select(
            *("run", "corpus", "column", "x", "n"),
            statistic=pl.lit(title),
            y=pl.col(value),
            low=pl.col(f"{value}_low"),
            high=pl.col(f"{value}_high"),
        )
        for title, value in STATISTICS.items()
    ]
    columns = style.in_order(last["column"])
    orders = {"statistic": list(STATISTICS), "corpus": corpora, "column": columns}
    points = style.to_pandas(pl.concat(parts), orders)
    bars = points.dropna(subset=["low"])
    neither = pl.DataFrame({"statistic": list(NEITHER), "y": list(NEITHER.values())})
    counts = _breaks(last, high)
    labels = [f"{one}, {_runs(last, one)}" for one in corpora]
    palette = style.colours(corpora)
    width = 1.0 + PANEL[0] * len(columns) + style.legend_width(labels)
    return (
        p9.ggplot(points, p9.aes("x", "y", color="corpus"))
        + p9.geom_hline(
            p9.aes(yintercept="y"), style.to_pandas(neither, {"statistic": list(STATISTICS)}),
            color=style.PALE, size=0.5,
        )
        + ([p9.geom_line(p9.aes(group="run"), alpha=0.45, size=0.6)] if len(counts) > 1 else [])
        + p9.geom_linerange(p9.aes(ymin="low", ymax="high"), bars, size=0.6, show_legend=False)
        + p9.geom_point(size=1.7, stroke=0)
        + p9.facet_grid("statistic", "column", scales="free_y", labeller=_labeller(columns))
        + p9.scale_color_manual(
            values=[palette[one] for one in corpora], limits=corpora, labels=labels
        )
        + p9.scale_x_continuous(
            breaks=[math.log(count + 1) for count in counts],
            labels=[style.count_label(count) for count in counts],
            limits=(-0.06 * high, 1.06 * high),
            expand=(0, 0),
            minor_breaks=[],
        )
        + p9.scale_y_continuous(labels=style.number_labels)
        + p9.labs(
            x="times that an item was inserted (log scale)",
            y="for the inserted order",
            color="",
            caption=style.caption(_sentences(last, runs), width),
        )
        + style.theme(width, 1.3 + PANEL[1] * 2)
    )  # fmt: skip


def insertion_curves_figure(table: pl.DataFrame, name: str = "insertions") -> p9.ggplot:
    """Mean preference for the inserted order against tokens, a line for each inserted count.

    Of the runs that were trained on a corpus with insertions: points are runs, lines their means.
    A column for each such corpus and probe. Arguments and errors as in `insertions_figure`, and
    where no run was trained on such a corpus.
    """
    table = _with_columns(check_table(table, INSERTIONS, name))
    table = table.filter(pl.col("corpus") == pl.col("inserted"))
    if table.is_empty():
        raise ValueError(f"{name}: no run was trained on a corpus with insertions")
    table = table.with_columns(count=pl.concat_str(_range_labels(table)))
    counts = style.in_order(table.sort("count_low")["count"])
    columns = style.in_order(table["column"])
    key = ["column", "count"]
    means = table.group_by(*key, "tokens", maintain_order=True).agg(pl.col("preference").mean())
    dense = means.group_by(key).len()["len"].max() > SPARSE
    lines = smoothed(means, "preference", key) if dense else means
    axis = style.TokenAxis.of(table["tokens"])
    orders = {"count": counts, "column": columns}

    def frame(part: pl.DataFrame):
        part = part.with_columns(key=pl.concat_str(key, separator="\n"))
        return style.to_pandas(axis.place(part), orders)

    labels = [f"{count}, n = {_items(table, count)}" for count in counts]
    width = 1.0 + PANEL[0] * len(columns) + style.legend_width(labels)
    shades = [style.PALE, *_shades(len(counts) - 1)] if counts[0] == "0" else _shades(len(counts))
    sentences = [f"Points: means over items, {_runs(table)}; lines: means over runs."]
    sentences.append("Colours: times that an item was inserted; n: items.")
    return (
        p9.ggplot(mapping=p9.aes("position", "preference", color="count"))
        + p9.geom_hline(yintercept=0, color=style.PALE, size=0.5)
        + axis.layers(PANEL[0])
        + p9.geom_point(
            data=frame(table), stroke=0, raster=dense, size=0.6 if dense else 1.3, alpha=0.6
        )
        + style.line(frame(lines), "key", mapping=p9.aes(group="key"), size=0.9)
        + ([p9.facet_wrap("column", nrow=1)] if len(columns) > 1 else [])
        + p9.scale_color_manual(values=shades, limits=counts, labels=labels)
        + p9.scale_y_continuous(labels=style.number_labels)
        + p9.labs(
            y="mean preference for\nthe inserted order (nats)",
            color="",
            caption=style.caption(sentences, width),
        )
        + p9.guides(color=p9.guide_legend(reverse=True))
        + style.theme(width, 1.2 + PANEL[1] * 1.3)
    )


def _with_columns(table: pl.DataFrame) -> pl.DataFrame:
    """With `column`: the corpus with insertions, and the probe where there are several."""
    names = ["inserted"] + (["probe"] if table["probe"].n_unique() > 1 else [])
    column = pl.concat_str(names, separator="\n")
    return table.with_columns(column=column).with_columns(column=style.wrapped_column("column", 34))


def _breaks(table: pl.DataFrame, high: float) -> list[int]:
    """Counts on the axis: those that there are, if they are few, or round ones up to `high`."""
    exact = (table["count_low"] == table["count_high"]).all()
    if exact and table["mean_count"].n_unique() <= MOST_BREAKS:
        return table["count_low"].unique().sort().to_list()
    return [0, *(count for count in COUNTS if math.log(count + 1) <= high + 1e-9)]


def _range_labels(table: pl.DataFrame) -> list[pl.Expr]:
    """Parts of the name of a group: 10, or 8–15."""
    exact = pl.col("count_low") == pl.col("count_high")
    number = [
        pl.col(end).map_elements(style.count_label, return_dtype=pl.String)
        for end in ("count_low", "count_high")
    ]
    return [number[0], pl.when(exact).then(pl.lit("")).otherwise(pl.lit("–") + number[1])]


def _shades(count: int) -> list[str]:
    """So many colours, from light to dark."""
    return [style.colours([f"seen-{i + 1}of{count}"]).popitem()[1] for i in range(count)]


def _labeller(columns: list[str]) -> p9.labeller:
    """The name of a column is left out where there is one."""
    return p9.labeller(cols=(lambda label: "") if len(columns) == 1 else "label_value")


def _runs(table: pl.DataFrame, corpus: str | None = None) -> str:
    runs = (table if corpus is None else table.filter(corpus=corpus))["run"].n_unique()
    return "1 run" if runs == 1 else f"{runs} runs"


def _items(table: pl.DataFrame, count: str) -> str:
    return style.range_label(table.filter(count=count)["n"])


def _sentences(last: pl.DataFrame, runs: list[str]) -> list[str]:
    sentences = [
        "Last checkpoint of each run. Colours: the corpus that it was trained on; items are the "
        "same for all, grouped by how often they were inserted, in the direction that was drawn.",
        f"n = {style.range_label(last['n'])} items for each count.",
    ]
    if last["preference_low"].null_count() < len(last):
        sentences.append("Bars: 95 % intervals over items (t; Wilson).")
    return sentences
