"""Files of minimal pairs that are refused, when they are read and before any job."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from pair_files import (
    BIRDS,
    BLIMP,
    CATS,
    DOGS,
    csv_file,
    error_of,
    jsonl,
    lines_of,
    needs_blimp,
    zipped,
)

from ontogeny.inputs import CHECKED_BEFORE_JOBS, check_inputs
from ontogeny.paths import PROJECT
from ontogeny.study import StudyError, load_study

# ---------------------------------------------------------------------------- bad lines

BAD_LINES = {
    "no JSON": (b"Birds sing.", "is not JSON (Expecting value at column 1); each line should be"),
    "cut": (b'{"sentence_good": "Bi', "is not JSON (Unterminated string starting at at column 19)"),
    "two objects": (b"{} {}", "is not JSON (Extra data at column 4)"),
    "a list": (["a", "b"], "is ['a', 'b'], should be an object with 'sentence_good' and"),
    "a long list": (["a"] * 99, "is ['a', 'a', 'a', 'a', 'a', 'a', 'a', '..., should be an"),
    "deep": (b"[" * 100_000, "brackets are nested too deeply"),
    "no good": ({"sentence_bad": "a"}, "sentence_good is missing; there is: 'sentence_bad'"),
    "no bad": (
        {"sentence_good": "a", "x": 1},
        "sentence_bad is missing; there is: 'sentence_good'",
    ),
    "nothing": ({}, "sentence_good is missing; there is: nothing"),
    "empty": ({**DOGS, "sentence_good": ""}, "sentence_good is empty"),
    "spaces": ({**DOGS, "sentence_bad": " \t\u00a0"}, "sentence_bad is empty"),
    "null": ({**DOGS, "sentence_bad": None}, "sentence_bad is None, should be a sentence"),
    "number": ({**DOGS, "sentence_good": 5}, "sentence_good is 5, should be a sentence"),
    "half": ({**DOGS, "sentence_bad": "a\ud83d"}, r"sentence_bad has \ud83d, which is only half"),
    "list as UID": ({**DOGS, "UID": ["a"]}, "UID is ['a'], should be a name or a number"),
    "true as pairID": ({**DOGS, "pairID": True}, "pairID is True, should be a name or a number"),
    "empty UID": ({**DOGS, "UID": " "}, "UID is empty; fill it in for every pair, or leave UID"),
    "same": ({**DOGS, "sentence_bad": "Dogs bark."}, "are the same sentence 'Dogs bark.'; remove"),
    "latin1": (json.dumps(DOGS).encode().replace(b"Dogs", b"\xe9t\xe9"), "byte 0xe9 is not UTF-8"),
    "UTF-16": (json.dumps(DOGS).encode("utf-16"), "is not UTF-8"),
}


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.zip"])
def test_a_line_without_an_end_is_not_read_to_its_end(tmp_path, name):
    """A few packed kilobytes may hold a line of gigabytes; memory stays that of a few lines."""
    path = place = tmp_path / name
    content = lines_of(BIRDS, b'{"x": "' + b" " * 50_000_000)
    if name == "x.zip":
        zipped(path, **{"data/x.jsonl": content})
        place = f"{path} [data/x.jsonl]"
    else:
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    del content
    tracemalloc.start()
    try:
        told = error_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told.startswith(f"{place}, line 2: has more than 1,000,000 bytes; each line should be")
    assert "\n" not in told
    assert peak < 5_000_000


@pytest.mark.parametrize("container", ["file", "folder", "zip", "gz"])
@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named(tmp_path, line, message, container):
    path = place = tmp_path / "x.jsonl"
    content = lines_of(BIRDS, b"", line)
    if container == "zip":
        path = zipped(tmp_path / "x.zip", **{"data/x.jsonl": content})
        place = f"{path} [data/x.jsonl]"
    elif container == "gz":
        path = place = tmp_path / "x.jsonl.gz"
        path.write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)
    message_given = error_of(tmp_path if container == "folder" else path)
    assert message_given.startswith(f"{place}, line 3: ")
    assert message in message_given
    assert "\n" not in message_given.removesuffix("\n")


BAD_ROWS = {
    "empty": (",b,u,1", "good is empty"),
    "spaces": ("a,  ,u,1", "bad is empty"),
    "same": ("a,a,u,1", "good and bad are the same sentence 'a'; remove the pair"),
    "empty uid": ("a,b,,1", "uid is empty; fill it in for every pair, or leave uid out"),
    "empty pair_id": ("a,b,u,", "pair_id is empty"),
    "repeated": ("c,d,u,0", "pair '0' of 'u' stands already on line 2; give each pair"),
    "short row": ("a,b", "4 columns in the header, but not in this row"),
    "comma": ("a, then,b,u,1", "4 columns in the header, but not in this row"),
    "open quote": ('"a,b,u,1', "unexpected end of data"),
}


@pytest.mark.parametrize(("row", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_named(tmp_path, row, message):
    path = csv_file(tmp_path / "x.csv", "a,b,u,0", row, header="good,bad,uid,pair_id")
    assert error_of(path).startswith(f"{path}, line 3: {message}")


def test_a_line_after_a_sentence_of_two_lines_is_counted_as_in_the_file(tmp_path):
    path = csv_file(tmp_path / "x.csv", '"a\nb",c', ",d")
    assert error_of(path) == f"{path}, line 4: good is empty"


def test_repeated_pairs_in_one_file_and_in_two(tmp_path):
    row = {"UID": "u", "pairID": "3"}
    jsonl(tmp_path / "a.jsonl", BIRDS | row, CATS | {"UID": "v", "pairID": "3"})
    jsonl(tmp_path / "b.jsonl", {**CATS, "UID": "u", "pairID": "4"}, DOGS | row, CATS | row)
    where = f"stands already on {tmp_path / 'a.jsonl'}, line 1; give each pair of a paradigm"
    first, second = error_of(tmp_path).splitlines()
    assert first.startswith(f"{tmp_path / 'b.jsonl'}, line 2: pair '3' of 'u' {where}")
    assert second.startswith(f"{tmp_path / 'b.jsonl'}, line 3: pair '3' of 'u' {where}")


def test_files_of_the_same_name_need_paradigms_of_their_own(tmp_path):
    for folder in ("one", "two"):
        jsonl(tmp_path / folder / "x.jsonl", BIRDS)
    assert f"{tmp_path / 'two' / 'x.jsonl'}, line 1: pair '0' of 'x'" in error_of(tmp_path)


def test_ten_problems_are_shown_and_the_others_counted(tmp_path):
    jsonl(tmp_path / "a.jsonl", *7 * [b"x"])
    assert error_of(tmp_path).count("is not JSON") == 7
    csv_file(tmp_path / "b.csv", *3 * [",b"])
    lines = error_of(tmp_path).splitlines()
    assert lines[-1] == f"{tmp_path / 'b.csv'}, line 4: good is empty"
    assert len(lines) == 10
    jsonl(tmp_path / "c.jsonl", *7 * [b"x"])
    jsonl(tmp_path / "d.jsonl")  # its only problem counts, too
    assert error_of(tmp_path).splitlines() == [*lines, "... and 8 more"]


@pytest.mark.parametrize("lines_before", [0, 3000])
def test_a_csv_that_is_not_utf8_is_named_by_its_line(tmp_path, lines_before):
    path = csv_file(tmp_path / "x.csv", *(f"a{n},b{n}" for n in range(lines_before)))
    path.write_bytes(path.read_bytes() + "caf\u00e9,b\n".encode("latin1"))
    place = f"{path}, line {lines_before + 2}: "
    assert error_of(path).startswith(f"{place}byte 0xe9 is not UTF-8; convert the file")


# ---------------------------------------------------------------------------- bad files


def test_a_csv_without_a_column(tmp_path):
    path = csv_file(tmp_path / "x.csv", "a,b", header="good,wrong")
    assert error_of(path) == f"{path}: column 'bad' is missing; there is: 'good', 'wrong'"
    path = csv_file(tmp_path / "x.csv", "a|b", header="good|bad")
    assert "column 'good', 'bad' is missing; there is: 'good|bad'" in error_of(path)
    path = csv_file(tmp_path / "x.csv", "a,b,c", header="good,bad,good")
    assert error_of(path) == f"{path}: there are two columns 'good'"


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.zip", "folder"])
def test_a_path_that_is_not_there(tmp_path, name):
    assert error_of(tmp_path / name) == f"{tmp_path / name}: there is no such file"


def test_files_without_pairs(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", b"", b" ")
    assert error_of(path) == f"{path}: there are no pairs in the file"
    path = csv_file(tmp_path / "x.csv")
    assert error_of(path) == f"{path}: the file has no rows"
    path = zipped(tmp_path / "x.zip", **{"a.jsonl": b"", "b.jsonl": lines_of(BIRDS)})
    assert error_of(path) == f"{path} [a.jsonl]: there are no pairs in the file"


def test_folders_and_zips_without_stimuli(tmp_path):
    jsonl(tmp_path / "a" / "b" / "c.jsonl", BIRDS)
    message = f"{tmp_path}: no .jsonl, .jsonl.gz, .csv in this folder or its subfolders"
    assert error_of(tmp_path) == message
    path = zipped(tmp_path / "x.zip", **{"a.txt": b"x", "__MACOSX/a.jsonl": b"x"})
    assert error_of(path) == f"{path}: no .jsonl in this zip"


def test_damaged_files(tmp_path):
    path = tmp_path / "x.zip"
    content = lines_of(*({**BIRDS, "pairID": n} for n in range(9000)))
    zipped(path, **{"a.jsonl": content, "b.jsonl": content})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert error_of(path).startswith(f"{path}: the file is damaged (File is not a zip file)")
    middle = whole.index(b"b.jsonl") // 2
    path.write_bytes(whole[:middle] + bytes(40) + whole[middle + 40 :])
    assert error_of(path).startswith(f"{path} [a.jsonl]: the file is damaged (")
    assert "\n" not in error_of(path)  # nothing of the lines that the damage made
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(content)[:-9])
    assert error_of(path).startswith(f"{path}: the file is damaged (Compressed file ended")
    path.write_bytes(content)
    assert error_of(path).startswith(f"{path}: the file is damaged (Not a gzipped file")


def test_a_zip_with_a_password(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"a.jsonl": lines_of(BIRDS)})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # bit 0 of the flags, in the member's header and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert error_of(path).startswith(f"{path} [a.jsonl]: ")
    assert "password" in error_of(path)


def test_all_files_of_a_folder_are_checked(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(b"not compressed")
    csv_file(tmp_path / "b.csv", "a,b", header="x,y")
    jsonl(tmp_path / "c.jsonl", b"\xe9", b"x")  # after bytes that are not UTF-8, no more is told
    jsonl(tmp_path / "d.jsonl", {})
    lines = error_of(tmp_path).splitlines()
    assert [Path(line.partition(":")[0]).name for line in lines] == [
        "a.jsonl.gz",
        "b.csv",
        "c.jsonl, line 1",
        "d.jsonl, line 1",
    ]


# ---------------------------------------------------------------------------- before any job


def study_of(**probes):
    return load_study(
        {
            "study": "small",
            "corpora": {"toy": {"source": "toy", "words": 25_000}},
            "tokenizers": {"bpe": {"type": "bpe", "corpus": "toy"}},
            "architectures": {"opt": {"model_type": "opt"}},
            "probes": probes,
            "runs": {
                "one": {
                    "corpus": "toy",
                    "tokenizer": "bpe",
                    "architecture": "opt",
                    "steps": 1,
                    "block_size": 4,
                    "batch_size": 1,
                }
            },
        }
    )


def pairs_probe(path):
    return {"type": "minimal_pairs", "pairs": str(path)}


@pytest.fixture(autouse=True)
def results_below(tmp_path, monkeypatch):
    """A study checks that it can write its results: not into the project."""
    monkeypatch.chdir(tmp_path)


@needs_blimp
def test_a_study_of_blimp_passes():
    check_inputs(study_of(blimp=pairs_probe(BLIMP)))


def test_pairs_are_checked_before_any_job(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", BIRDS, b"x")
    with pytest.raises(StudyError) as caught:
        check_inputs(study_of(a=pairs_probe(path), b=pairs_probe(tmp_path / "nothing.zip")))
    a, b = caught.value.problems
    assert a.startswith(f"probes.a: {path}, line 2: is not JSON")
    assert b == f"probes.b: {tmp_path / 'nothing.zip'}: there is no such file"


def test_only_the_first_pairs_of_each_file_are_checked_before_any_job(tmp_path):
    lines = [{**BIRDS, "pairID": number} for number in range(CHECKED_BEFORE_JOBS - 1)]
    good, bad = DOGS, {"sentence_good": "Dogs bark."}
    path = jsonl(tmp_path / "x.jsonl", *lines, good, bad)
    check_inputs(study_of(a=pairs_probe(path)))
    path = jsonl(tmp_path / "x.jsonl", *lines, bad)
    with pytest.raises(StudyError, match=f"line {CHECKED_BEFORE_JOBS}: sentence_bad is missing"):
        check_inputs(study_of(a=pairs_probe(path)))


def test_pairs_of_the_toy_language_are_not_there_before_the_run():
    check_inputs(study_of(toy={"type": "minimal_pairs", "pairs_from": "toy"}))


def test_a_relative_path_is_relative_to_the_project(tmp_path):
    jsonl(tmp_path / "x.jsonl", BIRDS)  # here, but not in the project
    with pytest.raises(StudyError) as caught:
        check_inputs(study_of(a=pairs_probe("x.jsonl")))
    assert caught.value.problems == [f"probes.a: {PROJECT / 'x.jsonl'}: there is no such file"]
