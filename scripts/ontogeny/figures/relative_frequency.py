"""Preference of each item at the end of one run against the log ratio of its exposures."""

import math

import numpy as np
import plotnine as p9
import polars as pl

from ontogeny.analysis.correlations import pearson
from ontogeny.figures import style
from ontogeny.figures.tables import ITEMS, check_table

PANEL = (4.2, 3.6)  # inches
UNSEEN = "never\nseen"


def relative_frequency_figure(table: pl.DataFrame, name: str = "items") -> p9.ggplot:
    """One run: preference (nats) against ln((alphabetical + 0.5) / (other + 0.5)), a point an item.

    A dashed line where the model's odds are the corpus', a full one fitted by least squares with
    its 95 % band. Items that the run has never seen stand apart, left of the others. A panel for
    each probe.

    Args:
        table: columns `tables.ITEMS`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column or has several runs.
    """
    table = check_table(table, ITEMS, name)
    run = style.only_run(table, name)
    table = table.with_columns(exposure=pl.col("alpha_seen") + pl.col("nonalpha_seen"))
    seen = table.filter(pl.col("exposure") > 0)
    unseen = _apart(table.filter(pl.col("exposure") == 0), seen)
    probes = style.in_order(table["probe"])
    fitted = seen.filter(pl.len().over("probe") > 3, pl.col("log_ratio").std().over("probe") > 0)
    low, high = _range(seen["log_ratio"])
    frame = lambda part: style.to_pandas(part, {"probe": probes})  # noqa: E731
    ticks = _ticks(low, high)
    breaks = list(zip(ticks, style.number_labels(ticks), strict=True))
    width, height = PANEL[0] + 2.0, 1.4 + (PANEL[1] + 0.3) * len(probes)
    ends = {"x": [low], "xend": [high], "y": [low], "yend": [high]}
    layers = [
        p9.geom_hline(yintercept=0, color=style.PALE, size=0.4),
        p9.geom_vline(xintercept=0, color=style.PALE, size=0.4),
        p9.geom_segment(
            p9.aes("x", "y", xend="xend", yend="yend"),
            frame(pl.DataFrame(ends).join(pl.DataFrame({"probe": probes}), how="cross")),
            linetype="dashed", color=style.INK, size=0.6,
        ),
    ]  # fmt: skip
    if len(unseen):
        places = unseen["log_ratio"]
        layers += [
            p9.geom_point(data=frame(unseen), color=style.PALE, size=1.4, alpha=0.6, stroke=0),
            p9.geom_vline(
                xintercept=(places.max() + low) / 2, linetype="dotted", color=style.PALE, size=0.4
            ),
        ]
        breaks = [(float(places.mean()), UNSEEN), *breaks]
    if len(seen):
        layers.append(
            p9.geom_point(p9.aes(color="exposure"), frame(seen), size=1.8, alpha=0.85, stroke=0)
        )
        layers += _colours(seen["exposure"])
    if len(fitted):
        layers.append(
            p9.geom_smooth(
                data=frame(fitted), method="lm", color=style.VERMILLION, fill=style.VERMILLION,
                alpha=0.18, size=0.8,
            )
        )  # fmt: skip
    left = low if unseen.is_empty() else float(unseen["log_ratio"].min())
    margin = 0.03 * (high - left)
    return (
        p9.ggplot(mapping=p9.aes("log_ratio", "preference"))
        + layers
        + ([p9.facet_wrap("probe", ncol=1)] if len(probes) > 1 else [])
        + p9.scale_x_continuous(
            breaks=[place for place, _ in breaks],
            labels=[label for _, label in breaks],
            limits=(left - margin, high + margin),
            expand=(0, 0),
        )
        + p9.scale_y_continuous(labels=style.number_labels)
        + p9.labs(
            title=style.wrapped(run, 50),
            x="log ratio of exposures, alphabetical / other order (nats)",
            y="preference at the end (nats)",
            color="exposures",
            caption=style.caption(_sentences(table, seen, fitted, probes), width),
        )
        + style.theme(width, height)
        + p9.theme(legend_title=p9.element_text(size=8))
    )


def _sentences(
    table: pl.DataFrame, seen: pl.DataFrame, fitted: pl.DataFrame, probes: list[str]
) -> list[str]:
    sentences = []
    for probe in probes:
        part = seen.filter(probe=probe)
        which = f"{probe}: " if len(probes) > 1 else ""
        text = f"{which}n = {len(part)} items seen"
        if len(part):
            x, y = (part[column].to_numpy() for column in ("log_ratio", "preference"))
            r, low, high = (float(value[0]) for value in pearson(x[None], y).values())
            text += "" if np.isnan(low) else f", r = {r:.2f} [{low:.2f}, {high:.2f}]"
        if never := len(table.filter(probe=probe)) - len(part):
            text += f"; {never} never seen"
        sentences.append(f"{text}.")
    sentences.append("Dashed: preferences equal to the log ratio (0.5 added to each count).")
    if len(fitted):
        sentences.append("Line: least squares, with its 95 % band.")
    return sentences


def _apart(unseen: pl.DataFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Unseen items side by side in a strip left of the others, in the order of the table."""
    low, high = _range(seen["log_ratio"])
    width = 0.1 * (high - low)
    place = (pl.int_range(pl.len()) * 0.618034) % 1  # spread evenly, neighbours far apart
    return unseen.with_columns(log_ratio=low - 2 * width + width * place)


def _range(ratios: pl.Series) -> tuple[float, float]:
    """Limits of the axis: all ratios, and at least -1 to 1."""
    return min(-1.0, *ratios.to_list(), 0.0), max(1.0, *ratios.to_list(), 0.0)


def _ticks(low: float, high: float) -> np.ndarray:
    """Whole numbers of nats, some seven of them."""
    step = max(1, round((high - low) / 7))
    return np.arange(math.ceil(low / step), math.floor(high / step) + 1) * float(step)


def _colours(exposures: pl.Series) -> list:
    """A scale of log exposure, from light to dark."""
    most = int(exposures.max())
    breaks = [count for count in (1, 10, 100, 1000, 10**4, 10**5, 10**6) if count <= most] or [most]
    return [
        p9.scale_color_cmap(
            cmap_name="viridis_r",
            trans="log10",
            limits=(1, max(most, 2)),
            breaks=breaks,
            labels=[style.count_label(count) for count in breaks],
        )
    ]
