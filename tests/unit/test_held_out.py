"""No text that is held out is trained on, whatever a corpus is made from; what goes is told."""

from collections import Counter

import numpy as np
import pytest
from corpus_files import make_splits, texts
from edited_corpora import corpus, inserted, removed, write_csv

from ontogeny.corpus.documents import draw, replace_copies, write_corpus
from ontogeny.corpus.splits import Splits
from ontogeny.corpus.transforms import write_mix, write_take
from ontogeny.study.corpora import Holdout, MixCorpus, TakeCorpus


def make(folder, training, held_out=None, share=0.0, seed=0, deduplicate=True):
    """The two splits that come of a list of documents, and the counts."""
    train, validation = folder / "train.parquet", folder / "validation.parquet"
    holdout = Holdout(share=share, seed=seed)
    counts = write_corpus(training, held_out, holdout, deduplicate, train, validation)
    return texts(train), texts(validation), counts


def same(text):
    """What tells a text from others that are no copies of it."""
    return text.strip().casefold()


def in_both(train, validation):
    return {same(text) for text in train} & {same(text) for text in validation}


def with_copies(rng, count):
    """Documents of which about a half have copies: as they are, or in another form."""
    forms = [str, str.upper, str.title, lambda text: f"  {text}", lambda text: f"{text}\u3000\n"]
    words = rng.permutation([f"straße number {n}" for n in range(count)]).tolist()
    copies = [forms[rng.integers(len(forms))](word) for word in words[: count // 2]]
    return rng.permutation(words + copies).tolist()


# ---------------------------------------------------------------------------- held out at random


@pytest.mark.parametrize("deduplicate", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_no_copy_of_what_is_held_out_is_trained_on(tmp_path, deduplicate, seed):
    documents = with_copies(np.random.default_rng(seed), 400)
    train, validation, counts = make(
        tmp_path, documents, share=0.2, seed=seed, deduplicate=deduplicate
    )
    kept = set(documents) if deduplicate else documents
    assert len(validation) == round(0.2 * len(kept))
    assert not in_both(train, validation)
    assert Counter(train + validation) == Counter(kept)  # and nothing else is lost
    assert counts["drawn_again"] > 0


@pytest.mark.parametrize("seed", range(3))
def test_where_no_copy_is_drawn_the_draw_stays(tmp_path, seed):
    documents = [f"document {n}" for n in range(300)]
    chosen = draw(np.ones(300, bool), Holdout(share=0.1, seed=seed))
    before = chosen.copy()
    hashes = np.arange(300, dtype=np.uint64)
    others = np.flatnonzero(~chosen)
    hashes[others[1]] = hashes[others[0]]  # a copy, but of one that was not drawn
    candidates = np.ones(300, bool)
    assert replace_copies(chosen, candidates, hashes, Holdout(share=0.1, seed=seed)) == 0
    assert np.array_equal(chosen, before)
    _, validation, _ = make(tmp_path, documents, share=0.1, seed=seed)
    assert validation == [documents[n] for n in np.flatnonzero(before)]


def test_all_texts_without_a_copy_are_equally_likely(tmp_path):
    documents = [*"aAaAaA", *"bcdefghi"]
    drawn = Counter()
    for seed in range(800):
        _, validation, _ = make(tmp_path, documents, share=0.15, seed=seed, deduplicate=False)
        drawn.update(validation)
    assert set(drawn) == set("bcdefghi")
    # 2 of 8 are drawn each time: a mean of 200 with a standard deviation of 12.2
    assert max(abs(count - 200) for count in drawn.values()) < 5 * 12.2


def test_too_few_texts_without_a_copy_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2 documents should be held out .* only 1 have no copy"):
        make(tmp_path, [*"abcd", *"ABCD", "e"], share=0.2)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------- a split of its own


def test_a_held_out_split_leaves_training_or_with_repeats_training_stays(tmp_path):
    training, held_out = ["a", "B ", "b", "c", "c"], ["b", " C", "d", "d"]
    train, validation, counts = make(tmp_path, training, held_out)
    assert (train, validation) == (["a"], ["b", " C", "d"])
    assert (counts["also_held_out"], counts["held_out_also_trained"]) == (3, 0)
    train, validation, counts = make(tmp_path, training, held_out, deduplicate=False)
    assert (train, validation) == (training, ["d", "d"])
    assert (counts["also_held_out"], counts["held_out_also_trained"]) == (0, 2)
    with pytest.raises(ValueError, match="all of the held-out split are also in training"):
        make(tmp_path, training, ["b", "C"], deduplicate=False)


# ---------------------------------------------------------------------------- from other corpora


def mixed(folder, sources, **keys):
    spec = MixCorpus(source="mix", corpora=[source.name for source in sources], **keys)
    out = Splits("", folder / "mix" / "train.parquet", folder / "mix" / "validation.parquet")
    counts = write_mix(spec, sources, out)
    return texts(out.train), texts(out.validation), counts


@pytest.mark.parametrize("order", ["round_robin", "concatenate", "shuffle"])
@pytest.mark.parametrize("sizes", [{}, {"bytes": 900}, {"validation_bytes": 60}])
def test_a_mix_trains_on_nothing_that_one_of_it_holds_out(tmp_path, order, sizes, capsys):
    documents = [f"document {n}" for n in range(100)]
    one = make_splits(tmp_path, "one", documents[10:], documents[:10])
    upper = [text.upper() for text in documents]
    two = make_splits(tmp_path, "two", upper[:90], upper[90:])
    train, validation, counts = mixed(tmp_path, [one, two], order=order, **sizes)
    held_out = {*documents[:10], *documents[90:]}
    assert {same(text) for text in validation} <= held_out
    assert not held_out & {same(text) for text in train}
    assert counts["also_held_out"] == 20
    assert "20 documents are left out of training" in capsys.readouterr().err
    if not sizes:
        assert sorted(train) == sorted(documents[10:90] + upper[10:90])


def test_a_document_that_ends_early_is_no_copy_either(tmp_path):
    one = make_splits(tmp_path, "one", ["pp", "aa\nbb\nccc"], ["zz\nyy\nxx"])
    two = make_splits(tmp_path, "two", ["ZZ\nyy", "q" * 9], ["AA\nbb", "kk"])
    train, validation, _ = mixed(tmp_path, [one, two], bytes=18, validation_bytes=14)
    assert sorted(validation) == ["AA\nbb", "kk", "zz\nyy"]
    assert train == ["pp", "q" * 9]  # of 9 bytes each; "aa\nbb" and "ZZ\nyy" are held out


def test_part_of_a_document_is_not_taken_if_it_is_held_out(tmp_path):
    source = make_splits(tmp_path, "one", ["a b", "c d\ne f"], ["C d"])
    out = Splits("", tmp_path / "out" / "train.parquet", tmp_path / "out" / "validation.parquet")
    write_take(TakeCorpus(source="take", corpus="one", words=4), source, out)
    assert (texts(out.train), texts(out.validation)) == (["a b"], ["C d"])
    write_take(TakeCorpus(source="take", corpus="one", words=6), source, out)
    assert texts(out.train) == ["a b", "c d\ne f"]


def test_what_a_removal_leaves_is_not_in_both_splits(tmp_path, capsys):
    items = write_csv(tmp_path / "items.csv", ["Word1", "Word2"], [["bread", "butter"]])
    gone = "Bread and butter."
    train = ["Yes.", f"{gone} No.", f"{gone} Fine.", f"Well. {gone}", "Yes."]
    held_out = [f"{gone} YES.", "no.", f"Well. {gone}", "Other.", gone]
    source = corpus(tmp_path, train, held_out)
    left, kept, counts = removed(tmp_path, source, items)
    # "No." and "Well." are held out, so they go from training; "YES." is trained on
    assert left == ["Yes.", "Fine.", "Yes."]
    assert kept == ["no.", "Well.", "Other."]
    assert counts["train"]["documents_in_both_splits"] == 2
    assert counts["validation"]["documents_in_both_splits"] == 1
    assert counts["validation"]["documents_emptied"] == 1
    assert "3 changed documents are dropped" in capsys.readouterr().err
    left, kept, _ = removed(tmp_path, source, items, name="kept", held_out=False)
    assert (left, kept) == (["Yes.", "Fine.", "Well.", "Yes."], held_out)


def test_a_sentence_that_is_put_in_is_not_held_out(tmp_path, capsys):
    items = write_csv(tmp_path / "items.csv", ["Word1", "Word2"], [["bread", "butter"]])
    templates = write_csv(tmp_path / "templates.csv", ["template"], [["I like {binomial}."]])
    held_out = ["i like bread and butter. ", "I like butter and jam.", "held out"]
    source = corpus(tmp_path, ["a", "b"], held_out)
    out, counts = inserted(tmp_path, source, items, templates, direction="alphabetical")
    assert texts(out.validation) == held_out[1:]
    assert Counter(texts(out.train)) == {"I like bread and butter.": 3, "a": 1, "b": 1}
    assert counts["validation"]["also_inserted"] == 1
    assert "1 held-out documents are dropped" in capsys.readouterr().err


# ---------------------------------------------------------------------------- what is told


def told(capsys):
    """The lines of the log, but those of progress."""
    return [line for line in capsys.readouterr().err.splitlines() if " in 0." not in line]


def test_what_was_dropped_is_one_line(tmp_path, capsys):
    training = [f"line {n}" for n in range(100)]
    make(tmp_path, [*training, "line 7", "line 7", " "], share=0.1)
    line = "documents: 103 read, 1 empty and 2 repeated dropped, 90 to train on, 10 held out"
    assert told(capsys) == [line]
    make(tmp_path, training, ["LINE 7", "", "x", "x"])
    assert told(capsys) == [
        "documents: 100 read, 1 also held out dropped, 99 to train on; held out: 4 read, "
        "1 empty and 1 repeated dropped, 2 left"
    ]
    make(tmp_path, training, ["LINE 7", "x"], deduplicate=False)
    assert told(capsys) == [
        "documents: 100 read, 100 to train on; held out: 2 read, 1 also in training dropped, 1 left"
    ]


@pytest.mark.parametrize(
    ("documents", "share", "part"),
    [
        (["aaaa", "bbbb", "cccc", "dddd"], 0.01, "1 of 4 documents held out, 25% of the text"),
        (["aaaa", "bbbb", "cccc", "dddd"], 0.2, None),  # 25 % is not twice as much
        ([f"{n:02d}" for n in range(10)], 0.01, None),  # 10 % is not much
        ([f"{n}" for n in range(9)], 0.01, "1 of 9 documents held out, 11% of the text"),
        (["a", "b" * 2, "c" * 2], 0.3, None),
    ],
)
def test_more_held_out_than_asked_for_is_a_warning(tmp_path, capsys, documents, share, part):
    make(tmp_path, documents, share=share)
    warnings = [line for line in told(capsys) if line.startswith("warning: ")]
    assert len(warnings) == (part is not None)
    assert part is None or f"warning: {part}, where `holdout.share` is {share}" in warnings[0]


def test_a_long_document_that_is_held_out_is_a_warning(tmp_path, capsys):
    documents = [f"{n:03d}" for n in range(1000)]
    chosen = np.flatnonzero(draw(np.ones(1000, bool), Holdout(share=0.01)))
    documents[chosen[0]] = "x" * 997  # of 3,994 bytes, with 9 others of 3
    make(tmp_path, documents, share=0.01)
    (warning,) = (line for line in told(capsys) if line.startswith("warning: "))
    assert "10 of 1,000 documents held out, 26% of the text" in warning
