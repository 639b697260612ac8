"""Mistakes in a study file are told before anything runs, with their place and what is right."""

import re

import pytest
import yaml

from ontogeny.inputs import check_inputs
from ontogeny.paths import PROJECT
from ontogeny.study import StudyError, load_files, load_study
from ontogeny.study.documentation import PLACES

STUDY = """\
study: mistaken
corpora:
  toy: {source: toy, words: 3000}
tokenizers:
  bpe: {type: bpe, corpus: toy, vocab_size: 300}
architectures:
  opt: {model_type: opt, config: {hidden_size: 16, num_hidden_layers: 1}}
runs:
  one:
    corpus: toy
    tokenizer: bpe
    architecture: opt
    steps: 12
    block_size: 32
    batch_size: 4
"""
RUN = "    batch_size: 4\n"
CONFIG = "num_hidden_layers: 1"
INSERT = "source: insert, corpus: toy, items_from: toy, templates: data/toy/insertions.csv"
LAUGHS = "\n".join(
    [f"l0: &l0 [{', '.join('a' * 9)}]"]
    + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 7)]
)


def replaced(old, new):
    assert STUDY.count(old) == 1
    return STUDY.replace(old, new).encode()


def with_run(text):
    return (STUDY + f"    {text}\n").encode()


def with_config(text):
    return replaced(CONFIG, f"{CONFIG}, {text}")


def with_scale(text):
    return (STUDY + f"scales: {{small: {{{text}}}}}\n").encode()


# What is written, and what is said of it: place, then what is right.
MISTAKES = {
    "empty file": (b"", "FILE: is empty, should be a mapping"),
    "comments alone": (b"# study: a\n", "FILE: is empty, should be a mapping"),
    "list": (b"- study\n- a\n", "FILE: is a list, should be a mapping"),
    "text": (b"study\n", "FILE: is a str, should be a mapping"),
    "number": (b"12\n", "FILE: is a int, should be a mapping"),
    "latin-1": (
        "study: a\n# Größe\n".encode("latin-1"),
        "FILE, line 2: the byte 0xf6 is not UTF-8",
    ),
    "UTF-16": (STUDY.encode("utf-16"), "FILE: is UTF-16; save it as UTF-8"),
    "UTF-16 without a mark": (
        STUDY.encode("utf-16-le"),
        "FILE, line 1: the character U.0000 .* is this UTF-8",
    ),
    "NUL": (STUDY.encode() + b"note: a\0b\n", "FILE, line 16: the character U.0000 can't stand"),
    "binary": (bytes(range(128, 256)), "FILE, line 1: the byte 0x80 is not UTF-8"),
    "tab": (b"study: a\nruns:\n\tone: 1\n", "FILE, line 3: .* cannot start any token"),
    "open bracket": (b"study: a\nruns: [1, 2\n", "FILE, line 3: .*expected ',' or ']'"),
    "open quote": (b'study: "a\n', "FILE, line 2: .*unexpected end of stream"),
    "colon in a value": (b"study: a: b\n", "FILE, line 1: mapping values are not allowed here"),
    "two documents": (STUDY.encode() + b"---\na: 1\n", "FILE, line 16: .*single document"),
    "unknown anchor": (STUDY.encode() + b"x: *y\n", "FILE, line 16: found undefined alias"),
    "unknown tag": (STUDY.encode() + b"x: !!python/tuple [1]\n", "FILE, line 16: could not det"),
    "mapping as a key": (STUDY.encode() + b"? {a: 1}\n: 2\n", "FILE, line 16: .*unhashable key"),
    "no date": (STUDY.encode() + b"x: 2024-13-45\n", "FILE, line 16: month must be in 1..12"),
    "merge of a number": (STUDY.encode() + b"x: {<<: 1}\n", "FILE, line 16: .*for merging"),
    "deep": (b"a: " + b"[" * 5000, "FILE: is nested too deeply"),
    "long number": (b"a: " + b"1" * 5000, "FILE, line 1: Exceeds the limit"),
    "key twice": (
        replaced("steps: 12", "steps: 12\n    steps: 13"),
        "FILE, line 14: 'steps' stands",
    ),
    "alias of itself": (
        STUDY.encode() + b"x:\n- &x [*x]\n",
        "FILE, line 17: \\*x is an alias of what",
    ),
    "alias of its mapping": (
        STUDY.encode() + b"x: &x {y: *x}\n",
        "FILE, line 16: \\*x is an alias",
    ),
    "many laughs": (
        LAUGHS.encode(),
        "FILE, line 6: with \\*l4, aliases stand for more than 100,000",
    ),
    "octal": (
        replaced("steps: 12", "steps: 0200"),
        "FILE, line 13: 0200 is 128 .*write 200, or 128",
    ),
    "base 60": (replaced("steps: 12", "steps: 1:30"), "FILE, line 13: 1:30 is 90 .*quotes, or 90"),
    "no study": (b"runs: {}\n", "study: this key is required"),
    "top level typo": (STUDY.encode() + b"corporas: {}\n", "corporas: unknown key; .*'corpora'"),
    "number as a name": (
        replaced("  toy:", "  5:"),
        r"corpora\[5\]: found 5, should be a valid string",
    ),
    "runs that are a list": (b"study: a\nruns: [1]\n", "runs: found .*should be a mapping"),
    "true steps": (replaced("steps: 12", "steps: true"), "runs.one.steps: found true.*a number"),
    "yes words": (replaced("3000", "yes"), "corpora.toy.words: found true, should be a number"),
    "true lr": (with_run("optimizer: {lr: true}"), "runs.one.optimizer.lr: found true.*a number"),
    "true seed": (with_run("seed: on"), "runs.one.seed: found true, should be a number"),
    "true in a list": (
        with_run("checkpoints: {at: [1, true]}"),
        r"checkpoints.at\[1\]: found true",
    ),
    "long warm-up": (
        with_run("optimizer: {warmup_tokens: 1_000_000_000}"),
        "runs.one: optimizer.warmup_tokens 1,000,000,000: the run ends after 1,536 tokens.*shorten",
    ),
    "warm-up to the end": (with_run("optimizer: {warmup_tokens: 1536}"), "after 1,536 tokens"),
    "decay within the warm-up": (
        with_run("optimizer: {warmup_share: 0.5, decay_steps: 6}"),
        "runs.one: optimizer.decay_steps 6: .*at step 6; end it later",
    ),
    "less than a step": (
        with_run("checkpoints: {every_tokens: 127}"),
        "runs.one: checkpoints.every_tokens 127 is less than one step, 128 tokens; give",
    ),
    "every step beyond the end": (
        with_run("checkpoints: {every_steps: 13}"),
        "runs.one: checkpoints.every_steps 13 names no step: the run ends at step 12",
    ),
    "every token beyond the end": (
        with_run("checkpoints: {every_tokens: 1664}"),
        "every_tokens 1,664 names no step: the run ends at step 12, after 1,536 tokens",
    ),
    "a step beyond the end": (with_run("checkpoints: {at: [13]}"), "the run ends at step 12"),
    "negative log2": (with_run("checkpoints: {log2: -8}"), "runs.one.checkpoints.log2: found -8"),
    "percent warm-up": (
        with_run("optimizer: {warmup_share: 5}"),
        "runs.one.optimizer.warmup_share: found 5.*between 0 and 1, and 5 % is 0.05",
    ),
    "percent holdout": (
        replaced("words: 3000", "words: 3000, holdout: {share: 10}"),
        "corpora.toy.holdout.share: found 10.*between 0 and 1",
    ),
    "no layers": (
        replaced(CONFIG, "num_hidden_layers: 0"),
        "architectures.opt: config.num_hidden_",
    ),
    "layers as text": (replaced(CONFIG, "num_hidden_layers: '1'"), "is '1', should be a whole"),
    "true layers": (replaced(CONFIG, "num_hidden_layers: true"), "is True, should be a whole"),
    "half a head": (with_config("num_attention_heads: 1.5"), "is 1.5, should be a whole number"),
    "no positions": (with_config("max_position_embeddings: null"), "is None, should be a whole"),
    "epsilon as text": (
        with_config("layer_norm_epsilon: 1e-5"),
        "architectures.opt: config.layer_norm_epsilon is the text '1e-5'; write 1.0e-5",
    ),
    "nested text": (with_config("rope: {theta: [1e6]}"), r"config.rope.theta\[0\] .*write 1.0e\+6"),
    "quoted number": (with_config("dropout: '0.1'"), "config.dropout is the text '0.1'; write 0.1"),
    "typo in a scale": (
        with_scale("runs: {one: {stepz: 3}}"),
        "scales.small.runs.one.stepz: unknown key; did you mean 'steps'?",
    ),
    "scale too short": (
        with_scale("runs: {one: {tokens: 5}}"),
        "scales.small.runs.one: a budget of",
    ),
    "unknown scale": (STUDY.encode() + b"scale: big\n", "scale: 'big' is not defined; none is"),
    "scale that is a list": (STUDY.encode() + b"scales: {s: [1]}\n", "scales.s: .*be a mapping"),
    "scales that are a list": (STUDY.encode() + b"scales: [1]\n", "scales: .*should be a mapping"),
    "many sentences": (
        replaced("  toy:", f"  more: {{{INSERT}, counts: [1_000_000_000]}}\n  toy:"),
        "corpora.more: counts .1000000000. are 1,000,000,000 sentences.*10,000,000 at most",
    ),
    "percent direction": (
        replaced("  toy:", f"  more: {{{INSERT}, counts: [1], direction_share: 75}}\n  toy:"),
        "corpora.more.direction_share: found 75.*between 0 and 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_is_right(mistake, tmp_path, monkeypatch):
    content, told = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "study.yaml"
    file.write_bytes(content)
    with pytest.raises(StudyError) as error:
        check_inputs(load_files([file]))
    for line in error.value.problems:
        assert "\n" not in line and len(line) < 300
    lines = [line.replace(str(file), "FILE") for line in error.value.problems]
    assert any(re.search(told, line) for line in lines), lines
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_the_study_that_is_mistaken_is_right_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    check_inputs(load_files([tmp_path / "study.yaml"]))


@pytest.mark.parametrize("what", ["nothing", "folder"])
def test_a_file_that_can_not_be_read_is_named(what, tmp_path):
    file = tmp_path / "study.yaml"
    if what == "folder":
        file.mkdir()
    with pytest.raises(StudyError, match=f"{re.escape(str(file))}: can't be read "):
        load_files([file])


def test_problems_of_all_files_are_told_at_once(tmp_path):
    (tmp_path / "a.yaml").write_text("seed: 010\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("")
    with pytest.raises(StudyError) as error:
        load_files([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    places = ("a.yaml, line 1: 010 is 8", "a.yaml, line 2: 'seed'", "b.yaml: is empty")
    for line, place in zip(error.value.problems, places, strict=True):
        assert line.startswith(f"{tmp_path}/{place}")


def test_results_that_are_a_link_to_nothing_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to("gone")
    with pytest.raises(StudyError, match="results is a link to gone, which is not there; make"):
        check_inputs(load_study(yaml.safe_load(STUDY)))
    (tmp_path / "gone").mkdir()
    check_inputs(load_study(yaml.safe_load(STUDY)))


@pytest.mark.parametrize("path", ["config.yaml", *sorted((PROJECT / "studies").glob("*.yaml"))])
def test_shipped_studies_have_no_mistake_at_any_scale(path):
    for scale in [None, *yaml.safe_load((PROJECT / path).read_text()).get("scales", {})]:
        load_files([PROJECT / path], {"scale": scale})


SECTIONS = [section for _, sections in PLACES for section in sections]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_no_number_of_a_study_may_be_a_truth_value(section):
    """Alone or in a list; but for `log2`, which may be `true`."""
    for key, field in section.model_json_schema()["properties"].items():
        kinds = field.get("anyOf", [field])
        if any(kind.get("type") == "boolean" for kind in kinds):
            continue
        for kind in kinds:
            value = [True] if kind.get("type") == "array" else True
            inner = kind.get("items", kind)
            if inner.get("type") in ("integer", "number"):
                with pytest.raises(ValueError) as error:
                    section.model_validate({key: value})
                said = [item["msg"] for item in error.value.errors() if item["loc"][0] == key]
                assert any("found true, should be a number" in line for line in said), key
