"""What the figures of correlations share: the panels of r against tokens, without their facets."""

import math

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.smooth import smoothed, spaced
from ontogeny.figures.tables import CORRELATIONS, check_table

KEY = ["run", "probe", "reference", "group"]
SPARSE = 60  # checkpoints whose intervals show one by one
INTERVAL = "Bars: 95 % interval of r (Fisher z)"
SEEN = "Seen: by how often the run had seen an item by its end, both orders together."
CURVE = "Lines: lowess on log tokens."
UNDEFINED = "×: r undefined (equal preferences, or too few items)."


def prepared(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """A checked table of correlations with `panel`: the reference, and the probe if several."""
    return with_panel(check_table(table, CORRELATIONS, name))


def with_panel(table: pl.DataFrame) -> pl.DataFrame:
    """With `panel`: the reference, and the probe if there are several."""
    several = table["probe"].n_unique() > 1
    panel = pl.format("{}: {}", "probe", "reference") if several else pl.col("reference")
    return table.with_columns(panel=panel.str.replace_all("_", " "))


def is_binned() -> pl.Expr:
    """Whether a row is of a frequency group."""
    return pl.col("group").str.contains(f"^(?:{style.FREQUENCY_GROUP.pattern})$")


def is_by_exposure() -> pl.Expr:
    """Whether a row is of a group that is made by what the run has seen."""
    return pl.col("group").str.contains("^(?:seen|unseen|seen-.*)$")


def in_main() -> pl.Expr:
    """Whether a row is of a group of the items file that isn't of frequency.

    `all` says nothing beside its parts: its rows count only where there are no others.
    """
    is_all = pl.col("group") == "all"
    is_part = ~is_binned() & ~is_by_exposure() & ~is_all
    return is_part | (is_all & ~is_part.any().over("run", "probe", "reference"))


def trajectories(
    table: pl.DataFrame,
    orders: dict[str, list[str]],
    panels: tuple[int, int],
    size: tuple[float, float],
) -> p9.ggplot:
    """Points, bars, curves and marks of all panels, without the facets.

    Args:
        table: prepared.
        orders: the columns that facets are made of, and the order of their values.
        panels: number of columns and of rows of panels.
        size: of one panel, width and height in inches.
    """
    axis = style.TokenAxis.of(table["tokens"])
    groups = group_order(table)
    palette = style.colours(groups)
    place = lambda part: style.to_pandas(axis.place(part), orders | {"group": groups})  # noqa: E731
    defined = table.filter(pl.col("r").is_not_null())
    undefined = table.filter(pl.col("r").is_null())
    main = defined.filter(~is_binned())
    intervals = main.filter(pl.col("r_low").is_not_null() & pl.col("r_high").is_not_null())
    intervals = spaced(intervals, KEY, SPARSE)
    low, high = _limits(defined)
    names = [_group_label(table, group) for group in groups]
    width = 0.8 + size[0] * panels[0] + style.legend_width(names)
    height = 1.2 + size[1] * panels[1]

    checkpoints = defined.group_by(KEY).len()["len"].max() or 0
    dense = checkpoints > SPARSE
    beside = p9.position_dodge(width=0.012 * (axis.high - axis.low))
    beside = p9.position_identity() if dense or axis.high == axis.low else beside
    curves = smoothed(defined, "r", [*KEY, *orders])
    plot = (
        p9.ggplot(mapping=p9.aes("position", "r", color="group"))
        + p9.geom_hline(yintercept=0, color=style.PALE, size=0.5)
        + axis.layers(size[0])
        + p9.geom_linerange(
            p9.aes(ymin="r_low", ymax="r_high"), place(intervals), position=beside,
            alpha=0.35, size=0.7, show_legend=False,
        )
        + p9.geom_point(
            data=place(defined), position=beside, stroke=0, raster=dense,
            size=0.7 if dense else 1.5, alpha=0.35 if dense else 0.75,
        )
        + p9.geom_line(data=place(curves), size=0.9)
    )  # fmt: skip
    sentences = ["n: items."]
    if len(table.filter(is_by_exposure())):
        sentences.append(SEEN)
    if len(intervals):
        sentences.append(f"{INTERVAL} at some of the checkpoints." if dense else f"{INTERVAL}.")
    sentences += [CURVE] if len(curves) else []
    if len(undefined):
        marks = undefined.unique([*KEY[:3], *orders, "tokens"], maintain_order=True)
        marks = marks.with_columns(r=pl.lit(low + 0.04 * (high - low)))
        plot += p9.geom_point(
            data=place(marks), shape="x", size=1.6, color=style.PALE, show_legend=False
        )
        sentences.append(UNDEFINED)
    return (
        plot
        + p9.scale_color_manual(
            values=[palette[group] for group in groups],
            limits=groups,
            labels=names,
        )
        + scale_r(low, high)
        + p9.labs(caption=style.caption(sentences, width), color="")
        + style.theme(width, height)
    )


def scale_r(low: float, high: float) -> p9.scale_y_continuous:
    """The axis of r between two limits."""
    return p9.scale_y_continuous(
        limits=(low, high),
        expand=(0, 0.02),
        breaks=[-1, -0.5, 0, 0.5, 1],
        labels=["−1.0", "−0.5", "0.0", "0.5", "1.0"],
    )


def _limits(defined: pl.DataFrame) -> tuple[float, float]:
    """Limits of the axis of r: quarters around all points and intervals, at least -.25 to .5."""
    values = [value for column in ("r", "r_low", "r_high")
              for value in defined[column].drop_nulls()]  # fmt: skip
    low, high = min([-0.25, *values]), max([0.5, *values])
    return max(-1.0, math.floor(low * 4) / 4), min(1.0, math.ceil(high * 4) / 4)


def group_order(table: pl.DataFrame) -> list[str]:
    """Known groups first, then others as they come, frequency groups from rare to frequent."""

    def rank(group: str) -> tuple:
        if match := style.FREQUENCY_GROUP.fullmatch(group):
            return 2, match["base"], int(match["bins"]), int(match["bin"])
        known = list(style.GROUPS)
        return (0, known.index(group)) if group in known else (1,)

    return sorted(style.in_order(table["group"]), key=rank)


def _group_label(table: pl.DataFrame, group: str) -> str:
    """`nonce (n = 125)`; n of all checkpoints and references of the group."""
    counts = table.filter(pl.col("group") == group)["n"].drop_nulls()
    label = group
    if match := style.FREQUENCY_GROUP.fullmatch(group):
        edge = {"1": " (rarest)", match["bins"]: " (most frequent)"}.get(match["bin"], "")
        label = f"{match['base']} {match['bin']}/{match['bins']}{edge}"
    return f"{label}, n = {style.range_label(counts)}" if len(counts) else label
