"""Sentences with items removed from a corpus, and put into one; what exposures then count."""

import csv
import random
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from phrase_search import ITEMS, bpe, make_corpus, random_texts, slow_search
from pydantic import TypeAdapter, ValidationError

from ontogeny.corpus import splits, tokens, toy
from ontogeny.corpus.documents import SCHEMA
from ontogeny.corpus.splits import Splits
from ontogeny.exposure.occurrences import read_occurrences, write_occurrences
from ontogeny.exposure.phrases import PhraseFinder, phrase_for, phrases_of
from ontogeny.interventions.insert import planned, write_with_insertions
from ontogeny.interventions.items import check_files, chosen_items, read_counts, read_templates
from ontogeny.interventions.remove import ALPHABETICAL, OTHER, Remover, write_without
from ontogeny.interventions.sentences import sentence_spans, without
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.binomials import Binomial, read_words
from ontogeny.study.corpora import Corpus, InsertCorpus, RemoveCorpus

SHARED = PROJECT.parent / "shared" / "data"
ENGLISH = SHARED / "text" / "english_mixed.txt"
PUBLISHED_ITEMS = SHARED / "binomials" / "nonce_and_attested_binoms.csv"


def write_csv(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


@pytest.fixture
def items_file(tmp_path):
    """The awkward items of the tests of occurrences, and which of them are attested."""
    rows = [
        (*sorted((item.word1, item.word2), key=str.casefold), n % 2, "abc"[n % 3])
        for n, item in enumerate(ITEMS)
    ]
    return write_csv(tmp_path / "items.csv", ("Word1", "Word2", "Attested", "Kind"), rows)


@pytest.fixture
def few_items(tmp_path):
    pairs = [("bread", "butter"), ("cats", "dogs"), ("ice cream", "jam"), ("salt", "vinegar")]
    rows = [(*pair, 1, "food") for pair in pairs]
    return write_csv(tmp_path / "few.csv", ("Word1", "Word2", "Attested", "Kind"), rows)


def corpus(folder, train, validation=("held out",), name="whole"):
    folder = folder / name
    folder.mkdir()
    made = Splits(name, folder / "train.parquet", folder / "validation.parquet")
    for path, texts in ((made.train, train), (made.validation, validation)):
        table = pa.table({"text": pa.array(list(texts), pa.large_string())}).cast(SCHEMA)
        pq.write_table(table, path, row_group_size=10)
    return made


def texts(path):
    return pq.read_table(path)["text"].to_pylist()


def removed(folder, source, items, name="out", **keys):
    """Both splits without sentences, and the counts."""
    spec = RemoveCorpus(source="remove", corpus="whole", items=str(items), **keys)
    out = corpus(folder, [], [], name)
    counts = write_without(spec, items, source, out)
    return texts(out.train), texts(out.validation), counts


def inserted(folder, source, items, templates, name="out", **keys):
    """The splits with insertions, and the counts."""
    keys = {"counts": [3]} | keys if "counts_file" not in keys else keys
    spec = InsertCorpus(
        source="insert", corpus="whole", items=str(items), templates=str(templates), **keys
    )
    out = corpus(folder, [], [], name)
    return out, write_with_insertions(spec, items, source, out)


@pytest.fixture
def templates(tmp_path):
    rows = [(f"We {verb} {{binomial}}.",) for verb in ("saw", "had", "liked", "met", "want")]
    return write_csv(tmp_path / "templates.csv", ("template",), rows)


def exposures(folder, documents, items):
    """How often each order of the items is in the corpus, as the exposures of runs are counted."""
    folder.mkdir()
    make_corpus(folder, documents, bpe())
    phrases = phrases_of(items)
    args = [folder / part for part in ("train.parquet", "tokenizer.json", "tokens", "found")]
    write_occurrences(phrases, *args)
    found = Counter()
    for numbers, _, _ in read_occurrences(folder / "found", phrases):
        found.update(phrases[number] for number in numbers.tolist())
    return {
        item.alpha: tuple(found[phrase_for(order, item)] for order in (ALPHABETICAL, OTHER))
        for item in items
    }


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


# ---------------------------------------------------------------------------- insert


def test_exposures_grow_by_what_was_inserted_and_all_else_stays(tmp_path, few_items, templates):
    """Also where sentences repeat: five templates, up to 40 sentences of an item."""
    items = read_words(few_items)
    rng = random.Random(2)
    documents = [
        f"{rng.choice(['Yes', 'No'])}. {rng.choice(items).alpha} and {rng.choice(items).nonalpha}."
        for _ in range(50)
    ]
    rows = [("bread", "butter", 40, 3), ("salt", "vinegar", 0, 7), ("cats", "dogs", 1, 0)]
    counts_file = write_csv(tmp_path / "n.csv", ("Word1", "Word2", "alpha", "nonalpha"), rows)
    source = corpus(tmp_path, documents)
    out, counts = inserted(
        tmp_path, source, few_items, templates, counts_file=str(counts_file), seed=5
    )
    train = texts(out.train)
    before = exposures(tmp_path / "before", documents, items)
    after = exposures(tmp_path / "after", train, items)
    added = {name: tuple(np.subtract(after[name], before[name]).tolist()) for name in before}
    assert added == {
        "bread and butter": (40, 3),
        "cats and dogs": (1, 0),
        "ice cream and jam": (0, 0),
        "salt and vinegar": (0, 7),
    }
    assert sum(sum(seen) for seen in before.values()) > 50
    assert len(train) == len(documents) + 51 == counts["train"]["documents"]
    assert counts["sentences_inserted"] == 51
    assert [text for text in train if not re.match("We .*[.]$", text)] == documents
    assert texts(out.validation) == ["held out"]
    told = {
        row["Word1"]: (row["alpha"], row["nonalpha"], row["direction"]) for row in counts["items"]
    }
    assert told == {
        "bread": (40, 3, "alpha"),
        "cats": (1, 0, "alpha"),
        "ice cream": (0, 0, ""),
        "salt": (0, 7, "nonalpha"),
    }


def test_templates_are_used_evenly_in_both_orders(tmp_path, few_items, templates):
    source = corpus(tmp_path, ["x"])
    out, _ = inserted(
        tmp_path, source, few_items, templates, counts=[50], direction="alphabetical",
        direction_share=0.7,
    )  # fmt: skip
    sentences = Counter(texts(out.train))
    for item in read_words(few_items):
        of_item = {text: n for text, n in sentences.items() if item.word1 in text}
        assert sum(of_item.values()) == 50
        assert sum(n for text, n in of_item.items() if item.alpha in text) == 35
        by_verb = Counter()
        for text, n in of_item.items():
            by_verb[text.split()[1]] += n
        assert set(by_verb.values()) == {10}


def test_places_are_random_and_the_seed_fixes_all(tmp_path, few_items, templates):
    documents = [f"{i:04d}" for i in range(1000)]
    source = corpus(tmp_path, documents)
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out, _ = inserted(tmp_path, source, few_items, templates, name, counts=[100], seed=seed)
        made[name] = (out.train.read_bytes(), texts(out.train))
    assert made["a"] == made["b"]
    assert made["a"][1] != made["c"][1]
    for _, train in made.values():
        places = np.array([i for i, text in enumerate(train) if text.startswith("We")])
        # 400 of 1,400: 100 in each quarter, sd 9
        quarters = np.bincount(places * 4 // 1400)
        assert (np.abs(quarters - 100) < 40).all()
        assert len(set(np.diff(places))) > 5
        first = [text.split(" ", 2)[2] for text in train if text.startswith("We")][:100]
        assert len(set(first)) == 4  # all items from the beginning, not one after the other


def test_numbers_are_dealt_to_as_many_items_and_half_of_each_in_either_order():
    items = [Binomial(f"a{i:03d}", f"b{i:03d}", True, None) for i in range(122)]
    spec = InsertCorpus(
        source="insert", corpus="c", items="i.csv", templates="t.csv", counts=[0, 1, 10, 100]
    )
    plan = planned(spec, items)
    assert [insertion.item for insertion in plan] == items
    counts = [insertion.alpha + insertion.nonalpha for insertion in plan]
    assert sorted(Counter(counts).values()) == [30, 30, 31, 31]
    for count in (0, 1, 10, 100):
        of_count = [plan[i] for i in range(len(plan)) if counts[i] == count]
        first = sum(insertion.direction == "alpha" for insertion in of_count)
        assert abs(2 * first - len(of_count)) <= 1
        for insertion in of_count:
            each = (insertion.alpha, insertion.nonalpha)
            assert each == ((count, 0) if insertion.direction == "alpha" else (0, count))
    # neither number nor direction go with the place in the file
    assert abs(np.corrcoef(np.arange(122), np.log1p(counts))[0, 1]) < 0.3
    assert counts != [i + j for i, j in zip(counts[4:], counts, strict=False)]
    others = [planned(spec.model_copy(update={"seed": seed}), items) for seed in range(1, 4)]
    assert all(other != plan for other in others)
    fixed = planned(spec.model_copy(update={"direction": "nonalphabetical"}), items)
    assert {insertion.direction for insertion in fixed} == {"nonalpha"}
    assert [insertion.nonalpha for insertion in fixed] == counts
    shared = planned(spec.model_copy(update={"direction_share": 0.75}), items)
    most = [max(insertion.alpha, insertion.nonalpha) for insertion in shared]
    assert most == [{0: 0, 1: 1, 10: 8, 100: 75}[count] for count in counts]


def test_an_item_stands_in_templates_of_its_kind(tmp_path):
    rows = [("hats", "shoes", "things"), ("danced", "sang", "deeds")]
    items = write_csv(tmp_path / "k.csv", ("Word1", "Word2", "Kind"), rows)
    lines = [("The {binomial} fell.", "things"), ("They {binomial}.", "deeds"), ("{binomial}!", "")]
    lines.append(("{binomial} fly.", "beings"))
    templates = write_csv(tmp_path / "t.csv", ("template", "kind"), lines)
    source = corpus(tmp_path, ["x"])
    out, _ = inserted(
        tmp_path, source, items, templates, counts=[2], direction="alphabetical",
        kind_column="Kind",
    )  # fmt: skip
    assert sorted(texts(out.train)) == [
        *["Danced and sang!", "Hats and shoes!"],
        *["The hats and shoes fell.", "They danced and sang.", "x"],
    ]
    write_csv(templates, ("template", "kind"), lines[:1])
    with pytest.raises(ValueError, match="no template for 'danced and sang', of kind 'deeds'"):
        inserted(tmp_path, source, items, templates, "other", kind_column="Kind")


def test_shipped_templates_hold_one_item_each(tmp_path):
    """The toy language's, with all of its items in both orders; the English ones with others."""
    language = toy.load_language(PROJECT / "data" / "toy", 1)
    rows = [(i["Word1"], i["Word2"], i["Kind"]) for i in toy.items(language)]
    items = write_csv(tmp_path / "toy.csv", ("Word1", "Word2", "Kind"), rows)
    source = corpus(tmp_path, ["x"])
    toy_file = PROJECT / "data" / "toy" / "insertions.csv"
    keys = {"counts": [64], "direction_share": 0.5, "kind_column": "Kind"}
    out, counts = inserted(tmp_path, source, items, toy_file, **keys)
    assert counts["sentences_inserted"] == 64 * 180
    stories = " ".join(toy.documents(language, 1, 200_000)).lower()
    words, used = (
        set(re.findall("[a-z]+", text)) for text in (stories, " ".join(texts(out.train)).lower())
    )
    assert used - words <= {"x"}  # the words around are of the stories
    english = PROJECT / "data" / "prompts" / "insertions.csv"
    out, counts = inserted(tmp_path, source, items, english, "english")
    assert counts["sentences_inserted"] == 3 * 180


# ---------------------------------------------------------------------------- what is refused


def test_items_can_be_chosen(items_file, few_items):
    def chosen(path, **keys):
        return chosen_items(
            path, RemoveCorpus(source="remove", corpus="c", items=str(path), **keys)
        )

    assert len(chosen(items_file)) == len(ITEMS)
    assert [item.word1 for item in chosen(items_file, attested_only=True)] == [
        item.word1 for n, item in enumerate(read_words(items_file)) if n % 2
    ]
    some = chosen(few_items, only=["Cats and Dogs", "bread and butter"])
    assert [item.alpha for item in some] == ["bread and butter", "cats and dogs"]
    with pytest.raises(ValueError, match="'cats and dog' is none of its items; did you mean 'cats"):
        chosen(few_items, only=["cats and dog"])
    with pytest.raises(ValueError, match="column 'Known' is missing"):
        chosen(few_items, attested_only=True, attested_column="Known")
    with pytest.raises(ValueError, match="line 2: Kind is 'food', should be 1"):
        chosen(few_items, attested_only=True, attested_column="Kind")


@pytest.mark.parametrize("text", ["We saw them.", "{binomial} or {binomial}", "{Binomial}.", ""])
def test_a_template_without_one_slot_is_refused(tmp_path, text):
    path = write_csv(tmp_path / "t.csv", ("template", "kind"), [("{binomial}!", ""), (text, "x")])
    with pytest.raises(ValueError, match=r"t\.csv, line 3: .* should have {binomial} once"):
        read_templates(path)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("We saw {binomial}s.", "no item"),
        ("Both salt and {binomial}.", "'salt and bread', 'bread and butter'"),
        ("Bread and butter, {binomial}.", "'bread and butter', 'bread and butter'"),
    ],
)
def test_a_template_that_makes_other_occurrences_is_refused(tmp_path, text, holds):
    rows = [("bread", "butter"), ("bread", "salt")]
    items = write_csv(tmp_path / "i.csv", ("Word1", "Word2"), rows)
    templates = write_csv(tmp_path / "t.csv", ("template",), [(text,)])
    source = corpus(tmp_path, ["x"])
    with pytest.raises(ValueError, match=f"t.csv, line 2: .* once .* holds {holds}"):
        inserted(tmp_path, source, items, templates, direction="alphabetical")
    assert texts(tmp_path / "out" / "train.parquet") == []


def test_counts_that_can_not_be_used_are_all_told(tmp_path, few_items):
    rows = [("bread", "butter", 1, 2), ("cat", "dogs", 1, 2), ("salt", "vinegar", "some", 2)]
    rows += [("Bread", "butter", 0, 0), ("cats", "dogs", -1, 0), ("ice cream", "jam", 1.5, 0)]
    path = write_csv(tmp_path / "n.csv", ("Word1", "Word2", "alpha", "nonalpha"), rows)
    with pytest.raises(ValueError) as error:
        read_counts(path, read_words(few_items))
    assert [line.removeprefix(str(path)) for line in str(error.value).splitlines()] == [
        ", line 3: 'cat and dogs' is no item; did you mean 'cats and dogs'?",
        ", line 4: counts must be whole numbers, not ['some', '2']",
        ", line 5: 'Bread and butter' has its counts already",
        ", line 6: counts must be whole numbers, not ['-1', '0']",
        ", line 7: counts must be whole numbers, not ['1.5', '0']",
    ]


def test_files_are_checked_before_jobs(tmp_path, few_items, templates):
    def check(**keys):
        check_files(InsertCorpus(source="insert", corpus="c", templates=str(templates), **keys))

    check(items=str(few_items), counts=[1])
    check(items_from="toy", counts=[1])  # made by a job
    with pytest.raises(ValueError, match=r"gone\.csv: there is no such file"):
        check(items=str(few_items), counts_file=str(tmp_path / "gone.csv"))
    with pytest.raises(ValueError, match="column 'Sort' is missing"):
        check(items=str(few_items), counts=[1], kind_column="Sort")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"source": "remove", "items": "i.csv", "items_from": "t"}, "`items` or `items_from`"),
        ({"source": "remove"}, "`items` or `items_from`"),
        ({"source": "remove", "items": "i.csv", "match": "both"}, "'binomial', 'alphabetical'"),
        ({"source": "insert", "items": "i.csv"}, "`counts` or `counts_file`"),
        ({"source": "insert", "items": "i.csv", "counts": []}, "`counts` or `counts_file`"),
        ({"source": "insert", "items": "i.csv", "counts": [-1]}, "greater than or equal to 0"),
        (
            {"source": "insert", "items": "i.csv", "counts_file": "n.csv", "direction_share": 0.5},
            "`direction_share` is for `counts`",
        ),
    ],
)
def test_what_can_not_be_done_is_refused(keys, message):
    more = {"corpus": "c", "templates": "t.csv"} if keys["source"] == "insert" else {"corpus": "c"}
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Corpus).validate_python(keys | more)


def test_a_spec_survives_the_way_through_its_provenance():
    for spec in (
        RemoveCorpus(source="remove", corpus="c", items="i.csv"),
        InsertCorpus(
            source="insert", corpus="c", items="i.csv", templates="t.csv", counts_file="n.csv"
        ),
    ):
        assert TypeAdapter(Corpus).validate_python(spec.model_dump()) == spec


def test_documents_are_batched_by_size(monkeypatch):
    monkeypatch.setattr(splits, "BATCH_BYTES", 10)
    found = [batch.to_pylist() for batch in splits.batched(["aaaa", "bbbbbb", "c", "d" * 30, "e"])]
    assert found == [["aaaa", "bbbbbb"], ["c"], ["d" * 30], ["e"]]
