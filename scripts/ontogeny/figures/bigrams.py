"""What bigrams prefer in each paradigm of minimal pairs against what a model prefers."""

import plotnine as p9
import polars as pl

from ontogeny.analysis.states import SEPARATION
from ontogeny.analysis.stuck import FATES
from ontogeny.figures import style
from ontogeny.figures.accuracy import spread
from ontogeny.figures.tables import BIGRAM_CLASSES, BIGRAM_TESTS, check_table

PANEL = (3.2, 2.9)  # inches
LETTERS = 6.5  # points
MOST_NAMES = 6  # paradigms that are named in a panel
LONGEST = 30  # characters of a name
ROOM = 0.08  # of an axis, beyond the points
COLOURS = {
    "entrenched": style.VERMILLION,
    "wrong": style.ORANGE,
    "lost": style.PURPLE,
    "undecided": style.PALE,
    "changing": style.INK,
    "recovered": style.SKY,
    "learned": style.GREEN,
    "always right": style.BLUE,
}
WHEN = {"early": "early", "end": "at the end"}
OUTCOMES = {"early_error": "early errors", "entrenched": "entrenched errors"}
MEANING = (
    "Separation: mean preference of the acceptable sentence over the pairs of a paradigm, in "
    "standard deviations. Bigrams: of the text that was read until then. Colour: what becomes of "
    "the paradigm. Grey lines: no preference."
)


def bigrams_figure(
    classes: pl.DataFrame, tests: pl.DataFrame, name: str = "bigram_classes"
) -> p9.ggplot:
    """One run: a point for each paradigm, the model's separation against the bigrams', early and at
    the end; two panels for each probe.

    Args:
        classes: columns `tables.BIGRAM_CLASSES`.
        tests: columns `tables.BIGRAM_TESTS`, of the same run.
        name: of the table of paradigms, for errors.

    Raises:
        ValueError: a table is empty or lacks a column, there are several runs, or no paradigm has
            both separations.
    """
    classes = check_table(classes, BIGRAM_CLASSES, name)
    tests = check_table(tests, BIGRAM_TESTS, "bigram_tests")
    run = style.only_run(classes, name)
    points = _points(classes, tests)
    if points.is_empty():
        raise ValueError(f"{name}: no paradigm has the separation of bigrams and of the model")
    panels, probes = (style.in_order(points[column]) for column in ("panel", "probe"))
    fates = [fate for fate in FATES if fate in set(classes["fate"])]
    labels = [f"{fate}, {len(classes.filter(fate=fate))}" for fate in fates]
    columns = min(len(panels), 2)
    rows = len(panels) / columns
    width = 0.7 + (PANEL[0] + 0.4) * columns + style.legend_width(labels)
    orders = {"panel": panels, "fate": fates}
    return (
        p9.ggplot(style.to_pandas(points, orders), p9.aes("bigram", "model"))
        + p9.geom_hline(yintercept=0, color=style.PALE, size=0.5)
        + p9.geom_vline(xintercept=0, color=style.PALE, size=0.5)
        + p9.geom_point(p9.aes(color="fate"), size=1.8, stroke=0, alpha=0.8)
        + [layer for panel in panels for layer in _names(points.filter(panel=panel), orders)]
        + p9.facet_wrap("panel", ncol=columns, scales="free")
        + p9.scale_color_manual(
            values=[COLOURS[fate] for fate in fates], limits=fates, labels=labels
        )
        + p9.scale_x_continuous(expand=(ROOM, 0), labels=_numbers)
        + p9.scale_y_continuous(expand=(ROOM, 0), labels=_numbers)
        + p9.expand_limits(x=0, y=0)
        + p9.labs(
            title=style.wrapped(run, 60),
            x="separation by bigrams (sd)",
            y="separation by the model (sd)",
            color="",
            caption=style.caption([MEANING, *_sentences(tests, probes)], width),
        )
        + style.theme(width, 1.3 + (PANEL[1] + 0.5) * rows)
    )


def _points(classes: pl.DataFrame, tests: pl.DataFrame) -> pl.DataFrame:
    """A row for each paradigm and panel: `probe`, `uid`, `fate`, `panel`, `bigram`, `model`."""
    parts = []
    for (probe,), part in classes.group_by("probe", maintain_order=True):
        for when, words in WHEN.items():
            columns = {"bigram": f"{when}_bigram_separation", "model": f"{when}_separation"}
            here = part.drop_nulls(list(columns.values()))
            tokens = here[f"{when}_tokens"].first()
            heading = f"{words}: {style.count_label(tokens)} tokens" if len(here) else ""
            if classes["probe"].n_unique() > 1:
                heading = f"{probe}, {heading}"
            found = tests.filter(
                probe=probe, test=f"{when}_separation", statistic="spearman", predictor="bigram"
            )
            for test in found.drop_nulls("value").iter_rows(named=True):
                heading += f"\nSpearman's ρ = {_interval(test)}, n = {test['n']}"
            panel = pl.lit(heading).alias("panel")
            parts.append(here.select("probe", "uid", "fate", panel, **columns))
    return pl.concat(parts)


def _names(points: pl.DataFrame, orders: dict[str, list[str]]) -> list[p9.layer]:
    """Names of the paradigms of one panel that the model is most wrong about, one below the other
    in the right half, each with a line to its point."""
    wrong = points.filter(pl.col("model") <= -SEPARATION).sort("model", "uid").head(MOST_NAMES)
    if wrong.is_empty():
        return []
    low, high, left, right = (
        f([*points[column], 0.0]) for column in ("model", "bigram") for f in (min, max)
    )
    line = 1.3 * LETTERS / 72 * (high - low) * (1 + 2 * ROOM) / PANEL[1]
    name = pl.col("uid").str.replace_all("_", " ")
    cut = pl.concat_str(name.str.head(LONGEST - 1), pl.lit("…"))
    wrong = wrong.with_columns(
        x=pl.lit((left + right) / 2),
        y=spread(wrong["model"].to_numpy(), line, low, -line),
        label=" " + pl.when(name.str.len_chars() > LONGEST).then(cut).otherwise(name),
    )
    frame = style.to_pandas(wrong, orders)
    lines, texts = p9.aes(xend="x", yend="y"), p9.aes("x", "y", label="label")
    return [
        p9.geom_segment(lines, data=frame, color=style.PALE, size=0.3),
        p9.geom_text(texts, data=frame, ha="left", size=LETTERS),
    ]


def _sentences(tests: pl.DataFrame, probes: list[str]) -> list[str]:
    """How well the pairs that bigrams get wrong early tell the errors."""
    tests = tests.filter(statistic="auc", predictor="bigram").drop_nulls("value")
    sentences = []
    for row in tests.iter_rows(named=True):
        of = f" of {row['probe']}" if len(probes) > 1 else ""
        sentences.append(
            f"The share of pairs that bigrams get wrong early tells {OUTCOMES[row['test']]}{of}: "
            f"AUC = {_interval(row)}, {row['positives']} of {row['n']} paradigms, "
            f"p = {row['p']:.2g}."
        )
    return sentences


def _interval(row: dict) -> str:
    low_high = "" if row["low"] is None else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.2f}{low_high}".replace("-", "−")


def _numbers(values: list[float]) -> list[str]:
    return [f"{value:g}".replace("-", "−") for value in values]
