import csv
import math
from pathlib import Path

import numpy as np
import pytest

from ontogeny.inputs import check_inputs, matching_files
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.binomials import (
    human_preference,
    read_all_weights,
    read_binomials,
    read_prompts,
    read_weights,
    read_words,
)
from ontogeny.study import StudyError, load_study
from ontogeny.study.probes import BinomialsProbe

DATA = PROJECT.parent / "shared" / "data"
PUBLISHED_ITEMS = DATA / "binomials" / "nonce_and_attested_binoms.csv"
WEIGHTS = PROJECT / "data" / "human_norms" / "constraint_weights.csv"
PROMPTS = PROJECT / "data" / "prompts" / "prompts.csv"
needs_items = pytest.mark.skipif(not PUBLISHED_ITEMS.is_file(), reason=f"needs {PUBLISHED_ITEMS}")

PUBLISHED_WEIGHTS = {
    "intercept": 0.02191943,
    "Form": 0.23925834,
    "Percept": 0.24889543,
    "Culture": 0.41836997,
    "Power": 0.25967334,
    "Intense": 0.01867604,
    "Icon": 1.30365980,
    "Freq": 0.08553552,
    "Len": 0.15241566,
    "Lapse": -0.19381657,
    "*BStress": 0.36019221,
}
HEADER = "Word1,Word2,OverallFreq,RelFreq,GenPref,Attested"
GOOD = ["bread,butter,900,0.9,0.7,1", "kiwis,yetis,0,,,0", "salt,vinegar,100,0.2,0.4,1"]


def probe(**keys):
    references = {
        "human": {"column": "GenPref"},
        "relative_frequency": {"column": "RelFreq", "attested_only": True},
    }
    return BinomialsProbe(**{"type": "binomials", "items": "x", "references": references, **keys})


def items_file(folder, *lines, header=HEADER, encoding="utf-8"):
    path = folder / "items.csv"
    path.write_bytes(("\n".join([header, *lines]) + "\n").encode(encoding))
    return path


# ---------------------------------------------------------------------------- reading


def test_items_are_read_in_the_order_of_the_file(tmp_path):
    bread, kiwis, salt = read_binomials(items_file(tmp_path, *GOOD), probe(), {})
    assert (bread.alpha, bread.nonalpha) == ("bread and butter", "butter and bread")
    assert (bread.attested, bread.frequency) == (True, 900.0)
    assert bread.references == {"human": 0.7, "relative_frequency": 0.9}
    assert (kiwis.attested, kiwis.references["human"]) == (False, None)
    assert salt.references == {"human": 0.4, "relative_frequency": 0.2}


def test_a_reference_for_attested_items_ignores_the_column_of_nonce_items(tmp_path):
    path = items_file(tmp_path, "kiwis,yetis,0,0,0.6,0", *GOOD[:1])
    kiwis, bread = read_binomials(path, probe(), {})
    assert kiwis.references == {"human": 0.6, "relative_frequency": None}
    assert bread.references["relative_frequency"] == 0.9


def test_a_byte_order_mark_and_windows_lines_are_read_alike(tmp_path):
    plain = read_binomials(items_file(tmp_path, *GOOD), probe(), {})
    path = tmp_path / "windows.csv"
    path.write_bytes(("\ufeff" + "\r\n".join([HEADER, *GOOD])).encode("utf-8"))
    assert read_binomials(path, probe(), {}) == plain


@needs_items
def test_the_published_binomials():
    references = {
        "genpref": {"column": "GenPref"},
        "human": {"weights": str(WEIGHTS)},
        "relative_frequency": {"column": "RelFreq", "attested_only": True},
    }
    ours = probe(references=references)
    items = read_binomials(PUBLISHED_ITEMS, ours, read_all_weights(ours.references))
    assert len(items) == 725
    assert sum(item.attested for item in items) == 594
    assert sum(not item.attested for item in items) == 131
    for item in items:
        assert item.attested == (item.frequency > 0)
        assert (item.references["relative_frequency"] is None) == (not item.attested)
        assert 0 < item.references["human"] < 1
    rated = [item.references for item in items if item.references["genpref"] is not None]
    human, genpref = (np.array([row[name] for row in rated]) for name in ("human", "genpref"))
    assert len(rated) == 594
    # two versions were published: they differ by up to 0.10, r = .986
    assert round(np.abs(human - genpref).max(), 2) == 0.10
    assert np.corrcoef(human, genpref)[0, 1] > 0.98


def test_the_weights_are_the_published_ones():
    assert read_weights(WEIGHTS) == PUBLISHED_WEIGHTS


def test_human_preference_is_the_logistic_of_the_weighted_sum():
    zero = dict.fromkeys(PUBLISHED_WEIGHTS, "0")
    assert human_preference(zero, PUBLISHED_WEIGHTS) == pytest.approx(0.5054796, abs=1e-7)
    iconic = {**zero, "Icon": "1", "Lapse": "-1"}
    log_odds = 0.02191943 + 1.30365980 + 0.19381657
    expected = math.exp(log_odds) / (1 + math.exp(log_odds))
    assert human_preference(iconic, PUBLISHED_WEIGHTS) == pytest.approx(expected, abs=1e-12)
    assert human_preference({"a": "2"}, {"a": 1.0}) + human_preference(
        {"a": "-2"}, {"a": 1.0}
    ) == pytest.approx(1.0)


@pytest.mark.parametrize(("value", "expected"), [("1e6", 1.0), ("-1e6", 0.0)])
def test_human_preference_of_huge_values_is_a_probability(value, expected):
    assert human_preference({"a": value}, {"a": 1.0}) == expected


# ---------------------------------------------------------------------------- bad items

BAD_LINES = {
    "empty word": (" ,butter,1,0.5,0.5,1", "Word1 is empty"),
    "same words": ("Bread,bread,1,0.5,0.5,1", "both words are 'Bread'"),
    "duplicate": (GOOD[0], "'bread and butter' stands already on line 2"),
    "other order": ("butter,bread,1,0.5,0.5,1", "'butter and bread' stands already on line 2"),
    "NA for a word": ("NA,bread,1,0.5,0.5,1", "Word1 is NA, as R writes an empty field"),
    "quotation mark": ('but"ter,bread,1,0.5,0.5,1', "Word1 is 'but\"ter', should be without"),
    "line break": ("ha\vm,jam,1,0.5,0.5,1", "Word1 is 'ha\\x0bm', should be without quotation"),
    "NUL": ("ha\0m,jam,1,0.5,0.5,1", "there is a NUL byte"),
    "underscores": ("ham,jam,1_000,0.5,0.5,1", "OverallFreq is '1_000', should be a number"),
    "decimal comma": ('ham,jam,1,"0,5",0.5,1', "RelFreq is '0,5', should be a number"),
    "negative frequency": ("ham,jam,-5,0.5,0.5,1", "OverallFreq is -5, should be 0 or more"),
    "NA for a flag": ("ham,jam,1,0.5,0.5,NA", "Attested is 'NA', should be 1 (attested) or 0"),
    "duplicate in capitals": ("BREAD,Butter,1,0.5,0.5,1", "stands already on line 2"),
    "word for a number": ("ham,jam,1,half,0.5,1", "RelFreq is 'half', should be a number"),
    "NaN": ("ham,jam,1,0.5,nan,1", "GenPref is 'nan', should be a number"),
    "infinite": ("ham,jam,inf,0.5,0.5,1", "OverallFreq is 'inf', should be a number"),
    "attested flag": ("ham,jam,1,0.5,0.5,yes", "Attested is 'yes', should be 1 (attested) or 0"),
    "no attested flag": ("ham,jam,1,0.5,0.5,", "Attested is '', should be 1"),
    "short row": ("ham,jam,1", "6 columns in the header, but not in this row"),
    "long row": ("ham,jam,1,0.5,0.5,1,1", "6 columns in the header, but not in this row"),
    "open quote": ('"ham,jam,1,0.5,0.5,1', "unexpected end of data"),
}


@pytest.mark.parametrize(("line", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = items_file(tmp_path, *GOOD[:2], line)
    with pytest.raises(ValueError) as caught:
        read_binomials(path, probe(), {})
    assert f"{path}, line 4: " in str(caught.value)
    assert message in str(caught.value)


def test_several_problems_are_told_together(tmp_path):
    wrong = [BAD_LINES[name][0] for name in ("empty word", "same words", "NaN")]
    path = items_file(tmp_path, *wrong)
    with pytest.raises(ValueError) as caught:
        read_binomials(path, probe(), {})
    assert [f"line {n}" in str(caught.value) for n in (2, 3, 4, 5)] == [True, True, True, False]
    with pytest.raises(ValueError, match=r"\.\.\. and 5 more$") as caught:
        read_binomials(items_file(tmp_path, *15 * ["b,b,1,0.5,0.5,1"]), probe(), {})
    assert str(caught.value).count("\n") == 10


@pytest.mark.parametrize("lines_before", [0, 5, 3000])
def test_text_that_is_not_utf8_is_named_by_its_line(tmp_path, lines_before):
    rows = [f"aa{n:05d},bb{n:05d},1,0.5,0.5,1" for n in range(lines_before)]
    path = items_file(tmp_path, *rows, "caf\u00e9,tea,1,0.5,0.5,1", *GOOD, encoding="latin1")
    with pytest.raises(ValueError) as caught:
        read_binomials(path, probe(), {})
    assert f"{path}, line {lines_before + 2}: byte 0xe9 is not UTF-8" in str(caught.value)


def test_files_without_what_is_needed(tmp_path):
    with pytest.raises(
        ValueError, match="'GenPref' is missing; there is: 'Word1', 'Word2'"
    ) as caught:
        header = "Word1,Word2,OverallFreq,RelFreq,Attested"
        read_binomials(items_file(tmp_path, "a,b,1,0.5,1", header=header), probe(), {})
    assert "items.csv" in str(caught.value)
    for path in (items_file(tmp_path), tmp_path / "nothing.csv", tmp_path):
        for read in (lambda p: read_binomials(p, probe(), {}), read_prompts, read_weights):
            with pytest.raises(ValueError, match=str(path)):
                read(path)


def test_only_the_columns_that_a_probe_uses_are_needed(tmp_path):
    path = items_file(tmp_path, "a,b,0.5,1", header="Word1,Word2,GenPref,Attested")
    plain = probe(frequency_bins=0, references={"human": {"column": "GenPref"}})
    assert read_binomials(path, plain, {})[0].frequency is None
    with pytest.raises(ValueError, match="'OverallFreq' is missing"):
        read_binomials(path, plain.model_copy(update={"frequency_bins": 3}), {})
    with pytest.raises(ValueError, match="'Icon' is missing"):
        read_binomials(path, probe(references={"h": {"weights": "w"}}), {"h": {"Icon": 1.0}})


@pytest.mark.parametrize("column", ["Attested", None])
def test_without_a_column_that_tells_all_items_are_attested(tmp_path, column):
    path = items_file(tmp_path, "a,b,1,0.5,0.5", header=HEADER.removesuffix(",Attested"))
    (item,) = read_binomials(path, probe(attested_column=column), {})
    assert item.attested
    kiwis = read_binomials(items_file(tmp_path, *GOOD), probe(attested_column=column), {})[1]
    assert kiwis.attested == (column is None)


def test_a_column_of_attested_items_is_not_overlooked(tmp_path):
    path = items_file(tmp_path, "a,b,1,0.5,0.5", header=HEADER.removesuffix(",Attested"))
    with pytest.raises(ValueError, match="column 'Known' is missing"):
        read_binomials(path, probe(attested_column="Known"), {})
    path = items_file(tmp_path, *GOOD, header=HEADER.replace("Attested", "attested"))
    with pytest.raises(ValueError, match="name its column 'attested' in `attested_column`"):
        read_binomials(path, probe(), {})
    assert len(read_binomials(path, probe(attested_column="attested"), {})) == 3


def test_columns_of_the_words_have_names(tmp_path):
    path = items_file(tmp_path, *GOOD, header=HEADER.replace("Word", "word"))
    with pytest.raises(ValueError, match="column 'Word1', 'Word2' is missing"):
        read_binomials(path, probe(), {})
    names = {"word1": "word1", "word2": "word2"}
    items = read_binomials(path, probe(**names), {})
    assert items == read_binomials(items_file(tmp_path, *GOOD), probe(), {})
    assert [item.alpha for item in read_words(path)] == [item.alpha for item in items]


def test_a_bad_weight_is_named(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text("column,weight\nintercept,0\nIcon,much\n")
    with pytest.raises(ValueError, match=r"weights\.csv, line 3: weight is 'much', should be a"):
        read_weights(path)


# ---------------------------------------------------------------------------- prompts


def test_the_prompts_that_ship():
    prompts = read_prompts(PROMPTS)
    with open(PROMPTS, encoding="utf-8", newline="") as file:
        written = [row["prompt"] for row in csv.DictReader(file)]
    assert prompts == written
    assert len(prompts) == 51
    assert prompts[0] == " "
    assert all(prompt.endswith(" ") for prompt in prompts)
    assert read_prompts(PROMPTS, at_most=3) == prompts[:3]


def test_prompts_of_a_released_score_file():
    files = sorted((DATA / "released_scores").glob("opt-*.csv"))
    if not files:
        pytest.skip(f"needs {DATA / 'released_scores'}")
    prompts = read_prompts(files[0])
    assert len(prompts) == 51
    assert prompts[0] == " "


def test_prompts_keep_their_spaces_and_first_order(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text('prompt,n\n"b ",1\n" ",2\n"b ",3\n"a, ",4\n', encoding="utf-8")
    assert read_prompts(path) == ["b ", " ", "a, "]


# ---------------------------------------------------------------------------- check_inputs


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A valid study whose files are all below the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("one line\n")
    items_file(tmp_path, *GOOD)
    references = {"human": {"column": "GenPref"}}
    binomials = {"type": "binomials", "items": str(tmp_path / "items.csv")}
    run = {"corpus": "text", "tokenizer": "bpe", "architecture": "opt"}
    return {
        "study": "small",
        "corpora": {"text": {"source": "files", "files": [str(tmp_path / "*.txt")]}},
        "tokenizers": {"bpe": {"type": "bpe", "corpus": "text"}},
        "architectures": {"opt": {"model_type": "opt"}},
        "probes": {"pairs": {**binomials, "references": references}},
        "runs": {"one": {**run, "steps": 1, "block_size": 4, "batch_size": 1}},
    }


def problems(study):
    with pytest.raises(StudyError) as caught:
        check_inputs(load_study(study))
    return caught.value.problems


def test_a_study_with_all_its_files_passes(study):
    check_inputs(load_study(study))
    assert not Path("results").exists()


def test_missing_and_empty_text(study, tmp_path):
    Path("empty.txt").touch()
    study["corpora"]["text"]["validation_files"] = [str(tmp_path / "held/*.txt")]
    empty, missing = problems(study)
    assert empty == f"corpora.text.files: {tmp_path / 'empty.txt'} is empty"
    assert missing.startswith("corpora.text.validation_files: no file matches")
    assert "held/*.txt" in missing


def test_stimuli_are_checked_to_the_last_line(study, tmp_path):
    items_file(tmp_path, *GOOD, "b,B,1,0.5,0.5,1")
    study["probes"]["pairs"]["prompts"] = str(tmp_path / "nothing.csv")
    prompts, items = problems(study)
    assert prompts.startswith("probes.pairs.prompts: ")
    assert "nothing.csv: there is no such file" in prompts
    assert items.startswith("probes.pairs: ")
    assert "items.csv, line 5: both words are 'b'" in items


def test_a_folder_in_the_place_of_a_file_is_a_problem(study, tmp_path):
    study["probes"]["pairs"]["items"] = str(tmp_path)
    (problem,) = problems(study)
    assert problem.startswith(f"probes.pairs: {tmp_path}")


@pytest.mark.parametrize("path", ["results", "results/small"])
def test_results_that_are_a_file(study, path):
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("")
    (problem,) = problems(study)
    assert problem == f"study: results go to results/small, but {path} is a file; move it away"


def test_corpus_files_are_each_read_once_in_order_of_their_names(study, tmp_path):
    for name in ("b.txt", "a.txt"):
        Path(name).write_text("x")
    Path("folder.txt").mkdir()
    patterns = [str(tmp_path / "?.txt"), str(tmp_path / "*.txt")]
    assert matching_files(patterns) == [str(tmp_path / n) for n in ("a.txt", "b.txt", "text.txt")]


def test_what_is_odd_is_told_and_not_refused(study, tmp_path):
    items_file(tmp_path, "bread,butter,900,0.9,0.7,1", "salt,vinegar,100,0.2,0.6,1")
    (line,) = check_inputs(load_study(study))
    assert line.startswith("probes.pairs: reference 'human': all 2 values, from 0.6 to 0.7, are on")


def test_paths_with_braces_are_told_once_each(study, tmp_path):
    """Snakemake would take them for wildcards."""
    path = str(tmp_path / "a{x}.csv")
    pairs = study["probes"]["pairs"]
    pairs |= {"items": path, "prompts": path, "responses": path}
    pairs["references"]["weighed"] = {"weights": path}
    study["probes"]["more"] = {"type": "minimal_pairs", "pairs": path}
    study["probes"]["asked"] = {"type": "completions", "items": path}
    intervention = {"corpus": "text", "items": path}
    study["corpora"]["less"] = {"source": "remove", **intervention}
    inserted = {"source": "insert", **intervention, "templates": path, "counts_file": path}
    study["corpora"]["more"] = inserted
    study["tokenizers"]["taken"] = {"type": "pretrained", "path": path}
    study["downloads"] = {"d": {"path": path, "url": "https://example.org/a"}}
    hub = {"source": "hub", "model": "a/b", "revisions": path, "tokenizer": "taken"}
    study["runs"]["hub"] = hub
    with pytest.raises(StudyError) as caught:
        check_inputs(load_study(study))
    found = [line for line in caught.value.problems if "Snakemake can't use" in line]
    places = [
        *("downloads.d.path", "corpora.less.items", "corpora.more.items"),
        *("corpora.more.templates", "corpora.more.counts_file", "tokenizers.taken.path"),
        *("probes.pairs.items", "probes.pairs.prompts", "probes.pairs.responses"),
        *("probes.pairs.references.weighed.weights", "probes.more.pairs", "probes.asked.items"),
        "runs.hub.revisions",
    ]
    message = f"{path}: Snakemake can't use a path with {{ or }}; rename it"
    assert sorted(found) == sorted(f"{place}: {message}" for place in places)
