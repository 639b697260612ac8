"""Records of what a file was made from: written by a job, compared before it runs again, and by
whoever reads the file."""

import json
import os
import shlex

import pytest

from ontogeny import origins
from ontogeny.files import read_json, replacing, write_json

MAKE = [
    "scripts/make.py",
    "--spec",
    '{"a": 1, "b": {"c": 2}}',
    "--input",
    "own/x.txt",
    "--threads",
    "2",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "x.txt").write_text("some text")
    yield tmp_path
    origins._jobs.clear()


def make(argv=MAKE, read="own/x.txt"):
    """A job that reads one file and writes another."""
    origins.begin(argv)
    origins.reading(read)
    with replacing("out.csv") as temporary:
        temporary.write_text("a,b\n1,2\n")
    origins._jobs.clear()


def shell(argv=MAKE):
    return f"python {shlex.join(argv)} 2>&1 | tee logs/make.log"


def change(argv=MAKE, outside=("own/x.txt",)):
    return origins.change("out.csv", shell(argv), list(outside), {})


def edited(**keys):
    spec = json.loads(MAKE[2]) | keys
    return [*MAKE[:2], json.dumps(spec), *MAKE[3:]]


def test_nothing_has_changed(folder):
    make()
    assert change() is None
    assert change([*MAKE[:-1], "8"]) is None, "threads are no part of a result"


def test_a_changed_setting_is_told_with_both_values(folder):
    make()
    assert change(edited(b={"c": 3})) == "spec.b.c was 2, is 3"
    assert change(edited(d=True)) == "spec.d was not given, is true"
    assert change([*MAKE[:-2], "--more", "x"]) == "now --more x"
    assert change(MAKE[:3]) == "no --input own/x.txt any more"


def test_words_are_those_of_the_shell(folder):
    text = """python 'a b/make.py' --x 'it'"'"'s {"k": "v w"}' --y=3  --z "q r" s 2>&1 | tee log"""
    assert origins.words_of(text) == shlex.split(text.partition(" 2>&1")[0])[1:]


@pytest.mark.parametrize("older", [True, False])
def test_another_content_tells_whatever_its_time(folder, older):
    make()
    file = folder / "own" / "x.txt"
    file.write_text("other text")
    if older:
        os.utime(file, (0, 0))
    assert change() == "own/x.txt is not what it was"
    file.write_text("some text")
    assert change() is None, "the same content with another time"


def test_a_file_of_a_folder_that_was_read(folder):
    make(read="own/x.txt")
    origins.begin(MAKE)
    for path in ("own", "own/x.txt"):
        origins.reading(path)
    with replacing("out.csv") as temporary:
        temporary.write_text("1")
    assert change(outside=["own"]) is None
    (folder / "own" / "y.txt").write_text("more")
    assert change(outside=["own"]) == "own is not what it was"
    (folder / "own" / "y.txt").unlink()
    (folder / "own" / "x.txt").write_text("else")
    assert change(outside=["own"]) == "own/x.txt is not what it was"


def test_of_a_file_only_some_content_may_count(folder):
    def first_word(path):
        return path.read_text().split()[0]

    origins.begin(MAKE)
    origins.reading("own/x.txt")
    origins.counting_only("own/x.txt", ["first"], "some")
    with replacing("out.csv") as temporary:
        temporary.write_text("1")
    only = {"first": first_word}
    (folder / "own" / "x.txt").write_text("some other text")
    assert origins.change("out.csv", shell(), ["own/x.txt"], only) is None
    (folder / "own" / "x.txt").write_text("no other text")
    assert origins.change("out.csv", shell(), ["own/x.txt"], only) == "own/x.txt is not what it was"


def test_without_a_record_times_decide_as_for_make(folder):
    (folder / "out.csv").write_text("made before there were records")
    os.utime(folder / "own" / "x.txt", (0, 0))
    assert change(edited(a=5)) is None
    os.utime(folder / "out.csv", (0, 0))
    os.utime(folder / "own" / "x.txt")
    assert change() == "own/x.txt is newer"


def test_paths_of_the_project_are_the_same_wherever_it_lies(folder):
    inside = str(origins.PROJECT / "data" / "x.csv")
    assert origins.command_of(["make.py", "--items", inside]) == [
        ("make",),
        ("--items", "data/x.csv"),
    ]


def test_of_weights_and_scores_only_what_they_follow_from_counts():
    command = [
        "train.py",
        "--spec",
        "{}",
        "--segment",
        "0",
        "--begin",
        "0",
        "--end",
        "9",
        "--checkpoints",
    ]
    before = origins.command_of([*command, "3", "9", "--tokens", "x.bin", "--gpu", "4"])
    assert before == origins.command_of([*command, "1", "9", "--tokens", "y.bin"])
    assert before != origins.command_of(["train.py", "--spec", '{"a": 1}', *command[3:], "9"])


@pytest.mark.parametrize("how", ["cut", "zeros", "bit", "longer", "empty"])
def test_a_file_that_is_not_what_was_written_is_not_read(folder, how):
    make()
    file = folder / "out.csv"
    data = bytearray(file.read_bytes())
    data[3] ^= 1 if how == "bit" else 0
    ways = {"cut": data[:4], "zeros": bytes(len(data)), "longer": data + b"3,4\n", "empty": b""}
    file.write_bytes(ways.get(how, data))
    with pytest.raises(
        ValueError, match=r"^out.csv: is not what was written .*; remove it to make"
    ):
        origins.reading("out.csv")


def test_json_that_can_not_be_read_is_named(folder):
    (folder / "a.json").write_text('{"a": ')
    with pytest.raises(ValueError, match=r"^a\.json: is no JSON, or was cut short"):
        read_json("a.json")
    (folder / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"^a\.json: is no JSON"):
        read_json("a.json")


def test_only_jobs_leave_records(folder):
    write_json("a.json", {})
    assert not (folder / origins.FOLDER).exists()


def test_what_is_checked_alone_is_no_part_of_a_result(folder):
    origins.begin(MAKE)
    with origins.off_record():
        origins.reading("own/x.txt")
    with replacing("out.csv") as temporary:
        temporary.write_text("1")
    assert origins.record_of("out.csv")["read"] == {}
