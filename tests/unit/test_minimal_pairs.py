import gzip
import json
import tempfile
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ontogeny.inputs import CHECKED_BEFORE_JOBS, check_inputs
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.minimal_pairs import (
    KNOWN_TIES,
    MinimalPair,
    known_ties,
    read_minimal_pairs,
)
from ontogeny.study import StudyError, load_study

BLIMP = PROJECT.parent / "shared" / "data" / "blimp.zip"
needs_blimp = pytest.mark.skipif(not BLIMP.is_file(), reason=f"needs {BLIMP}")

BIRDS = {"sentence_good": "Birds sing.", "sentence_bad": "Birds sings."}
DOGS = {"sentence_good": "Dogs bark.", "sentence_bad": "Dogs barks."}
CATS = {"sentence_good": "A cat runs.", "sentence_bad": "A cat run."}
BIRDS_SHORT = ("Birds sing.", "Birds sings.")
DOGS_SHORT = ("Dogs bark.", "Dogs barks.")
CATS_SHORT = ("A cat runs.", "A cat run.")


def lines_of(*rows):
    """Lines of a .jsonl: bytes as they are, everything else as JSON."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return b"".join(line + b"\n" for line in lines)


def jsonl(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines_of(*rows))
    return path


def csv_file(path, *lines, header="good,bad"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def sentences(pairs):
    return [(pair.good, pair.bad) for pair in pairs]


def names(pairs):
    return [(pair.uid, pair.pair_id) for pair in pairs]


def error_of(path, at_most=None):
    with pytest.raises(ValueError) as caught:
        read_minimal_pairs(path, at_most)
    return str(caught.value)


# ---------------------------------------------------------------------------- BLiMP as published


@pytest.fixture(scope="module")
def blimp():
    return read_minimal_pairs(BLIMP)


@needs_blimp
def test_blimp_has_67_paradigms_of_1000_pairs_in_the_12_phenomena_of_the_paper(blimp):
    assert Counter(pair.uid for pair in blimp) == dict.fromkeys({p.uid for p in blimp}, 1000)
    # Warstadt et al. (2020), table 4: paradigms of each phenomenon
    assert Counter({pair.uid: pair.phenomenon for pair in blimp}.values()) == {
        "anaphor_agreement": 2,
        "argument_structure": 9,
        "binding": 7,
        "control_raising": 5,
        "determiner_noun_agreement": 8,
        "ellipsis": 2,
        "filler_gap_dependency": 7,
        "irregular_forms": 2,
        "island_effects": 8,
        "npi_licensing": 7,
        "quantifiers": 4,
        "subject_verb_agreement": 6,
    }
    assert len(blimp) == 67_000


@needs_blimp
def test_the_first_pair_of_blimp_is_that_of_its_first_file(blimp):
    good = "Who should Derek hug after shocking Richard?"
    bad = "Who should Derek hug Richard after shocking?"
    assert blimp[0] == MinimalPair("adjunct_island", "island_effects", "0", good, bad)
    assert [pair.pair_id for pair in blimp[:1000]] == [str(number) for number in range(1000)]
    uids = list(dict.fromkeys(pair.uid for pair in blimp))
    assert uids == sorted(uids)


@needs_blimp
def test_blimp_has_the_known_ties_and_no_others(blimp):
    ties = known_ties(blimp)
    assert {(pair.uid, pair.pair_id) for pair in ties} == KNOWN_TIES
    assert Counter(pair.uid for pair in ties) == {"passive_1": 2, "principle_A_case_2": 5}
    assert [pair for pair in blimp if pair.good == pair.bad] == ties


@needs_blimp
def test_blimp_is_the_same_unpacked_and_as_one_file(blimp, tmp_path):
    with zipfile.ZipFile(BLIMP) as archive:
        archive.extractall(tmp_path / "folder")
        one = b"".join(archive.read(member) for member in sorted(archive.namelist()))
    assert read_minimal_pairs(tmp_path / "folder") == blimp
    (tmp_path / "one.jsonl.gz").write_bytes(gzip.compress(one, compresslevel=1))
    assert read_minimal_pairs(tmp_path / "one.jsonl.gz") == blimp


def test_a_zip_leaves_no_files_behind(monkeypatch, tmp_path):
    path = zipped(tmp_path / "x.zip", **{"a.jsonl": lines_of(BIRDS)})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    read_minimal_pairs(path)
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------------------- what can be read


def test_fields_of_a_published_line(tmp_path):
    row = {**BIRDS, "UID": "agreement_1", "linguistics_term": "agreement", "pairID": "17"}
    row |= {"field": "syntax", "simple_LM_method": True, "crucial_item": None}
    (pair,) = read_minimal_pairs(jsonl(tmp_path / "x.jsonl", row))
    assert pair == MinimalPair("agreement_1", "agreement", "17", *BIRDS_SHORT)


@pytest.mark.parametrize("field", ["pairID", "pair_id"])  # the latter in Hugging Face's copy
@pytest.mark.parametrize("value", [17, "17", " 17 "])
def test_the_number_of_a_pair_may_be_a_number_or_text(tmp_path, field, value):
    (pair,) = read_minimal_pairs(jsonl(tmp_path / "x.jsonl", {**BIRDS, field: value}))
    assert pair.pair_id == "17"


@pytest.mark.parametrize("absent", [{}, {"UID": None, "pairID": None, "linguistics_term": None}])
def test_a_line_of_two_sentences_is_named_after_its_file(tmp_path, absent):
    path = jsonl(tmp_path / "agreement.v2.jsonl", BIRDS | absent, DOGS | absent)
    assert read_minimal_pairs(path) == [
        MinimalPair("agreement.v2", "", "0", *BIRDS_SHORT),
        MinimalPair("agreement.v2", "", "1", *DOGS_SHORT),
    ]
    packed = tmp_path / "agreement.v2.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_minimal_pairs(packed) == read_minimal_pairs(path)


def test_s_selection_is_argument_structure_in_blimp_alone(tmp_path):
    path = jsonl(tmp_path / "x.jsonl", {**BIRDS, "linguistics_term": "s-selection"})
    assert read_minimal_pairs(path)[0].phenomenon == "argument_structure"
    own = csv_file(tmp_path / "x.csv", "a,b,s-selection", header="good,bad,phenomenon")
    assert read_minimal_pairs(own)[0].phenomenon == "s-selection"


def test_a_csv_with_all_columns_in_any_order_and_others(tmp_path):
    header = "note,pair_id,phenomenon,bad,uid,good"
    path = csv_file(tmp_path / "x.csv", 'n,7a,island,"No, bad.",adjunct,Good.', header=header)
    assert read_minimal_pairs(path) == [MinimalPair("adjunct", "island", "7a", "Good.", "No, bad.")]


def test_a_csv_with_two_columns_is_named_after_its_file(tmp_path):
    path = csv_file(tmp_path / "my.pairs.csv", "a,b", "", "c,d")
    assert read_minimal_pairs(path) == [
        MinimalPair("my.pairs", "", "0", "a", "b"),
        MinimalPair("my.pairs", "", "1", "c", "d"),
    ]


def test_sentences_keep_their_spaces_lines_and_letters(tmp_path):
    rows = [(" a  b ", "a\nb"), ("\u00e9t\u00e9", "e\u0301te\u0301"), ("\U0001f600", "\u2028x")]
    objects = [{"sentence_good": good, "sentence_bad": bad} for good, bad in rows]
    assert sentences(read_minimal_pairs(jsonl(tmp_path / "escaped.jsonl", *objects))) == rows
    plain = [json.dumps(row, ensure_ascii=False).encode() for row in objects]
    assert sentences(read_minimal_pairs(jsonl(tmp_path / "plain.jsonl", *plain))) == rows


def test_byte_order_marks_windows_lines_and_empty_lines(tmp_path):
    text = b"\xef\xbb\xbf" + lines_of(BIRDS, b"", DOGS, b"  ").replace(b"\n", b"\r\n")
    (tmp_path / "x.jsonl").write_bytes(text)
    pairs = read_minimal_pairs(tmp_path / "x.jsonl")
    assert sentences(pairs) == [BIRDS_SHORT, DOGS_SHORT]
    assert [pair.pair_id for pair in pairs] == ["0", "1"]
    (tmp_path / "y.csv").write_bytes(b"\xef\xbb\xbfgood,bad\r\na,b\r\n")
    assert sentences(read_minimal_pairs(tmp_path / "y.csv")) == [("a", "b")]


def test_the_last_line_needs_no_end(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(lines_of(BIRDS, DOGS).rstrip())
    assert len(read_minimal_pairs(tmp_path / "x.jsonl")) == 2


def test_one_file_may_hold_several_paradigms(tmp_path):
    rows = [{**row, "UID": uid, "pairID": "0"} for row, uid in ((BIRDS, "a"), (DOGS, "b"))]
    assert names(read_minimal_pairs(jsonl(tmp_path / "x.jsonl", *rows))) == [("a", "0"), ("b", "0")]


def test_a_folder_is_read_in_the_order_of_names_with_one_level_below(tmp_path):
    jsonl(tmp_path / "b.jsonl", BIRDS)
    csv_file(tmp_path / "a.csv", "a,b")
    (tmp_path / "c.JSONL.gz").write_bytes(gzip.compress(lines_of(DOGS)))
    jsonl(tmp_path / "sub" / "d.jsonl", CATS)
    for ignored in ("sub/deeper/e", ".hidden", "._b", "__MACOSX/b", ".git/b"):
        jsonl(tmp_path / f"{ignored}.jsonl", b"not read")
    (tmp_path / "README.md").write_text("not read")
    (tmp_path / "folder.jsonl").mkdir()
    pairs = read_minimal_pairs(tmp_path)
    assert [pair.uid for pair in pairs] == ["a", "b", "c", "d"]
    assert sentences(pairs) == [("a", "b"), BIRDS_SHORT, DOGS_SHORT, CATS_SHORT]


def test_a_zip_is_read_in_the_order_of_names_and_only_its_jsonl(tmp_path):
    members = {
        "data/b.jsonl": lines_of(BIRDS),
        "data/sub/c.jsonl": lines_of(DOGS),
        "data/a.jsonl": lines_of(CATS),
        "__MACOSX/data/._a.jsonl": b"\x00\x05\x16\x07",
        "data/.a.jsonl": b"not read",
        "data/.git/a.jsonl": b"not read",
        "data/README.md": b"not read",
        "data/x.csv": b"not read",
    }
    path = zipped(tmp_path / "x.zip", **members)
    assert [pair.uid for pair in read_minimal_pairs(path)] == ["a", "b", "c"]


def test_at_most_so_many_pairs_of_each_file(tmp_path):
    for name in ("a", "b"):
        jsonl(tmp_path / f"{name}.jsonl", BIRDS, DOGS, b"never read")
    csv_file(tmp_path / "c.csv", "a,b", "c,d", "only one column")
    expected = [("a", "0"), ("a", "1"), ("b", "0"), ("b", "1"), ("c", "0"), ("c", "1")]
    assert names(read_minimal_pairs(tmp_path, at_most=2)) == expected
    error_of(tmp_path, at_most=3)
    path = zipped(tmp_path / "z.zip", **{"a.jsonl": lines_of(BIRDS, b"never read")})
    assert len(read_minimal_pairs(path, at_most=1)) == 1


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "jsonl.gz", "zip"])
def test_the_first_pairs_of_a_large_file_take_little_memory(tmp_path, suffix):
    words = "with many words " * 10
    if suffix == "csv":
        path = csv_file(tmp_path / "x.csv", *(f"good {n} {words},bad {n}" for n in range(50_000)))
    else:
        row = {"sentence_good": f"good {words}", "sentence_bad": f"bad {words}"}
        path = tmp_path / f"x.{suffix}"
        content = lines_of(row) * 25_000
        if suffix == "zip":
            zipped(path, **{"x.jsonl": content})
        else:
            path.write_bytes(gzip.compress(content, 1) if suffix == "jsonl.gz" else content)
    tracemalloc.start()
    try:
        assert len(read_minimal_pairs(path, at_most=10)) == 10
        assert tracemalloc.get_traced_memory()[1] < 4e6  # the file has 9 MB
    finally:
        tracemalloc.stop()


def test_names_that_many_pairs_share_are_stored_once(tmp_path):
    rows = [{**BIRDS, "UID": "u" * 5, "linguistics_term": "p" * 5, "pairID": n} for n in range(2)]
    one, two = read_minimal_pairs(jsonl(tmp_path / "x.jsonl", *rows))
    assert one.uid is two.uid
    assert one.phenomenon is two.phenomenon


# ---------------------------------------------------------------------------- ties


def test_a_known_tie_is_accepted_and_told(tmp_path):
    assert len(KNOWN_TIES) == 7
    same = {"sentence_good": "Same.", "sentence_bad": "Same.", "UID": "passive_1"}
    rows = [{**BIRDS, "UID": "passive_1", "pairID": "0"}, {**same, "pairID": "324"}]
    pairs = read_minimal_pairs(jsonl(tmp_path / "x.jsonl", *rows))
    assert len(pairs) == 2
    assert known_ties(pairs) == [MinimalPair("passive_1", "", "324", "Same.", "Same.")]


@pytest.mark.parametrize(("uid", "pair_id"), [("passive_1", "325"), ("passive_2", "324")])
def test_another_pair_with_the_same_sentence_twice_is_an_error(tmp_path, uid, pair_id):
    row = {"sentence_good": "Same.", "sentence_bad": "Same.", "UID": uid, "pairID": pair_id}
    path = jsonl(tmp_path / "x.jsonl", BIRDS, row)
    assert error_of(path) == (
        f"{path}, line 2: good and bad are the same sentence 'Same.'; remove the pair, it can only "
        "tie"
    )


def test_sentences_that_differ_in_capitals_or_spaces_are_two(tmp_path):
    path = csv_file(tmp_path / "x.csv", "A b.,a b.", "a  b,a b")
    assert known_ties(read_minimal_pairs(path)) == []


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
    path = csv_file(tmp_path / "x.csv", "a;b", header="good;bad")
    assert "columns must be separated by commas" in error_of(path)
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
