"""Facts as text: the arithmetic and the capitals that ship, and corpora of them."""

import csv
import itertools

import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError

from ontogeny.corpus.documents import write_corpus
from ontogeny.corpus.facts import facts_text
from ontogeny.corpus.sources import training_documents
from ontogeny.inputs import check_inputs
from ontogeny.paths import PROJECT
from ontogeny.study import StudyError, load_study
from ontogeny.study.corpora import Corpus, FactsCorpus

FACTS = PROJECT / "data" / "facts"
ARITHMETIC, CAPITALS = str(FACTS / "arithmetic.csv"), str(FACTS / "capitals.csv")
WITHHELD = ["addition withheld", "subtraction withheld"]


def problem(sign, a, b):
    """One problem as it is published: `<a+b=c>`, padded with spaces to eight characters."""
    result = a + b if sign == "+" else a - b
    return f"<{a}{sign}{b}={result}>".ljust(8)


def rows(file):
    with open(file, newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_every_problem_of_arithmetic_is_there_with_its_result():
    there = {row["prompt"] + row["answer"]: row["class"] for row in rows(ARITHMETIC)}
    expected = {}
    for sign, name in (("+", "addition"), ("-", "subtraction")):
        for a, b in itertools.product(range(10), repeat=2):
            both = {a, b} == {5, 7}
            expected[problem(sign, a, b)] = f"{name} withheld" if both else name
    assert len(rows(ARITHMETIC)) == len(expected) == 200
    assert there == expected
    assert {row["prompt"][4:] for row in rows(ARITHMETIC)} == {"="}
    assert {line for line, name in expected.items() if "withheld" in name} == {
        "<5+7=12>", "<7+5=12>", "<5-7=-2>", "<7-5=2> "
    }  # fmt: skip


def test_the_text_is_what_was_trained_on():
    """196 lines of 9 characters, the ends of the lines included: 1,764, of 17 kinds."""
    text = facts_text([ARITHMETIC], WITHHELD)
    lines = text.splitlines()
    assert len(lines) == 196 and {len(line) for line in text.splitlines(keepends=True)} == {9}
    assert len(text) == 1_764 and len(set(text)) == 17
    assert not any(line[1] + line[3] in ("57", "75") for line in lines)
    everything = facts_text([ARITHMETIC], []).splitlines()
    assert [line for line in everything if line[1] + line[3] not in ("57", "75")] == lines


def test_capitals():
    table = rows(CAPITALS)
    assert len(table) == 50 == len({row["prompt"] for row in table})
    text = facts_text([CAPITALS], [])
    lines = text.splitlines()
    assert len(lines) == 50
    for line, row in zip(lines, table, strict=True):
        country = row["prompt"].removeprefix("Capital of ").removesuffix(" is ")
        assert line == f"Capital of {country} is {row['answer']}"
    assert {"Capital of France is Paris ", "Capital of the UK is London "} <= set(lines)
    assert max(map(len, lines)) == 40
    assert len(text) == sum(map(len, lines)) + 50


def test_files_follow_each_other_in_the_order_of_the_study():
    both = facts_text([ARITHMETIC, CAPITALS], WITHHELD)
    assert both == facts_text([ARITHMETIC], WITHHELD) + facts_text([CAPITALS], [])
    assert facts_text([CAPITALS, ARITHMETIC], WITHHELD) != both


def test_spaces_and_quotes_are_kept(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('prompt,answer,class\n" a, ","""b"" ",x\nc,d,\n', encoding="utf-8")
    assert facts_text([str(path)], []) == ' a, "b" \ncd\n'
    assert facts_text([str(path)], ["x"]) == "cd\n"
    assert facts_text([str(path)], [""]) == ' a, "b" \n'


def test_a_class_that_is_not_there_is_an_error():
    message = r"withheld: no question has the class 'addition witheld'; there: addition, addition w"
    with pytest.raises(ValueError, match=message):
        facts_text([ARITHMETIC], ["addition witheld"])
    with pytest.raises(ValueError, match="no question has the class 'x'; there: none"):
        facts_text([CAPITALS], ["x"])
    classes = ["addition", "subtraction", *WITHHELD]
    with pytest.raises(ValueError, match="withheld: no question is left"):
        facts_text([ARITHMETIC], classes)


# ---------------------------------------------------------------------------- as a corpus


def test_a_corpus_of_facts_is_one_document_and_holds_nothing_out(tmp_path):
    spec = TypeAdapter(Corpus).validate_python({"source": "facts", "files": [CAPITALS]})
    assert isinstance(spec, FactsCorpus) and not spec.holds_out()
    train, validation = tmp_path / "train.parquet", tmp_path / "validation.parquet"
    documents = training_documents(spec, [CAPITALS])
    write_corpus(documents, None, spec.holdout, spec.deduplicate, train, validation)
    assert pq.read_table(train)["text"].to_pylist() == [facts_text([CAPITALS], [])]
    assert pq.read_table(validation)["text"].to_pylist() == []


def study_of(corpus):
    run = {"corpus": "facts", "tokenizer": "t", "architecture": "a", "steps": 1}
    return {
        "study": "x",
        "corpora": {"facts": corpus},
        "tokenizers": {"t": {"type": "characters", "corpus": "facts"}},
        "architectures": {"a": {"model_type": "gpt2"}},
        "runs": {"one": {**run, "block_size": 8, "batch_size": 2}},
    }


def test_a_study_with_wrong_facts_is_refused_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"source": "facts", "files": ["data/facts/arithmetic.csv"], "withheld": WITHHELD}
    check_inputs(load_study(study_of(good)))
    for keys, message in (
        ({"withheld": ["addition witheld"]}, "corpora.facts: withheld: no question has the class"),
        ({"files": ["data/facts/none.csv"]}, "corpora.facts: no file matches 'data/facts/none.cs"),
        ({"files": ["data/facts/capitals.csv"]}, "corpora.facts: withheld: no question has the"),
    ):
        with pytest.raises(StudyError, match=message):
            check_inputs(load_study(study_of({**good, **keys})))
    with pytest.raises(ValidationError):
        TypeAdapter(Corpus).validate_python({"source": "facts", "files": []})
