"""Tables of minimal pairs and of completions, from score files."""

import math
import statistics
import subprocess
import sys

import polars as pl
import pytest

from ontogeny.analysis import completions, minimal_pairs
from ontogeny.analysis.completions import completion_statistics
from ontogeny.analysis.minimal_pairs import pair_statistics, phenomena_of
from ontogeny.analysis.scores import read_scores
from ontogeny.paths import PROJECT, Paths
from ontogeny.scoring.stimuli.minimal_pairs import MinimalPair
from ontogeny.study.runs import Run

PHENOMENA = {"wh_island": "islands", "principle_A": "binding", "adjunct": "islands", "own": ""}


def pair_scores(preferences, step=1, tokens=None):
    """Rows as in a score file: `preferences` from a uid to the values of its pairs."""
    rows = [
        {
            "model": "opt-s",
            "checkpoint": f"step-{step}",
            "step": step,
            "tokens": 100 * step if tokens is None else tokens,
            "uid": uid,
            "pair_id": str(number),
            "good_logprob": -20.0,
            "bad_logprob": -20.0 - (value or 0.0),
            "preference": value,
        }
        for uid, values in preferences.items()
        for number, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema_overrides={"preference": pl.Float64})


def answer_scores(correct, step=1, samples=1, logprobs=None):
    """Rows as in a score file: `correct` from a class to the counts of its items."""
    rows = [
        {
            "model": "opt-s",
            "checkpoint": f"step-{step}",
            "step": step,
            "tokens": 100 * step,
            "class": group,
            "prompt": f"{group} {number} =",
            "answer": "1",
            "answer_logprob": -1.0 * (number + 1) if logprobs is None else logprobs,
            "samples": samples,
            "correct": count,
            "completion": "",
        }
        for group, counts in correct.items()
        for number, count in enumerate(counts)
    ]
    return pl.DataFrame(rows, schema_overrides={"answer_logprob": pl.Float64})


def wilson(p, n, z=1.959963984540054):
    """Wilson 1927, as in its closed form."""
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return centre - half, centre + half


def pairs_table(scores, phenomena=PHENOMENA):
    return pair_statistics(scores, phenomena, "opt-s-diverse", "blimp")


def one_row(table, **keys):
    (row,) = table.filter(**keys).to_dicts()
    return row


# ---------------------------------------------------------------------------- minimal pairs


SCORES = {
    "wh_island": [1.0, 2.0, -1.0, 0.0],
    "principle_A": [0.5, -0.5],
    "adjunct": [3.0, 0.25],
    "own": [-4.0, -5.0, 0.0],
}


def test_rows_are_all_pairs_phenomena_and_paradigms_in_the_order_of_the_mapping():
    table = pairs_table(pair_scores(SCORES).sample(fraction=1, shuffle=True, seed=1))
    assert dict(table.schema) == minimal_pairs.COLUMNS
    assert list(table.select("phenomenon", "uid", "n").iter_rows()) == [
        ("all", "all", 11),
        ("islands", "all", 6),
        ("islands", "wh_island", 4),
        ("islands", "adjunct", 2),
        ("binding", "all", 2),
        ("binding", "principle_A", 2),
        ("", "own", 3),
    ]
    assert set(table["run"]) == {"opt-s-diverse"} and set(table["probe"]) == {"blimp"}
    assert set(table["checkpoint"]) == {"step-1"} and set(table["tokens"]) == {100}


def test_every_number_of_a_row_is_of_its_pairs():
    table = pairs_table(pair_scores(SCORES))
    sets = {
        ("all", "all"): [x for values in SCORES.values() for x in values],
        ("islands", "all"): SCORES["wh_island"] + SCORES["adjunct"],
        ("islands", "wh_island"): SCORES["wh_island"],
        ("", "own"): SCORES["own"],
    }
    for (phenomenon, uid), values in sets.items():
        row = one_row(table, phenomenon=phenomenon, uid=uid)
        right = sum(1.0 if x > 0 else 0.5 if x == 0 else 0.0 for x in values)
        p, n = right / len(values), len(values)
        assert row["accuracy"] == pytest.approx(p)
        assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(wilson(p, n), abs=1e-9)
        assert row["mean_difference"] == pytest.approx(sum(values) / n)
        d = statistics.mean(values) / statistics.stdev(values)
        assert row["separation"] == pytest.approx(d)
        assert row["tie_rate"] == pytest.approx(values.count(0.0) / n)
    # by hand: 1, 1, 0, and half of the tie
    assert one_row(table, uid="wh_island")["accuracy"] == 2.5 / 4
    assert one_row(table, uid="wh_island")["mean_difference"] == 0.5


def test_only_ties():
    row = one_row(pairs_table(pair_scores({"a": [0.0] * 8}), {"a": "x"}), uid="a")
    assert (row["accuracy"], row["tie_rate"], row["mean_difference"]) == (0.5, 1.0, 0.0)
    assert row["separation"] is None
    assert row["accuracy_low"] == pytest.approx(1 - row["accuracy_high"])


@pytest.mark.parametrize("values", [[0.1], [0.1] * 7, [-3.7] * 3])
def test_no_separation_where_preferences_do_not_vary(values):
    row = one_row(pairs_table(pair_scores({"a": values}), {"a": ""}), uid="all")
    assert row["n"] == len(values)
    assert row["separation"] is None
    assert row["mean_difference"] == pytest.approx(values[0])
    p = float(values[0] > 0)
    expected = wilson(p, len(values))
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(expected, abs=1e-9)


def test_small_differences_around_a_large_mean_are_kept():
    values = [-300.0, -300.001, -300.002]
    row = one_row(pairs_table(pair_scores({"a": values}), {"a": ""}), uid="a")
    assert row["separation"] == pytest.approx(-300.001 / 0.001, rel=1e-5)


def test_checkpoints_are_ordered_by_tokens_and_not_by_name():
    steps = [12, 992, 996, 9_996, 10_944]
    assert sorted(f"step-{step}" for step in steps) != [f"step-{step}" for step in steps]
    table = pairs_table(pl.concat([pair_scores(SCORES, step) for step in steps[::-1]]))
    assert table["step"].unique(maintain_order=True).to_list() == steps
    assert table["tokens"].to_list() == sorted(table["tokens"])
    first = table.filter(step=12)["uid"].to_list()
    assert all(table.filter(step=step)["uid"].to_list() == first for step in steps)


def test_a_checkpoint_has_its_own_numbers():
    late = {uid: [value + 10 for value in values] for uid, values in SCORES.items()}
    both = pl.concat([pair_scores(SCORES, 1), pair_scores(late, 2)])
    table = pairs_table(both.lazy())
    assert table.filter(step=1).equals(pairs_table(pair_scores(SCORES, 1)))
    assert set(table.filter(step=2)["accuracy"]) == {1.0}


def test_the_order_of_rows_does_not_change_a_bit():
    values = {"a": [math.sin(i) * 10 ** (i % 7 - 3) for i in range(5000)]}
    scores = pair_scores(values)
    expected = pairs_table(scores, {"a": "x"})
    for seed in range(3):
        shuffled = scores.sample(fraction=1, shuffle=True, seed=seed)
        assert pairs_table(shuffled, {"a": "x"}).equals(expected)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (SCORES | {"own": [1.0, 2.0]}, r"'opt-s-diverse', step-2: 2 rows of uid 'own'.* has 3"),
        ({k: v for k, v in SCORES.items() if k != "own"}, r"step-2: 0 rows of uid 'own'.* has 3"),
        (SCORES | {"new": [1.0]}, r"not in the stimuli, the first is 'new'"),
        (SCORES | {"own": [1.0, None, 2.0]}, r"step-2: no finite score for 1 pairs of uid 'own'"),
        (SCORES | {"own": [math.nan, 0.0, -math.inf]}, r"step-2: no finite score for 2 pairs"),
    ],
)
def test_missing_or_undefined_scores_are_named(scores, message):
    with pytest.raises(ValueError, match=message):
        pairs_table(pl.concat([pair_scores(SCORES, 1), pair_scores(scores, 2)]))


def test_a_paradigm_without_scores_is_named():
    with pytest.raises(ValueError, match=r"no scores of 1 paradigms, the first is 'npi'"):
        pairs_table(pair_scores(SCORES), PHENOMENA | {"npi": "npi_licensing"})


@pytest.mark.parametrize("phenomena", [{"all": "x"}, {"a": "all"}])
def test_nothing_may_be_named_all(phenomena):
    with pytest.raises(ValueError, match="'all' stands for all pairs"):
        pairs_table(pair_scores({uid: [1.0] for uid in phenomena}), phenomena)


def test_phenomena_of_pairs():
    pairs = [MinimalPair(*names, "0", "a", "b") for names in (("u", "x"), ("t", ""), ("u", "x"))]
    assert list(phenomena_of(pairs).items()) == [("u", "x"), ("t", "")]
    with pytest.raises(ValueError, match=r"'u' are of two phenomena, 'x' and 'y'"):
        phenomena_of([*pairs, MinimalPair("u", "y", "1", "a", "b")])


# ---------------------------------------------------------------------------- completions


def test_completions_by_class():
    correct = {"sum": [4, 1, 0, 0, 3], "difference": [0, 2, 1]}
    table = completion_statistics(answer_scores(correct, samples=4), "r", "arithmetic")
    assert dict(table.schema) == completions.COLUMNS
    rows = list(table.select("class", "n", "samples").iter_rows())
    assert rows == [("all", 8, 4), ("sum", 5, 4), ("difference", 3, 4)]
    for group, p, n, logprob in (
        ("all", (8 + 3) / 4 / 8, 8, -(1 + 2 + 3 + 4 + 5 + 1 + 2 + 3) / 8),
        ("sum", 8 / 4 / 5, 5, -3.0),
        ("difference", 3 / 4 / 3, 3, -2.0),
    ):
        row = one_row(table, **{"class": group})
        assert row["accuracy"] == pytest.approx(p)
        low_high = wilson(p, n)  # n items, however many samples
        assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(low_high, abs=1e-9)
        assert row["answer_logprob"] == pytest.approx(logprob)


@pytest.mark.parametrize("empty", ["", None])
def test_items_without_a_class_are_in_all_only(empty):
    table = completion_statistics(answer_scores({empty: [1, 0, 1]}), "r", "p")
    assert list(table.select("class", "n", "accuracy").iter_rows()) == [("all", 3, 2 / 3)]


def test_completions_are_ordered_by_tokens():
    steps = [10_944, 12, 996]
    scores = pl.concat([answer_scores({"b": [1], "a": [0]}, step) for step in steps])
    table = completion_statistics(scores, "r", "p")
    assert table["step"].to_list() == [step for step in sorted(steps) for _ in range(3)]
    assert table["class"].to_list() == ["all", "b", "a"] * 3


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (answer_scores({"a": [1], "b": [0]}, 2), r"run 'r', step-2: 1 rows of class 'a'.* has 2"),
        (answer_scores({"a": [1, 0]}, 2), r"step-2: 0 rows of class 'b'"),
        (answer_scores({"a": [1, 0], "b": [0]}, 2, samples=5), r"from 1 to 5 samples"),
        (answer_scores({"a": [1, 0], "b": [0]}, 2, logprobs=math.nan), "no finite score for 2 it"),
        (answer_scores({"a": [1, 0], "b": [0], "all": [1]}, 2), "'all' stands for all items"),
    ],
)
def test_missing_or_undefined_completions_are_named(second, message):
    first = answer_scores({"a": [1, 0], "b": [0]})
    with pytest.raises(ValueError, match=message):
        completion_statistics(pl.concat([first, second]), "r", "p")


# ---------------------------------------------------------------------------- files


def test_a_file_that_is_cut_short_is_named(tmp_path):
    files = [str(tmp_path / f"{step}.csv") for step in (1, 2)]
    pair_scores(SCORES, 1).write_csv(files[0])
    whole = pair_scores(SCORES, 2).write_csv()
    (tmp_path / "2.csv").write_text(whole)
    assert len(read_scores(files, stimuli=11).collect()) == 22
    lines = whole.splitlines()
    for content in (
        "",
        "\n".join(lines[:-1]) + "\n",
        "\n".join([*lines[:-1], lines[-1].rsplit(",", 1)[0]]),  # without the last number
    ):
        (tmp_path / "2.csv").write_text(content)
        with pytest.raises(ValueError, match=r"2\.csv: \d+ whole rows, but other check.* have 11"):
            read_scores(files)
    with pytest.raises(ValueError, match=r"1\.csv: 11 whole rows, but the stimuli are 12"):
        read_scores(files[:1], stimuli=12)


def test_text_of_completions_comes_back_as_it_was(tmp_path):
    """Digits are text, completions may be empty or have line breaks, classes may be missing."""
    texts = ["", "12", 'a "quoted", b\nsecond line', "007"]
    scores = answer_scores({"": [0, 0, 1, 1]}).with_columns(
        completion=pl.Series(texts), answer=pl.Series(["1", "2", "x,y", "04"])
    )
    files = [str(tmp_path / f"{step}.csv") for step in (1, 2)]
    for file in files:
        scores.write_csv(file)
    read = read_scores(files, stimuli=4).collect()
    assert read["completion"].fill_null("").to_list() == texts * 2
    assert read["answer"].to_list() == ["1", "2", "x,y", "04"] * 2
    table = completion_statistics(scores.lazy(), "r", "p")
    assert table["accuracy"].to_list() == [0.5]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ('opt-s,step-2,2,200,,"a\n', "could not parse"),
        ("opt-s,step-2,2,200,,a,1,-1.5,1", "1 whole rows, but other checkpoints have 2"),
        ("opt-s,step-2,2,200,,a,1,-", "could not parse"),
    ],
)
def test_a_file_cut_within_a_field_is_named(tmp_path, end, reason):
    files = [str(tmp_path / f"{step}.csv") for step in (1, 2)]
    answer_scores({"": [0, 1]}, 1).write_csv(files[0])
    whole = answer_scores({"": [0, 1]}, 2).write_csv().splitlines()
    (tmp_path / "2.csv").write_text("\n".join([*whole[:-1], end]))
    with pytest.raises(ValueError, match=rf"2\.csv: {reason}.*; remove it to make it again"):
        read_scores(files)


RUN = """{"architecture": "a", "corpus": "c", "tokenizer": "t", "tokens": 4096, "block_size": 128,
"batch_size": 8, "optimizer": {"lr": 1e-3}, "checkpoints": {"per_octave": 1}}"""


def run_script(tmp_path, name, spec, stimuli):
    output = tmp_path / "table.csv"
    script = [sys.executable, PROJECT / "scripts" / f"{name}.py", "--study-folder", tmp_path]
    script += ["--name", "r", "--run", RUN, "--output", output]
    done = subprocess.run(
        [*script, "--probe", "p", spec, stimuli], capture_output=True, text=True, check=False
    )
    return done, output


def write_scores(tmp_path, scores_of_step):
    for step in Run.model_validate_json(RUN).checkpoint_steps():
        file = tmp_path / Paths("").scores("p", "r", step).lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        scores_of_step(step).write_csv(file)


def test_the_script_for_minimal_pairs(tmp_path):
    stimuli = tmp_path / "pairs.csv"
    stimuli.write_text("uid,phenomenon,good,bad\nu,x,a b,b a\nu,x,c d,d c\nv,x,e f,f e\n")
    spec = f'{{"type": "minimal_pairs", "pairs": "{stimuli}"}}'
    values = {"u": [1.0, -1.0], "v": [2.0]}
    write_scores(tmp_path, lambda step: pair_scores(values, step))
    done, output = run_script(tmp_path, "minimal_pairs", spec, stimuli)
    assert (done.returncode, done.stderr) == (0, "")
    table = pl.read_csv(output)
    assert (
        table["step"].unique(maintain_order=True).to_list()
        == Run.model_validate_json(RUN).checkpoint_steps()
    )
    last = table.tail(4)
    assert last["uid"].to_list() == ["all", "all", "u", "v"]
    assert last["accuracy"].to_list() == pytest.approx([2 / 3, 2 / 3, 0.5, 1])
    write_scores(tmp_path, lambda step: pair_scores({"u": [1.0, -1.0]}, step))
    done, _ = run_script(tmp_path, "minimal_pairs", spec, stimuli)
    assert done.returncode == 1
    assert "2 whole rows, but the stimuli are 3" in done.stderr


def test_the_script_for_completions(tmp_path):
    stimuli = tmp_path / "items.csv"
    stimuli.write_text("prompt,answer,class\n1 + 1 =,2,sum\n1 - 1 =,0,difference\n")
    spec = f'{{"type": "completions", "items": "{stimuli}"}}'
    write_scores(tmp_path, lambda step: answer_scores({"sum": [1], "difference": [0]}, step))
    done, output = run_script(tmp_path, "completions", spec, stimuli)
    assert (done.returncode, done.stderr) == (0, "")
    last = pl.read_csv(output).tail(3)
    assert last["class"].to_list() == ["all", "sum", "difference"]
    assert last["accuracy"].to_list() == [0.5, 1, 0]
