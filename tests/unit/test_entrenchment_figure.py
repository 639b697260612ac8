"""The figure of fates, made from tables like those of real runs."""

import io
import itertools
import subprocess
import sys
import warnings

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest

from ontogeny.analysis.stuck import FATES
from ontogeny.figures import style
from ontogeny.figures.entrenchment import entrenchment_figure
from ontogeny.paths import PROJECT

TOKENS = [0, *(1000 * 2**i for i in range(21))]
LONG = [9_830_400 * i for i in range(1001)]
SHORT, LONGEST = "passive_1", "coordinate_structure_constraint_complex_left_branch"
NAMES = [SHORT, LONGEST, *(f"determiner_noun_agreement_irregular_{i}" for i in range(65))]


def tables(uids=NAMES[:9], tokens=TOKENS, probe="blimp", run="opt-s-diverse"):
    """Fates in turn; accuracy goes from chance to a level of each paradigm's own."""
    levels = np.linspace(0.1, 0.95, len(uids))
    states = [
        {"run": run, "probe": probe, "uid": uid, "tokens": count, "n": 1000}
        | {"accuracy": float(0.5 + (level - 0.5) * (step + 1) / len(tokens))}
        | {"state": "undecided" if 2 * step < len(tokens) else "right" if level > 0.5 else "wrong"}
        for step, count in enumerate(tokens)
        for uid, level in zip(uids, levels, strict=True)
    ]
    fates = [
        {"run": run, "probe": probe, "uid": uid, "end_accuracy": float(level)}
        | {"fate": FATES[i % len(FATES)]}
        | {"onset_tokens": tokens[-1] if i % 2 else None}
        | {"recovery_tokens": tokens[-1] if i % 4 == 1 else None}
        for i, (uid, level) in enumerate(zip(uids, levels, strict=True))
    ]
    whole = {"onset_tokens": pl.Int64, "recovery_tokens": pl.Int64}
    return pl.DataFrame(states), pl.DataFrame(fates, schema_overrides=whole)


def layer(plot, geom, place=0):
    return [one for one in plot.layers if type(one.geom).__name__ == geom][place]._data


def labels_of_rows(plot):
    (scale,) = [one for one in plot.scales if "y" in one.aesthetics]
    return dict(zip(scale.labels, scale.breaks, strict=True))


@pytest.fixture(autouse=True)
def no_warnings():
    """A warning of plotnine (rows removed, scales replaced ...) is a test that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# What is on the figure


def test_rows_are_ordered_by_fate_and_then_by_accuracy():
    states, paradigms = tables(NAMES)
    plot = entrenchment_figure(states, paradigms)
    rank = {fate: place for place, fate in enumerate(FATES)}
    rows = sorted(paradigms.to_dicts(), key=lambda row: (rank[row["fate"]], -row["end_accuracy"]))
    heights = labels_of_rows(plot)
    assert list(heights) == [row["uid"].replace("_", " ") for row in rows]
    steps = np.diff(list(heights.values()))
    new = [one["fate"] != other["fate"] for one, other in itertools.pairwise(rows)]
    assert sum(new) == 7
    assert steps == pytest.approx([-1.8 if other else -1.0 for other in new])
    words = layer(plot, "OutsideText")
    counts = {fate: sum(row["fate"] == fate for row in rows) for fate in FATES}
    assert [label.strip() for label in words["label"]] == [f"{f}, {n}" for f, n in counts.items()]
    for fate, height in zip(FATES, words["y"], strict=True):
        own = [heights[row["uid"].replace("_", " ")] for row in rows if row["fate"] == fate]
        assert height == pytest.approx((own[0] + own[-1]) / 2)


def test_every_state_is_a_cell_of_its_accuracy():
    states, paradigms = tables()
    plot = entrenchment_figure(states, paradigms)
    cells = pl.from_pandas(layer(plot, "geom_rect"))
    columns = ["uid", "tokens", "accuracy"]
    assert cells.select(columns).sort(columns).equals(states.select(columns).sort(columns))
    heights = labels_of_rows(plot)
    for cell in cells.iter_rows(named=True):
        middle = heights[cell["uid"].replace("_", " ")]
        assert (cell["ymin"] + cell["ymax"]) / 2 == pytest.approx(middle)
        tall = 0.3 if cell["state"] == "undecided" else 0.9
        assert cell["ymax"] - cell["ymin"] == pytest.approx(tall)


@pytest.mark.parametrize("tokens", [TOKENS, LONG[:50], [10, 11, 5000], [0, 77]])
def test_cells_meet_halfway_on_the_log_axis_and_zero_stands_apart(tokens):
    plot = entrenchment_figure(*tables(NAMES[:2], tokens))
    cells = pl.from_pandas(layer(plot, "geom_rect")).filter(uid=SHORT).sort("tokens")
    after = cells.filter(pl.col("tokens") > 0)
    x = np.log10(after["tokens"].to_numpy())
    (scale,) = [one for one in plot.scales if "x" in one.aesthetics]
    low, high = scale.limits
    assert after["xmin"].to_numpy()[1:] == pytest.approx((x[1:] + x[:-1]) / 2)
    seams = after["xmax"].to_numpy()[:-1] - after["xmin"].to_numpy()[1:]
    assert ((seams >= 0) & (seams < 0.005 * (high - low))).all()
    assert ((cells["xmin"] < cells["xmax"]) & cells["xmin"].is_between(low, high)).all()
    assert cells["xmax"].is_between(low, high).all()
    if tokens[0] == 0:
        line = layer(plot, "geom_vline")["xintercept"].item()
        assert cells["xmax"][0] < line < cells["xmin"][1]


def test_marks_stand_where_errors_begin_and_end():
    states, paradigms = tables()
    plot = entrenchment_figure(states, paradigms)
    marks = layer(plot, "geom_point")
    onsets = paradigms["onset_tokens"].count()
    assert (marks["mark"] == "error begins").sum() == onsets == 4
    assert (marks["mark"] == "recovery").sum() == paradigms["recovery_tokens"].count() == 2
    assert set(marks["position"]) == {np.log10(TOKENS[-1])}
    heights = labels_of_rows(plot)
    uids = paradigms.filter(pl.col("onset_tokens").is_not_null())["uid"]
    expected = {heights[uid.replace("_", " ")] for uid in uids}
    assert set(marks["y"][marks["mark"] == "error begins"]) == expected
    assert "Marks" in plot.labels.caption
    none = paradigms.with_columns(onset_tokens=None, recovery_tokens=None)
    assert "Marks" not in entrenchment_figure(states, none).labels.caption


def test_a_long_run_is_thinned_and_the_caption_says_so():
    plot = entrenchment_figure(*tables(NAMES, LONG))
    cells = pl.from_pandas(layer(plot, "geom_rect"))
    shown = cells.group_by("uid").len()["len"].unique().item()
    assert 60 < shown <= 120 and cells["tokens"].min() == 0 and cells["tokens"].max() == LONG[-1]
    assert f"at {shown} of the checkpoints" in plot.labels.caption.replace("\n", " ")
    short = entrenchment_figure(*tables()).labels.caption.replace("\n", " ")
    assert "of the checkpoints" not in short and "(9 in all, n = 1,000 pairs each)" in short


def test_each_of_several_probes_has_a_heading_and_fates_of_its_own():
    one, other = tables(), tables([""], [0, 500], "own")
    plot = entrenchment_figure(pl.concat([one[0], other[0]]), pl.concat([one[1], other[1]]))
    headings = layer(plot, "OutsideText", 1)
    assert [name.strip() for name in headings["probe"]] == ["blimp", "own"]
    heights = labels_of_rows(plot)
    assert len(heights) == 10 and heights["own"] == min(heights.values())
    first, second = headings["y"]
    assert first > max(heights.values()) > sorted(heights.values())[1] > second > heights["own"]
    lines = layer(plot, "geom_hline")["line"]
    assert len(lines) == 8  # between eight fates and one, and none above the first
    assert lines.min() > second


def test_a_long_name_is_cut():
    plot = entrenchment_figure(*tables(["x" * 80]))
    assert list(labels_of_rows(plot)) == ["x" * 55 + "…"]


# Files


SIZES = {
    "67": (NAMES, TOKENS), "nine": (NAMES[:9], TOKENS), "one": ([SHORT], [1024]),
    "untrained": ([LONGEST], [0]), "two": (NAMES[:2], [0, 10**6]),
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_clipped_and_no_words_overlap(tmp_path, size):
    plot = entrenchment_figure(*tables(*SIZES[size]))
    style.save_figure(plot, tmp_path / "f.png", tmp_path / "f.svg")
    image = matplotlib.image.imread(tmp_path / "f.png")[:, :, :3]
    edges = [image[:3], image[-3:], image[:, :3], image[:, -3:]]
    assert all(edge.min() > 0.99 for edge in edges)
    drawing = plot.draw()
    drawing.savefig(io.BytesIO(), dpi=style.DPI)  # which lays it out
    (axes,) = drawing.axes
    names = [text for text in axes.get_yticklabels() if text.get_text()]
    assert len(names) == len(SIZES[size][0])
    boxes = [text.get_window_extent() for text in [*axes.texts, *names]]
    assert len(axes.texts) == min(len(names), 8)
    for one, other in itertools.combinations([*boxes, axes.bbox.padded(-1)], 2):
        assert not one.overlaps(other)
    plt.close(drawing)


def test_the_script_draws_the_same_bytes_each_time(tmp_path):
    files = [tmp_path / "states.csv", tmp_path / "paradigms.csv"]
    for table, file in zip(tables(NAMES, LONG), files, strict=True):
        table.write_csv(file)
    figures = []
    for folder in ("a", "b"):
        png, svg = tmp_path / folder / "f.png", tmp_path / folder / "f.svg"
        script = [sys.executable, PROJECT / "scripts/plot.py", "entrenchment", "--tables", *files]
        done = subprocess.run([*script, "--png", png, "--svg", svg], capture_output=True, text=True)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
        figures.append((png.read_bytes(), svg.read_bytes()))
    assert figures[0] == figures[1]
    assert len(figures[0][1]) < 1_000_000


# Mistakes


def test_mistakes_are_named():
    states, paradigms = tables()
    with pytest.raises(ValueError, match=r"x\.csv: the table has no rows"):
        entrenchment_figure(states.head(0), paradigms, "x.csv")
    with pytest.raises(ValueError, match="paradigms: there is no column 'fate'"):
        entrenchment_figure(states, paradigms.drop("fate"))
    two = pl.concat([states, states.with_columns(run=pl.lit("b"))])
    with pytest.raises(ValueError, match=r"x\.csv: a figure of one run, but .* opt-s-diverse, b"):
        entrenchment_figure(two, paradigms, "x.csv")
    with pytest.raises(ValueError, match=r"x\.csv: paradigm 'passive_1' has no fate in the table"):
        entrenchment_figure(states, paradigms.tail(8), "x.csv")
    odd = paradigms.with_columns(fate=pl.lit("odd"))
    with pytest.raises(ValueError, match="'passive_1' has the fate 'odd'; fates are always right"):
        entrenchment_figure(states, odd)
