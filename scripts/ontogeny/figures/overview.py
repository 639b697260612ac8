"""Correlation of preferences with references over many runs, side by side."""

import math

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.trajectories import in_main, prepared, trajectories, with_panel

PANEL = (1.9, 1.7)  # inches
STRIP = 20  # characters of a line of a panel's title


def overview_figure(tables: dict[str, pl.DataFrame]) -> p9.ggplot:
    """Many runs: r against tokens, a panel for each run, on the same scales.

    With several references (or probes), a row for each of them; with more than four runs then, a
    row for each run. Frequency groups are left out.

    Args:
        tables: from the name of a table (for errors) to it; columns `tables.CORRELATIONS`.

    Raises:
        ValueError: a table is empty or lacks a column, a run is in two tables, or there is none.
    """
    table = _joined(tables).with_columns(panel=style.wrapped_column("panel", STRIP))
    panels, runs = style.in_order(table["panel"]), style.in_order(table["run"])
    table = table.with_columns(label=style.wrapped_column("run", STRIP))

    title = "the reference"
    if len(panels) == 1:
        columns = min(len(runs), 3 if len(runs) in (3, 5, 6, 9) else 4)
        counts = columns, math.ceil(len(runs) / columns)
        facets, title = p9.facet_wrap("label", ncol=columns), panels[0]
    elif len(runs) <= 4:
        counts, facets = (len(runs), len(panels)), p9.facet_grid("panel", "label")
    else:
        counts, facets = (len(panels), len(runs)), p9.facet_grid("label", "panel")
    orders = {"panel": panels, "label": style.in_order(table["label"])}
    plot = trajectories(table, orders, counts, PANEL)
    return plot + facets + p9.labs(y=f"correlation of preference\nwith {title} (Pearson r)")


def _joined(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """All tables in one, prepared, without frequency groups."""
    if not tables:
        raise ValueError("an overview needs at least one table of correlations")
    parts: list[pl.DataFrame] = []
    owner: dict[str, str] = {}
    for name, table in tables.items():
        part = prepared(table, name)
        for run in style.in_order(part["run"]):
            if run in owner:
                raise ValueError(f"run {run!r} is in two tables: {owner[run]} and {name}")
            owner[run] = name
        parts.append(part)
    joined = pl.concat(parts)
    return with_panel(joined.filter(in_main()))
