"""From score files to one preference per checkpoint and item."""

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ontogeny.analysis.scores import (
    PREFERENCES,
    preference_matrix,
    read_preference_table,
    read_preferences,
)
from ontogeny.paths import PROJECT
from ontogeny.published.score_files import step_of

RELEASED = PROJECT.parent / "shared/data/released_scores"
ITEMS = ["bread and butter", "cats and Dogs", "a.b. and m.a.", "British and French"]
PROMPTS = [" ", "Then, ", 'He said "']


def scores(step, items=ITEMS, prompts=PROMPTS, seed=0):
    """A score file's rows in random order; preferences are float32 as models give them."""
    rng = np.random.default_rng([seed, step])
    pairs = list(itertools.product(prompts, items))
    logprobs = rng.uniform(-90, -20, size=(len(pairs), 2)).astype(np.float32)
    table = pl.DataFrame(
        {
            "model": "r",
            "checkpoint": f"step-{step:08d}",
            "step": step,
            "tokens": step * 100,
            "prompt": [prompt for prompt, _ in pairs],
            "binom": [item for _, item in pairs],
            "alpha_logprob": logprobs[:, 0],
            "nonalpha_logprob": logprobs[:, 1],
            "preference": logprobs[:, 0] - logprobs[:, 1],
        }
    )
    return table.sample(fraction=1, shuffle=True, seed=step)


@pytest.fixture
def files(tmp_path):
    """Score files of steps whose names are in another order than their numbers."""
    paths = {step: str(tmp_path / f"step-{step}.csv") for step in (9996, 992, 0)}
    for step, path in paths.items():
        scores(step).write_csv(path)
    return paths


def read(files, items=ITEMS):
    return read_preferences(files, items, "opt", "probe")


def test_means_over_prompts_in_the_order_of_tokens_and_items(files):
    table = read(files)
    assert dict(table.schema) == PREFERENCES | {"ties": pl.Int64}
    assert table.select("step", "binom").rows() == list(itertools.product((0, 992, 9996), ITEMS))
    assert table["tokens"].to_list() == [step * 100 for step in (0, 992, 9996) for _ in ITEMS]
    assert set(table.select("run", "probe", "n").rows()) == {("opt", "probe", 3)}
    for row in table.iter_rows(named=True):
        values = scores(row["step"]).filter(binom=row["binom"])["preference"].to_list()
        exact = math.fsum(map(float, (str(np.float32(v)) for v in values))) / 3
        assert row["preference"] == pytest.approx(exact, abs=1e-9)


def test_ties_are_counted_in_prompts(tmp_path):
    path = tmp_path / "step-1.csv"
    table = scores(1)
    tied = (pl.col("binom") == ITEMS[1]) & (pl.col("prompt") != PROMPTS[0])
    columns = {name: pl.when(tied).then(-20).otherwise(name) for name in table.columns[-3:-1]}
    columns["preference"] = pl.when(tied).then(0).otherwise("preference")
    table.with_columns(**columns).write_csv(path)
    assert read({1: str(path)})["ties"].to_list() == [0, 2, 0, 0]


def test_the_order_of_rows_and_files_does_not_change_a_bit(files, tmp_path):
    expected = read(files)
    for file in files.values():
        table = pl.read_csv(file, infer_schema=False)
        table.sample(fraction=1, shuffle=True, seed=9).write_csv(file)
    assert read(dict(reversed(files.items()))).equals(expected)


def test_other_items_are_left_out(files):
    expected = read(files)
    for step, file in files.items():
        pl.concat([scores(step, items=["tea and toast"]), scores(step)]).write_csv(file)
    assert read(files).equals(expected)


def test_a_sum_that_floats_cannot_hold_is_exact(tmp_path):
    """1e9 and -1e9 and a small number: the mean is the small number's third, in any order."""
    for number, values in enumerate(itertools.permutations([1e9, -1e9, 2**-20])):
        path = tmp_path / f"{number}.csv"
        scores(1, items=ITEMS[:1]).with_columns(preference=pl.Series(values)).write_csv(path)
        assert read({1: str(path)}, ITEMS[:1])["preference"].item() == 2**-20 / 3


def test_files_that_are_cut_short_are_named(files, tmp_path):
    lines = scores(992).write_csv().splitlines()
    for content, reason in (
        ("", "0 whole rows, but other checkpoints have 12"),
        ("\n".join(lines[:-1]) + "\n", "11 whole rows, but other checkpoints have 12"),
        ("\n".join([*lines[:-1], lines[-1].rsplit(",", 1)[0]]), "11 whole rows"),
        ("\n".join([*lines[:-1], lines[-1].rsplit(",", 1)[0] + ",-"]), "could not parse"),
        ("\n".join(lines[:1]) + "\n", "0 whole rows"),
    ):
        (tmp_path / "step-992.csv").write_text(content)
        with pytest.raises(ValueError, match=reason) as caught:
            read(files)
        assert str(caught.value).startswith(f"{files[992]}: ")
        assert str(caught.value).endswith("remove it to make it again")


def test_a_file_that_the_system_does_not_give_may_be_whole(files):
    Path(files[992]).unlink()
    with pytest.raises(ValueError, match="No such file") as caught:
        read(files)
    assert str(caught.value).startswith(f"{files[992]}: ")
    assert "remove it" not in str(caught.value)


def test_a_file_of_something_else_is_named(files, tmp_path):
    for content in ("a,b\n1,2\n", "\x01\x02" * 50):
        (tmp_path / "step-0.csv").write_text(content)
        with pytest.raises(ValueError, match=r"step-0\.csv: it holds no scores; remove it"):
            read(files)


@pytest.mark.parametrize("value", ["nan", "-inf", "inf"])
def test_a_score_that_is_no_number_is_named(files, value):
    table = scores(992).with_columns(pl.col("preference").cast(str))
    bad = (pl.col("binom").is_in(ITEMS[1:3])) & (pl.col("prompt") == " ")
    table.with_columns(
        preference=pl.when(bad).then(pl.lit(value)).otherwise("preference")
    ).write_csv(files[992])
    with pytest.raises(ValueError, match="run 'opt', step-00000992: no finite score for 2 items, "):
        read(files)
    with pytest.raises(ValueError, match=f"the first is '{ITEMS[1]}'"):
        read(files)


def test_an_item_that_no_file_has_or_one_lacks_is_named(files):
    with pytest.raises(ValueError, match=r"step-00000000: no finite score for 1 items.*'x and y'"):
        read(files, [*ITEMS, "x and y"])
    odd = scores(992).with_columns(pl.col("binom").replace(ITEMS[3], "x and y"))
    odd.write_csv(files[992])
    with pytest.raises(ValueError, match=rf"step-00000992: no finite .* 1 items.*'{ITEMS[3]}'"):
        read(files)


def test_scores_of_other_items_alone_are_no_scores(files):
    scores(992, items=["tea", "toast", "x", "y"]).write_csv(files[992])
    with pytest.raises(ValueError, match=rf"step-00000992: no finite .* 4 items.*'{ITEMS[0]}'"):
        read(files)
    with pytest.raises(ValueError, match=r"step-00000000: no finite .* 1 items.*'x and y'"):
        read({step: files[step] for step in (0, 9996)}, ["x and y"])


def test_files_without_rows_are_no_scores(files, tmp_path):
    header = scores(1).write_csv().splitlines()[0]
    for step in (9996, 992, 0):
        (tmp_path / f"step-{step}.csv").write_text(f"{header}\n")
    with pytest.raises(ValueError, match=r"step-9996\.csv: no whole rows; remove it"):
        read(files)


def test_an_item_that_one_prompt_lacks_is_named(files):
    """As many rows as the others, but one item twice in a prompt and another not."""
    table = scores(992)
    twice = (pl.col("prompt") == " ") & (pl.col("binom") == ITEMS[0])
    moved = pl.when(twice).then(pl.lit(ITEMS[2])).otherwise("binom")
    table.with_columns(binom=moved).write_csv(files[992])
    with pytest.raises(ValueError, match=rf"step-00000992: 2 scores of '{ITEMS[0]}', but 3 of"):
        read(files)


def test_the_matrix_is_in_the_order_of_tokens_and_of_the_given_items(files):
    table = read(files)
    names = ITEMS[::-1][:3]
    shuffled = table.sample(fraction=1, shuffle=True, seed=4)
    checkpoints, matrix = preference_matrix(shuffled, names, "opt")
    assert checkpoints["tokens"].to_list() == [0, 99_200, 999_600]
    for row, step in enumerate((0, 992, 9996)):
        for column, name in enumerate(names):
            expected = table.filter(step=step, binom=name)["preference"].item()
            assert matrix[row, column] == expected
    with pytest.raises(
        ValueError, match="run 'opt', step-00000000: no preference for 1 items, the"
    ):
        preference_matrix(table, [*names, "x and y"], "opt")
    with pytest.raises(ValueError, match="run 'opt': there are no preferences"):
        preference_matrix(table.head(0), names, "opt")


PROBE = '{"type": "binomials", "items": "i.csv", "references": {"r": {"column": "R"}}}'
RUN = """{"architecture": "a", "corpus": "c", "tokenizer": "t", "steps": 2, "block_size": 2,
"batch_size": 50, "checkpoints": {"at": [1]}}"""


def test_the_script_gives_the_same_bytes_with_any_number_of_threads(tmp_path):
    stimuli = tmp_path / "items.csv"
    rows = [item.replace(" and ", ",") for item in ITEMS]
    stimuli.write_text("\n".join(["Word1,Word2", *rows]) + "\n")
    folder = tmp_path / "scores" / "p" / "007"
    folder.mkdir(parents=True)
    for step in (0, 1, 2):
        table = scores(step, prompts=[f"prompt {i} " for i in range(500)])
        table.write_csv(folder / f"step-{step:08d}.csv")
    found = set()
    for threads in ("1", "4"):
        output = tmp_path / "tables" / "007" / "preferences.csv"
        script = [sys.executable, PROJECT / "scripts" / "preferences.py", "--name", "007"]
        script += ["--study-folder", tmp_path, "--run", RUN, "--output", output]
        done = subprocess.run(
            [*script, "--probe", "p", PROBE, stimuli],
            env=os.environ | {"POLARS_MAX_THREADS": threads},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found.add(output.read_bytes())
    assert len(found) == 1
    read = read_preference_table(str(output))
    assert dict(read.schema) == PREFERENCES
    assert read["run"].unique().to_list() == ["007"]
    assert read.select("step", "binom", "n").rows() == [
        (step, item, 500) for step in (0, 1, 2) for item in ITEMS
    ]


@pytest.mark.skipif(not RELEASED.is_dir(), reason=f"needs {RELEASED}")
def test_released_scores_are_averaged_as_by_hand():
    files = {step_of(path.name): str(path) for path in RELEASED.glob("*_step-*.csv")}
    raw = pl.concat([pl.read_csv(file) for file in files.values()])
    items = raw["binom"].unique(maintain_order=True).to_list()
    assert len(items) == 431
    table = read(files, items)
    assert table["step"].unique(maintain_order=True).to_list() == [12, 348, 1140, 1860]
    assert table["n"].unique().to_list() == [51]
    row = table.filter(step=1860, binom=items[77])["preference"].item()
    values = raw.filter(step=1860, binom=items[77])["preference"].to_list()
    assert row == math.fsum(values) / 51  # multiples of 1/64, so that the sum is exact
