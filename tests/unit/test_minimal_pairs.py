import gzip
import json
import tempfile
import tracemalloc
import zipfile
from collections import Counter

import pytest
from pair_files import (
    BIRDS,
    BIRDS_SHORT,
    BLIMP,
    CATS,
    CATS_SHORT,
    DOGS,
    DOGS_SHORT,
    csv_file,
    error_of,
    jsonl,
    lines_of,
    names,
    needs_blimp,
    sentences,
    zipped,
)

from ontogeny.scoring.stimuli.minimal_pairs import (
    KNOWN_TIES,
    MinimalPair,
    known_ties,
    read_minimal_pairs,
)

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
