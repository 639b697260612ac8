import csv
import math

import numpy as np
import polars as pl
import pytest

from ontogeny.corpus.tokenizer import load_tokenizer, make_characters, save_tokenizer, train_bpe
from ontogeny.scoring.index import (
    Index,
    binomial_strings,
    load_index,
    make_index,
    pair_strings,
    question_strings,
    save_index,
)
from ontogeny.scoring.perplexity import Perplexity
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.scoring.stimuli.completions import Question
from ontogeny.scoring.stimuli.minimal_pairs import MinimalPair
from ontogeny.scoring.tables import (
    Checkpoint,
    binomials_table,
    completions_table,
    pairs_table,
    perplexity_table,
    write_scores,
)
from ontogeny.scoring.trie import build_trie
from ontogeny.study.models import BpeTokenizer, CharacterTokenizer

ITEMS = [
    Binomial("ham", "jam", True, 3.0, {"human": 0.5}),
    Binomial("a", "b", False, None, {"human": None}),
]
TEXT = "ham and jam b"


def characters(folder, text=TEXT, bos=True):
    spec = CharacterTokenizer(type="characters", corpus="x", bos=bos)
    path = folder / "tokenizer.json"
    save_tokenizer(make_characters(spec, [text]), path, folder / "tokenizer_config.json")
    return load_tokenizer(path)


def binomials(folder, prompts=(" ", "m "), **options):
    tokenizer, info = characters(folder, **options)
    return make_index(binomial_strings(ITEMS, list(prompts)), tokenizer, info, "hash")


def texts_of(index, tokenizer):
    nodes, starts = index.trie.paths(index.trie.leaves)
    parts = np.split(index.trie.tokens[nodes], starts[1:-1])
    return [[tokenizer.id_to_token(i) for i in part] for part in parts]


@pytest.mark.parametrize("bos", [True, False])
def test_binomials_are_ordered_by_prompt_item_order(tmp_path, bos):
    index = binomials(tmp_path, bos=bos)
    tokenizer, info = load_tokenizer(tmp_path / "tokenizer.json")
    orders = ["ham and jam", "jam and ham", "a and b", "b and a"]
    start = ["<s>"] if bos else []
    expected = [[*start, *prompt, *text] for prompt in (" ", "m ") for text in orders]
    assert texts_of(index, tokenizer) == expected
    assert index.bos == bos == (info.bos_id is not None)
    assert index.labels == {"prompt": [" ", "m "], "binom": ["ham and jam", "a and b"]}
    assert index.longest == len("m ham and jam") + len(start)
    assert index.vocab_size == info.vocab_size == 4 + len(set(TEXT))


def test_pairs_are_ordered_by_pair_good_bad(tmp_path, monkeypatch):
    monkeypatch.setattr("ontogeny.scoring.index.AT_ONCE", 3)  # a pair may fall into two batches
    pairs = [MinimalPair("u", "p", str(i), "ham" + "a" * i, "jam" + "b" * i) for i in range(5)]
    tokenizer, info = characters(tmp_path)
    index = make_index(pair_strings(pairs), tokenizer, info, "hash")
    expected = [["<s>", *text] for pair in pairs for text in (pair.good, pair.bad)]
    assert texts_of(index, tokenizer) == expected
    assert index.labels == {"uid": ["u"] * 5, "pair_id": ["0", "1", "2", "3", "4"]}


def test_an_answer_begins_at_the_first_token_that_reaches_beyond_the_prompt(tmp_path):
    questions = [Question("c", "ham", "jam"), Question("", "b ", "a")]
    tokenizer, info = characters(tmp_path)
    index = make_index(question_strings(questions), tokenizer, info, "hash")
    assert index.given.tolist() == [1 + 3, 1 + 2]
    spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=300, min_frequency=2)
    save_tokenizer(
        train_bpe(spec, ["is paris is paris is paris"]),
        tmp_path / "tokenizer.json",
        tmp_path / "tokenizer_config.json",
    )
    tokenizer, info = load_tokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.encode("is paris").tokens == ["<s>", "Ġis", "Ġparis"]
    for prompt, answer, given in (("is ", "paris", 2), ("is", " paris", 2), ("is par", "is", 2)):
        index = make_index(
            question_strings([Question("", prompt, answer)]), tokenizer, info, "hash"
        )
        assert index.given.tolist() == [given]  # the space belongs to the answer's token


def test_what_can_not_be_scored_is_named(tmp_path):
    tokenizer, info = characters(tmp_path, bos=False)

    def index(*questions, **options):
        return make_index(question_strings(list(questions)), tokenizer, info, "hash", **options)

    with pytest.raises(ValueError, match=r"can't represent 'X' in 'ham X jam'"):
        index(Question("", "ham X", " jam"))
    with pytest.raises(ValueError, match=r"'ham jam' has 7 tokens, more than the 6 positions"):
        index(Question("", "b", "a"), Question("", "ham", " jam"), positions=6)
    index(Question("", "ham", " jam"), positions=7)
    with pytest.raises(ValueError, match=r"no token of 'ham' lies before its answer"):
        index(Question("", "", "ham"))
    pair = MinimalPair("u", "", "0", "a", "b")
    with pytest.raises(ValueError, match=r"'a' has no token that can be scored"):
        make_index(pair_strings([pair]), tokenizer, info, "hash")


def test_an_index_comes_back_from_its_file(tmp_path):
    index = binomials(tmp_path, text=TEXT + "\u00e9", prompts=["\u00e9 ", " "])
    path = tmp_path / "index.safetensors"
    save_index(index, path)
    first = path.read_bytes()
    loaded = load_index(path, "hash")
    save_index(loaded, path)
    assert path.read_bytes() == first
    assert {**vars(loaded), "trie": 0, "given": 0} == {**vars(index), "trie": 0, "given": 0}
    for name in ("tokens", "depths", "leaves"):
        array = getattr(loaded.trie, name)
        assert array.dtype == np.int32
        assert np.array_equal(array, getattr(index.trie, name))


def test_the_hash_of_stimuli_is_of_the_strings_alone(tmp_path):
    first = binomials(tmp_path).stimuli_sha256
    assert binomials(tmp_path, text=TEXT + "z").stimuli_sha256 == first
    assert binomials(tmp_path, prompts=(" ", "a ")).stimuli_sha256 != first


def test_another_tokenizer_or_a_damaged_index_is_refused(tmp_path):
    path = tmp_path / "index.safetensors"
    save_index(binomials(tmp_path), path)
    with pytest.raises(ValueError, match=r"index\.safetensors: was made with another tokenizer"):
        load_index(path, "another hash")
    whole = path.read_bytes()
    for damaged in (whole[:-40], whole[:20], b"", whole.replace(b'"labels"', b'"lables"')):
        assert damaged != whole
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"index\.safetensors: is no whole index"):
            load_index(path)


# ---------------------------------------------------------------------------- score files


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def some_index(labels, strings):
    trie = build_trie(np.zeros(2 * strings, np.int32), np.arange(0, 2 * strings + 1, 2))
    return Index(trie, labels, "hash", 5, True, "hash")


def test_binomials_table_tells_neighbouring_float32_apart(tmp_path):
    values = -np.abs(np.random.default_rng(4).normal(30, 20, 8)).astype(np.float32)
    values[1] = np.nextafter(values[0], np.float32(0))
    labels = {"prompt": ["So, ", " "], "binom": ["ham and jam", "a and b"]}
    table = binomials_table(some_index(labels, 8), values.astype(np.float64))
    path = tmp_path / "new" / "step-00000012.csv"
    write_scores(path, Checkpoint("opt-s", "step-00000012", 12, 9_830_400), table)
    rows = rows_of(path)
    columns = "model,checkpoint,step,tokens,prompt,binom,alpha_logprob,nonalpha_logprob,preference"
    assert list(rows[0]) == columns.split(",")
    assert [(row["prompt"], row["binom"]) for row in rows] == [
        (prompt, item) for prompt in labels["prompt"] for item in labels["binom"]
    ]
    both = [float(row[key]) for row in rows for key in ("alpha_logprob", "nonalpha_logprob")]
    assert np.array_equal(np.float32(both), values)
    for row, (alpha, other) in zip(rows, values.reshape(4, 2).astype(float), strict=True):
        assert float(row["preference"]) == pytest.approx(alpha - other, rel=1e-7)
        assert (row["model"], row["checkpoint"]) == ("opt-s", "step-00000012")
        assert (row["step"], row["tokens"]) == ("12", "9830400")


def test_a_small_preference_between_large_numbers_keeps_its_digits(tmp_path):
    logprobs = np.array([-5000.0, -5000.0 - 1e-6])
    table = pairs_table(some_index({"uid": ["u"], "pair_id": ["7"]}, 2), logprobs)
    write_scores(tmp_path / "p.csv", Checkpoint("m", "c", None, None), table)
    (row,) = rows_of(tmp_path / "p.csv")
    assert row["good_logprob"] == row["bad_logprob"] == "-5000.0"
    assert float(row["preference"]) == pytest.approx(1e-6, rel=1e-3)
    assert list(row)[4:] == ["uid", "pair_id", "good_logprob", "bad_logprob", "preference"]
    assert (row["step"], row["tokens"], row["pair_id"]) == ("", "", "7")


def test_completions_and_perplexity_tables(tmp_path):
    labels = {"class": ["", "b"], "prompt": ['say "a,b" ', "c"], "answer": ["d", "e"]}
    table = completions_table(
        some_index(labels, 2), np.array([-1.5, -2.25]), 3, [2, 0], ["d", "\n"]
    )
    write_scores(tmp_path / "c.csv", Checkpoint("m", "c", 3, 300), table)
    rows = rows_of(tmp_path / "c.csv")
    assert [row["prompt"] for row in rows] == labels["prompt"]
    assert [row["completion"] for row in rows] == ["d", "\n"]
    assert [(row["samples"], row["correct"]) for row in rows] == [("3", "2"), ("3", "0")]
    assert [float(row["answer_logprob"]) for row in rows] == [-1.5, -2.25]
    result = Perplexity(26, 1.1, math.exp(1.1), 0.4)
    write_scores(tmp_path / "p.csv", Checkpoint("m", "c", 3, 300), perplexity_table("text", result))
    assert pl.read_csv(tmp_path / "p.csv").rows() == [
        ("m", "c", 3, 300, "text", 26, 1.1, math.exp(1.1), 0.4)
    ]
