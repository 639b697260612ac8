import gzip

import pytest

from ontogeny.inputs import CHECKED_BEFORE_JOBS, check_inputs
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.completions import Question, read_questions
from ontogeny.scoring.stimuli.kinds import kind_of
from ontogeny.study import StudyError, load_study

DATA = PROJECT.parent / "shared" / "data"
CAPITALS = ["Capital of Peru is ,Lima,fact", "<5+7=,12>,sum"]


def csv_file(path, *lines, header="prompt,answer,class"):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


# ---------------------------------------------------------------------------- reading


def test_questions_are_read_in_the_order_of_the_file(tmp_path):
    assert read_questions(csv_file(tmp_path / "x.csv", *CAPITALS)) == [
        Question("fact", "Capital of Peru is ", "Lima"),
        Question("sum", "<5+7=", "12>"),
    ]


def test_classes_may_be_left_out_or_empty(tmp_path):
    path = csv_file(tmp_path / "x.csv", "12,a", header="answer,prompt")
    assert read_questions(path) == [Question("", "a", "12")]
    path = csv_file(tmp_path / "x.csv", "a,12,", "a,12, sum ")
    assert [question.group for question in read_questions(path)] == ["", "sum"]


def test_prompts_and_answers_keep_their_spaces(tmp_path):
    path = csv_file(tmp_path / "x.csv", " , a ,x", '"a\n", b,x')
    questions = [(question.prompt, question.answer) for question in read_questions(path)]
    assert questions == [(" ", " a "), ("a\n", " b")]


def test_a_prompt_may_have_two_answers_and_an_answer_two_prompts(tmp_path):
    path = csv_file(tmp_path / "x.csv", "a,1,x", "a,2,x", "b,1,x", "a,1,y", "a ,1,x")
    assert len(read_questions(path)) == 5


def test_at_most_so_many(tmp_path):
    path = csv_file(tmp_path / "x.csv", *CAPITALS, ",empty,x")
    assert read_questions(path, at_most=1) == [Question("fact", "Capital of Peru is ", "Lima")]
    assert len(read_questions(path, at_most=2)) == 2
    with pytest.raises(ValueError, match="line 4: prompt is empty"):
        read_questions(path, at_most=3)


# ---------------------------------------------------------------------------- bad input

BAD_LINES = {
    "no prompt": (",12,sum", "prompt is empty; it should be what the answer continues"),
    "no answer": ("a,,sum", "answer is empty; it should be how the prompt is continued"),
    "answer of spaces": ("a,\u00a0 ,sum", "answer is empty"),
    "repeated": (
        CAPITALS[0],
        "prompt 'Capital of Peru is ' with answer 'Lima' of class 'fact' stands already on line 2",
    ),
    "short row": ("a,12", "3 columns in the header, but not in this row"),
    "long row": ("a,12,sum,", "3 columns in the header, but not in this row"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = csv_file(tmp_path / "x.csv", *CAPITALS, line)
    with pytest.raises(ValueError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}, line 4: {message}")


def test_several_problems_are_told_together(tmp_path):
    path = csv_file(tmp_path / "x.csv", ",12,sum", *CAPITALS, "a,,sum")
    with pytest.raises(ValueError) as caught:
        read_questions(path)
    assert [f"line {n}: " in str(caught.value) for n in (2, 3, 4, 5)] == [True, False, False, True]
    with pytest.raises(ValueError, match=r"\.\.\. and 5 more$") as caught:
        read_questions(csv_file(tmp_path / "x.csv", *15 * [",12,sum"]))
    assert str(caught.value).count("\n") == 10


def test_files_without_what_is_needed(tmp_path):
    path = csv_file(tmp_path / "x.csv", "a,b", header="prompt,reply")
    with pytest.raises(ValueError) as caught:
        read_questions(path)
    assert str(caught.value) == f"{path}: column 'answer' is missing; there is: 'prompt', 'reply'"
    for path in (csv_file(tmp_path / "x.csv"), tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(ValueError, match=str(path)):
            read_questions(path)


def test_text_that_is_not_utf8_is_named_by_its_line(tmp_path):
    path = csv_file(tmp_path / "x.csv", *CAPITALS)
    path.write_bytes(path.read_bytes() + "Caf\u00e9,a,b\n".encode("latin1"))
    with pytest.raises(ValueError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}, line 4: byte 0xe9 is not UTF-8")


# ---------------------------------------------------------------------------- before any job


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study with one probe, whose stimuli are in x.csv of the working directory."""
    monkeypatch.chdir(tmp_path)
    run = {"corpus": "toy", "tokenizer": "bpe", "architecture": "opt"}
    return load_study(
        {
            "study": "small",
            "corpora": {"toy": {"source": "toy", "words": 25_000}},
            "tokenizers": {"bpe": {"type": "bpe", "corpus": "toy"}},
            "architectures": {"opt": {"model_type": "opt"}},
            "probes": {"sums": {"type": "completions", "items": str(tmp_path / "x.csv")}},
            "runs": {"one": {**run, "steps": 1, "block_size": 4, "batch_size": 1}},
        }
    )


def test_questions_are_checked_before_any_job(study, tmp_path):
    with pytest.raises(StudyError) as caught:
        check_inputs(study)
    path = tmp_path / "x.csv"
    assert caught.value.problems == [f"probes.sums: {path}: there is no such file"]
    csv_file(path, *CAPITALS)
    check_inputs(study)
    csv_file(path, *CAPITALS, ",12,sum")
    with pytest.raises(StudyError, match=r"probes\.sums: .*x\.csv, line 4: prompt is empty"):
        check_inputs(study)


def test_only_the_first_questions_are_checked_before_any_job(study, tmp_path):
    lines = [f"{number},a,x" for number in range(CHECKED_BEFORE_JOBS)]
    csv_file(tmp_path / "x.csv", *lines, ",12,sum")
    check_inputs(study)
    csv_file(tmp_path / "x.csv", *lines[1:], ",12,sum")
    with pytest.raises(StudyError, match=f"line {CHECKED_BEFORE_JOBS + 1}: prompt is empty"):
        check_inputs(study)


# ---------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("name", "header", "kind"),
    [
        ("x.csv", "Attested,Word2,Word1,GenPref", "binomials"),
        ("x.csv", "good,bad", "minimal_pairs"),
        ("x.csv", "uid,bad,good,phenomenon", "minimal_pairs"),
        ("x.csv", "class,answer,prompt", "completions"),
        ("x.CSV", "\ufeffprompt,answer", "completions"),
        ("x", "prompt,answer", "completions"),
        ("x.jsonl", "{}", "minimal_pairs"),
        ("x.JSONL", "", "minimal_pairs"),
        ("x.txt", "prompt,answer", "perplexity"),
        ("x.zip", "not even a zip", "minimal_pairs"),
    ],
)
def test_the_kind_of_a_file(tmp_path, name, header, kind):
    path = csv_file(tmp_path / name, header=header)
    assert kind_of(path) == kind


def test_the_kind_of_folders_and_compressed_files(tmp_path):
    assert kind_of(tmp_path) == "minimal_pairs"
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    assert kind_of(tmp_path / "x.jsonl.gz") == "minimal_pairs"


@pytest.mark.parametrize("header", ["Word1,word2", "good", "prompt", "good|bad", "Prompt,Answer"])
def test_other_columns_are_of_no_kind(tmp_path, header):
    path = csv_file(tmp_path / "x.csv", header=header)
    with pytest.raises(ValueError) as caught:
        kind_of(path)
    shown = ", ".join(map(repr, header.split(",")))
    assert str(caught.value).startswith(f"{path}: no probe reads a file with the header {shown};")
    for kind in ("binomials", "minimal_pairs", "completions", "perplexity"):
        assert f"({kind})" in str(caught.value)


def test_files_that_have_no_kind(tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match=r"empty\.csv: .* with the header \(nothing\);"):
        kind_of(tmp_path / "empty.csv")
    (tmp_path / "long.csv").write_text("x" * 10_000)
    with pytest.raises(ValueError) as caught:
        kind_of(tmp_path / "long.csv")
    assert len(str(caught.value)) < 1000
    (tmp_path / "bytes.csv").write_bytes(b"a,\xe9\n")
    with pytest.raises(ValueError, match=r"bytes\.csv, line 1: byte 0xe9 is not UTF-8"):
        kind_of(tmp_path / "bytes.csv")


@pytest.mark.parametrize(
    "name", ["nothing", "nothing.csv", "nothing.jsonl", "nothing.txt", "n.zip"]
)
def test_a_file_that_is_not_there_has_no_kind(tmp_path, name):
    with pytest.raises(ValueError) as caught:
        kind_of(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}: there is no such file"


def test_the_kinds_of_published_files():
    if not DATA.is_dir():
        pytest.skip(f"needs {DATA}")
    assert kind_of(DATA / "blimp.zip") == "minimal_pairs"
    assert kind_of(DATA / "binomials" / "nonce_and_attested_binoms.csv") == "binomials"
    assert kind_of(DATA / "text" / "babylm_eval.txt") == "perplexity"
