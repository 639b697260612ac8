"""Preference by inserted count: what was planted comes back, in the table and in the figures."""

import json
import subprocess
import sys
import warnings

import numpy as np
import polars as pl
import pytest
from planted_items import observed
from scipy import stats
from scipy.special import expit, logit

from ontogeny.analysis.insertions import COLUMNS, insertion_table
from ontogeny.analysis.thresholds import thresholds
from ontogeny.figures import style
from ontogeny.figures.insertions import insertion_curves_figure, insertions_figure
from ontogeny.paths import PROJECT, Paths

COUNTS = [0, 1, 10, 100, 1000]
PER_COUNT = 60


def plan(rng, counts=COUNTS, per_count=PER_COUNT):
    """What was inserted: a random count and direction of each of the items of `make_items`."""
    dealt = rng.permutation(np.repeat(counts, per_count))
    alphabetical = rng.permutation(np.arange(len(dealt)) % 2 == 0)
    rows = []
    for i, (count, first) in enumerate(zip(dealt.tolist(), alphabetical, strict=True)):
        each = (count, 0) if first else (0, count)
        direction = "alpha" if first else "nonalpha"
        rows.append({"Word1": f"a{i:04d}", "Word2": f"b{i:04d}", "direction": direction})
        rows[-1] |= {"alpha": each[0], "nonalpha": each[1]}
    return rows


def planted(rng, rows, effect, general=1.5, noise=1.0, shares=(0.0, 0.5, 1.0), seen=True):
    """A run that has read `shares` of the insertions by its checkpoints; its preference for the
    direction is `effect` (nats) of the count so far, beside a general preference of each item."""
    counts = np.array([[row["alpha"], row["nonalpha"]] for row in rows])
    sign = np.array([1 if row["direction"] == "alpha" else -1 for row in rows])
    read = np.stack([np.round(counts * share) for share in shares]) * seen
    own = general * rng.normal(size=len(rows))
    total = read.sum(axis=2)
    preference = sign * effect(total) + own + noise * rng.normal(size=total.shape)
    return observed(preference, read[..., 0], read[..., 1], attested=len(rows))


def log_effect(total):
    return np.log10(total + 1) * 2


def at_end(table):
    return table.filter(tokens=table["tokens"].max())


def test_the_planted_effect_is_within_its_interval():
    """2 nats for each tenfold count; in 95 % of intervals, so in at least 42 of 50 (p = .9999)."""
    inside = dict.fromkeys(COUNTS, 0)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rows = plan(rng, per_count=20)
        table = insertion_table(planted(rng, rows, log_effect), "inserted", "inserted", rows)
        for row in at_end(table).iter_rows(named=True):
            true = log_effect(row["count_low"])
            inside[row["count_low"]] += row["preference_low"] <= true <= row["preference_high"]
    assert min(inside.values()) >= 42, inside


def test_items_may_be_in_the_other_order_than_what_was_inserted():
    """Of a probe whose order is `first`: the preference for a direction is the same."""
    rng = np.random.default_rng(0)
    rows = plan(rng)
    run = planted(rng, rows, log_effect)
    expected = insertion_table(run, "inserted", "inserted", rows)
    for row in rows:  # the same insertions, told of names that sort the other way round
        row["Word1"], row["Word2"] = row["Word2"], row["Word1"]
        row["alpha"], row["nonalpha"] = row["nonalpha"], row["alpha"]
        row["direction"] = {"alpha": "nonalpha", "nonalpha": "alpha"}[row["direction"]]
    assert insertion_table(run, "inserted", "inserted", rows).equals(expected)


def test_where_nothing_was_inserted_none_is_found():
    """Of a run on the text without insertions, intervals leave out 0 as often as they should."""
    outside = shares = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rows = plan(rng, per_count=20)
        run = planted(rng, rows, log_effect, seen=False)
        table = at_end(insertion_table(run, "without", "inserted", rows))
        outside += ((table["preference_low"] > 0) | (table["preference_high"] < 0)).sum()
        shares += ((table["share_low"] > 0.5) | (table["share_high"] < 0.5)).sum()
        assert table["seen"].to_list() == [0] * 5
    assert 3 <= outside <= 25  # 12.5 of 250 expected, sd 3.4
    assert 2 <= shares <= 25


def test_a_planted_threshold_is_recovered_by_both_tables():
    """The odds of preferring the inserted order grow with exposure: 3 to 1 at 12.8 of them."""
    rng = np.random.default_rng(3)
    counts = [0, 1, 3, 10, 30, 100, 300]
    rows = plan(rng, counts, 100)
    total = np.array([row["alpha"] + row["nonalpha"] for row in rows])
    learned = np.where(rng.random(len(rows)) < expit(-1 + 0.8 * np.log(total + 1)), 1.0, -1.0)
    run = planted(rng, rows, lambda _: learned, general=0, noise=0, shares=(0, 1))
    table = at_end(insertion_table(run, "c", "c", rows))
    assert table["preference"].to_list() == pytest.approx((2 * table["share"] - 1).to_list())
    true = expit(-1 + 0.8 * np.log(table["count_low"] + 1))
    inside = (table["share_low"] < true) & (true < table["share_high"])
    assert inside.sum() >= 5  # of 7, in 99.6 % of such runs
    assert table.filter(share=table["share"].max())["count_low"].to_list() == [300]
    found = thresholds(run).filter(model="correct_at_end", term="exposure_at_0.75")
    low, high = found.select("lo", "hi").row(0)
    assert low < np.exp((logit(0.75) + 1) / 0.8) - 1 < high
    assert low > 5 and high < 30


def test_each_number_by_hand():
    rows = [
        {"Word1": "A", "Word2": "b", "alpha": 3, "nonalpha": 0, "direction": "alpha"},
        {"Word1": "c", "Word2": "d", "alpha": 1, "nonalpha": 2, "direction": "nonalpha"},
        {"Word1": "e", "Word2": "f", "alpha": 0, "nonalpha": 3, "direction": "nonalpha"},
        {"Word1": "g", "Word2": "h", "alpha": 0, "nonalpha": 0, "direction": "alpha"},
        {"Word1": "i", "Word2": "j", "alpha": 4, "nonalpha": 4, "direction": ""},
        {"Word1": "x", "Word2": "y", "alpha": 3, "nonalpha": 0, "direction": "alpha"},
    ]
    names = [("i", "j"), ("a", "B"), ("c", "d"), ("e", "f"), ("g", "h")]
    preference = np.array([[9.0, 1.0, 0.5, 0.0, 0.25], [9.0, 1.0, -2.0, -6.0, 0.0]])
    alpha = np.array([[4, 1, 0, 0, 0], [8, 3, 1, 0, 0]])
    nonalpha = np.array([[4, 0, 1, 2, 0], [8, 0, 2, 3, 0]])
    run = observed(preference, alpha, nonalpha, names=names, steps=[0, 7])
    table = insertion_table(run, "without", "inserted", rows)
    assert table.columns == list(COLUMNS)
    assert table.schema == COLUMNS
    key = ["tokens", "count_low", "count_high", "mean_count", "n", "seen", "seen_other"]
    assert table.select(key).rows() == [
        (0, 0, 0, 0.0, 1, 0.0, 0.0),
        (0, 3, 3, 3.0, 3, 4 / 3, 0.0),
        (7000, 0, 0, 0.0, 1, 0.0, 0.0),
        (7000, 3, 3, 3.0, 3, 8 / 3, 1 / 3),
    ]
    of_three = table.filter(count_low=3)
    assert of_three["preference"].to_list() == pytest.approx([(1 - 0.5 - 0) / 3, (1 + 2 + 6) / 3])
    half = stats.t.ppf(0.975, 2) * np.std([1, 2, 6], ddof=1) / np.sqrt(3)
    assert of_three["preference_low"][1] == pytest.approx(3 - half)
    assert of_three["preference_high"][1] == pytest.approx(3 + half)
    assert of_three["share"].to_list() == [0.5, 1.0]  # one for, one against, one tie; all three
    alone = table.filter(count_low=0)
    assert alone["preference_low"].to_list() == [None, None]
    assert alone["share"].to_list() == [1.0, 0.5]
    # Wilson's interval of 3 of 3: low is n / (n + z^2)
    z = stats.norm.ppf(0.975)
    assert of_three["share_low"][1] == pytest.approx(3 / (3 + z * z))


def test_many_different_counts_are_grouped_by_octaves():
    rows = plan(np.random.default_rng(0), list(range(20)), 1)
    run = planted(np.random.default_rng(1), rows, log_effect, shares=(1,))
    table = insertion_table(run, "c", "c", rows)
    assert table.select("count_low", "count_high", "n").rows() == [
        (0, 0, 1), (1, 1, 1), (2, 3, 2), (4, 7, 4), (8, 15, 8), (16, 19, 4),
    ]  # fmt: skip
    assert table["mean_count"].to_list() == [0, 1, 2.5, 5.5, 11.5, 17.5]


def test_a_probe_with_none_of_the_items_has_no_rows():
    run = observed(np.ones((2, 3)), np.ones(3), np.ones(3))
    rows = [{"Word1": "x", "Word2": "y", "alpha": 3, "nonalpha": 0, "direction": "alpha"}]
    for some in (rows, []):
        table = insertion_table(run, "c", "c", some)
        assert table.is_empty() and table.schema == COLUMNS


def test_the_script_joins_all_runs(tmp_path):
    """Two runs on a probe of three items, of which the corpus had two; another probe is for other
    corpora."""
    paths = Paths(str(tmp_path))
    items = tmp_path / "items.csv"
    lines = ["Word1,Word2,Attested,OverallFreq,P", "a,b,1,1,0.5", "c,d,1,1,0.5", "e,f,1,1,0.5"]
    items.write_text("\n".join(lines) + "\n")
    counted = ["alpha_seen", "nonalpha_seen", "w1_total", "w2_total", "w1_and", "w2_and"]
    counted += ["and_w1", "and_w2"]
    for run, preference in (("one", 1.5), ("two", -1.5)):
        where = "checkpoint,step,tokens"
        preferences = [f"run,{where},probe,binom,n,preference"]
        exposures = [f"run,{where},binom,{','.join(counted)}"]
        for name in ("a and b", "c and d", "e and f"):
            preferences.append(f"{run},step-00000003,3,300,p,{name},1,{preference}")
            exposures.append(f"{run},step-00000003,3,300,{name},2,1,9,9,3,3,3,3")
        for path, text in (
            (paths.run_table(run, "preferences"), preferences),
            (paths.exposures("p", run), exposures),
        ):
            path = tmp_path / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(text) + "\n")
    rows = [
        {"Word1": "a", "Word2": "b", "alpha": 2, "nonalpha": 0, "direction": "alpha"},
        {"Word1": "e", "Word2": "f", "alpha": 0, "nonalpha": 2, "direction": "nonalpha"},
    ]
    provenance = tmp_path / "provenance.json"
    provenance.write_text(json.dumps({"documents": {"items": rows}}))
    probe = {"type": "binomials", "items": str(items), "references": {"human": {"column": "P"}}}
    command = [sys.executable, PROJECT / "scripts" / "insertions.py", "--study-folder", tmp_path]
    for name, corpus in (("one", "c"), ("two", "d")):
        command += ["--run", name, corpus, "p"]
    for name in ("p", "q"):  # neither run is scored on the other probe
        command += ["--probe", name, json.dumps(probe), items]
    command += ["--inserted", "c", provenance, "--output", tmp_path / "out.csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    table = pl.read_csv(tmp_path / "out.csv")
    key = ["run", "corpus", "probe", "inserted", "count_low", "n", "seen", "seen_other", "share"]
    assert table.select(key).rows() == [
        ("one", "c", "p", "c", 2, 2, 1.5, 1.5, 0.5),
        ("two", "d", "p", "c", 2, 2, 1.5, 1.5, 0.5),
    ]
    assert table["preference"].to_list() == [0.0, 0.0]


# ---------------------------------------------------------------------------- figures


def table_of(
    runs=3, steps=(0, 1, 8, 64), counts=COUNTS, inserted=("inserted",), probes=("binomials",)
):
    rng = np.random.default_rng(5)
    parts = []
    for name in inserted:
        rows = plan(rng, counts, 12)
        for probe in probes:
            for corpus in ("whole", "without", name):
                for number in range(runs):
                    share = np.array(steps) / max(steps[-1], 1)
                    run = planted(rng, rows, log_effect, shares=share, seen=corpus == name)
                    part = insertion_table(run, corpus, name, rows)
                    marks = {"run": f"opt-s-{corpus}-{number}", "probe": probe}
                    parts.append(part.with_columns(**{k: pl.lit(v) for k, v in marks.items()}))
    return pl.concat(parts)


def drawn(plot, geom):
    frames = [layer._data for layer in plot.layers if type(layer.geom).__name__ == geom]
    frames = [pl.from_pandas(frame.reset_index(drop=True)) for frame in frames]
    return pl.concat(frames, how="diagonal_relaxed")


def test_every_run_is_at_its_count_in_both_panels():
    table = table_of()
    plot = insertions_figure(table)
    last = table.filter(pl.col("tokens") == table["tokens"].max())
    points = pl.from_pandas(plot.data)
    assert len(points) == 2 * len(last) == 2 * 3 * 3 * 5
    for title, value in (("mean preference (nats)", "preference"), ("share of items", "share")):
        panel = points.filter(pl.col("statistic").cast(str) == title)
        assert sorted(panel["y"]) == sorted(last[value])
        assert sorted(panel["low"]) == sorted(last[f"{value}_low"])
        assert sorted(panel["high"]) == sorted(last[f"{value}_high"])
    for row in points.iter_rows(named=True):
        near = min(COUNTS, key=lambda count: abs(np.log(count + 1) - row["x"]))
        assert abs(np.log(near + 1) - row["x"]) < 0.25
    assert "n = 12 items for each count." in plot.labels.caption.replace("\n", " ")
    assert points["x"].n_unique() == 9 * 5  # no point lies on another run's


def test_curves_are_of_runs_that_read_the_insertions():
    table = table_of()
    plot = insertion_curves_figure(table)
    points = drawn(plot, "geom_point")
    assert set(points["corpus"].cast(str)) == {"inserted"}
    assert len(points) == 3 * 4 * 5
    lines = drawn(plot, "geom_line").filter(pl.col("tokens") == table["tokens"].max())
    own = table.filter(pl.col("corpus") == "inserted", pl.col("tokens") == table["tokens"].max())
    means = {str(count): own.filter(count_low=count)["preference"].mean() for count in COUNTS[:4]}
    means["1k"] = own.filter(count_low=1000)["preference"].mean()
    assert dict(lines.select(pl.col("count").cast(str), "preference").rows()) == pytest.approx(
        means
    )
    with pytest.raises(ValueError, match=r"t\.csv: no run was trained on a corpus with insertions"):
        insertion_curves_figure(table.filter(pl.col("corpus") != "inserted"), "t.csv")


LONG = tuple(range(0, 1001))
FIGURES = {
    "as in the study": {},
    "one run, one checkpoint": {"runs": 1, "steps": (0,)},
    "one count": {"counts": [10]},
    "octaves": {"counts": list(range(0, 3000, 37))},
    "many checkpoints": {"runs": 1, "steps": LONG},
    "two corpora, two probes": {
        "runs": 1,
        "inserted": ("inserted", "other" * 6),
        "probes": ("a", "b" * 30),
    },
    "many runs": {"runs": 8},
}


@pytest.mark.parametrize("keys", FIGURES.values(), ids=FIGURES)
def test_figures_are_drawn_without_warnings(keys, tmp_path):
    table = table_of(**keys)
    for figure in (insertions_figure, insertion_curves_figure):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            style.save_figure(figure(table), tmp_path / "a.png", tmp_path / "a.svg")
        assert (tmp_path / "a.png").stat().st_size > 5000
