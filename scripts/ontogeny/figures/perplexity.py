"""Perplexity on held-out text over one run, and the divergence from n-grams where it is known."""

import math

import pandas as pd
import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.tables import PERPLEXITY, check_table

SPARSE = 60  # checkpoints that still show one by one
PANEL = (4.2, 2.8)  # inches
LOSS = "held-out perplexity\n(log scale)"
APART = "divergence from n-grams\n(nats a token, log scale)"
MEANING = (
    "Divergence: KL(n-gram || model), its mean over tokens; 0 where the model predicts as the "
    "n-gram does. The n-grams are of the run's training text."
)
NGRAMS = {"kl_unigram": "from unigrams", "kl_bigram": "from bigrams"}


def perplexity_figure(table: pl.DataFrame, name: str = "perplexity") -> p9.ggplot:
    """One run: perplexity (log scale) against tokens, a colour for each probe; below it the
    divergences from n-grams, if there are any.

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
    losses = table.with_columns(value="perplexity", panel=pl.lit(LOSS))
    apart = _divergences(table)
    panels = [LOSS, APART] if len(apart) else [LOSS]
    orders = {"series": series, "panel": panels}
    frame = style.to_pandas(axis.place(losses), orders)
    ngrams = style.to_pandas(axis.place(apart), orders | {"ngram": list(NGRAMS.values())})
    dense = len(table) > SPARSE * len(series)
    sentences = ["Perplexity per token of held-out text; n: tokens scored."]
    sentences += [MEANING] * (len(panels) > 1)
    layers = [
        style.line(ngrams, "key", mapping=p9.aes(linetype="ngram", group="key"), size=0.8),
        *_dots(ngrams, dense, p9.aes(shape="ngram")),
        p9.scale_linetype_manual(values=["dotted", "solid"]),
        p9.scale_shape_manual(values=["^", "o"]),
        p9.facet_wrap("panel", ncol=1, scales="free_y"),
    ]
    return (
        p9.ggplot(mapping=p9.aes("position", "value", color="series"))
        + axis.layers(PANEL[0])
        + style.line(frame, "series", size=0.8)
        + (layers if len(panels) > 1 else [])
        + _dots(frame, dense)
        + p9.scale_color_manual(
            values=[palette[one] for one in series], limits=series, labels=labels
        )
        + p9.scale_y_log10(breaks=_breaks, labels=_numbers, minor_breaks=[])
        + p9.labs(
            title=style.wrapped(run, 50),
            y="" if len(panels) > 1 else LOSS,
            caption=style.caption(sentences, width),
            color="",
            linetype="",
            shape="",
        )
        + style.theme(width, (PANEL[1] + 0.3) * len(panels) + 0.8)
    )


def _divergences(table: pl.DataFrame) -> pl.DataFrame:
    """The divergences above 0 in `value`, a row for each n-gram (`ngram`); `key`: one for each
    line."""
    index = ["tokens", "series"]
    long = table.unpivot(list(NGRAMS), index=index, variable_name="ngram")
    long = long.filter(pl.col("value") > 0).with_columns(pl.col("ngram").replace_strict(NGRAMS))
    key = pl.concat_str("series", "ngram", separator="\n")
    return long.with_columns(key=key, panel=pl.lit(APART))


def _dots(frame: pd.DataFrame, dense: bool, mapping: p9.aes | None = None) -> list[p9.layer]:
    """A dot for each row, small where they are dense, but for those at 0 tokens."""
    start, after = frame[frame["tokens"] == 0], frame[frame["tokens"] > 0]
    return [
        p9.geom_point(mapping, data=start, size=1.5, stroke=0),
        p9.geom_point(mapping, data=after, size=0.6 if dense else 1.5, stroke=0, raster=dense),
    ]


def _label(table: pl.DataFrame, series: str) -> str:
    """Probe, corpus and number of tokens, in lines."""
    part = table.filter(pl.col("series") == series)
    probe, corpus = part["probe"][0], part["corpus"][0]
    return f"{style.wrapped(probe, 24)}\n{style.wrapped(corpus, 24)}, n = " + style.range_label(
        part["n_tokens"]
    )


def _breaks(limits: tuple[float, float]) -> list[float]:
    """Round numbers within the limits, at most seven; 1, 2, 5 or 1, 3 or 1 of a decade."""
    low, high = limits
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        inside = [d * 10.0**k for k in decades for d in digits if low <= d * 10.0**k <= high]
        if len(inside) <= 7:
            break
    return inside if len(inside) > 1 else sorted({low, high})


def _numbers(values: list[float]) -> list[str]:
    return [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
