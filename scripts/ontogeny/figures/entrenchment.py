"""Every paradigm of minimal pairs over one run, ordered by its fate."""

import math

import plotnine as p9
import polars as pl

from ontogeny.analysis.states import UNDECIDED
from ontogeny.analysis.stuck import FATES
from ontogeny.figures import style
from ontogeny.figures.accuracy import OutsideText
from ontogeny.figures.smooth import spaced
from ontogeny.figures.tables import PARADIGMS, STATES, check_table

PANEL_WIDTH = 4.6  # inches
ROW = 0.135  # inches
GAP = 0.8  # rows between fates
LETTERS = 6.5  # points
LONGEST = 56  # characters of the name of a paradigm
SPARSE = 120  # checkpoints that still show one by one
RASTER = 2000  # rectangles that are still drawn as vectors
DECIDED_HEIGHT, UNDECIDED_HEIGHT = 0.9, 0.3  # of a row
MIDDLE = "#D8D8D8"  # the colour of chance
MARKS = {"onset_tokens": "error begins", "recovery_tokens": "recovery"}
KEY = ["probe", "uid"]


def entrenchment_figure(
    states: pl.DataFrame, paradigms: pl.DataFrame, name: str = "states"
) -> p9.ggplot:
    """One run: a row for each paradigm, its accuracy as colour against tokens, by fate.

    Args:
        states: columns `tables.STATES`.
        paradigms: columns `tables.PARADIGMS`, of the same run.
        name: of the table of states, for errors.

    Raises:
        ValueError: a table is empty or lacks a column, there are several runs, a paradigm has no
            fate or one that is not in `FATES`.
    """
    states = check_table(states, STATES, name).with_columns(pl.col("uid").fill_null(""))
    paradigms = check_table(paradigms, PARADIGMS, "paradigms")
    paradigms = paradigms.with_columns(pl.col("uid").fill_null(""))
    run = style.only_run(states, name)
    _require_fates(states, paradigms, name)
    rows, fates, headings = _placed(paradigms)
    shown = spaced(states, KEY, SPARSE)
    axis = style.TokenAxis.of(states["tokens"])
    y, half = pl.col("y"), pl.col("half")
    cells = _cells(shown, axis).join(rows.select(*KEY, "y"), on=KEY, maintain_order="left")
    cells = cells.with_columns(ymin=y - half, ymax=y + half)
    names = [_title(row["uid"] or row["probe"]) for row in rows.iter_rows(named=True)]
    lowest = rows["y"].min() - 0.8
    right = 0.15 + 0.0082 * LETTERS * max(map(len, fates["label"]))
    width = 0.3 + 0.0075 * LETTERS * max(map(len, names)) + PANEL_WIDTH + right
    sentences = _sentences(states, rows, shown.group_by(KEY).len()["len"].max())
    words = {"size": LETTERS + 0.5, "color": style.INK, "ha": "left"}
    return (
        p9.ggplot()
        + axis.layers(PANEL_WIDTH)
        + p9.geom_hline(
            p9.aes(yintercept="line"), data=fates.drop_nulls("line").to_pandas(),
            color=style.PALE, size=0.3,
        )
        + p9.geom_rect(
            p9.aes(xmin="xmin", xmax="xmax", ymin="ymin", ymax="ymax", fill="accuracy"),
            data=cells.to_pandas(), raster=len(cells) > RASTER,
        )
        + p9.geom_point(
            p9.aes("position", "y", shape="mark"), data=_marks(rows, axis).to_pandas(),
            size=1.4, stroke=0.35, color=style.INK, fill="white",
        )
        + OutsideText(p9.aes(y="y", label="label"), data=fates.to_pandas(), x=math.inf, **words)
        + OutsideText(
            p9.aes(y="y", label="probe"), data=headings.to_pandas(), x=-math.inf,
            fontweight="bold", **words,
        )
        + p9.scale_fill_gradient2(
            low=style.VERMILLION, mid=MIDDLE, high=style.BLUE, midpoint=0.5, limits=(0, 1),
            breaks=[0, 0.25, 0.5, 0.75, 1], labels=["0", ".25", ".5", ".75", "1"],
            guide=p9.guide_colorbar(nbin=50, display="rectangles"),
        )
        + p9.scale_shape_manual(values=dict(zip(MARKS.values(), ">o", strict=True)))
        + p9.scale_y_continuous(
            breaks=rows["y"].to_list(), labels=names, limits=(lowest, 0.8), expand=(0, 0)
        )
        + p9.labs(
            title=style.wrapped(run, 60), y="", fill="accuracy", shape="",
            caption=style.caption(sentences, width),
        )
        + style.theme(width, 1.7 + ROW * (0.8 - lowest))
        + p9.theme(
            axis_text_y=p9.element_text(size=LETTERS, color=style.INK),
            axis_ticks_major_y=p9.element_blank(),
            panel_grid_major_y=p9.element_blank(),
            plot_margin_right=right / width,
            plot_title_position="plot",
            plot_caption_position="plot",
            legend_position="top",
            legend_title=p9.element_text(size=8, va="top"),
            legend_text=p9.element_text(size=7),
            legend_key_height=9,
            legend_box_spacing=0.1 / width,
        )
    )  # fmt: skip


def _require_fates(states: pl.DataFrame, paradigms: pl.DataFrame, name: str) -> None:
    for row in paradigms.filter(~pl.col("fate").is_in(FATES)).head(1).iter_rows(named=True):
        raise ValueError(
            f"paradigms: {row['uid']!r} has the fate {row['fate']!r}; fates are {', '.join(FATES)}"
        )
    for uid in states.join(paradigms, on=["run", *KEY], how="anti")["uid"].head(1):
        raise ValueError(f"{name}: paradigm {uid!r} has no fate in the table of paradigms")


def _placed(paradigms: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Height of each paradigm, of each fate's label, and of the heading of each of several probes.

    Heights are in rows, 0 for the first and negative for those below it. `line`: where a fate is
    set apart from the one above.
    """
    several = paradigms["probe"].n_unique() > 1
    rows, fates, headings, y = [], [], [], 0.0
    for (probe,), of_probe in paradigms.group_by("probe", maintain_order=True):
        line = y + 0.5 + GAP / 2 if rows else None
        if several:
            headings.append({"probe": f" {probe}", "y": y})
            y -= 1.2
        for fate in FATES:
            part = of_probe.filter(fate=fate).sort("end_accuracy", "uid", descending=[True, False])
            if part.is_empty():
                continue
            middle = y - (len(part) - 1) / 2
            fates.append({"y": middle, "label": f"  {fate}, {len(part)}", "line": line})
            rows.append(part.with_columns(y=y - pl.int_range(pl.len())))
            y -= len(part) + GAP
            line = y + 0.5 + GAP / 2
    return (
        pl.concat(rows),
        pl.DataFrame(fates, schema_overrides={"line": pl.Float64}),
        pl.DataFrame(headings, schema={"probe": pl.String, "y": pl.Float64}),
    )


def _cells(states: pl.DataFrame, axis: style.TokenAxis) -> pl.DataFrame:
    """`states` with the rectangle of each, but for its place among the rows.

    From halfway to the checkpoint before to halfway to the next one, on the log axis; tall where
    the state is decided. Each reaches a little below the next, or a seam would show.
    """
    span = axis.high - (axis.low if axis.zero is None else axis.zero)
    end, seam = (0.02 * span, 0.001 * span) if span else (0.1, 0.0)
    position = pl.col("position")
    after_zero = pl.when(pl.col("tokens") > 0).then(position)
    undecided = pl.col("state") == UNDECIDED
    return (
        axis.place(states.sort("tokens", maintain_order=True))
        .with_columns(
            xmin=(after_zero + after_zero.shift(1).over(KEY)) / 2,
            xmax=(after_zero + after_zero.shift(-1).over(KEY)) / 2 + seam,
            half=pl.when(undecided).then(UNDECIDED_HEIGHT / 2).otherwise(DECIDED_HEIGHT / 2),
        )
        .with_columns(
            xmin=pl.col("xmin").fill_null(position - end),
            xmax=pl.col("xmax").fill_null(position + end),
        )
    )


def _marks(rows: pl.DataFrame, axis: style.TokenAxis) -> pl.DataFrame:
    """Where errors begin and where they are recovered from: `mark`, `position`, `y`."""
    long = rows.unpivot(list(MARKS), index="y", variable_name="mark", value_name="tokens")
    long = long.drop_nulls("tokens").with_columns(pl.col("mark").replace_strict(MARKS))
    return axis.place(long)


def _title(uid: str) -> str:
    words = uid.replace("_", " ")
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def _sentences(table: pl.DataFrame, rows: pl.DataFrame, shown: int) -> list[str]:
    checkpoints = table.group_by(KEY).len()["len"]
    some = f" at {shown:,} of the checkpoints" if shown < checkpoints.max() else ""
    marked = rows.select(*MARKS).null_count().sum_horizontal().item() < 2 * len(rows)
    return [
        f"A row for each paradigm ({len(rows):,} in all, n = {style.range_label(table['n'])} pairs "
        "each), by fate and then by accuracy at the end.",
        f"Colour: accuracy{some}, a tie counting one half.",
        "Tall: right or wrong (sign test over pairs, false discovery rate .05 over all paradigms "
        "and checkpoints, and mean preference at least .2 sd from 0); thin: undecided.",
        *[
            "Marks: first of two checkpoints in a row that are wrong, and of two that are right "
            "thereafter."
        ]
        * marked,
    ]
