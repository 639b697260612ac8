"""Minimal pairs of the toy language: grammatical, minimal, and not told apart by single words.

The grammar is checked by rules written here from nouns.csv, verbs.csv and names.csv, not by the
frames that make the pairs.
"""

import collections
import csv
import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ontogeny.corpus import toy
from ontogeny.corpus.toy_minimal_pairs import PARADIGMS, minimal_pairs

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "data" / "toy"
PAIRS = 100
SINGULAR, PLURAL = "singular", "plural"
NUMBERED = {
    **dict.fromkeys(("this", "that", "one", "every", "each", "a", "an"), SINGULAR),
    **dict.fromkeys(("these", "those", "two", "three", "many", "all", "most", "some"), PLURAL),
}
AUXILIARIES = {
    **dict.fromkeys(("was", "is", "has"), SINGULAR),
    **dict.fromkeys(("were", "are", "have"), PLURAL),
}
PRONOUNS = {
    **dict.fromkeys(("he", "him", "his", "himself"), "m"),
    **dict.fromkeys(("she", "her", "herself"), "f"),
}


def words(sentence):
    return re.findall(r"\w+", sentence)


@pytest.fixture(scope="module")
def language():
    return toy.load_language(FOLDER, seed=1)


@pytest.fixture(scope="module")
def rows(language):
    return minimal_pairs(language, PAIRS)


@pytest.fixture(scope="module")
def by_uid(rows):
    paradigms = collections.defaultdict(list)
    for row in rows:
        paradigms[row["uid"]].append(row)
    return dict(paradigms)


@pytest.fixture(scope="module")
def stories(language):
    return list(toy.documents(language, seed=5, words=200_000))


@pytest.fixture(scope="module")
def ngrams(stories):
    """Counts of words and of pairs of neighbors, each story from its first word to its last."""
    single, double = collections.Counter(), collections.Counter()
    for story in stories:
        tokens = [".", *re.findall(r"\w+|[^\w\s]", story)]
        single.update(tokens)
        double.update(itertools.pairwise(tokens))
    return single, double


@pytest.fixture(scope="module")
def lexicon():
    """Number of determiners and nouns; of verbs ("cooks" is both); gender of people and names."""

    def read(file):
        with open(FOLDER / file, encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    number, verbs, gender = dict(NUMBERED), dict(AUXILIARIES), {}
    for noun in read("nouns.csv"):
        if noun["singular"] and noun["singular"] != noun["word"]:
            number |= {noun["singular"]: SINGULAR, noun["word"]: PLURAL}
            gender |= {noun[form]: noun["gender"] for form in ("singular", "word")}
    for verb in read("verbs.csv"):
        verbs |= {verb["third"]: SINGULAR, verb["base"]: PLURAL}
    gender |= {name["name"]: name["gender"] for name in read("names.csv")}
    return number, verbs, gender


def accuracy(rows, log_probability):
    """Share of pairs where the good sentence is likelier; a tie counts half."""
    right = []
    for row in rows:
        good, bad = (
            log_probability(re.findall(r"\w+|[^\w\s]", row[side])) for side in ("good", "bad")
        )
        tie = math.isclose(good, bad, abs_tol=1e-9)
        right.append(0.5 if tie else float(good > bad))
    return sum(right) / len(right)


def unigram(ngrams):
    single, _ = ngrams
    return lambda tokens: sum(math.log(single[token] + 0.1) for token in tokens)


def bigram(ngrams):
    single, double = ngrams
    return lambda tokens: sum(
        math.log((double[a, b] + 0.1) / (single[a] + 0.1 * len(single)))
        for a, b in itertools.pairwise([".", *tokens])
    )


# --- The table ----------------------------------------------------------------------------------


def test_same_language_same_pairs_and_another_seed_others(language, rows):
    assert rows == minimal_pairs(toy.load_language(FOLDER, seed=1), PAIRS)
    others = minimal_pairs(toy.load_language(FOLDER, seed=2), PAIRS)
    assert len({row["good"] for row in rows} & {row["good"] for row in others}) < len(rows) / 10


def test_every_paradigm_has_its_pairs_and_none_is_there_twice(rows, by_uid):
    assert list(by_uid) == [paradigm.uid for paradigm in PARADIGMS]
    for uid, pairs in by_uid.items():
        assert re.fullmatch(r"[a-z0-9_]+", uid)
        assert [pair["pair_id"] for pair in pairs] == list(range(PAIRS)), uid
        assert len({pair["phenomenon"] for pair in pairs}) == 1
    assert len({row["good"] for row in rows}) == len({row["bad"] for row in rows}) == len(rows)
    assert not {row["good"] for row in rows} & {row["bad"] for row in rows}


def test_the_two_sentences_differ_in_one_word(rows):
    for row in rows:
        good, bad = row["good"].split(" "), row["bad"].split(" ")
        assert len(good) == len(bad)
        assert sum(a != b for a, b in zip(good, bad, strict=True)) == 1, row


def test_what_is_wrong_in_one_twin_is_right_in_the_other(by_uid):
    """Over the pairs of a paradigm each word is as often the good as the bad alternative."""
    for uid, pairs in by_uid.items():
        balance = collections.Counter()
        for pair in pairs:
            balance.update(words(pair["good"]))
            balance.subtract(words(pair["bad"]))
        assert set(balance.values()) == {0}, uid


def test_sentences_look_like_those_of_the_corpus(rows, stories):
    known = {word for story in stories for word in words(story)}
    for sentence in (row[side] for row in rows for side in ("good", "bad")):
        assert re.fullmatch(r'("[A-Z][\w ]+," said [A-Z]\w+|[A-Z][\w, ]+)\.', sentence), sentence
        assert set(words(sentence)) <= known, set(words(sentence)) - known


def test_an_odd_number_of_pairs_is_an_error(language):
    with pytest.raises(ValueError, match="positive even number"):
        minimal_pairs(language, 7)


def test_more_pairs_than_a_paradigm_has_is_an_error(language, monkeypatch):
    few = PARADIGMS[-1].__class__("few", "few", ("The {spots} {!was/were} big.",))
    monkeypatch.setattr("ontogeny.corpus.toy_minimal_pairs.PARADIGMS", (few,))
    with pytest.raises(ValueError, match="few: no 100 different sentences"):
        minimal_pairs(language, 100)


def test_the_script_writes_the_table(rows, tmp_path):
    script, output = PROJECT / "scripts" / "toy_minimal_pairs.py", tmp_path / "pairs.csv"
    command = [sys.executable, str(script), "--language-seed", "1", "--output", str(output)]
    subprocess.run(command, check=True, timeout=600)
    with open(output, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == ["uid", "phenomenon", "pair_id", "good", "bad"]
        assert [row | {"pair_id": int(row["pair_id"])} for row in reader] == rows


# --- What words alone tell ----------------------------------------------------------------------


def test_a_unigram_model_is_at_chance(by_uid, ngrams):
    for uid, pairs in by_uid.items():
        assert accuracy(pairs, unigram(ngrams)) == pytest.approx(0.5, abs=0.02), uid


@pytest.mark.parametrize(
    "uid",
    [
        "distractor_agreement_prepositional_phrase",
        "distractor_agreement_relative_clause",
        "quantified_subject_verb_agreement",
        "determiner_noun_agreement_with_adjective",
        "anaphor_gender_agreement",
        "pronoun_gender_agreement_across_clause",
    ],
)
def test_neighbors_do_not_tell_agreement_over_a_distance(by_uid, ngrams, uid):
    assert accuracy(by_uid[uid], bigram(ngrams)) < 0.55


@pytest.mark.parametrize(
    "uid",
    [
        "subject_verb_agreement_adjacent",
        "determiner_noun_agreement_1",
        "determiner_noun_agreement_2",
    ],
)
def test_neighbors_tell_agreement_of_neighbors(by_uid, ngrams, uid):
    assert accuracy(by_uid[uid], bigram(ngrams)) > 0.8


def test_few_good_sentences_are_in_the_corpus(by_uid, stories):
    text = " ".join(stories)
    seen = {uid: sum(pair["good"] in text for pair in pairs) for uid, pairs in by_uid.items()}
    assert max(seen.values()) < PAIRS / 10, seen


# --- The grammar, by rules of their own ---------------------------------------------------------


def numbers(sentence, rule, lexicon):
    """Number of each word in a group of the regular expression `rule`; one group may be `verb`."""
    number, verbs, _ = lexicon
    match = re.search(rule, sentence)
    assert match, f"{rule} is not in {sentence}"
    verb = match.re.groupindex.get("verb")
    return [
        (verbs if group == verb else number)[word.lower()]
        for group, word in enumerate(match.groups(), start=1)
    ]


@pytest.mark.parametrize(
    ("uid", "rule"),
    [
        ("subject_verb_agreement_adjacent", r'^"(\w+) (\w+) (?P<verb>\w+)'),
        (
            "distractor_agreement_prepositional_phrase",
            r"^The (\w+) (?:behind|under) the \w+ (?P<verb>\w+)",
        ),
        ("distractor_agreement_relative_clause", r"^The (\w+) that the \w+ found (?P<verb>\w+)"),
        ("quantified_subject_verb_agreement", r"^(\w+) (\w+) \w+ the \w+ (?P<verb>\w+) on"),
        ("determiner_noun_agreement_1", r" (?:beside|under) (\w+) (\w+)"),
        ("determiner_noun_agreement_2", r" (?:beside|under) (\w+) (\w+)"),
        ("determiner_noun_agreement_with_adjective", r"^There (?P<verb>\w+) (\w+) \w+ (\w+)"),
    ],
)
def test_what_must_agree_in_number_does_in_the_good_sentence_alone(by_uid, lexicon, uid, rule):
    seen = collections.Counter()
    for pair in by_uid[uid]:
        good, bad = (set(numbers(pair[side], rule, lexicon)) for side in ("good", "bad"))
        assert len(good) == 1 and len(bad) == 2, pair
        seen.update(good)
    assert seen == {SINGULAR: PAIRS / 2, PLURAL: PAIRS / 2}


@pytest.mark.parametrize(
    ("uid", "rule"),
    [
        ("distractor_agreement_prepositional_phrase", r"^The (\w+) (?:behind|under) the (\w+)"),
        ("distractor_agreement_relative_clause", r"^The (\w+) that the (\w+)"),
    ],
)
def test_a_distractor_has_the_other_number(by_uid, lexicon, uid, rule):
    for pair in by_uid[uid]:
        first, second = numbers(pair["good"], rule, lexicon)
        assert first != second, pair


@pytest.mark.parametrize(
    "uid", ["anaphor_gender_agreement", "pronoun_gender_agreement_across_clause"]
)
def test_all_people_and_pronouns_of_a_good_sentence_have_one_gender(by_uid, lexicon, uid):
    *_, gender = lexicon
    marked = {**gender, **PRONOUNS}
    seen = collections.Counter()
    for pair in by_uid[uid]:
        # A word of another gender may be what somebody paints or thinks of.
        said = {side: re.sub(r"(paint|of) \w+\.$", "", pair[side]) for side in ("good", "bad")}
        good, bad = (
            {marked[word] for word in words(said[side]) if marked.get(word)} - {"n"}
            for side in ("good", "bad")
        )
        assert len(good) == 1 and bad == {"m", "f"}, pair
        seen.update(good)
    assert seen == {"m": PAIRS / 2, "f": PAIRS / 2}
