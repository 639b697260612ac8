"""How many exposures a run needed to prefer the order that its text prefers."""

import numpy as np
import plotnine as p9
import polars as pl
from scipy.special import expit

from ontogeny.figures import style
from ontogeny.figures.tables import LEARNING, THRESHOLDS, check_table

PANEL = (4.4, 2.9)  # inches
MARKED = "exposure_at_0.75"
LEVEL = 0.75
COUNTS = [1, 3, 10, 30, 100, 300, 1000, 3000, 10**4, 10**5, 10**6, 10**7]


def thresholds_figure(
    learning: pl.DataFrame, thresholds: pl.DataFrame, name: str = "learning"
) -> p9.ggplot:
    """One run: share of items whose majority order is preferred against exposure so far.

    Points with bars are bins of exposure, the line is the logistic curve through all rows, and the
    exposure at which it reaches 75 % is marked with its interval. A panel for each probe.

    Args:
        learning: columns `tables.LEARNING`.
        thresholds: columns `tables.THRESHOLDS`.
        name: of the first table, for errors.

    Raises:
        ValueError: a table is empty, lacks a column or has several runs.
    """
    learning = check_table(learning, LEARNING, name)
    thresholds = check_table(thresholds, THRESHOLDS, "thresholds").filter(model="correct")
    run = style.only_run(learning, name)
    probes = style.in_order(learning["probe"])
    points = learning.drop_nulls("correct").with_columns(x=(pl.col("mean_exposure") + 1).log())
    high = max([np.log(3.0), *points["x"]])
    curves = _curves(thresholds, high)
    marks = thresholds.filter(term=MARKED).drop_nulls(["estimate", "lo"])
    marks = marks.filter(pl.col("estimate") <= np.expm1(high)).with_columns(
        x=(pl.col("estimate") + 1).log(),
        low=(pl.col("lo") + 1).log(),
        high=pl.min_horizontal((pl.col("hi") + 1).log(), pl.lit(high)).fill_null(high),
        y=pl.lit(LEVEL),
    )
    frame = lambda part: style.to_pandas(part, {"probe": probes})  # noqa: E731
    breaks = [0, *(count for count in COUNTS if np.log(count + 1) <= high + 1e-9)]
    bottom = min([0.4, *points["correct_lo"].drop_nulls()])
    width, height = PANEL[0] + 1.6, 1.3 + (PANEL[1] + 0.3) * len(probes)
    curve = p9.geom_line(p9.aes("x", "correct"), frame(curves), color=style.BLUE, size=0.9)
    mark = [
        p9.geom_vline(
            p9.aes(xintercept="x"), frame(marks),
            color=style.VERMILLION, linetype="dashed", size=0.6,
        ),
        p9.geom_segment(
            p9.aes("low", "y", xend="high", yend="y"), frame(marks),
            color=style.VERMILLION, size=1.1,
        ),
        p9.geom_point(p9.aes("x", "y"), frame(marks), color=style.VERMILLION, size=2.4),
    ]  # fmt: skip
    return (
        p9.ggplot(mapping=p9.aes("x", "correct"))
        + p9.geom_hline(yintercept=0.5, color=style.PALE, size=0.5)
        + ([curve] if len(curves) else [])
        + p9.geom_linerange(
            p9.aes(ymin="correct_lo", ymax="correct_hi"), frame(points), color=style.INK, size=0.6
        )
        + p9.geom_point(p9.aes(size="n_items"), frame(points), color=style.INK, stroke=0)
        + (mark if len(marks) else [])
        + p9.scale_size(range=(1, 3.4), breaks=_sizes(points["n_items"]))
        + ([p9.facet_wrap("probe", ncol=1)] if len(probes) > 1 else [])
        + p9.scale_x_continuous(
            breaks=[np.log(count + 1) for count in breaks],
            labels=[style.count_label(count) for count in breaks],
            limits=(-0.04 * high, 1.04 * high),
            expand=(0, 0),
        )
        + p9.scale_y_continuous(limits=(bottom, 1), expand=(0, 0.02))
        + p9.labs(
            title=style.wrapped(run, 50),
            x="exposures so far, both orders (log scale)",
            y="share that prefers\nthe majority order",
            size="items",
            caption=style.caption(_sentences(learning, thresholds, probes), width),
        )
        + style.theme(width, height)
        + p9.theme(legend_title=p9.element_text(size=8))
    )


def _curves(thresholds: pl.DataFrame, high: float) -> pl.DataFrame:
    """Points of the logistic curve of each probe that has one."""
    x = np.linspace(0, high, 200)
    parts = [pl.DataFrame(schema={"probe": pl.String, "x": pl.Float64, "correct": pl.Float64})]
    for (probe,), part in thresholds.group_by("probe", maintain_order=True):
        estimate = dict(part.select("term", "estimate").iter_rows())
        if estimate.get("log_exposure") is not None:
            share = expit(estimate["intercept"] + estimate["log_exposure"] * x)
            parts.append(pl.DataFrame({"probe": [probe] * len(x), "x": x, "correct": share}))
    return pl.concat(parts)


def _sentences(learning: pl.DataFrame, thresholds: pl.DataFrame, probes: list[str]) -> list[str]:
    sentences = [
        "All checkpoints, in bins of exposure. Bars: 95 % interval, by item.",
    ]
    for probe in probes:
        which = f"{probe}: " if len(probes) > 1 else ""
        part = thresholds.filter(probe=probe)
        most = learning.filter(probe=probe)["mean_exposure"].max() or 0
        items = part["n_items"].max() or 0
        mark = part.filter(term=MARKED).drop_nulls("estimate")
        text = f"{which}n = {items} items with a majority order; "
        if len(mark):
            row = mark.row(0, named=True)
            low = "0" if row["lo"] is None else _count(row["lo"])
            high = "∞)" if row["hi"] is None else f"{_count(row['hi'])}]"
            text += f"logistic curve at 75 % after {_count(row['estimate'])} exposures "
            text += f"[{low}, {high}{', beyond those seen' if row['estimate'] > most else ''}."
        else:
            text += "no exposure at which the curve reaches 75 % can be told."
        sentences.append(text)
    return sentences


def _sizes(items: pl.Series) -> list[int]:
    """Three numbers of items at most for the legend: round ones, up to the largest."""
    most = items.max() or 1
    fits = [size for size in (1, 3, 10, 30, 100, 300, 1000, 3000) if size <= most]
    return fits[-3:]


def _count(value: float) -> str:
    return f"{value:.1f}" if value < 10 else style.count_label(value)
