"""Corpora that are mixes or parts of others: what they hold, in which order, what they refuse."""

import json
import subprocess
import sys

import numpy as np
import pytest
from corpus_files import make_splits, texts
from pydantic import TypeAdapter, ValidationError

from ontogeny.corpus import transforms
from ontogeny.corpus.splits import Splits
from ontogeny.corpus.transforms import (
    byte_length,
    quotas,
    whole_lines,
    word_count,
    write_mix,
    write_take,
)
from ontogeny.paths import PROJECT
from ontogeny.study.corpora import Corpus, FilesCorpus, MixCorpus, TakeCorpus
from ontogeny.study.derivation import derivation_problems, without_holdout


def target(folder):
    return Splits("", folder / "out" / "train.parquet", folder / "out" / "validation.parquet")


def mix(folder, sources, **keys):
    """Both splits of a mix, and its counts."""
    spec = MixCorpus(source="mix", corpora=[source.name for source in sources], **keys)
    out = target(folder)
    counts = write_mix(spec, sources, out)
    return texts(out.train), texts(out.validation), counts


def take(folder, source, **keys):
    out = target(folder)
    counts = write_take(TakeCorpus(source="take", corpus=source.name, **keys), source, out)
    return texts(out.train), texts(out.validation), counts


def size(documents):
    return sum(len(text.encode()) for text in documents)


# ---------------------------------------------------------------------------- where to cut


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [
        ("abc", 3, "abc"),
        ("abc", 2, ""),
        ("ab\ncd", 4, "ab"),
        ("ab\ncd", 2, "ab"),
        ("ab\ncd", 1, ""),
        ("ab\ncd\n", 5, "ab\ncd"),
        ("ab\r\ncd\r\nef", 8, "ab\r\ncd"),
        ("é\né", 4, "é"),
        ("é\né", 1, ""),
        ("\n\nabc", 2, ""),  # nothing but line ends is no text
        ("a\u2028b\nc", 5, "a\u2028b"),  # which is no end of a line here
    ],
)
def test_a_document_is_cut_where_a_line_ends(text, room, kept):
    assert whole_lines(text, room, byte_length) == kept
    assert byte_length(kept) == len(kept.encode()) <= room


def test_words_are_cut_where_a_line_ends():
    assert whole_lines("one two\nthree four five\nsix", 5, word_count) == "one two\nthree four five"
    assert whole_lines("one two\nthree four five", 4, word_count) == "one two"


@pytest.mark.parametrize(
    ("sizes", "total", "shares", "expected"),
    [
        ([9, 9, 9], 10, [1, 1, 1], [4, 3, 3]),
        ([9, 9, 9], 11, [1, 1, 1], [4, 4, 3]),
        ([2_097_152] * 3, 2_097_152, [1.0, 1.0, 1.0], [699_051, 699_051, 699_050]),
        ([100, 100], 10, [3, 1], [8, 2]),
        ([100, 100], 10, [0.3, 0.1], [8, 2]),
        ([30, 100], None, [1, 1], [30, 30]),
        ([30, 100], None, [1, 4], [25, 100]),
        ([30, 0], None, [1, 1], [0, 0]),
    ],
)
def test_shares_are_whole_bytes_and_the_first_parts_take_the_rest(sizes, total, shares, expected):
    assert quotas(sizes, total, shares) == expected


# ---------------------------------------------------------------------------- mix


def test_parts_take_turns_in_chunks(tmp_path):
    """Three parts of ten-byte documents, in chunks of 20 bytes: two of each in turn."""
    sources = [
        make_splits(tmp_path, name, [f"{name}{i:09d}" for i in range(9)], ["x"]) for name in "abc"
    ]
    train, _, counts = mix(tmp_path, sources, bytes=150, chunk_bytes=20)
    order = [(name, int(number)) for name, number in ((text[0], text[1:]) for text in train)]
    assert order == [
        *[("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0), ("c", 1)],
        *[("a", 2), ("a", 3), ("b", 2), ("b", 3), ("c", 2), ("c", 3)],
        *[("a", 4), ("b", 4), ("c", 4)],
    ]
    assert counts["train"] == {
        "documents": 15,
        "bytes": 150,
        "parts": {name: {"quota": 50, "documents": 5, "bytes": 50} for name in "abc"},
    }


def test_the_default_chunk_is_that_of_the_published_mix():
    assert MixCorpus(source="mix", corpora=["a"]).chunk_bytes == 256 * 1024


def test_unequal_shares_end_in_the_same_turn(tmp_path):
    sources = [make_splits(tmp_path, name, [f"{name}{i:03d}" for i in range(99)]) for name in "ab"]
    train, _, _ = mix(tmp_path, sources, bytes=160, shares=[3, 1], chunk_bytes=24)
    assert "".join(text[0] for text in train) == "aaaaaabb" * 5


def random_documents(seed, count):
    rng = np.random.default_rng(seed)
    alphabet = list("abcdé日  \n")
    drawn = ["".join(rng.choice(alphabet, rng.integers(1, 60))) for _ in range(count)]
    return [text for text in drawn if text.strip()]


@pytest.mark.parametrize("order", ["round_robin", "concatenate", "shuffle"])
@pytest.mark.parametrize("seed", range(3))
def test_no_share_is_too_large_and_each_is_the_beginning_of_its_part(tmp_path, order, seed):
    rng = np.random.default_rng(seed)
    parts = [[f"{n}{text}" for text in random_documents((seed, n), 300)] for n in range(3)]
    held_out = [[f"{n}{text}" for text in random_documents((seed, n, 1), 40)] for n in range(3)]
    copied = {text.strip() for part in held_out for text in part}  # all is in lowercase
    parts = [[text for text in part if text.strip() not in copied] for part in parts]
    sources = [make_splits(tmp_path, f"p{n}", parts[n], held_out[n]) for n in range(3)]
    shares = rng.integers(1, 5, 3).tolist()
    train, validation, counts = mix(
        tmp_path, sources, bytes=6000, shares=shares, validation_bytes=700, order=order
    )
    for documents, split, whole, total in (
        (train, "train", parts, 6000),
        (validation, "validation", held_out, 700),
    ):
        for n in range(3):
            taken = [text for text in documents if text.startswith(str(n))]
            told = counts[split]["parts"][f"p{n}"]
            assert told["bytes"] == size(taken) <= told["quota"]
            assert abs(told["quota"] - total * shares[n] / sum(shares)) < 1
            if order == "shuffle" and split == "train":
                cut = [text for text in taken if text not in whole[n]]
                assert len(cut) < 2
                taken = [text for text in taken if text not in cut]
                assert taken != sorted(taken, key=whole[n].index)
                assert sorted(taken) == sorted(whole[n][: len(taken)])
                continue
            assert taken[:-1] == whole[n][: len(taken) - 1]
            last = whole[n][len(taken) - 1]
            assert last == taken[-1] or last[len(taken[-1])] in "\r\n"
            # not even the next line would have fitted
            rest = last[len(taken[-1]) :] or whole[n][len(taken)]
            after = rest.lstrip("\n").partition("\n")[0] if rest.strip() else rest
            assert told["bytes"] + len(after.encode()) + (last != taken[-1]) > told["quota"]


def test_without_a_size_all_is_taken_as_it_is(tmp_path):
    a, b = random_documents(1, 50), random_documents(2, 90)
    sources = [make_splits(tmp_path, "a", a, ["1", "2"]), make_splits(tmp_path, "b", b)]
    train, validation, counts = mix(tmp_path, sources, order="concatenate")
    assert train == [*a, *b]
    assert validation == ["1", "2"]
    assert counts["train"]["parts"]["a"]["quota"] == size(a)


def test_with_shares_and_no_size_as_much_is_taken_as_there_is(tmp_path):
    sources = [
        make_splits(tmp_path, "a", ["aa"] * 50, ["h"] * 6),
        make_splits(tmp_path, "b", ["bb"] * 9, "hhh"),
    ]
    train, validation, _ = mix(tmp_path, sources, shares=[2, 1])
    assert (train.count("aa"), train.count("bb")) == (18, 9)
    assert len(validation) == 9


def test_held_out_text_is_mixed_in_every_part_of_it(tmp_path):
    """However large the chunks to train on: perplexity is measured on its beginning."""
    held_out = {name: [name * 1000 for _ in range(50)] for name in "ab"}
    sources = [make_splits(tmp_path, name, ["x" * 9], held_out[name]) for name in "ab"]
    _, validation, _ = mix(tmp_path, sources, order="concatenate")
    beginning = "".join(validation)[:20_000]
    assert 8_000 <= beginning.count("a") <= 12_000


def test_a_document_that_two_parts_have_stays_twice(tmp_path):
    sources = [make_splits(tmp_path, name, ["same", "same", name]) for name in "ab"]
    train, _, _ = mix(tmp_path, sources)
    assert sorted(train) == ["a", "b", *["same"] * 4]


def test_a_shuffle_is_random_and_the_same_each_time(tmp_path, monkeypatch):
    documents = [f"{i:04d}" for i in range(600)]
    source = make_splits(tmp_path, "a", documents)
    once, _, _ = mix(tmp_path, [source], order="shuffle", seed=1)
    content = target(tmp_path).train.read_bytes()
    assert once != documents and sorted(once) == documents
    mix(tmp_path, [source], order="shuffle", seed=1)
    assert target(tmp_path).train.read_bytes() == content
    assert mix(tmp_path, [source], order="shuffle", seed=2)[0] != once
    monkeypatch.setattr(transforms, "SHUFFLED_AT_ONCE", 100)  # 24 bins
    binned, _, _ = mix(tmp_path, [source], order="shuffle", seed=1)
    assert sorted(binned) == documents
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "train.parquet",
        "validation.parquet",
    ]


def test_all_orders_of_a_shuffle_are_equally_likely(tmp_path, monkeypatch):
    """Of three documents in two bins, 600 times: each of 6 orders some 100 times (sd 9)."""
    monkeypatch.setattr(transforms, "SHUFFLED_AT_ONCE", 2)
    orders = ["".join(transforms.shuffled("abc", 3, seed, tmp_path)) for seed in range(600)]
    counts = [orders.count(order) for order in ("abc", "acb", "bac", "bca", "cab", "cba")]
    assert sum(counts) == 600
    assert all(60 < count < 140 for count in counts)


def test_more_than_there_is_is_refused_with_what_there_is(tmp_path):
    sources = [
        make_splits(tmp_path, "a", ["aa"] * 50, ["h"]),
        make_splits(tmp_path, "b", ["bb"] * 9, ["h"]),
    ]
    with pytest.raises(
        ValueError, match=r"corpus 'b' has 18 bytes to train on, .* is 20; lower"
    ) as e:
        mix(tmp_path, sources, bytes=40)
    assert "`bytes` to 36, or its share" in str(e.value)
    assert not target(tmp_path).train.exists()
    mix(tmp_path, sources, bytes=36)
    with pytest.raises(ValueError, match=r"'a' has 1 bytes held out, .* `validation_bytes` to 2"):
        mix(tmp_path, sources, bytes=20, validation_bytes=4)


def test_a_line_longer_than_its_share_is_refused(tmp_path):
    sources = [make_splits(tmp_path, "a", ["a" * 50]), make_splits(tmp_path, "b", ["b"] * 50)]
    with pytest.raises(
        ValueError, match="corpus 'a': its first line is longer than its share of 20"
    ):
        mix(tmp_path, sources, bytes=40)
    assert list((tmp_path / "out").iterdir()) == []


def test_held_out_text_that_nobody_asked_for_may_be_of_one_part(tmp_path):
    """Of 3 bytes that each part could give, one can't give any; that is an error on demand."""
    sources = [
        make_splits(tmp_path, "a", ["a"] * 9, ["hhh"]),
        make_splits(tmp_path, "b", ["b"] * 9, ["h" * 9]),
    ]
    _, validation, counts = mix(tmp_path, sources, bytes=10)
    assert validation == ["hhh"]
    assert counts["validation"]["parts"]["b"] == {"quota": 3, "documents": 0, "bytes": 0}
    with pytest.raises(ValueError, match=r"'b': .* its share of 3 bytes \(validation\)"):
        mix(tmp_path, sources, bytes=10, validation_bytes=6)


# ---------------------------------------------------------------------------- take


def test_the_first_of_a_corpus(tmp_path):
    documents = ["one two three", "four five\nsix", "seven"]
    source = make_splits(tmp_path, "a", documents, ["held", "out"])
    for keys, expected in (
        ({"documents": 2}, documents[:2]),
        ({"documents": 3}, documents),
        ({"words": 5}, ["one two three", "four five"]),
        ({"words": 6}, documents[:2]),
        ({"words": 4}, documents[:1]),
        ({"bytes": 25}, ["one two three", "four five"]),
        ({"bytes": 26}, documents[:2]),
    ):
        train, validation, counts = take(tmp_path, source, **keys)
        assert train == expected, keys
        assert validation == ["held", "out"]
        assert counts["train"] == {"documents": len(expected), "bytes": size(expected)}


def test_a_random_sample_is_in_the_order_of_its_corpus(tmp_path):
    documents = [f"{i:03d} {'x' * (i % 7)}" for i in range(500)]
    source = make_splits(tmp_path, "a", documents)
    samples = [take(tmp_path, source, documents=100, which="random", seed=s)[0] for s in range(3)]
    for sample in samples:
        assert len(sample) == 100 and sample == sorted(sample) and set(sample) < set(documents)
    assert len({tuple(sample) for sample in samples}) == 3
    assert take(tmp_path, source, documents=100, which="random", seed=0)[0] == samples[0]
    by_bytes = take(tmp_path, source, bytes=1000, which="random", seed=0)[0]
    assert 990 <= size(by_bytes) <= 1000
    # the same draw, longer
    assert set(by_bytes) > set(samples[0])


def test_taking_more_than_there_is_is_refused(tmp_path):
    source = make_splits(tmp_path, "a", ["one two", "three"])
    for keys, there in (({"words": 4}, "3 words"), ({"bytes": 99}, "12 bytes")):
        with pytest.raises(ValueError, match=f"corpus 'a' has {there} to train on, not"):
            take(tmp_path, source, **keys)
    with pytest.raises(ValueError, match="its first line is longer than 1 words"):
        take(tmp_path, source, words=1)


# ---------------------------------------------------------------------------- the study


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"source": "mix", "corpora": []}, "at least 1 item"),
        ({"source": "mix", "corpora": ["a", "a"]}, "names 'a' twice"),
        ({"source": "mix", "corpora": ["a", "b"], "shares": [1]}, "1 numbers for 2 corpora"),
        ({"source": "mix", "corpora": ["a", "b"], "shares": [0, 0]}, "must be above 0"),
        ({"source": "mix", "corpora": ["a", "b"], "shares": [2, -1]}, "must be above 0"),
        ({"source": "mix", "corpora": ["a"], "shares": [float("nan")]}, "finite number"),
        ({"source": "mix", "corpora": ["a"], "seed": 1}, "`seed` is for `order: shuffle`"),
        (
            {"source": "mix", "corpora": ["a"], "order": "shuffle", "chunk_bytes": 9},
            "`chunk_bytes` is for `order: round_robin`",
        ),
        ({"source": "take", "corpus": "a"}, "give one of"),
        ({"source": "take", "corpus": "a", "words": 1, "bytes": 1}, "give one of"),
        ({"source": "take", "corpus": "a", "words": 1, "seed": 1}, "is for `which: random`"),
    ],
)
def test_what_can_not_be_made_is_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Corpus).validate_python(keys)


def corpora(**sections):
    kinds = TypeAdapter(dict[str, Corpus])
    return kinds.validate_python(
        {
            name: {"source": "mix", "corpora": value}
            if isinstance(value, list)
            else {"source": "take", "corpus": value, "words": 9}
            if isinstance(value, str)
            else value
            for name, value in sections.items()
        }
    )


TOY = {"source": "toy", "words": 100}
NOTHING_HELD_OUT = TOY | {"holdout": {"share": 0}}


def test_circles_and_unknown_names_are_told_once():
    found = list(
        derivation_problems(corpora(wiki=TOY, a=["b", "wiki"], b="c", c="a", d="b", e="e"))
    )
    assert found == [
        "corpora.a: it is made from itself: a from b from c from a",
        "corpora.e: it is made from itself: e from e",
    ]
    found = list(derivation_problems(corpora(wiki=TOY, a=["wikki", "wiki"], b="news")))
    assert found == [
        "corpora.a: corpus 'wikki' is not defined; did you mean 'wiki'?",
        "corpora.b: corpus 'news' is not defined; there is: a, b, wiki",
    ]
    assert list(derivation_problems(corpora(w=TOY, a=["w", "b"], b="w", c=["a", "b", "w"]))) == []


def test_where_items_of_the_toy_language_are_looked_for():
    remove = {"source": "remove", "corpus": "toy"}
    found = corpora(
        toy=TOY,
        news={"source": "files", "files": ["a.txt"]},
        a=remove | {"items_from": "toi"},
        b=remove | {"items_from": "news"},
        c=remove | {"items_from": "toy"},
    )
    assert list(derivation_problems(found)) == [
        "corpora.a.items_from: corpus 'toi' is not defined; did you mean 'toy'?",
        "corpora.b.items_from: corpus 'news' is not in the toy language, so it has no binomials of "
        "its own; give a file in `items`",
    ]


def test_whether_a_corpus_holds_out_what_its_sources_do():
    found = corpora(
        toy=TOY,
        bare=NOTHING_HELD_OUT,
        all=["toy", "bare"],
        half={"source": "mix", "corpora": ["toy", "bare"], "bytes": 9},
        weighed={"source": "mix", "corpora": ["bare", "toy"], "shares": [2, 1]},
        of_bare="bare",
        of_all="all",
        circle="circle",
    )
    wrong = {name: without_holdout(found, name) for name in found}
    assert wrong == {
        **{name: [] for name in ("toy", "all", "of_all", "circle")},
        **{name: ["bare"] for name in ("bare", "half", "weighed", "of_bare")},
    }
    assert without_holdout({"a": FilesCorpus(source="files", files=["x"])}, "a") == []


def test_the_script_writes_both_splits_and_what_was_done(tmp_path):
    sources = [make_splits(tmp_path, name, [name * 5] * 4, [name]) for name in "ab"]
    out = target(tmp_path)
    spec = {"source": "mix", "corpora": ["a", "b"], "bytes": 30}
    command = [sys.executable, PROJECT / "scripts" / "derive.py", "--spec", json.dumps(spec)]
    for source in sources:
        command += ["--source", source.name, source.train, source.validation]
    command += ["--train", out.train, "--validation", out.validation]
    command += ["--provenance", tmp_path / "provenance.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance["documents"]["train"]["bytes"] == size(texts(out.train)) == 30
    assert TypeAdapter(Corpus).validate_python(provenance["corpus"]) == MixCorpus(**spec)
    assert [source["corpus"] for source in provenance["sources"]] == ["a", "b"]
    command[3] = json.dumps(spec | {"bytes": 300})
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert done.stderr.startswith("error: corpus 'a' has 20 bytes to train on")
