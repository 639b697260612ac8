"""Runs on one corpus, side by side: accuracy of completions and loss over training."""

import plotnine as p9
import polars as pl
from matplotlib.ticker import MaxNLocator

from ontogeny.figures import style
from ontogeny.figures.accuracy import ALL
from ontogeny.figures.capacity import decay_label, items_sentence, series_looks, set_series
from ontogeny.figures.tables import CURVES, check_table

PANEL = (2.1, 1.5)  # inches
FEW = 10  # items: an accuracy of fewer jumps
SMOOTH = 20  # the line of such is a running mean over so large a part of the checkpoints
ABOVE = 0.2  # an accuracy of 1: so high are the dots of all seeds
LOSS, LOSS_LINES = "training loss", [(style.INK, "solid"), (style.PALE, "solid")]
ACCURACY = pl.col("statistic") == "accuracy"


def capacity_curves_figure(table: pl.DataFrame, name: str = "curves") -> p9.ggplot:
    """Runs on one corpus: accuracy of completions, and below it the loss, over training.

    A column for each architecture, from few parameters to many; a row of accuracies for each weight
    decay. Lines are means over seeds, bands go from the lowest to the highest seed. Above them is a
    dot for each checkpoint of a run at which all items are right.

    Args:
        table: columns `tables.CURVES`.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty or lacks a column, has no accuracy or several corpora.
    """
    table = check_table(table, CURVES, name).drop_nulls("value")
    corpora = style.in_order(table["corpus"])
    if len(corpora) > 1:
        raise ValueError(f"{name}: a figure of one corpus, but the table has {', '.join(corpora)}")
    if table.filter(ACCURACY).is_empty():
        raise ValueError(f"{name}: no row has an accuracy")
    time, title = _time(table)
    table = _with_places(table).with_columns(time=time)
    perfect = _perfect(table)
    table = table.drop_nulls("series")
    shown = series_looks(style.in_order(table.filter(ACCURACY)["series"]))
    losses = style.in_order(table.filter(~ACCURACY).sort("weight_decay")["series"])
    shown |= {series: LOSS_LINES[i % len(LOSS_LINES)] for i, series in enumerate(losses)}
    orders = {
        "row": style.in_order(table.sort("statistic", "weight_decay")["row"]),
        "column": style.in_order(table.sort("parameters", "architecture")["column"]),
    }
    width = 0.9 + PANEL[0] * len(orders["column"]) + style.legend_width(shown)
    times = table["time"].unique().to_list()
    look = {"limits": list(shown), "name": " "}
    colours, dashes = zip(*shown.values(), strict=True)
    return (
        p9.ggplot(mapping=p9.aes("time", "mean"))
        + _layers(table, perfect, orders)
        + p9.facet_grid("row", "column", scales="free_y")
        + p9.scale_color_manual(values=colours, **look)
        + p9.scale_linetype_manual(values=dashes, **look)
        + p9.scale_fill_manual(values=colours, limits=list(shown), guide=None)
        + p9.scale_x_continuous(
            breaks=_ticks if len(times) > 1 else times,
            labels=lambda values: [style.count_label(value) for value in values],
        )
        + p9.scale_y_continuous(breaks=_heights, labels=style.number_labels)
        + p9.labs(
            title=f"trained on {corpora[0]}",
            x=title,
            y="",
            caption=style.caption(_sentences(table, perfect), width),
        )
        + style.theme(width, 1.2 + PANEL[1] * len(orders["row"]))
    )


def _layers(
    table: pl.DataFrame, perfect: pl.DataFrame, orders: dict[str, list[str]]
) -> list[p9.layer]:
    """Bands, lines and dots; points where a line would have one checkpoint."""
    means = _over_seeds(table)
    whole = table.filter(ACCURACY).group_by("row", "column").agg(pl.col("time").first())
    whole = whole.join(pl.DataFrame({"mean": [0.0, 1.0]}), how="cross")
    several = pl.len().over("key") > 1
    frames = [whole, means.filter(several, "banded"), means.filter(several)]
    frames += [means.filter(~several), perfect.rename({"height": "mean"})]
    frame, bands, lines, alone, dots = (style.to_pandas(part, orders) for part in frames)
    return [
        p9.geom_blank(data=frame),
        p9.geom_ribbon(
            p9.aes(ymin="low", ymax="high", fill="series", group="key"),
            data=bands, alpha=0.2, size=0, show_legend=False,
        ),
        p9.geom_line(
            p9.aes(color="series", linetype="series", group="key"), data=lines, size=0.6
        ),
        p9.geom_point(
            p9.aes(color="series"), data=alone, size=1.2, stroke=0, show_legend=lines.empty
        ),
        p9.geom_point(data=dots, color="red", size=0.8, stroke=0),
    ]  # fmt: skip


def _with_places(table: pl.DataFrame) -> pl.DataFrame:
    """With the `row` and `column` of the panel, and the `series` of the line."""
    decay = decay_label(table)
    accuracy = table.filter(ACCURACY).with_columns(
        row=pl.format("accuracy\n{}", decay).str.strip_chars_end(), series=set_series()
    )
    loss = table.filter(~ACCURACY).with_columns(
        row=pl.lit(f"{LOSS}\n(nats)"),
        series=pl.format("{}, {}", pl.lit(LOSS), decay).str.strip_chars_end(", "),
    )
    parameters = pl.col("parameters").map_elements(lambda n: f"{n:,}", return_dtype=pl.String)
    return pl.concat([accuracy, loss]).with_columns(
        column=pl.format("{}\n{} parameters", "architecture", parameters)
    )


def _ticks(limits: tuple[float, float]) -> list[float]:
    low, high = limits
    return [value for value in MaxNLocator(4).tick_values(low, high) if low <= value <= high]


def _heights(limits: tuple[float, float]) -> list[float]:
    """Ticks of an axis of accuracy, above which there may be dots, or of one of a loss."""
    return [0, 0.5, 1] if limits[0] < 0 and limits[1] < 1.5 else _ticks(limits)


def _time(table: pl.DataFrame) -> tuple[pl.Expr, str]:
    """The axis: steps where a step has as many tokens in all runs, else tokens."""
    after = table.filter(pl.col("step") > 0)
    if (after["tokens"] / after["step"]).n_unique() == 1:
        return pl.col("step"), "training step"
    return pl.col("tokens"), "training tokens"


def _over_seeds(table: pl.DataFrame) -> pl.DataFrame:
    """`mean`, and `low` and `high` where a band shows (`banded`), over the seeds of each family.

    Where a set has few items, `mean` is a running mean over checkpoints as well.
    """
    value, line = pl.col("value"), ["row", "column", "family", "series"]
    means = table.group_by([*line, "time"], maintain_order=True).agg(
        mean=value.mean(), low=value.min(), high=value.max(), few=pl.col("n").max() < FEW
    )
    window = max(1, means["time"].n_unique() // SMOOTH)
    running = pl.col("mean").rolling_mean(window, min_samples=1, center=True).over(line)
    few = pl.col("few").fill_null(False)
    return means.sort("time", maintain_order=True).with_columns(
        mean=pl.when(few).then(running).otherwise("mean"),
        banded=~few,
        key=pl.concat_str("family", "series", separator="\n"),
    )


def _perfect(table: pl.DataFrame) -> pl.DataFrame:
    """A row for each checkpoint of a run at which all probes are perfect: `row`, `column`, `time`,
    and `height` above 1, another one for each seed of a family."""
    whole = table.filter(ACCURACY, pl.col("class") == ALL)
    perfect = whole.group_by("run", "time").agg(
        pl.col("row", "column").first(), least=pl.col("value").min()
    )
    seeds = table.select("run", "family", "seed").unique()
    rank = pl.col("seed").rank("dense").over("family")
    seeds = seeds.select("run", height=1 + ABOVE * rank / rank.max())
    return perfect.filter(pl.col("least") == 1).join(seeds, on="run").sort("run", "time")


def _sentences(table: pl.DataFrame, perfect: pl.DataFrame) -> list[str]:
    sentences = [items_sentence(table.filter(ACCURACY))]
    seeds = table.group_by("family").agg(pl.col("run").n_unique())["run"]
    if several := seeds.max() > 1:
        number = style.range_label(seeds)
        sentences.append(f"Lines: means over {number} seeds; bands: lowest to highest seed.")
    window = table["time"].n_unique() // SMOOTH
    if window > 1 and (table["n"] < FEW).any():
        sentences.append(
            f"Of fewer than {FEW} items: running mean over {window} checkpoints, no band."
        )
    if len(perfect):
        rows = ", a row for each seed" if several else ""
        sentences.append(f"Red dots: checkpoints at which all items are right{rows}.")
    return sentences
