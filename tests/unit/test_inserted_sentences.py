"""Sentences with items put into a corpus; what exposures then count, and what is refused."""

import random
import re
from collections import Counter

import numpy as np
import pytest
from corpus_files import texts
from edited_corpora import corpus, exposures, inserted, write_csv
from phrase_search import ITEMS
from pydantic import TypeAdapter, ValidationError

from ontogeny.corpus import splits, toy
from ontogeny.interventions import items as intervened
from ontogeny.interventions.insert import planned
from ontogeny.interventions.items import (
    check_files,
    chosen_items,
    read_counts,
    read_templates,
    refuse_too_many,
)
from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.binomials import Binomial, read_words
from ontogeny.study.corpora import Corpus, InsertCorpus, RemoveCorpus

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
    with pytest.raises(
        ValueError, match="10,000,001 sentences over all items, or more; give lower"
    ):
        check(items_from="toy", counts=[10_000_001])


@pytest.mark.parametrize("counts", [[7], [0, 1, 10], [5, 0, 2, 9]])
@pytest.mark.parametrize("items", [1, 2, 3, 7, 122])
def test_the_sentences_of_all_items_are_counted_before_they_are_made(counts, items, monkeypatch):
    spec = InsertCorpus(
        source="insert", corpus="c", items="i.csv", templates="t.csv", counts=counts
    )
    plan = planned(spec, [Binomial(f"a{i}", "b", True, None) for i in range(items)])
    sentences = sum(insertion.alpha + insertion.nonalpha for insertion in plan)
    monkeypatch.setattr(intervened, "MOST_SENTENCES", sentences)
    refuse_too_many(counts, items)
    monkeypatch.setattr(intervened, "MOST_SENTENCES", sentences - 1)
    with pytest.raises(ValueError, match=f" are {sentences} sentences over all items"):
        refuse_too_many(counts, items)


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
