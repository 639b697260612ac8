"""A study at another scale is the study with what the scale says laid over it."""

import copy

import pytest
import yaml

from ontogeny.study import StudyError, load_study
from ontogeny.study.scales import at_scale, overridden

STUDY = yaml.safe_load("""
study: words
corpora:
  english: {source: files, files: [a.txt, b.txt], holdout: {share: 0.2}, deduplicate: false}
tokenizers:
  bpe: {type: bpe, corpus: english, vocab_size: 8192}
architectures:
  opt-1.3b: {model_type: opt, config: {hidden_size: 2048, max_position_embeddings: 64}}
probes:
  held-out: {type: perplexity, max_tokens: 500}
runs:
  one:
    corpus: english
    tokenizer: bpe
    architecture: opt-1.3b
    tokens: 64_000
    block_size: 16
    batch_size: 4
    optimizer: {lr: 1e-3, beta2: 0.95, max_grad_norm: 2}
    checkpoints: {per_octave: 1, at: [3, 5]}
scales:
  small:
    corpora:
      english: {source: toy, words: 1000}
    tokenizers:
      bpe: {vocab_size: 300}
    probes:
      held-out: null
    runs:
      one:
        steps: 20
        optimizer: {lr: 1e-2, beta2: null}
        checkpoints: {at: [7]}
""")


def at(scale, *changes):
    """The study at a scale, with the values of dotted paths of `scales.small` replaced."""
    study = copy.deepcopy({**STUDY, "scale": scale})
    for path, value in changes:
        *parents, last = path.split("/")
        section = study["scales"]["small"]
        for key in parents:
            section = section.setdefault(key, {})
        section[last] = value
    return study


def test_a_study_is_itself_where_no_scale_is_chosen():
    whole = load_study(at(None))
    assert whole == load_study(STUDY)
    assert (whole.study, whole.runs["one"].tokens) == ("words", 64_000)
    assert list(whole.probes) == ["held-out"]


def test_a_scale_is_laid_over_the_study():
    small = load_study(at("small"))
    assert small.study == "words-small"  # its results lie apart
    assert small.tokenizers["bpe"].vocab_size == 300
    assert small.tokenizers["bpe"].corpus == "english"  # kept
    assert small.probes == {}  # null removes
    run = small.runs["one"]
    assert (run.steps, run.tokens) == (20, None)  # one budget replaces the other
    assert (run.optimizer.lr, run.optimizer.beta2, run.optimizer.max_grad_norm) == (0.01, 0.999, 2)
    assert run.checkpoints.at == [7]  # a list is replaced
    assert run.checkpoints.per_octave == 1


def test_a_section_of_another_kind_is_replaced_as_a_whole():
    english = load_study(at("small")).corpora["english"]
    assert english.source == "toy"
    assert english.holdout.share == 0.01  # the default, not the 0.2 of the files
    assert english.deduplicate


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({"type": "bpe", "a": 1}, {"type": "bpe", "b": 2}, {"type": "bpe", "a": 1, "b": 2}),
        ({"type": "bpe", "a": 1}, {"type": "characters"}, {"type": "characters"}),
        ({"model_type": "opt", "a": 1}, {"model_type": "gpt2"}, {"model_type": "gpt2"}),
        # a run without `source` is trained
        ({"seed": 1}, {"source": "train", "b": 2}, {"seed": 1, "source": "train", "b": 2}),
        ({"seed": 1}, {"source": "hub"}, {"source": "hub"}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": [{"b": 1}]}, {"a": [{"c": 1}]}, {"a": [{"c": 1}]}),
        ({"tokens": 5}, {"steps": 2}, {"steps": 2}),
        ({"a": 1, "b": {"c": 1}}, {"a": None, "b": None}, {}),
        ({}, {"limit": None}, {"limit": None}),  # there is nothing to remove: a value
    ],
)
def test_what_is_merged_and_what_is_replaced(base, over, result):
    section = {"x": base}
    assert overridden(section, {"x": over}) == {"x": result}
    assert section == {"x": base}


def test_a_study_is_not_changed_by_its_scale():
    study = at("small")
    before = copy.deepcopy(study)
    at_scale(study)
    assert study == before


def test_a_scale_that_is_not_defined_is_told():
    for scale, hint in (("smal", "did you mean 'small'?"), ("x", "there is: small")):
        with pytest.raises(StudyError, match=f"scale: '{scale}' is not defined; ") as error:
            load_study(at(scale))
        assert error.value.problems == [f"scale: {scale!r} is not defined; {hint}"]
    with pytest.raises(StudyError, match="scale: 'small' is not defined; none is defined"):
        load_study({**{key: STUDY[key] for key in STUDY if key != "scales"}, "scale": "small"})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        # what the scale says is looked for in the scale
        ([("corpora/english/wrods", 1)], "scales.small.corpora.english.wrods: unknown key"),
        ([("runs/one/batch_size", 0)], "scales.small.runs.one.batch_size: found 0"),
        ([("corpora/english", {"source": "toy"})], "scales.small.corpora.english.words: this key"),
        ([("tokenizers/bpe/type", "bpee")], "scales.small.tokenizers.bpe.type: 'bpee' is not one"),
        ([("runs/one/architecture", "opt")], "scales.small.runs.one: architecture 'opt' is not"),
        (
            [("architectures/opt-1.3b/config/max_position_embeddings", 8)],
            "scales.small.runs.one.block_size: 16",
        ),
        ([("runs/one/tokens", 5), ("runs/one/steps", None)], "scales.small.runs.one: a budget of"),
        ([("grid", [{"corpora": []}])], "scales.small.grid[0].corpora: found []"),
        ([("scale", "big")], "scales.small.scale: one scale can't choose another"),
        ([("wrods", {})], "scales.small.wrods: unknown key"),
    ],
)
def test_a_mistake_in_a_scale_is_told_of_the_scale(changes, line):
    if "block_size" in line:
        changes = [*changes, ("runs/one/block_size", 16)]
    with pytest.raises(StudyError) as error:
        load_study(at("small", *changes))
    assert any(problem.startswith(line) for problem in error.value.problems), str(error.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        ("runs", "one", {"optimizer": {"schedule": "stairs"}}, "runs.one.optimizer.schedule: "),
        ("architectures", "opt-1.3b", {"biases": 3}, "architectures.opt-1.3b.biases: "),
        ("runs", "one", {"seeed": 1}, "runs.one.seeed: unknown key"),
        ("tokenizers", "bpe-2", {"type": "bpe"}, "tokenizers.bpe-2.corpus: this key is required"),
        ("tokenizers", "b", {"type": "bpe", "corpus": "en"}, "tokenizers.b: corpus 'en' is not"),
    ],
)
def test_a_mistake_in_the_study_itself_is_not_told_of_the_scale(section, key, value, line):
    study = at("small")
    study[section][key] = overridden(study[section].get(key, {}), value)
    with pytest.raises(StudyError) as error:
        load_study(study)
    assert [problem.startswith(line) for problem in error.value.problems] == [True]


def test_what_is_no_scale_is_told():
    for study, line in (
        ({**STUDY, "scale": "small", "scales": {"small": 3}}, "scales.small: found 3, should be a"),
        ({**STUDY, "scales": [1]}, r"scales: found \[1\], should be a mapping"),
        ({**STUDY, "scale": 1}, "scale: found 1, should be a valid string"),
    ):
        with pytest.raises(StudyError, match=line):
            load_study(study)
