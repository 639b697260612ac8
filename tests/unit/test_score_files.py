"""Scores that someone has published: which file is which step, what is refused, how coarse the
numbers are, and what is missing."""

import csv
import itertools
import math
import struct

import numpy as np
import pytest
from pydantic import ValidationError

from ontogeny.inputs import check_inputs, checkpoint_steps
from ontogeny.published.binomial_scores import extra_columns, read_published, score_rows
from ontogeny.published.completeness import completeness_line, ranges
from ontogeny.published.precision import precision_of
from ontogeny.published.score_files import by_step, published_files, step_of
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study import StudyError, load_study
from ontogeny.study.runs import ScoresRun

ITEMS = [Binomial(*words, False, None) for words in (("bread", "butter"), ("cats", "Dogs"))]
PROMPTS = [" ", "It’s the "]
A = "model,checkpoint,revision,step,tokens,prompt,binom,alpha_logprob,nonalpha_logprob,preference"
A2 = (
    "model,model_type,checkpoint,step,tokens,binom_alpha,total_training_occurrences,relfreq,"
    "prompt,binom,alpha_logprob,nonalpha_logprob,preference"
)
BARE = "prompt,binom,alpha_logprob,nonalpha_logprob"


def published_rows(step=12, tokens_per_step=100, items=ITEMS, prompts=PROMPTS):
    """One row for each prompt and item, as a published file has them."""
    return [
        {
            "model": "someone/opt",
            "model_type": "ablated",
            "checkpoint": f"step-{step}",
            "revision": f"step-{step}",
            "step": step,
            "tokens": step * tokens_per_step,
            "binom_alpha": item.alpha,
            "total_training_occurrences": 0,
            "relfreq": "",
            "prompt": prompt,
            "binom": item.alpha,
            "alpha_logprob": -20.5 - number,
            "nonalpha_logprob": -21.25,
            "preference": 0.75 - number,
        }
        for number, (prompt, item) in enumerate(itertools.product(prompts, items))
    ]


def write(path, rows, layout=A2):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, layout.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def read(path, tokens_per_step=None, **keys):
    (file,) = published_files([path], tokens_per_step)
    return read_published(file, keys.get("items", ITEMS), PROMPTS, keys.get("used"))


@pytest.fixture
def refused(tmp_path):
    """Read a file with changed rows, which must fail; returns the message without the path."""

    def refused(change, layout=A2, name="m_step-12.csv", tokens_per_step=None):
        rows = published_rows()
        path = write(tmp_path / name, change(rows) or rows, layout)
        with pytest.raises(ValueError, match=r".") as caught:
            read(path, tokens_per_step)
        assert path in str(caught.value)
        return str(caught.value).replace(path, "FILE")

    return refused


def set_in(number, **values):
    """A change of one row."""

    def change(rows):
        rows[number].update(values)

    return change


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("opt-babylm-125m-ablated-20eps-seed964_step-1140.csv", 1140),
        ("step12.csv", 12),
        ("a/step-5/x_step_0012.csv", 12),
        ("warm-step-3_step-40.csv", 40),
    ],
)
def test_the_step_is_read_from_the_name_of_the_file(name, step):
    assert step_of(name) == step


def test_a_name_without_a_step_is_refused():
    with pytest.raises(ValueError, match=r"step-9/m_final\.csv: its name doesn't tell the step"):
        step_of("step-9/m_final.csv")


def test_a_step_that_no_training_reaches_is_refused():
    assert step_of(f"m_step-{10**15}.csv") == 10**15
    with pytest.raises(ValueError, match=r"m_step-1000000000000001\.csv: its name tells step 1000"):
        step_of(f"m_step-{10**15 + 1}.csv")


def test_files_are_ordered_by_the_number_of_the_step():
    steps = [9996, 992, 12, 108, 1008]
    assert list(by_step(f"m_step-{step}.csv" for step in steps)) == [12, 108, 992, 1008, 9996]


def test_two_files_of_one_step_are_refused():
    with pytest.raises(ValueError, match=r"two files are of step 12: a_step-12\.csv and b_step12"):
        by_step(["a_step-12.csv", "b_step12.csv"])


# ---------------------------------------------------------------------------- reading


@pytest.mark.parametrize("layout", [A, A2, BARE])
def test_every_layout_gives_the_same_scores(tmp_path, layout):
    path = write(tmp_path / "m_step-12.csv", published_rows()[::-1], layout)
    (file,) = files = published_files([path], 100)
    assert (file.step, file.tokens) == (12, 1200)
    extra = extra_columns(files)
    ours = "model,checkpoint,step,tokens,prompt,binom,alpha_logprob,nonalpha_logprob,preference"
    assert extra == [name for name in layout.split(",") if name not in ours.split(",")]
    checkpoint = {"model": "run", "checkpoint": "step-00000012", "step": 12, "tokens": 1200}
    rows = score_rows(read_published(file, ITEMS, PROMPTS), checkpoint, extra)
    assert [list(row) for row in rows] == [[*ours.split(","), *extra]] * 4
    # in the order of the prompts and items, whatever that of the file
    assert [(row["prompt"], row["binom"]) for row in rows] == [
        (prompt, item.alpha) for prompt in PROMPTS for item in ITEMS
    ]
    assert [row["preference"] for row in rows] == [0.75, -0.25, -1.25, -2.25]
    assert {row["model"] for row in rows} == {"run"}


def test_an_item_is_found_when_only_case_differs(tmp_path):
    rows = published_rows()
    for row in rows:
        row["binom"] = row["binom"].upper()
    table = read(write(tmp_path / "m_step-12.csv", rows))
    assert [row["binom"] for row in table] == [item.alpha for item in ITEMS] * 2


def test_the_first_prompts_can_be_chosen(tmp_path):
    path = write(tmp_path / "m_step-12.csv", published_rows())
    assert {row["prompt"] for row in read(path, used=1)} == {" "}


def test_a_column_that_one_file_lacks_is_empty_there(tmp_path):
    paths = [
        write(tmp_path / f"m_step-{step}.csv", published_rows(step), layout)
        for step, layout in ((1, A), (2, A2))
    ]
    files = published_files(paths, None)
    extra = extra_columns(files)
    assert extra == [
        *("revision", "model_type", "binom_alpha", "total_training_occurrences", "relfreq")
    ]
    row = score_rows(read_published(files[1], ITEMS, PROMPTS), {}, extra)[0]
    assert (row["revision"], row["model_type"]) == ("", "ablated")


def test_numbers_as_other_programs_write_them(tmp_path):
    rows = published_rows(step=100_000, tokens_per_step=1)
    for row in rows:
        row.update(step="1e+05", tokens="100000.0")
    (file,) = published_files([write(tmp_path / "m_step-100000.csv", rows)], 1)
    assert file.tokens == 100_000


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in(0, step=13), "FILE: step is 13, but the file's name says 12"),
        (set_in(0, step=0, tokens=0), "FILE: step is 0, but the file's name says 12; correct"),
        (set_in(2, step=13), "FILE, line 4: step is '13', but '12' in the rows above"),
        (set_in(2, model="b"), "FILE, line 4: model is 'b', but 'someone/opt' in the rows above"),
        (set_in(0, tokens="many"), "FILE: tokens is 'many', should be a number"),
        (set_in(0, step="12.5"), "FILE: step is '12.5', should be a whole number"),
        (set_in(1, alpha_logprob="-2x"), "FILE, line 3: alpha_logprob is '-2x', should be a n"),
        (set_in(1, nonalpha_logprob="-inf"), "FILE, line 3: nonalpha_logprob is '-inf', should"),
        (set_in(1, preference="nan"), "FILE, line 3: preference is 'nan', should be a number"),
        (
            set_in(0, alpha_logprob=20.5, preference=41.75),
            "FILE, line 2: alpha_logprob is 20.5; a log-probability is at most 0 (are these surpr",
        ),
        (set_in(1, nonalpha_logprob="2e-6"), "FILE, line 3: nonalpha_logprob is 2e-6; a log-prob"),
        (set_in(0, tokens="1e16"), "FILE: tokens is '1e16', should be at most 1,000,000,000,000,0"),
        (set_in(1, alpha_logprob=""), "FILE, line 3: alpha_logprob is '', should be a number"),
        (set_in(3, preference=2.25), "FILE, line 5: preference of 'cats and Dogs' is 2.25, but al"),
        (set_in(1, binom="tea and toast"), "FILE, line 3: binom 'tea and toast' is not among the"),
        (set_in(1, prompt="Then "), "FILE, line 3: prompt 'Then ' is not among the probe's; to"),
        (
            set_in(1, binom="BREAD and butter"),
            "FILE, line 3: 'bread and butter' in prompt ' ' stands already on line 2",
        ),
        (
            lambda rows: rows[:3],
            "FILE: lacks 1 of 4 rows, the first is 'cats and Dogs' in prompt 'It’s the '",
        ),
        (lambda rows: rows.clear(), "FILE: the file has no rows"),
    ],
)
def test_a_bad_row_is_named(refused, change, message):
    assert refused(change).startswith(message)


@pytest.mark.parametrize("column", BARE.split(","))
def test_a_missing_column_is_named(refused, column):
    layout = ",".join(name for name in A2.split(",") if name != column)
    assert refused(lambda rows: None, layout).startswith(f"FILE: column '{column}' is missing")


def test_tokens_must_be_known_and_agree(refused):
    assert "no column 'tokens'; give `tokens_per_step`" in refused(lambda rows: None, BARE)
    message = refused(lambda rows: None, tokens_per_step=99)
    assert "tokens is 1200, but step 12 x tokens_per_step 99 is 1188" in message
    message = refused(lambda rows: None, BARE, tokens_per_step=10**15)
    assert (
        "step 12 x tokens_per_step 1000000000000000 is more than 1,000,000,000,000,000" in message
    )


def test_a_certain_string_may_be_rounded_above_0(tmp_path):
    rows = published_rows()
    rows[0] |= {"alpha_logprob": "9e-07", "nonalpha_logprob": "0", "preference": "9e-07"}
    assert read(write(tmp_path / "m_step-12.csv", rows))[0]["alpha_logprob"] == 9e-7


def test_files_that_are_cut_or_empty_are_named(tmp_path):
    path = write(tmp_path / "m_step-12.csv", published_rows())
    whole = (tmp_path / "m_step-12.csv").read_bytes()
    for size, message in [
        (0, "the file has no rows"),
        (30, "the file has no rows"),
        (len(whole) - 20, "line 5: 13 columns in the header, but not in this row"),
        (len(whole) - 4, "line 5: preference of 'cats and Dogs' is -2, but alpha_logprob"),
    ]:
        (tmp_path / "m_step-12.csv").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=message) as caught:
            read(path)
        assert path in str(caught.value)


def test_a_run_is_one_model_and_tokens_grow(tmp_path):
    first = write(tmp_path / "m_step-12.csv", published_rows())
    rows = [{**row, "model": "someone/else"} for row in published_rows(24)]
    other = write(tmp_path / "o_step-24.csv", rows)
    with pytest.raises(ValueError, match=r"o_step-24\.csv: is of model 'someone/else', but .*m_st"):
        published_files([first, other], None)
    rows = [{**row, "tokens": 1200} for row in published_rows(24)]
    same = write(tmp_path / "m_step-24.csv", rows)
    with pytest.raises(ValueError, match="1200 tokens at step 24, but 1200 at step 12"):
        published_files([same, first], None)


def test_names_and_headers_are_checked_before_anything_starts(tmp_path):
    (tmp_path / "items.csv").write_text("Word1,Word2,Attested,R\nbread,butter,0,1\n")
    study = {
        "study": "s",
        "probes": {
            "b": {
                "type": "binomials",
                "items": str(tmp_path / "items.csv"),
                "frequency_bins": 0,
                "references": {"r": {"column": "R"}},
            }
        },
        "runs": {
            "one": {"source": "scores", "probe": "b", "files": [str(tmp_path / "*step*.csv")]}
        },
    }
    for step in (12, 108, 24):
        write(tmp_path / f"m_step-{step}.csv", published_rows(step))
    loaded = load_study(study)
    check_inputs(loaded)
    assert checkpoint_steps(loaded.runs["one"]) == [12, 24, 108]
    write(tmp_path / "m_step-24.csv", published_rows(24), "prompt,binom")
    with pytest.raises(StudyError, match=r"runs\.one: .*step-24\.csv: column 'alpha_logprob', 'n"):
        check_inputs(loaded)
    (tmp_path / "m_step-24.csv").rename(tmp_path / "m_step-24.csv.gz")
    study["runs"]["one"]["files"] = [str(tmp_path / "*step*.csv*")]
    with pytest.raises(StudyError, match=r"m_step-24\.csv\.gz: it is compressed; .*with: gunzip /"):
        check_inputs(load_study(study))
    (tmp_path / "m_step-24.csv.gz").rename(tmp_path / "{m}_step-24.csv")
    with pytest.raises(StudyError, match=r"runs\.one: .*/\{m\}_step-24\.csv: Snakemake can't use"):
        check_inputs(load_study(study))


# ---------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    ("numbers", "name", "multiple_of", "rounding"),
    [
        # IEEE 754 binary16 has 11 significant bits: spacing 1/128 from 8 to 16, 1/16 from 64
        (["-8.0078125", "-64.0625"], "fp16", 1 / 128, 1 / 32),
        (["-126.0", "-16.015625"], "fp16", 1 / 64, 1 / 32),
        (["-8.0625", "-100.5"], "bf16", 1 / 16, 1 / 4),
        (["-24.15", "-17.25"], "finer", 1 / 100, 0),
        (["-24.156328", "0.0"], "finer", 1e-6, 0),
        (["0.0", "0"], "finer", 0, 0),
    ],
)
def test_precision_of_known_numbers(numbers, name, multiple_of, rounding):
    found = precision_of(numbers)
    assert (found.name, found.rounding) == (name, rounding)
    assert math.isclose(found.multiple_of, multiple_of)


def test_half_precision_is_told_from_single():
    rng = np.random.default_rng(0)
    exact = rng.uniform(-127, -8, size=500)  # spacing 1/16 at the most
    # the standard library's own rounding to half precision
    half = [repr(struct.unpack("e", struct.pack("e", value))[0]) for value in exact]
    assert precision_of(half).name == "fp16"
    spread = np.abs(np.array(half, dtype=float) - exact).max()
    assert spread <= precision_of(half).rounding < 1.1 * spread
    for text in (map(str, exact.astype(np.float32)), map(repr, exact.tolist())):
        assert precision_of(text).name == "finer"


def test_a_preference_in_half_precision_is_computed_again(tmp_path):
    """-64 1/16 + 65/128 is -8135/128, of 13 bits; of 11 bits the nearest is -63 9/16."""
    rows = published_rows()
    for row in rows:
        row |= {"alpha_logprob": -64.0625, "nonalpha_logprob": -65 / 128, "preference": -63.5625}
    table = read(write(tmp_path / "m_step-12.csv", rows))
    assert [row["preference"] for row in table] == [-8135 / 128] * 4


@pytest.mark.parametrize("written", ["{:.2f}", "{:.7g}", "{!r}"])
def test_a_preference_may_miss_the_difference_by_rounding_alone(tmp_path, written):
    rng = np.random.default_rng(1)
    rows = published_rows()
    for row in rows:
        alpha, nonalpha = rng.uniform(-60, -20, size=2).tolist()
        row["alpha_logprob"], row["nonalpha_logprob"] = map(written.format, (alpha, nonalpha))
        row["preference"] = written.format(alpha - nonalpha)
    for row, before in zip(read(write(tmp_path / "m_step-12.csv", rows)), rows, strict=True):
        assert row["preference"] == float(
            before["preference"]
        )  # rounded once, the difference twice
    without = write(tmp_path / "m_step-12.csv", rows, BARE)
    for row, before in zip(read(without, tokens_per_step=1), rows, strict=True):
        numbers = [float(before[name]) for name in ("alpha_logprob", "nonalpha_logprob")]
        assert row["preference"] == numbers[0] - numbers[1]
    rows[2]["preference"] = float(rows[2]["preference"]) + 0.02
    with pytest.raises(ValueError, match="line 4: preference of 'bread and butter' is "):
        read(write(tmp_path / "m_step-12.csv", rows))


# ---------------------------------------------------------------------------- completeness


def make_run(**keys):
    return ScoresRun(source="scores", probe="b", files=["*"], **keys)


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({"last_step": 10_944, "checkpoints": {"every_steps": 12}}, range(12, 10_945, 12)),
        # 12,207 steps were trained, and the last tag was 12,192
        ({"last_step": 12_192, "checkpoints": {"every_steps": 12}}, range(12, 12_193, 12)),
        (
            {
                "last_step": 100,
                "tokens_per_step": 819_200,
                "checkpoints": {"every_tokens": 10_000_000},
            },
            range(12, 97, 12),
        ),
        ({"last_step": 5, "checkpoints": {"log2": True, "at": [0, 5]}}, [0, 1, 2, 4, 5]),
    ],
)
def test_expected_is_the_schedule_as_written_without_step_0_and_the_last(keys, steps):
    assert make_run(**keys).expected_steps() == list(steps)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"checkpoints": {"every_steps": 12}}, "go together"),
        ({"last_step": 12}, "go together"),
        ({"last_step": 9, "checkpoints": {"every_tokens": 9}}, "needs `tokens_per_step`"),
        ({"last_step": 9, "checkpoints": {"at": [10]}}, r"at \[10\]: the schedule ends at step 9"),
        ({"last_step": 9, "checkpoints": {}}, "names no step"),
        ({"last_step": 9, "checkpoints": {"every_steps": 10}}, "names no step"),
        ({"last_step": 9, "checkpoints": {"every_steps": 3, "per_segment": 2}}, "per_segment is"),
    ],
)
def test_a_schedule_that_can_not_be_is_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        make_run(**keys)


def test_what_is_missing_is_told_in_one_line():
    expected = list(range(12, 10_945, 12))
    holes = {*range(1332, 1789, 12), *range(9000, 9133, 12), 10_944}
    assert len(holes) == 39 + 12 + 1  # the published 1.3B run lacks 52, 1332-1788 among them
    present = [step for step in expected if step not in holes]
    assert completeness_line("big", present, expected) == (
        "run big: 860 of 912 expected checkpoints, 52 missing: 1332-1788, 9000-9132, 10944"
    )
    assert completeness_line("a", [12, 13], [12, 24]) == (
        "run a: 1 of 2 expected checkpoints, 1 missing: 24; 1 beside the schedule: 13"
    )
    assert completeness_line("a", [12], [12]) == "run a: 1 of 1 expected checkpoints"
    assert "the study does not say" in completeness_line("a", [12], None)


def test_many_holes_are_counted():
    steps = list(range(100))
    assert ranges(steps[::2], steps).endswith("20, 22 and 38 more stretches")
    assert ranges(steps, steps) == "0-99"
