"""Correlation of preferences with references over one run."""

import plotnine as p9
import polars as pl

from ontogeny.figures import style
from ontogeny.figures.trajectories import (
    group_order,
    in_main,
    is_binned,
    is_by_exposure,
    prepared,
    trajectories,
)

PANEL = (2.4, 2.0)  # inches
STRIP = 24  # characters of a line of a panel's title


def correlation_figure(table: pl.DataFrame, name: str = "correlations") -> p9.ggplot:
    """One run: r against tokens, a column of panels for each reference (and probe).

    The first row has the groups with their intervals. Below are the groups by frequency and those
    by how often the run has seen the items, where the table has any. More than four references go
    down the page instead.

    Args:
        table: columns `tables.CORRELATIONS`; r and its interval null where undefined.
        name: of the table, for errors.

    Raises:
        ValueError: the table is empty, lacks a column, or has several runs.
    """
    table = prepared(table, name)
    run = style.only_run(table, name)
    table = table.filter(is_binned() | in_main())
    main = ", ".join(group_order(table.filter(in_main())))
    rows = [style.wrapped(main, STRIP), "by frequency", "by exposure"]
    binned = pl.when(is_by_exposure()).then(pl.lit(rows[2])).otherwise(pl.lit(rows[1]))
    table = table.with_columns(
        row=pl.when(is_binned()).then(binned).otherwise(pl.lit(rows[0])),
        panel=style.wrapped_column("panel", STRIP),
    )
    rows = [row for row in rows if row in table["row"]]
    panels = style.in_order(table["panel"])
    if len(panels) <= 4:
        facets = p9.facet_grid(rows="row" if len(rows) > 1 else None, cols="panel")
        counts = len(panels), len(rows)
    else:
        facets = p9.facet_grid(rows="panel", cols="row" if len(rows) > 1 else None)
        counts = len(rows), len(panels)
    plot = trajectories(table, {"panel": panels, "row": rows}, counts, PANEL)
    title = "correlation of preference\nwith the reference (Pearson r)"
    return plot + facets + p9.labs(title=style.wrapped(run, 36 * counts[0]), y=title)
