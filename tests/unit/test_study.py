import copy
import itertools

import pytest
import yaml
from huggingface_hub.utils import validate_repo_id
from pydantic import ValidationError

from ontogeny.paths import PROJECT
from ontogeny.study import StudyError, load_study
from ontogeny.study.files import read_files
from ontogeny.study.runs import Checkpoints, Optimizer, Run
from ontogeny.study.schedule import (
    checkpoint_name,
    checkpoint_step,
    checkpoint_steps,
    segments,
    total_steps,
)
from ontogeny.study.section import repo_name

STUDY = yaml.safe_load("""
study: small
corpora:
  babylm100: {source: files, files: [a.txt]}
  c4: {source: files, files: [b.txt]}
tokenizers:
  bpe: {type: bpe, corpus: babylm100}
architectures:
  opt-s: {model_type: opt, config: {max_position_embeddings: 64}}
  opt-m: {model_type: opt}
runs:
  one: {corpus: c4, tokenizer: bpe, architecture: opt-s, steps: 8, block_size: 16, batch_size: 4}
""")
GRID = yaml.safe_load("""
corpora: [babylm100, c4]
architectures: [opt-s, opt-m]
tokenizers: [bpe]
run: {tokens: 6400, block_size: 16, batch_size: 4, optimizer: {lr: 0.001, beta2: 0.95}}
""")


def changed(*changes, base=STUDY):
    """A copy of a study with the value of each dotted path replaced."""
    study = copy.deepcopy(base)
    for path, value in changes:
        *parents, last = path.split(".")
        section = study
        for key in parents:
            section = section[key]
        section[last] = value
    return study


def with_grid(*changes, runs=None):
    return {**STUDY, "grid": [changed(*changes, base=GRID)], "runs": runs or {}}


HUB = {"source": "hub", "model": "owner/name", "revisions": "list.csv", "tokenizer": "bpe"}


def make_run(**keys):
    defaults = {"corpus": "c", "tokenizer": "t", "architecture": "a"}
    return Run(**{**defaults, "block_size": 1024, "batch_size": 800, **keys})


# ---------------------------------------------------------------------------- schedules


@pytest.mark.parametrize(("batch_size", "stride"), [(800, 12), (1200, 8)])
def test_every_ten_million_tokens_is_a_whole_number_of_steps(batch_size, stride):
    run = make_run(batch_size=batch_size, steps=100, checkpoints={"every_tokens": 10_000_000})
    steps = run.checkpoint_steps()
    assert steps[1:4] == [stride, 2 * stride, 3 * stride]
    assert stride * run.tokens_per_step == 9_830_400


@pytest.mark.parametrize(("batch_size", "last"), [(800, 10_944), (1200, 7_296)])
def test_published_babylm_schedule(batch_size, last):
    run = make_run(batch_size=batch_size, steps=last, checkpoints={"every_tokens": 10_000_000})
    steps = run.checkpoint_steps()
    assert len(steps) == 1 + 912
    assert steps == [0, *range(last // 912, last + 1, last // 912)]
    assert steps[-1] * run.tokens_per_step == 8_965_324_800


@pytest.mark.parametrize(
    ("batch_size", "last", "tags"),
    [(800, 12_207, range(12, 12_193, 12)), (1200, 8_138, range(8, 8_129, 8))],
)
def test_published_c4_schedule_and_the_final_step_that_had_no_tag(batch_size, last, tags):
    budget = 10_000_000_000
    run = make_run(batch_size=batch_size, tokens=budget, checkpoints={"every_tokens": 10_000_000})
    assert run.last_step == last == total_steps(budget, 1024 * batch_size)
    assert len(tags) == 1_016
    # one more multiple fits in than was published
    assert run.checkpoint_steps() == [0, *tags, tags[-1] + tags.step, last]


def test_published_pythia_schedule():
    steps = checkpoint_steps(143_000, 2_097_152, every_steps=1000, log2=512)
    powers = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    assert steps == [0, *powers, *range(1000, 143_001, 1000)]
    assert len(steps) == 154


def test_points_per_octave():
    assert checkpoint_steps(20, 1, per_octave=1) == [0, 1, 2, 4, 8, 16, 20]
    # 4 * 2 ** (1/2) = 5.66, 8 * 2 ** (1/2) = 11.3
    assert checkpoint_steps(16, 1, per_octave=2) == [0, 1, 2, 3, 4, 6, 8, 11, 16]
    assert checkpoint_steps(16, 1, log2=True) == checkpoint_steps(16, 1, per_octave=1)


def test_a_schedule_is_the_union_of_its_parts():
    parts = [{"every_tokens": 25}, {"every_steps": 7}, {"log2": True}, {"per_octave": 3}]
    parts.append({"at": [5, 41, 5]})
    for chosen in itertools.chain(*(itertools.combinations(parts, n) for n in range(6))):
        keys = {key: value for part in chosen for key, value in part.items()}
        united = {0, 50}.union(*(checkpoint_steps(50, 10, **part) for part in chosen))
        assert checkpoint_steps(50, 10, **keys) == sorted(united)


def test_tokens_between_checkpoints_are_rounded_down_to_steps_but_not_to_none():
    assert checkpoint_steps(6, 10, every_tokens=29) == [0, 2, 4, 6]
    assert checkpoint_steps(3, 100, every_tokens=1) == [0, 1, 2, 3]


def test_log2_is_a_flag_or_a_step():
    assert Checkpoints(log2=True).log2 is True
    assert Checkpoints(log2=1).log2 is not True
    assert make_run(steps=9, checkpoints={"log2": 1}).checkpoint_steps() == [0, 1, 9]


@pytest.mark.parametrize("size", [1, 3, 4, 40, 1000])
@pytest.mark.parametrize("steps", [[0, 1], [0, 12, 24, 36, 40], list(range(0, 10_945, 12))])
def test_segments_partition_a_schedule(steps, size):
    parts = segments(steps, size)
    assert [step for part in parts for step in part.checkpoints] == steps
    assert [part.number for part in parts] == list(range(len(parts)))
    assert [part.start for part in parts] == [0, *(part.end for part in parts[:-1])]
    assert [part.is_last for part in parts] == [False] * (len(parts) - 1) + [True]
    for part in parts:
        assert part.end == part.checkpoints[-1] > part.start
        assert len([step for step in part.checkpoints if step > 0]) <= size
        assert all(part.start < step for step in part.checkpoints if step > 0)


@pytest.mark.parametrize(
    ("steps", "parts"),
    [([0], [(0,)]), ([7], [(7,)]), ([12, 24, 36], [(12, 24), (36,)]), ([0, 5, 9], [(0, 5, 9)])],
)
def test_a_published_list_may_begin_anywhere(steps, parts):
    assert [part.checkpoints for part in segments(steps, 2)] == parts


def test_a_length_in_tokens_where_steps_belong_is_told():
    for keys in ({"every_steps": 12}, {"every_tokens": 24}):
        with pytest.raises(ValueError, match="3,000,000,000 steps would have 250,000,000 of them"):
            checkpoint_steps(3 * 10**9, 2, **keys)


def test_names_of_checkpoints_sort_as_their_steps_do():
    steps = [0, 2, 10, 992, 9_996, 10_944, 143_000]
    names = [checkpoint_name(step) for step in steps]
    assert sorted(names) == names
    assert [checkpoint_step(name) for name in names] == steps
    published = ["step-992", "step143000", "stage1-step12"]
    assert [checkpoint_step(name) for name in published] == [992, 143_000, 12]


@pytest.mark.parametrize("name", ["final", "step-", "step-1a", ""])
def test_a_name_without_a_step_is_an_error(name):
    with pytest.raises(ValueError, match="not a checkpoint's name"):
        checkpoint_step(name)


# ---------------------------------------------------------------------------- grids


def test_a_grid_is_all_combinations():
    study = load_study(with_grid())
    assert set(study.runs) == {"opt-s-babylm100", "opt-s-c4", "opt-m-babylm100", "opt-m-c4"}
    for name, run in study.runs.items():
        assert name == f"{run.architecture}-{run.corpus}"
        assert (run.last_step, run.seed, run.optimizer.lr) == (100, 0, 0.001)


def test_names_tell_apart_what_a_grid_varies():
    study = load_study(with_grid(("seeds", [3, 4]), ("corpora", ["c4"])))
    assert set(study.runs) == {"opt-s-c4-3", "opt-s-c4-4", "opt-m-c4-3", "opt-m-c4-4"}
    assert study.runs["opt-m-c4-4"].seed == 4
    named = load_study(with_grid(("name", "x{seed}.{architecture}.{corpus}")))
    assert "x0.opt-s.c4" in named.runs


def test_one_run_of_a_grid_can_be_changed_and_others_added():
    own = {"tokenizer": "bpe", "corpus": "c4", "architecture": "opt-s"}
    own |= {"steps": 3, "block_size": 8, "batch_size": 2}
    over = {"steps": 7, "optimizer": {"lr": 0.1}, "checkpoints": {"at": [5]}}
    study = load_study(with_grid(runs={"opt-s-c4": over, "own": own}))
    run = study.runs["opt-s-c4"]
    assert (run.last_step, run.tokens) == (7, None)
    assert (run.optimizer.lr, run.optimizer.beta2) == (0.1, 0.95)
    assert run.checkpoints.at == [5]
    assert study.runs["own"].last_step == 3
    untouched = load_study(with_grid())
    assert study.runs["opt-m-c4"] == untouched.runs["opt-m-c4"]
    assert len(study.runs) == 5


def test_a_run_survives_the_way_to_a_script():
    run = load_study(with_grid()).runs["opt-s-c4"]
    assert Run.model_validate_json(run.model_dump_json()) == run


# ---------------------------------------------------------------------------- errors

MISTAKES = {
    "unknown key": (
        [("runs.one.block_sice", 3)],
        "runs.one.block_sice: unknown key; did you mean 'block_size'?",
    ),
    "unknown section": ([("corpra", {})], "corpra: unknown key; did you mean 'corpora'?"),
    "misspelt corpus": (
        [("runs.one.corpus", "babylm10")],
        "runs.one: corpus 'babylm10' is not defined; did you mean 'babylm100'?",
    ),
    "short corpus": ([("runs.one.corpus", "babylm")], "did you mean 'babylm100'?"),
    "other corpus": (
        [("runs.one.corpus", "wiki")],
        "'wiki' is not defined; there is: babylm100, c4",
    ),
    "misspelt architecture": (
        [("runs.one.architecture", "opt-l")],
        "runs.one: architecture 'opt-l' is not defined; did you mean",
    ),
    "misspelt tokenizer": ([("runs.one.tokenizer", "bpee")], "did you mean 'bpe'?"),
    "corpus of a tokenizer": (
        [("tokenizers.bpe.corpus", "c5")],
        "tokenizers.bpe: corpus 'c5' is not defined; there is: babylm100, c4",
    ),
    "negative budget": (
        [("runs.one.steps", -5)],
        "runs.one.steps: found -5, should be greater than 0",
    ),
    "two budgets": ([("runs.one.tokens", 640)], "runs.one: give the budget as either"),
    "less than a step": (
        [("runs.one.steps", None), ("runs.one.tokens", 63)],
        "runs.one: a budget of 63 tokens is less than one step: block_size 16 x batch_size 4 = 64",
    ),
    "long block": (
        [("runs.one.block_size", 65)],
        "runs.one.block_size: 65 tokens do not fit into the 64 positions of architecture 'opt-s'",
    ),
    "bad name": ([("runs", {"../x": STUDY["runs"]["one"]})], "the name '../x' is not allowed"),
    "newline in a name": ([("study", "small\n")], r"study: the name 'small\n' is not allowed"),
    "capital": ([("study", "Small")], "study: the name 'Small' is not allowed"),
    "missing key": (
        [("runs", {"one": {"corpus": "c4"}})],
        "runs.one.tokenizer: this key is required",
    ),
    "no source": ([("corpora.c4", {"files": ["a"]})], "corpora.c4.source: this key is required"),
    "misspelt source": (
        [("corpora.c4.source", "file")],
        "corpora.c4.source: 'file' is not one of them; did you mean 'files'?",
    ),
    "key of a source": (
        [("corpora.c4.document", "line")],
        "corpora.c4.document: unknown key; did you mean 'documents'?",
    ),
    "beyond the end": (
        [("runs.one.checkpoints", {"at": [8, 9]})],
        "runs.one: checkpoints.at [9]: the run ends at step 8",
    ),
    "a word for a number": (
        [("runs.one.seed", "first")],
        "runs.one.seed: found 'first', should be a valid integer",
    ),
    "schedule": (
        [("runs.one.optimizer", {"schedule": "cosin"})],
        "runs.one.optimizer.schedule: 'cosin' is not allowed; did you mean 'cosine'?",
    ),
    "vocabulary": (
        [("architectures.opt-s.config.vocab_size", 100)],
        "architectures.opt-s: `vocab_size` comes from the run's tokenizer; remove it here",
    ),
    "no runs": ([("runs", {})], "runs: the study has no model to look at"),
    "a published run's model": (
        [("runs.two", {**HUB, "model": "owner/a--b"})],
        "runs.two.model: 'owner/a--b' is no name of a repository on the Hub: owner/name, up to",
    ),
    "a repository's name": (
        [("runs", {"one-": STUDY["runs"]["one"]}), ("publish", {"repo": "owner/{study}.{run}"})],
        "publish.repo: 'owner/small.one-' is no name of a repository on the Hub: owner/name, up",
    ),
    "nothing to publish": (
        [("keep_checkpoints", "none"), ("publish", {"repo": "owner/{study}.{run}"})],
        "publish: there are no checkpoints to publish with keep_checkpoints: none",
    ),
    "runs as a list": ([("runs", ["one"])], "runs: found ['one'], should be a mapping"),
}


@pytest.mark.parametrize(("changes", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_that_names_the_key(changes, message):
    with pytest.raises(StudyError) as caught:
        load_study(changed(*changes))
    assert message in str(caught.value)
    assert all("\n" not in problem for problem in caught.value.problems)


def test_all_mistakes_are_told_at_once():
    changes = [("runs.one.batch_size", 0), ("runs.one.lr", 1), ("runs.one.seed", -1)]
    with pytest.raises(StudyError, match="has 3 errors") as caught:
        load_study(changed(*changes))
    assert len(caught.value.problems) == 3


GRID_MISTAKES = {
    "same names": ([("name", "{corpus}")], "grid[0]: two runs would be named 'babylm100'"),
    "unknown part": ([("name", "{size}")], "grid[0].name: '{size}' may only use {architecture}"),
    "key of the lists": ([("run.seed", 1)], "grid[0].run.seed: comes from the grid's lists"),
    "bad key": ([("run.block_size", -1)], "grid[0].run.block_size: found -1"),
    "from elsewhere": (
        [("run", {**HUB, "source": "scores"})],
        "grid[0].run.source: a run of the grid is trained; put one from elsewhere under `runs`",
    ),
    "bad corpus": (
        [("corpora", ["c3"])],
        "runs.opt-m-c3: corpus 'c3' is not defined; there is: babylm100, c4",
    ),
}


@pytest.mark.parametrize(("changes", "message"), GRID_MISTAKES.values(), ids=GRID_MISTAKES)
def test_a_mistake_in_a_grid(changes, message):
    with pytest.raises(StudyError) as caught:
        load_study(with_grid(*changes))
    assert message in str(caught.value)


def test_a_run_of_a_grid_can_not_come_from_elsewhere():
    with pytest.raises(StudyError) as caught:
        load_study(with_grid(runs={"opt-s-c4": HUB}))
    assert caught.value.problems == [
        "runs.opt-s-c4: a run of the grid is trained; give this run another name"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("name", "a/b/c", "a/", "/b", "a/b c", "a/b\n", "a/é", "a/-b", "a/b-", "a/.b", "a/b."),
        *("-a/b", "a-/b", "a/b--c", "a/b..c", "a--b/c", "a/b.git", "a/" + 95 * "b"),
    ],
)
def test_a_name_that_the_hub_refuses_is_refused_at_once(name):
    with pytest.raises(ValueError, match="is no name of a repository"):
        repo_name(name)


@pytest.mark.parametrize("name", ["a/b", "A-1_b.c/x.git-y", "a/_b_", "a/" + 94 * "b"])
def test_a_name_that_the_hub_takes(name):
    validate_repo_id(name)
    assert repo_name(name) == name


def test_a_learning_rate_that_yaml_reads_as_text():
    assert yaml.safe_load("3e-4") == "3e-4"
    assert Optimizer(lr="3e-4").lr == 0.0003
    with pytest.raises(ValidationError):
        Optimizer(lr="fast")


@pytest.mark.parametrize("path", ["config.yaml", *sorted((PROJECT / "studies").glob("*.yaml"))])
def test_the_studies_that_ship_are_valid(path):
    study = load_study(yaml.safe_load((PROJECT / path).read_text(encoding="utf-8")))
    assert study.runs


def test_repeated_keys_of_a_file_are_found(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("study: a\nruns:\n  x: {seed: 1, seed: 2}\n  y: {seed: 1}\nstudy: b\n")
    with pytest.raises(StudyError) as error:
        read_files([file])
    assert error.value.problems == [
        f"{file}, line 3: 'seed' stands here twice",
        f"{file}, line 5: 'study' stands here twice",
    ]
    file.write_text("a: &a {x: 1}\nb: {<<: *a, x: 2}\nc: {<<: *a, x: 2}\n")
    assert read_files([file]) == [{"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 2}}]
