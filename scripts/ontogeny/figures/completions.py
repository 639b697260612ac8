"""Accuracy of completions over one run."""

import math

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.accuracy import ALL, Panels, labelled_lines
from ontogeny.figures.tables import COMPLETIONS, check_table

WIDTH = 4.4  # inches of a panel
MOST_BANDS = 6  # in one panel; more hide each other


def completions_figure(table: pl.DataFrame, name: str = "completions") -> p9.ggplot:
    """One run: accuracy of completions against tokens, of each class; a panel for a probe.

    `all` is drawn only where there are no classes, as it says nothing beside them.

    Args:
        table: columns `tables.COMPLETIONS`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, has several runs, or has no accuracy.
    """
    table = check_table(table, COMPLETIONS, name)
    run = style.only_run(table, name)
    table = table.drop_nulls("accuracy").sort("tokens", maintain_order=True)
    if table.is_empty():
        raise ValueError(f"{name}: no row has an accuracy")
    table = table.with_columns(pl.col("class").fill_null(""))
    is_class = pl.col("class") != ALL
    table = table.filter(is_class | ~is_class.any().over("probe"))
    classes = pl.col("class").n_unique().over("probe")
    title = pl.when(is_class).then(pl.col("class")).otherwise(pl.lit("all items"))
    table = table.with_columns(
        series="class",
        banded=classes <= MOST_BANDS,
        label=pl.format("{}, n = {}", title, _count()),
    )
    top = table.select(pl.max_horizontal("accuracy", "accuracy_high")).to_series().max()
    most = table.group_by("probe").agg(pl.col("series").n_unique())["series"].max()
    panels = Panels(WIDTH, max(2.4, 0.15 * (most + 2)), 0.0, min(1.0, math.ceil(top * 4) / 4))
    plot, width, lines = labelled_lines(table, panels, chance=None)
    samples = style.range_label(table["samples"])
    drawn = "one completion" if samples == "1" else f"the mean of {samples} completions"
    sentences = [f"Accuracy: share of items completed with the answer ({drawn} each). n: items."]
    if table["banded"].any():
        some = "" if table["banded"].all() else f", where there are up to {MOST_BANDS} classes"
        sentences.append(f"Bands: 95 % interval (Wilson) over items{some}.")
    sentences += lines
    return plot + p9.labs(
        title=style.wrapped(run, 50),
        y="accuracy of completions",
        caption=style.caption(sentences, width),
    )


def _count() -> pl.Expr:
    return pl.col("n").map_elements(lambda n: f"{n:,}", return_dtype=pl.String)
