"""CSV files as spreadsheets and R write them are read like any other, whatever they are for."""

import csv

import pytest

from ontogeny.scoring.stimuli.binomials import (
    read_binomials,
    read_prompts,
    read_weights,
    read_words,
)
from ontogeny.scoring.stimuli.completions import read_questions
from ontogeny.scoring.stimuli.kinds import kind_of
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs
from ontogeny.scoring.stimuli.responses import read_responses
from ontogeny.study.probes import BinomialsProbe

REFERENCES = {"r": {"column": "R"}}
ITEMS = BinomialsProbe(type="binomials", items="x", references=REFERENCES)
FILES = {
    "items": (
        lambda path: read_binomials(path, ITEMS, {}),
        [
            ["Word1", "Word2", "Attested", "OverallFreq", "R"],
            ["bread", "butter", "1", "12.5", "0.25"],
            ["salt, or sea salt", "tea; milk", "0", "1e3", ""],
        ],
    ),
    "words": (read_words, [["Word1", "Word2"], ["bread", "butter"]]),
    "weights": (read_weights, [["column", "weight"], ["intercept", "0.5"], ["Form", "-1.25"]]),
    "prompts": (read_prompts, [["prompt"], [" "], ["Then, "], ["a;b\tc "]]),
    "responses": (read_responses, [["Word1", "Word2", "resp"], ["a", "b", "first"]]),
    "pairs": (
        read_minimal_pairs,
        [["uid", "good", "bad"], ["u", "It is, it's.", "It's; is\tit."], ["v", "NA", "b"]],
    ),
    "questions": (read_questions, [["prompt", "answer"], ["1,5 + 1 =", "2,5"], ["x", "1_000"]]),
}


def written(path, rows, delimiter=",", decimal=".", end="\n", quoting=csv.QUOTE_MINIMAL, pad=""):
    """The rows in a layout; numbers are recognised by what they are in `FILES`."""

    def cell(text):
        number = text.replace("-", "").replace(".", "").isdigit()
        return text.replace(".", decimal) if number else text

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
        writer.writerow([f"{pad}{name}{pad}" for name in rows[0]])
        writer.writerows([cell(text) for text in row] for row in rows[1:])
    return path


@pytest.mark.parametrize(("read", "rows"), FILES.values(), ids=FILES)
@pytest.mark.parametrize(
    "layout",
    [
        {"delimiter": ";"},
        {"delimiter": ";", "decimal": ",", "end": "\r\n"},
        {"delimiter": "\t", "decimal": ","},
        {"delimiter": "\t"},
        {"pad": " "},
        {"delimiter": ";", "pad": " ", "quoting": csv.QUOTE_ALL},
    ],
)
def test_a_layout_is_read_as_the_plain_one(tmp_path, read, rows, layout):
    expected = read(written(tmp_path / "x.csv", rows))
    path = written(tmp_path / "x.csv", rows, **layout)
    assert read(path) == expected
    if set(rows[0]) & {"Word1", "good", "answer"}:
        assert kind_of(path) in ("binomials", "minimal_pairs", "completions")


def items_file(folder, text):
    path = folder / "items.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_na_is_an_empty_number(tmp_path):
    header = "Word1,Word2,Attested,OverallFreq,R\n"
    (item,) = read_binomials(items_file(tmp_path, f"{header}a,b,1,NA,NA\n"), ITEMS, {})
    assert (item.frequency, item.references) == (None, {"r": None})
    path = items_file(tmp_path, "column,weight\nForm,NA\n")
    with pytest.raises(ValueError, match="line 2: weight is 'NA', should be a number"):
        read_weights(path)


@pytest.mark.parametrize("number", ["1.000,5", "1,000,5", "0,5,", ",", "1_0,5"])
def test_a_decimal_comma_stands_once(tmp_path, number):
    path = items_file(tmp_path, f"Word1;Word2;Attested;OverallFreq;R\na;b;1;1;{number}\n")
    with pytest.raises(ValueError, match=f"line 2: R is '{number}', should be a number"):
        read_binomials(path, ITEMS, {})


def test_headers_that_differ_in_blanks_are_the_same_twice(tmp_path):
    with pytest.raises(ValueError, match="there are two columns 'Word1'"):
        read_words(items_file(tmp_path, "Word1,Word2, Word1\na,b,c\n"))


def test_a_nul_byte_is_told_by_its_line(tmp_path):
    with pytest.raises(ValueError, match=r"items\.csv, line 3: there is a NUL byte"):
        read_prompts(items_file(tmp_path, "prompt\na\nb\0\n"))


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (
            read_minimal_pairs,
            "uid,good,bad\nIslands,a,b\nislands,c,d\n",
            "line 3: uid is 'islands', but 'Islands' in .*line 2; write it in one way",
        ),
        (
            read_minimal_pairs,
            "uid,phenomenon,good,bad\nu,NPI,a,b\nv,npi,c,d\n",
            "line 3: phenomenon is 'npi', but 'NPI' in .*line 2",
        ),
        (
            read_questions,
            "class,prompt,answer\nSum,a,b\n,a,b\nsum,c,d\n",
            "line 4: class is 'sum', but 'Sum' in line 2",
        ),
    ],
)
def test_a_class_is_written_in_one_way(tmp_path, read, text, message):
    with pytest.raises(ValueError, match=message):
        read(items_file(tmp_path, text))
