"""What every figure shares: theme, colours, the axis of tokens, words, and how it is saved."""

import math
import os
import re
import textwrap
import warnings
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import plotnine as p9
import polars as pl

from ontogeny.files import replacing

mpl.use("agg")  # files only, also where there is a screen

DPI = 200
INK, PALE = "#222222", "#8A8A8A"

# Okabe & Ito 2008, "Color universal design" (jfly.uni-koeln.de/color), but for its yellow,
# which doesn't show as a line on white.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
)  # fmt: skip
GROUPS = {"all": INK, "attested": BLUE, "nonce": VERMILLION}
OTHERS = [GREEN, PURPLE, ORANGE, SKY]
SHADES = {"attested": "BuGn", "seen": "BuPu"}
FREQUENCY_GROUP = re.compile(r"(?P<base>.+)-(?P<bin>\d+)of(?P<bins>\d+)")


def theme(width: float, height: float) -> p9.theme:
    """The look of every figure; `width` and `height` in inches."""
    return p9.theme_bw(base_size=9, base_family="DejaVu Sans") + p9.theme(
        figure_size=(width, height),
        dpi=DPI,
        text=p9.element_text(color=INK),
        axis_text=p9.element_text(size=7.5, color="#444444"),
        axis_title=p9.element_text(size=9),
        axis_ticks_major=p9.element_line(color=PALE, size=0.5),
        axis_ticks_minor=p9.element_blank(),
        panel_border=p9.element_rect(color=PALE, size=0.6),
        panel_grid_major_x=p9.element_blank(),
        panel_grid_major_y=p9.element_line(color="#EBEBEB", size=0.5),
        panel_grid_minor=p9.element_blank(),
        panel_spacing=0.012,
        strip_background=p9.element_blank(),
        strip_text=p9.element_text(size=8.5, color=INK),
        plot_title=p9.element_text(size=10, ha="left"),
        plot_caption=p9.element_text(size=7, color="#555555", ha="left", linespacing=1.35),
        legend_title=p9.element_blank(),
        legend_text=p9.element_text(size=8, multialignment="left"),
        legend_key=p9.element_blank(),
        legend_position="right",
    )


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each group or other series; a group's is the same in every figure.

    Frequency groups (`attested-2of3`, `seen-2of3`) go from light (rarest) to dark (most frequent).
    """
    names = list(names)
    free = [name for name in names if name not in GROUPS and not FREQUENCY_GROUP.fullmatch(name)]
    others = OTHERS
    if len(free) > len(OTHERS):
        steps = np.linspace(0.0, 0.9, len(free))
        others = [mpl.colors.to_hex(colour) for colour in mpl.colormaps["turbo"](steps)]
    found = dict(zip(free, others, strict=False))
    for name in names:
        if match := FREQUENCY_GROUP.fullmatch(name):
            last = max(int(match["bins"]) - 1, 1)
            shade = 0.42 + 0.58 * (int(match["bin"]) - 1) / last
            shades = mpl.colormaps[SHADES.get(match["base"], "BuGn")]
            found[name] = mpl.colors.to_hex(shades(shade))
    return {name: GROUPS.get(name) or found[name] for name in names}


def count_label(value: float) -> str:
    """A count in three digits at most: 300, 1k, 9.83M, 10B."""
    for size, unit in ((1, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")):
        scaled = float(f"{value / size:.3g}")
        if scaled < 1000 or unit == "T":
            return f"{scaled:g}{unit}"
    raise AssertionError("unreachable")


def number_labels(values: Iterable[float]) -> list[str]:
    """Numbers of an axis, with a minus that is as wide as a plus."""
    return [f"{value:.3g}".replace("-", "−") for value in values]


def range_label(values: Iterable[int]) -> str:
    """`125`, or `120–125` where the counts differ."""
    values = list(values)
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


@dataclass(frozen=True)
class TokenAxis:
    """A logarithmic axis of tokens on which 0 has a place of its own, left of a dotted line.

    Positions are log10 tokens. `zero` is the position of 0 tokens, None where no row has it.
    """

    low: float
    high: float
    zero: float | None

    @classmethod
    def of(cls, tokens: pl.Series) -> "TokenAxis":
        """The axis for all `tokens` (integers >= 0) of a figure."""
        positive = tokens.filter(tokens > 0)
        low, high = (
            (math.log10(positive.min()), math.log10(positive.max()))
            if len(positive)
            else (0.0, 0.0)
        )
        gap = 0.14 * (high - low) or 0.5
        zero = low - gap if (tokens == 0).any() else None
        return cls(low, high, (0.0 if not len(positive) else zero))

    def place(self, table: pl.DataFrame) -> pl.DataFrame:
        """`table` with the column `position`, from its column `tokens`."""
        tokens = pl.col("tokens").cast(pl.Float64)
        position = pl.when(tokens > 0).then(tokens.log10())
        return table.with_columns(position=position.otherwise(self.zero))

    def breaks(self, most: int) -> list[int]:
        """At most `most` round numbers of tokens on the axis, 0 among them if it has a place."""
        first = [] if self.zero is None else [0]
        most = max(most - len(first), 2)
        if self.high - self.low < 1e-9:
            return first + ([round(10**self.low)] if self.zero != self.low else [])
        decades = range(math.floor(self.low) - 1, math.ceil(self.high) + 1)
        choices = [[d * 10**k for k in decades for d in digits if k >= 0]
                   for digits in ((1, 2, 5), (1, 3), (1,))]  # fmt: skip
        choices += [[10**k for k in decades if k >= 0 and k % step == 0] for step in (2, 3, 4, 6)]
        slack = 1e-9
        for choice in choices:
            inside = [t for t in choice if self.low - slack <= math.log10(t) <= self.high + slack]
            if len(inside) <= most:
                break
        if len(inside) < 2:
            inside = [round(10**self.low), round(10**self.high)]
        return first + inside

    def layers(self, panel_width: float) -> list:
        """The scale and its title, and the line that sets 0 apart. `panel_width` in inches."""
        breaks = self.breaks(most=round(panel_width / 0.45))
        positions = [math.log10(tokens) if tokens else self.zero for tokens in breaks]
        left = self.low if self.zero is None else self.zero
        margin = 0.04 * (self.high - left) or 0.25
        scale = p9.scale_x_continuous(
            breaks=positions,
            labels=[count_label(tokens) for tokens in breaks],
            limits=(left - margin, self.high + margin),
            minor_breaks=[],
            expand=(0, 0),
        )
        layers = [scale, p9.labs(x="training tokens (log scale)")]
        if self.zero is not None and self.zero < self.low:
            middle = (self.zero + self.low) / 2
            layers.append(p9.geom_vline(xintercept=middle, linetype="dotted", color=PALE, size=0.4))
        return layers


def wrapped(text: str, width: int) -> str:
    """`text` in lines of at most `width` characters, broken after a space, `-`, `.` or `_`."""
    lines = [""]
    for piece in re.split(r"(?<=[-._ ])", text):
        if lines[-1] and len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    cut = [line[i : i + width] for line in lines for i in range(0, len(line.rstrip()), width)]
    return "\n".join(line.rstrip() for line in cut)


def wrapped_column(column: str, width: int) -> pl.Expr:
    """A column of text, each value `wrapped`."""
    return pl.col(column).map_elements(lambda text: wrapped(text, width), return_dtype=pl.String)


def legend_width(labels: Iterable[str]) -> float:
    """Inches that a legend right of the panels takes."""
    return 0.75 + 0.073 * max(map(len, labels))


def caption(sentences: Iterable[str], width: float) -> str:
    """Sentences as the lines of a caption below a figure of `width` inches."""
    return "\n".join(textwrap.wrap(" ".join(sentences), int(width * 16.5)))


def save_figure(plot: p9.ggplot, png: str | os.PathLike, svg: str | os.PathLike) -> None:
    """Write a plot as PNG (200 dpi) and SVG: whole or not at all, the same bytes each time."""
    formats = ((png, "png", {"Software": None}), (svg, "svg", {"Date": None, "Creator": None}))
    with mpl.rc_context({"svg.hashsalt": "ontogeny"}), warnings.catch_warnings():
        # Points beside each other may reach those of the next checkpoint: that is no mistake.
        warnings.filterwarnings("ignore", "position_dodge requires non-overlapping")
        figure = deepcopy(plot).draw()  # drawing changes a plot: once drawn it can't be again
        try:
            for path, form, metadata in formats:
                with replacing(path) as temporary:
                    figure.savefig(temporary, format=form, dpi=DPI, metadata=metadata)
        finally:
            plt.close(figure)


def line(frame: pd.DataFrame, by: str, **look) -> p9.layer:
    """A line through each series, from its first positive number of tokens.

    A series of one row has none (plotnine warns of it); see `no_line`.
    """
    return p9.geom_line(data=frame.drop(no_line(frame, by).index), **look)


def no_line(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """The rows that `line` doesn't go through: those at 0 tokens, and the only one of a series."""
    after = frame[frame["tokens"] > 0]
    return frame.drop(after.index[after[by].duplicated(keep=False)])


def in_order(column: pl.Series) -> list[str]:
    """The values of a column, each once, as they come."""
    return column.unique(maintain_order=True).to_list()


def to_pandas(table: pl.DataFrame, orders: dict[str, list[str]]) -> pd.DataFrame:
    """For plotnine, with the columns of `orders` as categories in that order."""
    frame = table.to_pandas()
    for column, order in orders.items():
        frame[column] = pd.Categorical(frame[column], categories=order, ordered=True)
    return frame


def only_run(table: pl.DataFrame, name: str) -> str:
    """The run of a table of one run; ValueError for the table `name` if it has several."""
    runs = in_order(table["run"])
    if len(runs) > 1:
        raise ValueError(f"{name}: a figure of one run, but the table has {', '.join(runs)}")
    return runs[0]
