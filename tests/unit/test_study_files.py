"""Several files and the command line are laid over each other; each file is read as it is meant."""

import pytest
import yaml

from ontogeny.study import StudyError, load_files, load_study
from ontogeny.study.files import MOST_ALIASED, read_files

STUDY = """
study: words
corpora: {english: {source: files, files: [a.txt], deduplicate: false}}
tokenizers: {bpe: {type: bpe, corpus: english}}
architectures: {opt: {model_type: opt}}
runs:
  one: {corpus: english, tokenizer: bpe, architecture: opt, steps: 9, block_size: 16, batch_size: 4}
scales:
  small: {runs: {one: {steps: 4, seed: 7}}, corpora: {english: {files: [b.txt]}}}
"""


@pytest.fixture
def files(tmp_path):
    """Write texts to files of a study, in their order."""

    def write(*texts):
        paths = [tmp_path / f"{number}.yaml" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return paths

    return write


@pytest.mark.parametrize("scale", [None, "small"])
@pytest.mark.parametrize("as_a_file", [True, False])
def test_what_is_said_later_holds_at_every_scale(files, scale, as_a_file):
    said = {"scale": scale, "runs": {"one": {"steps": 6}}}
    if as_a_file:
        study = load_files(files(STUDY, yaml.safe_dump(said)))
    else:
        study = load_files(files(STUDY), said)
    run = study.runs["one"]
    assert (run.steps, run.seed) == (6, 7 if scale else 0)
    assert study.study == ("words-small" if scale else "words")


def test_the_last_of_several_wins(files):
    changes = ("{runs: {one: {steps: 5}}}", "{runs: {one: {steps: 6}}}", "{scale: small}")
    assert load_files(files(STUDY, *changes)).runs["one"].steps == 6
    assert (
        load_files(files(STUDY, *changes), {"runs": {"one": {"steps": 8}}}).runs["one"].steps == 8
    )


def test_a_later_file_has_its_own_part_in_a_scale(files):
    change = "{runs: {one: {steps: 5}}, scales: {small: {runs: {one: {steps: 3}}}}}"
    assert load_files(files(STUDY, change)).runs["one"].steps == 5
    assert load_files(files(STUDY, change), {"scale": "small"}).runs["one"].steps == 3


@pytest.mark.parametrize("scale", [None, "small"])
def test_one_budget_and_one_kind_replace_the_other(files, scale):
    change = "{runs: {one: {tokens: 640}}, corpora: {english: {source: toy, words: 50}}}"
    study = load_files(files(STUDY, change), {"scale": scale})
    assert (study.runs["one"].tokens, study.runs["one"].steps) == (640, None)
    assert study.corpora["english"].words == 50
    assert study.corpora["english"].deduplicate  # the default: nothing of the files is left


def test_null_of_a_later_file_removes_a_key(files):
    assert (
        load_files(files(STUDY, "{runs: {one: {seed: 3}}}", "{runs: {one: {seed: null}}}"))
        .runs["one"]
        .seed
        == 0
    )


def test_a_file_alone_is_what_it_says(files):
    assert load_files(files(STUDY)) == load_study(yaml.safe_load(STUDY))


def test_each_scale_of_a_file_is_checked(files):
    study = STUDY.replace("seed: 7", "sead: 7")
    line = "scales.small.runs.one.sead: unknown key; did you mean 'seed'?"
    for scale in (None, "small"):
        with pytest.raises(StudyError) as error:
            load_files(files(study), {"scale": scale})
        assert error.value.problems == [line]


def test_the_command_line_is_not_taken_for_a_mistake_of_another_scale(files):
    study = STUDY.replace("seed: 7", "checkpoints: {at: [4]}")
    assert load_files(files(study), {"runs": {"one": {"steps": 2}}}).runs["one"].steps == 2


def test_a_scale_that_is_not_chosen_answers_only_for_what_it_says(files):
    study = STUDY.replace("steps: 9", "stepz: 9")
    assert load_files(files(study), {"runs": {"one": {"stepz": None, "steps": 3}}}).runs


def test_aliases_are_read_as_far_as_a_study_goes(files):
    """Each alias of a list of nine numbers stands for ten values."""
    most = MOST_ALIASED // 10
    text = f"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\nb: [{', '.join(['*a'] * most)}]\n"
    assert read_files(files(text))[0]["b"][-1] == list(range(1, 10))
    with pytest.raises(StudyError, match="line 3: with \\*a, aliases stand for more than 100,000"):
        read_files(files(text + "c: *a\n"))


@pytest.mark.parametrize(
    ("number", "value"), [("007", 7), ("0", 0), ("0x10", 16), ("1_000", 1000), ("'0200'", "0200")]
)
def test_numbers_that_can_mean_but_one_thing_are_taken(files, number, value):
    assert read_files(files(f"seed: {number}\n")) == [{"seed": value}]
