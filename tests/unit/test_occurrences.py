"""Occurrences of phrases in text, and their places in the token file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from phrase_search import ITEMS, TOKENIZERS, bpe, make_corpus, random_texts, slow_search, spans_of

from ontogeny.corpus import tokens as corpus_tokens
from ontogeny.corpus.tokenizer import load_tokenizer, save_tokenizer
from ontogeny.exposure import alignment
from ontogeny.exposure.occurrences import items_told, read_occurrences, write_occurrences
from ontogeny.exposure.phrases import PhraseFinder, phrases_of
from ontogeny.scoring.stimuli.binomials import Binomial, read_words

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ENGLISH = SHARED / "text" / "english_mixed.txt"
PUBLISHED_ITEMS = SHARED / "binomials" / "nonce_and_attested_binoms.csv"
PHRASES = phrases_of(ITEMS)


def find(phrases, texts):
    """(text, phrase, start, end) of all that the library finds, in characters."""
    texts = pa.array(texts, pa.large_string())
    found = PhraseFinder(phrases).find(texts)
    ends = np.cumsum(pc.binary_length(texts).to_numpy())
    places = set()
    for phrase, start, end in found.select("phrase", "start", "end").iter_rows():
        number = int(np.searchsorted(ends, start, side="right"))
        text = texts[number].as_py().encode()
        before = int(ends[number]) - len(text)
        start, end = (len(text[: edge - before].decode()) for edge in (start, end))
        places.add((number, phrases[phrase], start, end))
    assert len(places) == len(found)  # each once
    return places


def search(phrases, texts):
    """The same by the slow search."""
    return {
        (number, phrase, *place)
        for number, text in enumerate(texts)
        for phrase in phrases
        for place in slow_search(phrase, text)
    }


# ---------------------------------------------------------------------------- what an occurrence is


def test_what_is_counted_for_an_item():
    assert phrases_of([Binomial("Mr.", "ice  cream", True, None)]) == [
        "mr. and ice cream",
        "ice cream and mr.",
        "mr.",
        "ice cream",
        "mr. and",
        "ice cream and",
        "and mr.",
        "and ice cream",
    ]
    assert len(phrases_of([Binomial("a", "b", True, None), Binomial("b", "c", True, None)])) == 13


@pytest.mark.parametrize(
    ("phrase", "text", "count"),
    [
        ("bread and butter", "Bread and butter, BREAD AND BUTTER; (bread and butter)", 3),
        ("bread and butter", "\"bread and butter\" 'bread and butter' ‘bread and butter’", 3),
        ("bread and butter", "bread, and butter. Bread. And butter. bread and, butter", 0),
        ("bread and butter", "bread  and\tbutter bread\nand butter bread and \r\n butter", 3),
        ("bread and butter", "bread\n\nand butter bread \n \n and butter bread\r\rand butter", 0),
        ("bread and butter", "bread\u00a0and\u3000butter", 1),
        ("bread and butter", "gingerbread and butter bread and buttermilk breadand butter", 0),
        ("bread and butter", "bread and butter-milk rye-bread and butter bread-and-butter", 0),
        ("bread and butter", "bread and butter's bread and butter’s", 0),
        ("bread and butter", "bread and butter- bread and butter' --bread and butter--and", 3),
        ("bread and butter", "bread and butter_ 2bread and butter bread and butter\u0301", 0),
        ("a and b", "a and b and c, b and a and b", 2),
        ("b and c", "a and b and c", 1),
        ("c. and d.", "C. and D., c. and d.; c and d, etc. and d., c. and d.c., (c. and d.)", 3),
        ("c. and d.", "c.\nand d.", 1),
        ("a.b. and m.a.", "An A.B. and M.A. degree, a.b and m.a., xa.b. and m.a.", 1),
        ("20s and 30s", "the 20s and 30s, 1920s and 30s, '20s and 30s", 2),
        ("mr. and mrs.", "Mr. and Mrs. Smith, mr and mrs. Smith", 1),
        ("café and thé", "CAFÉ AND THÉ, cafe\u0301 and thé", 1),
        ("ice cream", "Ice cream, ice\ncream, ice\n\ncream, ice-cream", 2),
        ("istanbul", "Istanbul, İstanbul, istanbul", 2),
        ("c++", "c++, c++11, c++ C++.", 3),
        ("&", "R&B, R & B, &c. &-&", 3),
        ("b", "a.b. b b/b", 4),
    ],
)
def test_an_occurrence(phrase, text, count):
    assert len(find([phrase], [text])) == count
    assert len(slow_search(phrase, text)) == count  # which the other tests stand on


def test_no_occurrence_crosses_the_border_of_a_document():
    texts = [
        "bread",
        "and butter",
        "",
        "bread and",
        "butter",
        " bread and butter",
        "",
        "\n",
        "bread ",
    ]
    assert find(["bread and butter", "bread"], texts) == {
        (0, "bread", 0, 5),
        (3, "bread", 0, 5),
        (5, "bread", 1, 6),
        (5, "bread and butter", 1, 17),
        (8, "bread", 0, 5),
    }
    for nothing in ([], [""], ["", ""], [" \n"], ["nothing here"]):
        assert find(["bread"], nothing) == set()


def test_slices_of_a_column_are_searched_as_they_are():
    texts = pa.array(["bread", "x bread", "bread", "y"], pa.large_string())
    found = PhraseFinder(["bread"]).find(texts.slice(1, 2))
    assert found.rows() == [(0, 2, 7), (0, 7, 12)]


@pytest.mark.parametrize("seed", range(5))
def test_random_texts_are_searched_as_the_slow_search_does(seed):
    texts = random_texts(seed, 60)
    found = find(PHRASES, texts)
    assert found == search(PHRASES, texts)
    assert len(found) > 300


@pytest.mark.skipif(not ENGLISH.is_file(), reason=f"needs {ENGLISH}")
def test_real_text_is_searched_as_the_slow_search_does():
    phrases = phrases_of(read_words(PUBLISHED_ITEMS))
    text = ENGLISH.read_text(encoding="utf-8")[:200_000]
    found = find(phrases, [text])
    there = sorted({phrase for _, phrase, _, _ in found})
    chosen = {*phrases[::200], *there[::20], *(phrase for phrase in there if " and " in phrase)}
    assert {place for place in found if place[1] in chosen} == search(chosen, [text])
    assert len(there) > 300


# ---------------------------------------------------------------------------- in the token file


def write(folder, texts, tokenizer, items=ITEMS, threads=1):
    """Make a corpus and its occurrences; phrase, first and last token of each."""
    make_corpus(folder, texts, tokenizer)
    return rewrite(folder, items, threads)


def rewrite(folder, items=ITEMS, threads=1):
    phrases = phrases_of(items)
    counts = write_occurrences(
        phrases,
        folder / "train.parquet",
        folder / "tokenizer.json",
        folder / "tokens",
        folder / "occurrences.parquet",
        threads,
    )
    parts = list(read_occurrences(folder / "occurrences.parquet", phrases))
    rows = list(
        zip(*(np.concatenate(column).tolist() for column in zip(*parts, strict=True)), strict=True)
    )
    numbers = [phrase for phrase, _, _ in rows]
    assert counts.tolist() == [numbers.count(number) for number in range(len(phrases))]
    assert [first for _, first, _ in rows] == sorted(first for _, first, _ in rows)
    return [(phrases[phrase], first, last) for phrase, first, last in rows]


def test_what_occurs_and_what_never_does_is_one_line():
    items = [Binomial(f"a{n}", f"b{n}", True, None) for n in range(13)]
    phrases = phrases_of(items)

    def line(seen, items=items):
        counts = [seen.get(phrase, 0) for phrase in phrases_of(items)]
        return items_told(items, phrases_of(items), np.array(counts))

    assert len(phrases) == 13 * 8
    seen = {"a0 and b0": 2, "b0 and a0": 1, "b1 and a1": 30, "a2": 5, "a2 and": 5}
    assert line(seen) == (
        "2 of 13 items occur in the text (33 times in all); 11 never: "
        + ", ".join(f"a{n} and b{n}" for n in range(2, 12))
        + " and 1 more"
    )
    assert line(seen, items[:3]) == (
        "2 of 3 items occur in the text (33 times in all); 1 never: a2 and b2"
    )
    assert line(seen, items[:2]) == "2 of 2 items occur in the text (33 times in all)"


def slow_tokens(folder, texts, phrases=PHRASES):
    """The same by the slow search, and the places that the tokenizer gives to its tokens."""
    tokenizer, _ = load_tokenizer(folder / "tokenizer.json")
    rows = []
    before = 0
    for text in texts:
        spans = spans_of(tokenizer, text)
        for phrase in phrases:
            for start, end in slow_search(phrase, text):
                tokens = [
                    before + token
                    for token, (left, right) in enumerate(spans)
                    if left < end and start < right
                ]
                if tokens:
                    rows.append((phrase, tokens[0], tokens[-1]))
        before += len(spans)
    return rows


@pytest.mark.parametrize("name", TOKENIZERS)
def test_occurrences_are_the_tokens_that_the_library_says(tmp_path, name):
    texts = [
        "Bread and butter",
        "",
        " bread and butter",
        "İstanbul and Ankara",
        "xxx bread and butter xxxxxxx",  # two stretches of 5 bytes in the mean, as "<unk>" has
        "q bread and butter x",  # as long with no "q" and two "x"
        *random_texts(name, 40),
    ]
    rows = write(tmp_path, texts, TOKENIZERS[name]())
    assert sorted(rows) == sorted(slow_tokens(tmp_path, texts))
    assert len(rows) > 200


def test_a_space_before_a_word_is_no_part_of_it_unless_in_one_token(tmp_path):
    """Tokens: <s>, then one for each character."""
    rows = write(tmp_path, ["a bread and butter", "bread"], TOKENIZERS["characters"]())
    assert ("bread and butter", 3, 18) in rows
    assert ("bread", 3, 7) in rows
    assert ("bread", 20, 24) in rows


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("bpe", ["2", "4"]),
        ("bpe, case kept", []),
        ("characters", ["4"]),  # which has one that is unknown
        ("characters, lowercase", ["2", "4"]),
        ("gpt-neox", ["1", "2", "3", "4", "5"]),
        ("sentence pieces", ["0", "1", "2", "3", "4", "5", "7"]),
    ],
)
def test_only_uncertain_documents_are_encoded_again(tmp_path, monkeypatch, name, again):
    """Those whose lowercase takes another number of bytes, even where the sum is the same, or that
    hold what Unicode normalisation could change; documents without a phrase are left alone."""
    texts = [
        "0 bread and butter",
        "1 bread and thé",
        "2 İ bread",
        "3 bread, a’b ΣΟΦΌΣ ÉTÉ",
        "4 İ bread \u212b butter",
        "5 bread é",
        "6 nothing İ",
        " 7 bread  and    butter",
    ]
    assert len(texts[4].encode()) == len(texts[4].lower().encode())
    encoded = []
    whole = alignment.Aligner._encode

    def spy(self, batch, numbers):
        encoded.extend(batch.texts[number].as_py().split()[0] for number in numbers)
        return whole(self, batch, numbers)

    monkeypatch.setattr(alignment.Aligner, "_encode", spy)
    write(tmp_path, texts, TOKENIZERS[name]())
    assert encoded == again


def test_batches_and_threads_change_nothing(tmp_path, monkeypatch):
    texts = random_texts("batches", 200, length=20)
    whole = write(tmp_path, texts, bpe())
    content = (tmp_path / "occurrences.parquet").read_bytes()
    assert rewrite(tmp_path, threads=3) == whole
    assert (tmp_path / "occurrences.parquet").read_bytes() == content
    monkeypatch.setattr(corpus_tokens, "BATCH_BYTES", 1000)
    assert rewrite(tmp_path, threads=1) == whole
    content = (tmp_path / "occurrences.parquet").read_bytes()
    assert rewrite(tmp_path, threads=3) == whole
    assert (tmp_path / "occurrences.parquet").read_bytes() == content


def test_encoding_again_in_parts_changes_nothing(tmp_path, monkeypatch):
    texts = random_texts("parts", 50, length=20)
    whole = write(tmp_path, texts, TOKENIZERS["metaspace"]())
    monkeypatch.setattr(alignment, "LIBRARY_BYTES", 500)
    assert rewrite(tmp_path) == whole


def test_text_that_holds_a_control_token_is_text(tmp_path):
    texts = ["<s> bread and butter </s>", "<s>bread and butter<unk>"]
    rows = write(tmp_path, texts, bpe())
    assert sorted(rows) == sorted(slow_tokens(tmp_path, texts))
    assert len([row for row in rows if row[0] == "bread and butter"]) == 2


def test_a_corpus_without_occurrences(tmp_path):
    assert write(tmp_path, ["nothing", "here"], bpe()) == []


def test_other_items_than_those_of_the_file_are_an_error(tmp_path):
    write(tmp_path, ["bread and butter"], bpe())
    with pytest.raises(ValueError, match="occurrences of other items"):
        list(read_occurrences(tmp_path / "occurrences.parquet", phrases_of(ITEMS[:-1])))
    with pytest.raises(ValueError, match="occurrences of other items"):  # no such file at all
        list(read_occurrences(tmp_path / "train.parquet", PHRASES))


def test_tokens_of_other_documents_are_an_error(tmp_path):
    texts = ["bread and butter", "a and b"]
    make_corpus(tmp_path, texts, bpe())
    documents = tmp_path / "train.parquet"
    for others in (texts[:1], [*texts, "more"]):
        corpus_of(documents, others)
        with pytest.raises(ValueError, match=f"{len(others)} documents, but the tokens are of 2"):
            rewrite(tmp_path)
    corpus_of(documents, ["bread and butters", "a and b"])
    with pytest.raises(ValueError, match=r"document that begins 'bread and butters' are not those"):
        rewrite(tmp_path)


def test_tokens_of_another_tokenizer_are_an_error(tmp_path):
    make_corpus(tmp_path, ["bread and butter"], bpe())
    other = bpe(lowercase=False)
    save_tokenizer(other, tmp_path / "tokenizer.json", tmp_path / "tokenizer_config.json")
    with pytest.raises(ValueError, match="made with another tokenizer"):
        rewrite(tmp_path)
    assert not (tmp_path / "occurrences.parquet").exists()


def corpus_of(path, texts):
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), path)
