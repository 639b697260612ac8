"""Score files as people have them: of one checkpoint or of many, with steps in names or columns,
names of models that change with the step, empty columns, items in either order, fp32 in print."""

import itertools

import numpy as np
import polars as pl
import pytest

from ontogeny.inputs import check_inputs, checkpoint_steps
from ontogeny.published.binomial_scores import read_published
from ontogeny.published.score_files import by_step, published_files, step_of
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.study import StudyError, load_study

ITEMS = [Binomial(*words, False, None) for words in (("bread", "butter"), ("cats", "Dogs"))]
PROMPTS = [" ", "Now, "]


def rows(at=100, values=(-20.5, -21.25), **columns):
    """A row for each prompt and item, the same scores in all."""
    alpha, nonalpha = values
    scores = {"alpha_logprob": alpha, "nonalpha_logprob": nonalpha, "preference": alpha - nonalpha}
    first = {"model": "opt", "checkpoint": f"ckpt-{at}", "step": at, "tokens": at * 10}
    return [
        {**first, "prompt": prompt, "binom": item.alpha, **scores, **columns}
        for prompt, item in itertools.product(PROMPTS, ITEMS)
    ]


def write(path, rows):
    pl.DataFrame(rows, infer_schema_length=None).write_csv(path)
    return str(path)


def one(paths, **keys):
    (file,) = published_files(paths, keys.pop("tokens_per_step", None), **keys)
    return file


# ---------------------------------------------------------------------------- the step


@pytest.mark.parametrize("name", ["ckpt-100.csv", "opt-125m_100.csv", "x/7/v2-ckpt-0100-fp32x.csv"])
def test_the_last_number_of_a_name_may_be_the_step(name):
    expected = 32 if "fp32" in name else 100
    assert step_of(name, "number") == expected
    with pytest.raises(ValueError, match=r"its name doesn't tell the step; .*`steps_from` may say"):
        step_of(name)


def test_a_name_without_any_number_is_refused():
    with pytest.raises(ValueError, match=r"ckpt\.csv: its name doesn't tell the step"):
        step_of("1/ckpt.csv", "number")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("told_by", ["step", "checkpoint"])
def test_one_file_may_have_many_checkpoints(tmp_path, told_by, order):
    steps = [9, 100, 1000]
    long = [row for step in steps for row in rows(step, (-step / 10, -2))][::order]
    if told_by == "checkpoint":
        long = [{**row, "step": None} for row in long]
    path = write(tmp_path / "all.csv", long)
    files = published_files([path], None, "column")
    assert [(file.step, file.tokens, file.path) for file in files] == [
        (step, step * 10, path) for step in steps
    ]
    for file in files:
        assert {row["preference"] for row in read_published(file, ITEMS, PROMPTS)} == {
            2 - file.step / 10
        }
    rest = write(tmp_path / "rest.csv", rows(10_000))
    assert list(by_step([path, rest], "column")) == [*steps, 10_000]
    with pytest.raises(ValueError, match=r"two files are of step 100: .*all\.csv and .*b\.csv"):
        by_step([path, write(tmp_path / "b.csv", rows(100))], "column")


def test_a_row_that_no_column_tells_the_step_of_is_named(tmp_path):
    long = rows(100) + rows(200, step=None, checkpoint="final")
    path = write(tmp_path / "all.csv", long)
    with pytest.raises(ValueError, match=r"all\.csv, line 6: neither column 'step' nor 'checkp"):
        by_step([path], "column")


def test_a_checkpoint_of_a_long_file_that_is_not_whole_is_named(tmp_path):
    path = write(tmp_path / "all.csv", rows(100) + rows(200)[1:])
    _, last = published_files([path], None, "column")
    with pytest.raises(ValueError, match=r"all\.csv: lacks 1 of 4 rows, the first is 'bread and"):
        read_published(last, ITEMS, PROMPTS)


def test_a_study_may_take_any_of_them(tmp_path):
    (tmp_path / "items.csv").write_text("Word1,Word2,R\nbread,butter,0\ncats,Dogs,1\n")
    references = {"r": {"column": "R"}}
    probe = {"type": "binomials", "items": str(tmp_path / "items.csv"), "frequency_bins": 0}
    run = {"source": "scores", "probe": "b", "files": [str(tmp_path / "ckpt-*.csv")]}
    study = {"study": "s", "probes": {"b": {**probe, "references": references}}}
    write(tmp_path / "ckpt-2.csv", rows(2))
    write(tmp_path / "ckpt-10.csv", rows(10))
    for told in ("number", "column"):
        loaded = load_study({**study, "runs": {"one": {**run, "steps_from": told}}})
        assert check_inputs(loaded) == []
        assert checkpoint_steps(loaded.runs["one"]) == [2, 10]
    with pytest.raises(StudyError, match=r"runs\.one: .*ckpt-10\.csv: its name doesn't tell"):
        check_inputs(load_study({**study, "runs": {"one": run}}))


@pytest.mark.parametrize(("ending", "command"), [(".gz", "gunzip"), (".zst", "unzstd")])
def test_a_compressed_file_is_told_with_the_command_that_unpacks_it(ending, command):
    path = f"/a/step-1.csv{ending}"
    for told in ("name", "number", "column"):
        with pytest.raises(ValueError, match=f"it is compressed; .* with: {command} {path}"):
            by_step([path], told)


# ---------------------------------------------------------------------------- columns


@pytest.mark.parametrize("empty", [None, "NA", " "])
def test_an_empty_column_is_one_that_is_not_there(tmp_path, empty):
    columns = dict.fromkeys(("model", "step", "tokens", "preference"), empty)
    path = write(tmp_path / "ckpt-100.csv", rows(**columns))
    file = one([path], tokens_per_step=10, steps_from="number")
    assert (file.step, file.tokens, file.model) == (100, 1000, None)
    assert [row["preference"] for row in read_published(file, ITEMS, PROMPTS)] == [0.75] * 4
    with pytest.raises(ValueError, match="no column 'tokens'; give `tokens_per_step`"):
        one([path], steps_from="number")


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("ckpt-100", "ckpt-200", True),
        ("step-00000100", "step-00000200", True),
        ("opt-125m-100", "opt-125m-200", True),
        ("opt-100eps", "opt-100eps", True),
        ("opt-125m", "opt-350m", False),
        ("ckpt-100", "ckpt-300", False),
        ("a-100", "b-200", False),
        ("opt", None, False),
    ],
)
def test_the_name_of_a_model_may_change_with_the_step_alone(tmp_path, first, second, alike):
    paths = [
        write(tmp_path / f"step-{step}.csv", rows(step, model=model))
        for step, model in ((100, first), (200, second))
    ]
    if alike:
        assert len(published_files(paths, None)) == 2
    else:
        with pytest.raises(ValueError, match=r"step-200\.csv: is of model .*; a run is one model"):
            published_files(paths, None)


def test_an_item_in_the_other_order_is_turned_with_its_scores(tmp_path):
    told = rows(values=(-20, -22))
    for row in told[::2]:
        row["binom"] = "Butter and bread"
    file = one([write(tmp_path / "step-100.csv", told)])
    found = read_published(file, ITEMS, PROMPTS)
    assert [row["binom"] for row in found] == ["bread and butter", "cats and Dogs"] * 2
    assert [row["alpha_logprob"] for row in found] == [-22, -20] * 2
    assert [row["preference"] for row in found] == [-2, 2] * 2
    told[0]["preference"] = -2  # of an order that `binom` does not name
    file = one([write(tmp_path / "step-100.csv", told)])
    with pytest.raises(ValueError, match="line 2: preference of 'bread and butter' is 2, but"):
        read_published(file, ITEMS, PROMPTS)


@pytest.mark.parametrize("value", ["-1e308", "-1000001"])
def test_a_number_that_is_no_log_probability_is_refused(tmp_path, value):
    path = write(tmp_path / "step-100.csv", rows(alpha_logprob=float(value), preference=None))
    with pytest.raises(ValueError, match=r"line 2: alpha_logprob is .*; no string is so imp"):
        read_published(one([path]), ITEMS, PROMPTS)


def test_a_blank_prompt_that_r_has_made_na_is_told(tmp_path):
    told = rows()
    told[0]["prompt"] = "NA"
    file = one([write(tmp_path / "step-100.csv", told)])
    with pytest.raises(ValueError, match=r"line 2: prompt 'NA' is not among .*R makes NA of a bla"):
        read_published(file, ITEMS, PROMPTS)


# ---------------------------------------------------------------------------- fp32 in print


def test_fp32_in_the_fewest_digits_is_read_back(tmp_path):
    """As score files are written here: each number is rounded to fp32, then printed in as many
    digits as tell it from its neighbours, so that it is off twice."""
    rng = np.random.default_rng(0)
    items = [Binomial(f"a{number}", "b", False, None) for number in range(20_000)]
    logprobs = rng.uniform(-100, -60, size=(len(items), 2))
    logprobs[:, 1] = logprobs[:, 0] + rng.normal(scale=0.1, size=len(items))
    table = pl.DataFrame(
        {
            "prompt": " ",
            "binom": [item.alpha for item in items],
            "alpha_logprob": logprobs[:, 0].astype(np.float32),
            "nonalpha_logprob": logprobs[:, 1].astype(np.float32),
            "preference": (logprobs[:, 0] - logprobs[:, 1]).astype(np.float32),
        }
    )
    path = tmp_path / "step-100.csv"
    table.write_csv(path)
    found = read_published(one([str(path)], tokens_per_step=1), items, [" "])
    assert len(found) == len(items)
    printed = pl.read_csv(path)
    off = (printed["alpha_logprob"] - printed["nonalpha_logprob"] - printed["preference"]).abs()
    sizes = printed.select(pl.sum_horizontal(pl.col(pl.Float64).abs())).to_series()
    assert (off > sizes * 2.0**-24).any()  # so the rounding alone does not explain it
    wrong = pl.read_csv(path).with_columns(pl.col("preference") + 1e-4)
    wrong.write_csv(path)
    with pytest.raises(ValueError, match=r"line 2: preference of 'a0 and b' .*20000 of 20000 rows"):
        read_published(one([str(path)], tokens_per_step=1), items, [" "])
