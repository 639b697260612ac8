"""What predicts preferences over one run: coefficients of the regressions at each checkpoint."""

import math

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.smooth import binned_means, spaced
from ontogeny.figures.tables import REGRESSIONS, check_table
from ontogeny.figures.trajectories import SPARSE

PANEL = (2.3, 1.7)  # inches
KEY = ["panel", "items"]
BINS = 60  # of log tokens, that a long trajectory's line goes through
MODELS = {  # name -> what its panels are called, in the order of preference for the second row
    "preference_prior": "{term} alone",
    "preference_full": "{term}",
    "preference_exposure": "{term}",
}
TERMS = {
    "genpref_c": "human prior",
    "freq_prob_c": "relative exposure",
    "log_total_c": "log exposure",
    "genpref_c:log_total_c": "human prior\n× log exposure",
    "freq_prob_c:log_total_c": "relative exposure\n× log exposure",
}
ITEMS = {
    "all": style.INK,
    "attested": style.BLUE,
    "nonce": style.VERMILLION,
    "seen": style.GREEN,
    "counted": style.GREEN,
    "both_orders": style.PURPLE,
}
WIDEST = 1.5  # ranges of the estimates that a panel shows beyond them, of wide intervals


def coefficients_figure(table: pl.DataFrame, name: str = "regressions") -> p9.ggplot:
    """One run: each coefficient against tokens with its 95 % band, a panel for each term.

    The human prior alone, on attested and nonce items; then the terms of the model with prior and
    exposures (or of exposures alone, where there is no prior) on items that have occurred. Several
    probes go down the page.

    Args:
        table: columns `tables.REGRESSIONS`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, has several runs, or none of the models.
    """
    table = check_table(table, REGRESSIONS, name)
    run = style.only_run(table, name)
    table = _shown(table.filter(pl.col("tokens").is_not_null()))
    if table.is_empty():
        raise ValueError(f"{name}: there is none of the models {', '.join(MODELS)}")
    panels, items = style.in_order(table["panel"]), _items(table)
    axis = style.TokenAxis.of(table["tokens"])
    defined = table.drop_nulls("estimate")
    cut, defined = _cut(defined)
    dense = defined.group_by(KEY).len()["len"].max() > SPARSE if len(defined) else False
    curves = _means(defined) if dense else defined
    banded = spaced(defined.drop_nulls("lo"), KEY) if dense else defined.drop_nulls("lo")
    orders = {"panel": panels, "items": items}
    frame = lambda part: style.to_pandas(  # noqa: E731
        axis.place(part).with_columns(key=pl.concat_str(*KEY, separator="\n")), orders
    )
    points, lines, bands = frame(defined), frame(curves), frame(banded)
    bars, dots = style.no_line(bands, "key"), style.no_line(points, "key")
    span = axis.high - (axis.low if axis.zero is None else axis.zero)
    beside = p9.position_dodge(width=0.03 * (span or 0.5))
    columns = min(len(panels), 3)
    width = 0.8 + PANEL[0] * columns + style.legend_width(_label(table, i) for i in items)
    height = 1.3 + (PANEL[1] + 0.35) * math.ceil(len(panels) / columns)
    edges = {"ymin": "lo", "ymax": "hi"}
    sentences = ["n: items.", "Bands: 95 % interval, jackknife over items."]
    sentences += ["Wide ones are cut."] if cut else []
    if table["estimate"].null_count():
        sentences.append("No point: the term can't be estimated.")
    sentences += [f"Lines: means over {BINS} equal steps of log tokens."] if dense else []
    return (
        p9.ggplot(
            points, p9.aes("position", "estimate", color="items", fill="items", group="items")
        )
        + p9.geom_blank(data=frame(table.with_columns(estimate=0.0)))  # a panel for each term
        + p9.geom_hline(yintercept=0, color=style.PALE, size=0.5)
        + axis.layers(PANEL[0])
        + p9.geom_ribbon(
            p9.aes(**edges), bands.drop(bars.index), alpha=0.16, color="none", show_legend=False
        )
        + p9.geom_linerange(
            p9.aes(**edges), bars, position=beside, alpha=0.4, size=0.8, show_legend=False
        )
        + p9.geom_point(data=dots, position=beside, size=1.3, stroke=0)
        + p9.geom_point(
            data=points.drop(dots.index),
            size=0.5 if dense else 1.1,
            alpha=0.25 if dense else 0.9,
            stroke=0,
            raster=dense,
        )
        + style.line(lines, "key", size=0.9 if dense else 0.6)
        + p9.facet_wrap("panel", ncol=columns, scales="free_y")
        + p9.scale_color_manual(
            values=[ITEMS[i] for i in items], limits=items, labels=[_label(table, i) for i in items]
        )
        + p9.scale_fill_manual(values=[ITEMS[i] for i in items], limits=items, guide=None)
        + p9.scale_y_continuous(labels=style.number_labels)
        + p9.labs(
            title=style.wrapped(run, 36 * columns),
            y="coefficient\n(nats of preference)",
            color="",
            caption=style.caption(sentences, width),
        )
        + style.theme(width, height)
    )


def _shown(table: pl.DataFrame) -> pl.DataFrame:
    """The rows that are drawn, with `panel`."""
    parts = []
    for (probe,), part in table.group_by("probe", maintain_order=True):
        has = set(part["model_name"])
        models = ["preference_prior"]
        models += [model for model in list(MODELS)[1:] if model in has][:1]
        for model in models:
            rows = part.filter(model_name=model).filter(pl.col("term").is_in(list(TERMS)))
            wanted = [i for i in ITEMS if i in set(rows["items"])]
            if model == "preference_prior":  # `all` and `seen` say little beside the two
                parts_of_all = [i for i in ("attested", "nonce") if i in wanted]
                wanted = parts_of_all or wanted
            elif len(wanted) > 1:
                wanted = [i for i in wanted if i != "all"]
                sizes = dict(rows.select("items", "n_items").iter_rows())
                if sizes.get("both_orders") == sizes[wanted[0]]:  # they are the same items
                    wanted = wanted[:1]
            order = [term for term in TERMS if term in set(rows["term"])]
            for term in order:
                panel = MODELS[model].format(term=TERMS[term])
                if table["probe"].n_unique() > 1:
                    panel = f"{style.wrapped(probe, 30)}:\n{panel}"
                chosen = rows.filter(pl.col("items").is_in(wanted), term=term)
                parts.append(chosen.with_columns(panel=pl.lit(panel)))
    return pl.concat(parts) if parts else table.head(0)


def _cut(table: pl.DataFrame) -> tuple[bool, pl.DataFrame]:
    """Intervals cut where they go far beyond all estimates of their panel; whether any is."""
    low, high = pl.col("estimate").min().over("panel"), pl.col("estimate").max().over("panel")
    usual = (pl.col("hi") - pl.col("lo")).median().over("panel")
    room = pl.max_horizontal(WIDEST * usual, 0.5 * (high - low))
    clipped = table.with_columns(
        lo=pl.max_horizontal("lo", low - room), hi=pl.min_horizontal("hi", high + room)
    )
    clipped = clipped.with_columns(
        lo=pl.when(table["lo"].is_not_null()).then("lo"),
        hi=pl.when(table["hi"].is_not_null()).then("hi"),
    )
    return not clipped["lo"].equals(table["lo"]) or not clipped["hi"].equals(table["hi"]), clipped


def _means(table: pl.DataFrame) -> pl.DataFrame:
    """The line of each trajectory: means of its estimates over equal steps of log tokens."""
    parts = []
    for _, part in table.group_by(KEY, maintain_order=True):
        means = binned_means(part, "estimate", BINS)
        parts.append(part.head(1).select(KEY).join(means, how="cross"))
    return pl.concat(parts)


def _items(table: pl.DataFrame) -> list[str]:
    return [i for i in ITEMS if i in set(table["items"])]


def _label(table: pl.DataFrame, items: str) -> str:
    """`both orders, n = 84`."""
    counts = table.filter(items=items)["n_items"]
    return f"{items.replace('_', ' ')}, n = {style.range_label(counts)}"
