"""Perplexity on held-out text over one run."""

import math

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.tables import PERPLEXITY, check_table

SPARSE = 60  # checkpoints that still show one by one
PANEL = (4.2, 2.8)  # inches


def perplexity_figure(table: pl.DataFrame, name: str = "perplexity") -> p9.ggplot:
    """One run: perplexity (log scale) against tokens, a colour for each probe.

    Args:
        table: columns `tables.PERPLEXITY`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, has several runs, or has no perplexity.
    """
    table = check_table(table, PERPLEXITY, name)
    run = style.only_run(table, name)
    table = table.filter(pl.col("perplexity").is_finite())
    if table.is_empty():
        raise ValueError(f"{name}: no row has a perplexity")
    table = table.with_columns(series=pl.concat_str("probe", "corpus", separator="\n"))
    series = style.in_order(table["series"])
    palette = style.colours(series)
    axis = style.TokenAxis.of(table["tokens"])
    labels = [_label(table, one) for one in series]
    width = PANEL[0] + 0.8 + style.legend_width(line for x in labels for line in x.split("\n"))
    frame = style.to_pandas(axis.place(table), {"series": series})
    start, after = frame[frame["tokens"] == 0], frame[frame["tokens"] > 0]
    dense = len(table) > SPARSE * len(series)
    sentence = "Perplexity per token of held-out text; n: tokens scored."
    return (
        p9.ggplot(mapping=p9.aes("position", "perplexity", color="series"))
        + axis.layers(PANEL[0])
        + style.line(frame, "series", size=0.8)
        + p9.geom_point(data=start, size=1.5, stroke=0)
        + p9.geom_point(data=after, size=0.6 if dense else 1.5, stroke=0, raster=dense)
        + p9.scale_color_manual(
            values=[palette[one] for one in series], limits=series, labels=labels
        )
        + p9.scale_y_log10(breaks=_breaks(table["perplexity"]), labels=_numbers, minor_breaks=[])
        + p9.labs(
            title=style.wrapped(run, 50),
            y="held-out perplexity\n(log scale)",
            caption=style.caption([sentence], width),
            color="",
        )
        + style.theme(width, PANEL[1] + 1.1)
    )


def _label(table: pl.DataFrame, series: str) -> str:
    """Probe, corpus and number of tokens, in lines."""
    part = table.filter(pl.col("series") == series)
    probe, corpus = part["probe"][0], part["corpus"][0]
    return f"{style.wrapped(probe, 24)}\n{style.wrapped(corpus, 24)}, n = " + style.range_label(
        part["n_tokens"]
    )


def _breaks(values: pl.Series) -> list[float]:
    """Round numbers in the range of `values`, at most seven; 1, 2, 5 or 1, 3 or 1 of a decade."""
    low, high = values.min(), values.max()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        inside = [d * 10.0**k for k in decades for d in digits if low <= d * 10.0**k <= high]
        if len(inside) <= 7:
            break
    return inside if len(inside) > 1 else sorted({low, high})


def _numbers(values: list[float]) -> list[str]:
    return [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
