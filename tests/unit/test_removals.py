"""Sentences with items removed from a corpus; what exposures then count."""

import random

import pyarrow as pa
import pytest
from edited_corpora import corpus, exposures, removed, write_csv
from phrase_search import random_texts, slow_search

from ontogeny.corpus import tokens
from ontogeny.exposure.phrases import PhraseFinder, phrase_for
from ontogeny.interventions.remove import ALPHABETICAL, OTHER, Remover
from ontogeny.interventions.sentences import sentence_spans, without
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.binomials import read_words

SHARED = PROJECT.parent / "shared" / "data"
ENGLISH = SHARED / "text" / "english_mixed.txt"
PUBLISHED_ITEMS = SHARED / "binomials" / "nonce_and_attested_binoms.csv"

# ---------------------------------------------------------------------------- sentences


@pytest.mark.parametrize(
    "text",
    [
        "One.| Two!| Three? four.| Five",
        '"Stop!" he said.| "Go."| (Yes.)| [1] Then?',
        "Mr. Smith met Dr. J. R. Brown.| St. Paul (mr. Green) came.",
        "At 5 p.m. it rained.| 20 came.| It was 3.5 m.| No",
        "etc. and so on.| Wait... what?| Wait...| What?",
        "wrapped\nat some\nplace.| So it\nis",
        "A title\n\n|some text|\n \nmore| \r\n\r\n|end",
        "one\u2028two\u2028\u2028|three",
        "no punctuation here  \t at all",
        "これは文です。| 次。| Été.| Σοφία",
        "  leading.|  Trailing.|  ",
        "x.",
    ],
)
def test_where_sentences_end(text):
    """At each bar; it and the white space there are no part of a sentence."""
    whole = text.replace("|", "")
    found = [whole[start:end] for start, end in sentence_spans(whole)]
    assert found == [part.strip() for part in text.split("|") if part.strip()]


def test_white_space_is_no_sentence():
    assert sentence_spans("") == sentence_spans(" \n ") == []


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("AA. BB. CC.", {1}, "AA. CC."),
        ("AA. BB. CC.", {0}, "BB. CC."),
        ("AA. BB. CC.", {2}, "AA. BB."),
        ("AA. BB. CC.", {0, 1, 2}, ""),
        ("AA. BB.\n\nCC.", {1}, "AA.\n\nCC."),
        ("AA.\n\nBB. CC.", {1}, "AA.\n\nCC."),
        ("AA.  BB.\tCC.", {1}, "AA.  CC."),
        (" AA. BB.\n", {1}, " AA.\n"),
        (" AA. BB.\n", {0}, " BB.\n"),
        ("AA. BB. CC.\n\nDD. EE.", {1, 2, 3}, "AA.\n\nEE."),
        ("AA. BB.", set(), "AA. BB."),
    ],
)
def test_what_is_left_without_some_sentences(text, gone, left):
    assert without(text, sentence_spans(text), gone) == left


# ---------------------------------------------------------------------------- remove

STORY = [
    "Salt and vinegar? No.  We had Bread\nand butter.\n\nThen tea.",
    "Butter and bread. Butter, and bread.",
    "He said: butter and bread-sticks.",
    "bread and butter",
    "We had butter with salt and then bread.",
    "Nothing here.",
    "Mr. Green ate ice  cream and jam. Élan.  More.",
]


@pytest.mark.parametrize(
    ("match", "left"),
    [
        (
            "binomial",
            [
                "No.\n\nThen tea.",
                "Butter, and bread.",
                *STORY[2:3],
                *STORY[4:6],
                "Élan.  More.",
            ],
        ),
        ("alphabetical", ["No.\n\nThen tea.", *STORY[1:3], *STORY[4:6], "Élan.  More."]),
        (
            "nonalphabetical",
            [STORY[0], "Butter, and bread.", *STORY[2:]],
        ),
        ("words", ["No.\n\nThen tea.", *STORY[2:3], STORY[5], "Élan.  More."]),
    ],
)
def test_sentences_with_items_go_and_all_else_stays(tmp_path, few_items, match, left):
    source = corpus(tmp_path, STORY, ["Bread and butter. Held out."])
    train, validation, counts = removed(tmp_path, source, few_items, match=match)
    assert train == left
    held_out = "Bread and butter. Held out." if match == "nonalphabetical" else "Held out."
    assert validation == [held_out]
    assert counts["train"]["documents"] == len(left)
    assert counts["train"]["documents_emptied"] == len(STORY) - len(left)
    assert counts["train"]["bytes"] == sum(len(text.encode()) for text in left)


def test_what_was_removed_is_counted_by_item_and_absent_items_are_told(tmp_path, few_items, capsys):
    source = corpus(tmp_path, [*STORY, "Bread and butter, salt and vinegar."])
    _, _, counts = removed(tmp_path, source, few_items)
    assert counts["items"] == [
        {"Word1": "bread", "Word2": "butter", "train": 4, "validation": 0},
        {"Word1": "cats", "Word2": "dogs", "train": 0, "validation": 0},
        {"Word1": "ice cream", "Word2": "jam", "train": 1, "validation": 0},
        {"Word1": "salt", "Word2": "vinegar", "train": 2, "validation": 0},
    ]
    assert counts["train"]["sentences_removed"] == 6  # one has two items
    assert counts["train"]["documents_changed"] == 5
    assert counts["absent"] == ["cats and dogs"]
    warning = "warning: 1 of 4 items are in no sentence of corpus 'whole': cats and dogs\n"
    assert warning in capsys.readouterr().err
    removed(tmp_path, source, few_items, "other", only=["Salt and vinegar"])
    assert "warning" not in capsys.readouterr().err


def test_held_out_text_may_stay(tmp_path, few_items):
    source = corpus(tmp_path, STORY, STORY)
    _, validation, counts = removed(tmp_path, source, few_items, held_out=False)
    assert validation == STORY
    assert counts["validation"]["sentences_removed"] == 0


@pytest.mark.parametrize("match", ["binomial", "words"])
@pytest.mark.parametrize("seed", range(3))
def test_after_a_removal_no_exposure_is_counted(tmp_path, items_file, seed, match):
    """Of texts full of items, in any case and with all kinds of things between their words."""
    documents = [text for text in random_texts(seed, 250) if text.strip()]
    items = read_words(items_file)
    assert sum(map(sum, exposures(tmp_path / "before", documents, items).values())) > 30
    left, _, counts = removed(tmp_path, corpus(tmp_path, documents), items_file, match=match)
    after = exposures(tmp_path / "after", left, items)
    assert after == dict.fromkeys((item.alpha for item in items), (0, 0))
    assert counts["train"]["sentences_removed"] > 20


def test_of_one_order_alone_the_other_is_still_counted(tmp_path, few_items):
    items = read_words(few_items)
    rng = random.Random(1)
    documents = []
    for _ in range(300):
        item, word = rng.choice(items), rng.choice(["Yes", "No"])
        documents.append(f"{word}. We like {rng.choice([item.alpha, item.nonalpha])}. {word}.")
    before = exposures(tmp_path / "before", documents, items)
    left, _, counts = removed(
        tmp_path, corpus(tmp_path, documents), few_items, match="nonalphabetical"
    )
    after = exposures(tmp_path / "after", left, items)
    assert after == {name: (alpha, 0) for name, (alpha, _) in before.items()}
    assert [row["train"] for row in counts["items"]] == [other for _, other in before.values()]


@pytest.mark.parametrize("seed", range(3))
def test_what_stays_is_as_it_was(tmp_path, items_file, seed):
    """Documents without an item are the same; of others whole sentences are left, in order."""
    documents = [text for text in random_texts(seed, 80) if text.strip()]
    remover = Remover(read_words(items_file), "binomial")
    phrases = [phrase_for(order, item) for item in remover.items for order in (ALPHABETICAL, OTHER)]
    for document in documents:
        left = remover(pa.array([document], pa.large_string())).to_pylist()
        if not any(slow_search(phrase, document) for phrase in phrases):
            assert left == [document]
            continue
        sentences = [document[slice(*span)] for span in sentence_spans(document)]
        kept = [left[0][slice(*span)] for span in sentence_spans(left[0])] if left else []
        rest = iter(sentences)
        assert all(sentence in rest for sentence in kept)


def test_a_removal_that_makes_a_new_item_is_followed_by_another(tmp_path):
    """ "a.b." ends a sentence, and so it can come to stand before "And m.a."."""
    items = write_csv(tmp_path / "i.csv", ("Word1", "Word2"), [("a.b.", "m.a.")])
    source = corpus(tmp_path, ["He is a.b.  It is a.b. and m.a.  And m.a. is it. Yes."])
    train, _, counts = removed(tmp_path, source, items)
    assert train == ["Yes."]
    assert counts["items"][0]["train"] == 3


def test_letters_of_several_bytes_move_no_sentence(tmp_path, few_items):
    documents = [
        "É" * 20 + ". Bread and butter. " + "Fin. " * 9,
        "日本。 Yes. No. Salt and vinegar!",
    ]
    train, _, _ = removed(tmp_path, corpus(tmp_path, documents), few_items)
    assert train == ["É" * 20 + ". " + "Fin. " * 9, "日本。 Yes. No."]


def test_words_are_those_that_exposures_count(tmp_path, few_items):
    documents = [
        "Gingerbread and butter and breads.",
        "Bread-sticks and butter.",
        "and butter, the bread's",
        "The bread and all the butter-milk.",
        "I, and you: the bread or the butter?",
    ]
    train, _, _ = removed(tmp_path, corpus(tmp_path, documents), few_items, match="words")
    assert train == documents[:4]


@pytest.mark.skipif(not ENGLISH.is_file(), reason=f"needs {ENGLISH}")
@pytest.mark.parametrize("match", ["binomial", "words"])
def test_real_text_without_published_items(tmp_path, match):
    lines = ENGLISH.read_text(encoding="utf-8")[:3_000_000].splitlines()
    documents = [line for line in lines if line.strip()]
    items = read_words(PUBLISHED_ITEMS)
    orders = {phrase_for(order, item) for item in items for order in (ALPHABETICAL, OTHER)}
    finder = PhraseFinder(sorted(orders))
    before = finder.find(pa.array(documents, pa.large_string()))
    assert len(before) > 100
    left, _, counts = removed(tmp_path, corpus(tmp_path, documents), PUBLISHED_ITEMS, match=match)
    assert finder.find(pa.array(left, pa.large_string())).is_empty()
    if match == "binomial":  # some sentences hold two
        assert 0.8 * len(before) < counts["train"]["sentences_removed"] <= len(before)
    changed = counts["train"]["documents_changed"]
    assert len(set(documents) & set(left)) >= len(set(documents)) - changed


def test_batches_change_nothing(tmp_path, items_file, monkeypatch):
    documents = [text for text in random_texts("batches", 60) if text.strip()]
    source = corpus(tmp_path, documents)
    whole = removed(tmp_path, source, items_file)
    monkeypatch.setattr(tokens, "BATCH_BYTES", 300)
    assert removed(tmp_path, source, items_file, "again") == whole


def test_nothing_left_is_refused(tmp_path, few_items):
    source = corpus(tmp_path, ["Bread and butter."])
    with pytest.raises(ValueError, match="nothing of corpus 'whole' is left to train on"):
        removed(tmp_path, source, few_items)
