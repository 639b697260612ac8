"""Accuracy on minimal pairs over one run: all pairs and phenomena, and each paradigm."""

import math
import re

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.accuracy import (
    ALL,
    SPARSE,
    OutsideText,
    Panels,
    bands,
    labelled_lines,
    with_looks,
)
from ontogeny.figures.smooth import spaced
from ontogeny.figures.tables import MINIMAL_PAIRS, check_table

CHANCE = 0.5
WIDTH = 4.4  # inches of a panel of phenomena
PANEL = (1.3, 0.85)  # inches of a panel of one paradigm
STRIP, STRIP_LETTERS = 23, 6.5  # characters of a line of its title, and their size in points
GAP = 0.2  # inches between rows, below the axis of the upper one if it has any
MOST_COLUMNS = 8
MEANING = (
    "Accuracy: share of pairs whose acceptable sentence is the more probable one, a tie counting "
    "one half. n: pairs."
)


def minimal_pairs_figure(table: pl.DataFrame, name: str = "minimal_pairs") -> p9.ggplot:
    """One run: accuracy against tokens, of all pairs and of each phenomenon; a panel for a probe.

    Args:
        table: columns `tables.MINIMAL_PAIRS`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, has several runs, or has no row of all pairs
            or of a phenomenon.
    """
    table, run = _checked(table, name)
    table = table.filter(pl.col("uid") == ALL)
    if table.is_empty():
        raise ValueError(f"{name}: no row has the uid {ALL!r}, of all pairs or of a phenomenon")
    whole = pl.col("phenomenon") == ALL
    title = pl.when(whole).then(pl.lit("all pairs")).otherwise(_words("phenomenon"))
    table = table.with_columns(
        series="phenomenon",
        banded=whole,
        label=pl.format("{}, n = {}", title, _count()),
    ).sort(whole, maintain_order=True)  # the line of all pairs lies upon the others
    low = min(0.4, math.floor((table["accuracy"].min() - 0.02) * 10) / 10)
    most = table.group_by("probe").agg(pl.col("series").n_unique())["series"].max()
    height = max(2.8, 0.15 * (most + 2))
    plot, width, sentences = labelled_lines(
        table, Panels(WIDTH, height, max(low, 0.0), 1.0), CHANCE
    )
    band = "Band: 95 % interval (Wilson) of all pairs."
    sentences = [MEANING, band, *sentences, "Grey line: chance."]
    return plot + p9.labs(
        title=style.wrapped(run, 50),
        y="accuracy on minimal pairs",
        caption=style.caption(sentences, width),
    )


def paradigms_figure(table: pl.DataFrame, name: str = "minimal_pairs") -> p9.ggplot:
    """One run: accuracy against tokens, a small panel for each paradigm, under its phenomenon.

    Args:
        table: columns `tables.MINIMAL_PAIRS`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, has several runs, or has no paradigm.
    """
    table, run = _checked(table, name)
    table = table.filter(pl.col("uid") != ALL)
    if table.is_empty():
        raise ValueError(f"{name}: no row is of a single paradigm")
    several = table["probe"].n_unique() > 1
    heading = pl.format("{}: {}", "probe", _words("phenomenon")).str.strip_chars(": ")
    table = with_looks(table.with_columns(series="phenomenon")).with_columns(
        heading=heading if several else _words("phenomenon"),
        key=pl.concat_str("probe", "uid", separator="\n"),
    )
    checkpoints = table.group_by("key").len()["len"].max()
    axis = style.TokenAxis.of(table["tokens"])
    panels = table.unique("key", keep="first", maintain_order=True)
    columns = _columns(len(panels))
    panels, above, lines = _titles(panels, columns)
    titles = dict(panels.select("key", "title").iter_rows())
    orders = {"key": list(titles)}
    table = spaced(table, ["key"], SPARSE)
    frame = style.to_pandas(axis.place(table), orders)
    headings = style.to_pandas(panels.filter(pl.col("heading") != ""), orders)
    rows = math.ceil(len(panels) / columns)
    letter = STRIP_LETTERS / 72
    width = max(0.8 + (PANEL[0] + 0.06) * columns, 4.5)
    height = 1.2 + (PANEL[1] + 0.12 + GAP + 1.2 * letter * (above + lines)) * rows
    counts = style.range_label(table["n"])
    sentences = [MEANING.replace("n: pairs.", f"n = {counts} pairs for each paradigm.")]
    some = f" at {SPARSE} of the checkpoints" if checkpoints > SPARSE else ""
    sentences.append(f"Line and band: accuracy and its 95 % interval (Wilson){some}.")
    sentences.append("Grey line: chance.")
    return (
        p9.ggplot(frame, p9.aes("position", "accuracy", color="colour", group="key"))
        + p9.geom_hline(yintercept=CHANCE, color=style.PALE, size=0.5)
        + axis.layers(PANEL[0])
        + bands(frame, color="colour", fill="colour")
        + style.line(frame, "key", size=0.8)
        + p9.geom_point(data=style.no_line(frame, "key"), size=1.1, stroke=0)
        + OutsideText(
            p9.aes(label="heading", color="colour"), data=headings, x=-math.inf, y=math.inf,
            ha="left", va="bottom", size=STRIP_LETTERS, fontweight="bold",
            lineheight=1.33, inherit_aes=False,
        )
        + p9.facet_wrap("key", ncol=columns, labeller=p9.as_labeller(titles.get))
        + p9.scale_color_identity()
        + p9.scale_fill_identity()
        + p9.scale_y_continuous(
            limits=(0, 1), expand=(0, 0.03), breaks=[0, 0.5, 1], labels=["0", ".5", "1"]
        )
        + p9.labs(
            title=style.wrapped(run, 14 * columns),
            y="accuracy on minimal pairs",
            caption=style.caption(sentences, width),
        )
        + style.theme(width, height)
        + p9.theme(
            axis_text=p9.element_text(size=6.5),
            panel_spacing_x=0.1 / width,
            panel_spacing_y=GAP / width,
            plot_title=p9.element_text(size=10, ha="left", margin={"b": 9}),
            strip_text=p9.element_text(size=STRIP_LETTERS, linespacing=1.2),
        )
    )  # fmt: skip


def _checked(table: pl.DataFrame, name: str) -> tuple[pl.DataFrame, str]:
    """Rows with an accuracy, in the order of tokens, and the run."""
    table = check_table(table, MINIMAL_PAIRS, name)
    run = style.only_run(table, name)
    table = table.with_columns(pl.col("phenomenon").fill_null(""))
    return table.drop_nulls("accuracy").sort("tokens", maintain_order=True), run


def _words(column: str) -> pl.Expr:
    return pl.col(column).str.replace_all("_", " ")


def _count() -> pl.Expr:
    return pl.col("n").map_elements(lambda n: f"{n:,}", return_dtype=pl.String)


def _title(uid: str) -> str:
    """In words; a number at the end stays in the line of the word before."""
    return re.sub(r" (?=\d+$)", "\N{NO-BREAK SPACE}", uid.replace("_", " "))


def _columns(panels: int) -> int:
    """Up to eight, and about as many as rows."""
    return min(MOST_COLUMNS, panels, math.ceil(math.sqrt(1.2 * panels)))


def _titles(panels: pl.DataFrame, columns: int) -> tuple[pl.DataFrame, int, int]:
    """`title` of each panel, and `heading` where a phenomenon or a row begins, else empty.

    Headings stand above titles, so titles begin with the empty lines that make room. Also returned:
    the lines that headings take, and those that titles do.
    """
    names = panels["heading"].to_list()
    headings = []
    for place, name in enumerate(names):
        first = place % columns == 0 or names[place - 1] != name
        row = names[place : columns * (place // columns + 1)]
        room = next((i for i, other in enumerate(row) if other != name), len(row))
        headings.append(style.wrapped(name, (STRIP - 1) * room) if first else "")
    titles = [style.wrapped(_title(uid), STRIP) for uid in panels["uid"]]
    above = max(heading.count("\n") + 1 if heading else 0 for heading in headings)
    lines = max(title.count("\n") + 1 for title in titles)
    blank = [" \n" * (above + lines - title.count("\n") - 1) for title in titles]
    below = "\n " * lines
    return (
        panels.with_columns(
            title=pl.Series([a + b for a, b in zip(blank, titles, strict=True)]),
            heading=pl.Series([heading + below if heading else "" for heading in headings]),
        ),
        above,
        lines,
    )
