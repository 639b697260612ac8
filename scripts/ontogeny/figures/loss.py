"""Training loss and learning rate over one run."""

import pandas as pd
import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.smooth import binned_means, thinned
from ontogeny.figures.tables import LOSSES, check_table

PANEL = (4.6, 2.4)  # inches; the learning rate has a third of the height
LOSS, RATE = "training loss\n(nats per token)", "learning\nrate"


def loss_figure(table: pl.DataFrame, name: str = "losses") -> p9.ggplot:
    """One run: training loss (nats per token) against tokens, and the learning rate below.

    Args:
        table: columns `tables.LOSSES`, a row for each step. A long one is thinned to the rows
            that show.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, has several runs, or has no loss at all.
    """
    table = check_table(table, LOSSES, name)
    run = style.only_run(table, name)
    table = table.drop_nulls("tokens")
    losses = table.drop_nulls("loss")
    if losses.is_empty():
        raise ValueError(f"{name}: no row has a loss")
    axis = style.TokenAxis.of(table["tokens"])
    raw = thinned(losses, "loss")
    rates = thinned(table.drop_nulls("lr"), "lr")
    bins = min(max(len(losses) // 5, 20), 60)
    curve = binned_means(losses, "loss", bins)
    parts = {
        "raw": raw.select("tokens", value="loss", panel=pl.lit(LOSS)),
        "rate": rates.select("tokens", value="lr", panel=pl.lit(RATE)),
        "curve": curve.select("tokens", value="loss", panel=pl.lit(LOSS)),
    }
    panels = [LOSS, RATE] if len(rates) else [LOSS]
    lines = {
        key: style.to_pandas(axis.place(part), {"panel": panels}) for key, part in parts.items()
    }
    shown = "each step" if len(raw) == len(losses) else "the lowest and highest steps"
    sentence = f"Thin line: {shown}. Thick line: means over {bins} equal steps of log tokens."
    width, height = PANEL[0] + 1.2, PANEL[1] * (4 / 3 if len(rates) else 1) + 1.1
    alone = pd.concat([style.no_line(lines[key], "panel") for key in ("raw", "rate")])
    return (
        p9.ggplot(mapping=p9.aes("position", "value"))
        + axis.layers(PANEL[0])
        + style.line(lines["raw"], "panel", color=style.SKY, size=0.35)
        + p9.geom_point(data=alone, color=style.INK, size=1.5, stroke=0)
        + style.line(lines["curve"], "panel", color=style.BLUE, size=0.9)
        + style.line(lines["rate"], "panel", color=style.INK, size=0.7)
        + p9.facet_grid(rows="panel", scales="free_y", space={"y": [3, 1][: len(panels)], "x": [1]})
        + p9.scale_y_continuous(labels=lambda values: [f"{value:.3g}" for value in values])
        + p9.labs(title=style.wrapped(run, 50), y="", caption=style.caption([sentence], width))
        + style.theme(width, height)
    )
