"""What the figures of accuracy share: bands, and lines whose names stand at their ends.

A dozen lines are too many for a legend that has colours alone, so each is named beside its last
checkpoint, in its colour, and no two lines of a panel look the same (for up to 24 of them).
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotnine as p9
import polars as pl
from scipy.optimize import isotonic_regression

from ontogeny.figures import style
from ontogeny.figures.smooth import smoothed, spaced
from ontogeny.figures.trajectories import CURVE

SPARSE = 60  # checkpoints that still show one by one
LETTERS = 7.5  # points
ALL = "all"
COLOURS = [style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE, style.ORANGE, style.SKY]
SERIES = ["probe", "series", "key", "label", "colour", "dash"]
DASHES = ["solid", "dashed", "dotted", "dashdot"]


@dataclass(frozen=True)
class Panels:
    """Size of the panels (width and height in inches) and the range of their accuracy."""

    width: float
    height: float
    low: float
    high: float


class OutsideText(p9.geom_text):
    """Text that may stand outside of its panel, where `geom_text` cuts it off."""

    @staticmethod
    def draw_group(data, panel_params, coord, ax, params):
        drawn = len(ax.texts)
        p9.geom_text.draw_group(data, panel_params, coord, ax, params)
        for text in ax.texts[drawn:]:
            text.set_clip_on(False)


def looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a pattern of dashes for each name; `all` is a line of ink."""
    pairs = itertools.cycle((colour, dash) for dash in DASHES for colour in COLOURS)
    return {name: (style.INK, "solid") if name == ALL else next(pairs) for name in names}


def spread(values: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Places near `values` that are at least `gap` apart, in their order, within `low` to `high`.

    The sum of the squared distances is the least possible (an isotonic regression). If there is
    no room they go beyond `high`.
    """
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    places = isotonic_regression(np.asarray(values, dtype=np.float64)[order] - steps).x
    places = np.maximum(np.minimum(places, high - steps[-1]), low) + steps
    found = np.empty(len(values))
    found[order] = places
    return found


def bands(frame: pd.DataFrame, **aesthetics: str) -> list[p9.layer]:
    """Intervals as a band from the first positive number of tokens, as bars where no line is.

    `frame`: columns `key` (one for each line), `position`, `tokens`, `accuracy_low` and
    `accuracy_high`. `aesthetics`: the columns of `color` and `fill`.
    """
    alone = style.no_line(frame, "key")
    edges = {"ymin": "accuracy_low", "ymax": "accuracy_high"}
    fill, color = ({key: aesthetics[key]} for key in ("fill", "color"))
    return [
        p9.geom_ribbon(
            p9.aes("position", group="key", **edges, **fill),
            data=frame.drop(alone.index), alpha=0.18, inherit_aes=False, show_legend=False,
        ),
        p9.geom_linerange(
            p9.aes("position", **edges, **color),
            data=alone, alpha=0.35, size=0.9, inherit_aes=False, show_legend=False,
        ),
    ]  # fmt: skip


def labelled_lines(
    table: pl.DataFrame, panels: Panels, chance: float | None
) -> tuple[p9.ggplot, float, list[str]]:
    """A column of panels, one for each probe, with a line for each series; no title or caption.

    Where a series has more than 60 checkpoints, the lines are curves through them, and the points
    of those series show that have a band.

    Args:
        table: `tokens`, `probe`, `series`, `label` (of the series), `banded` (whether its interval
            is drawn), `accuracy`, `accuracy_low`, `accuracy_high`. Rows of a series in the order
            of tokens, series as their lines should lie upon each other.
        panels: the size of a panel.
        chance: where a line across is drawn, if at all.

    Returns:
        The plot, its width in inches, and sentences for its caption.
    """
    axis = style.TokenAxis.of(table["tokens"])
    table = with_looks(table)
    dense = table.group_by("key").len()["len"].max() > SPARSE
    curves = smoothed(table, "accuracy", SERIES) if dense else table
    orders = {column: style.in_order(table[column]) for column in ("probe", "key")}
    lines = style.to_pandas(axis.place(curves), orders)
    points = style.to_pandas(axis.place(table), orders)
    banded = table.filter("banded")
    banded = style.to_pandas(axis.place(spaced(banded, ["key"]) if dense else banded), orders)
    if dense:
        points = points[points["banded"] | (points["tokens"] == 0)]
    ends = style.to_pandas(axis.place(_ends(curves, panels)), orders)
    whole = lines["series"] == ALL
    room = 0.15 + 0.0082 * LETTERS * max(map(len, ends["label"]))
    width = 0.8 + panels.width + room
    layers = [] if chance is None else [
        p9.geom_hline(yintercept=chance, color=style.PALE, size=0.6)
    ]  # fmt: skip
    leaders = p9.geom_segment(
        p9.aes("position", "accuracy", yend="place", color="colour"),
        data=ends, xend=math.inf, size=0.3, inherit_aes=False,
    )  # fmt: skip
    names = OutsideText(
        p9.aes(y="place", label="label", color="colour"),
        data=ends, x=math.inf, ha="left", size=LETTERS, inherit_aes=False,
    )  # fmt: skip
    plot = (
        p9.ggplot(points, p9.aes("position", "accuracy", color="colour", group="key"))
        + layers
        + axis.layers(panels.width)
        + bands(banded, color="colour", fill="colour")
        + style.line(lines[~whole], "key", mapping=p9.aes(linetype="dash"), size=0.7)
        + style.line(lines[whole], "key", size=1.2)
        + p9.geom_point(
            size=0.6 if dense else 0.9, alpha=0.4 if dense else 1, stroke=0, raster=dense
        )
        + leaders
        + names
        + ([p9.facet_wrap("probe", ncol=1)] if len(orders["probe"]) > 1 else [])
        + p9.scale_color_identity()
        + p9.scale_fill_identity()
        + p9.scale_linetype_identity()
        + p9.scale_y_continuous(limits=(panels.low, panels.high), expand=(0, 0.02))
        + style.theme(width, 1.2 + (panels.height + 0.3) * len(orders["probe"]))
        + p9.theme(plot_margin_right=room / width)
    )
    return plot, width, [CURVE] * dense


def with_looks(table: pl.DataFrame) -> pl.DataFrame:
    """With `key`, `colour` and `dash` of each series of each probe."""
    table = table.with_columns(key=pl.concat_str("probe", "series", separator="\n"))
    parts = []
    for _, part in table.group_by("probe", maintain_order=True):
        names = looks(style.in_order(part["series"]))
        parts.append(
            part.with_columns(
                colour=pl.col("series").replace_strict({k: v[0] for k, v in names.items()}),
                dash=pl.col("series").replace_strict({k: v[1] for k, v in names.items()}),
            )
        )
    return pl.concat(parts)


def _ends(table: pl.DataFrame, panels: Panels) -> pl.DataFrame:
    """The last row of each series, with the height at which its name stands."""
    line = 1.3 * LETTERS / 72 * (panels.high - panels.low) / panels.height
    ends = table.group_by("key", maintain_order=True).last()
    parts = []
    for _, part in ends.group_by("probe", maintain_order=True):
        accuracy = part["accuracy"].to_numpy()
        places = spread(accuracy, line, panels.low + line / 2, panels.high - line / 2)
        parts.append(part.with_columns(pl.Series("place", places), label=" " + pl.col("label")))
    return pl.concat(parts)
