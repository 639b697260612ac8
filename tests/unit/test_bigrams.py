"""Bigrams that a run has read, next to a replay with dictionaries; the predictor of binomials."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from tiny_models import make_run

from ontogeny.corpus.bigrams import interpolation, unigram_probabilities
from ontogeny.exposure import bigrams
from ontogeny.exposure.bigrams import BigramModel, bigram_log_odds, pair_tokens, replayed
from ontogeny.paths import PROJECT
from ontogeny.scoring.trie import build_trie
from ontogeny.training.order import data_order

VOCABULARY = 12
PUBLISHED = PROJECT.parent / "shared/data/released_scores/bigram_stats.csv"


def text(size=95, seed=0):
    """Tokens of which two never occur."""
    return np.random.default_rng(seed).integers(0, VOCABULARY - 2, size).astype(np.uint16)


def sentences(pairs=40, seed=0):
    """Good and bad ones in turn, of 2 to 7 tokens; some hold tokens that the text has not."""
    rng = np.random.default_rng([seed, 1])
    lengths = rng.integers(2, 8, 2 * pairs)
    return [rng.integers(0, VOCABULARY, length).tolist() for length in lengths]


def of_sentences(strings):
    starts = np.cumsum([0, *map(len, strings)])
    ids = np.array([token for string in strings for token in string], dtype=np.int32)
    return pair_tokens(build_trie(ids, starts), VOCABULARY)


class Dictionaries:
    """The same model, with nothing but counters."""

    def __init__(self):
        self.bigrams, self.unigrams = Counter(), Counter()

    def read(self, block):
        self.bigrams.update(pairwise(block))
        self.unigrams.update(block[1:])

    def unigram(self, token):
        kinds = len(self.unigrams)
        total = self.unigrams.total()
        if not total:
            return 1 / VOCABULARY
        return (self.unigrams[token] + kinds / VOCABULARY) / (total + kinds)

    def bigram(self, before, token):
        after = {w: n for (v, w), n in self.bigrams.items() if v == before}
        if not after:
            return self.unigram(token)
        rest = len(after) * self.unigram(token)
        return (after.get(token, 0) + rest) / (sum(after.values()) + len(after))

    def sentence(self, tokens):
        pairs = list(pairwise(tokens))
        return (
            math.fsum(math.log(self.bigram(v, w)) for v, w in pairs),
            math.fsum(math.log(self.unigram(w)) for _, w in pairs),
        )


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [3, 20])
def test_every_checkpoint_is_that_of_a_replay_with_dictionaries(shuffle, batch_size):
    """11 blocks: 13 steps of 3 are 3.5 epochs; steps of 20 span epochs."""
    run = make_run(steps=13, block_size=8, batch_size=batch_size, shuffle=shuffle, seed=5)
    tokens, strings = text(), sentences()
    model = BigramModel(of_sentences(strings))
    plain = Dictionaries()
    steps = [0, 1, 2, 5, 6, 11, 13]
    done = 0
    for step, bigram, unigram in replayed(run, tokens, model, steps):
        for block in data_order(run, len(tokens) // 8, done, step).ravel() if step else ():
            start = block * 8
            plain.read(tokens[start : start + 8].tolist())
        done = step
        of_each = np.array([plain.sentence(string) for string in strings])
        expected = of_each[0::2] - of_each[1::2]
        assert np.allclose(bigram, expected[:, 0], rtol=0, atol=1e-7)
        assert np.allclose(unigram, expected[:, 1], rtol=0, atol=1e-7)
    assert done == 13 and plain.unigrams.total() == 13 * batch_size * 7


def test_what_is_counted_at_once_changes_nothing(monkeypatch):
    run = make_run(steps=40, block_size=8, batch_size=2)
    tables = []
    for at_once in (1, 50, 2**22):
        monkeypatch.setattr(bigrams, "AT_ONCE", at_once)
        model = BigramModel(of_sentences(sentences()))
        tables.append([found for _, *found in replayed(run, text(), model, [7, 40])])
    assert np.array_equal(tables[0], tables[1]) and np.array_equal(tables[0], tables[2])


def test_before_training_all_tokens_are_equally_probable():
    strings = sentences()
    pairs = of_sentences(strings)
    ((_, bigram, unigram),) = replayed(make_run(), text(), BigramModel(pairs), [0])
    lengths = np.array([len(g) - len(b) for g, b in zip(strings[::2], strings[1::2], strict=True)])
    assert (pairs.lengths == lengths).all()
    assert np.allclose(bigram, -lengths * math.log(VOCABULARY)) and np.array_equal(bigram, unigram)
    assert (bigram[lengths == 0] == 0).all() and (lengths == 0).any()


def test_sentences_of_the_same_bigrams_tie_exactly():
    strings = [
        *([1, 2, 3, 1, 4, 1, 2], [1, 4, 1, 2, 3, 1, 2]),  # the same bigrams in another order
        *([1, 2, 3], [1, 2, 3]),
        *([1, 2, 3, 4, 5], [1, 5, 4, 3, 2]),  # the same tokens, other bigrams
        *([6, 2], [7, 2]),  # they differ in the first token, which is given
    ]
    model = BigramModel(of_sentences(strings))
    run = make_run(steps=9, block_size=8, batch_size=3)
    for _, bigram, unigram in replayed(run, text(), model, [1, 5, 9]):
        assert bigram[0] == bigram[1] == 0 and (unigram == 0).all()
    assert (bigram[2:] != 0).all()


def test_probabilities_of_all_tokens_sum_to_1():
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.7, (30, 30)) * (rng.random((30, 1)) > 0.2)  # some contexts are unseen
    counts[:, -3:] = 0
    unigram = unigram_probabilities(counts.sum(axis=0))
    share, rest = interpolation(counts.sum(axis=1), (counts > 0).sum(axis=1))
    bigram = share[:, None] * counts + rest[:, None] * unigram
    assert unigram.sum() == pytest.approx(1) and (unigram > 0).all()
    assert np.allclose(bigram.sum(axis=1), 1) and (bigram > 0).all()
    unseen = counts.sum(axis=1) == 0
    assert unseen.any() and np.allclose(bigram[unseen], unigram)
    assert np.allclose(unigram_probabilities(np.zeros(30, int)), 1 / 30)


# ------------------------------------------------------------------ the predictor of binomials


def exposures(**columns):
    named = {"w1_total": 0, "w2_total": 0, "w1_and": 0, "and_w2": 0, "w2_and": 0, "and_w1": 0}
    return pl.DataFrame({**named, "alpha_seen": 0, "nonalpha_seen": 0, **columns})


def test_the_published_predictor_is_that_of_its_own_counts():
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED} is not here")
    table = pl.read_csv(PUBLISHED)
    words = len({*table["word1"], *table["word2"]})
    counts = {name: table[f"count_{name}"] for name in ("w1_and", "and_w2", "w2_and", "and_w1")}
    seen = exposures(w1_total=table["count_w1"], w2_total=table["count_w2"], **counts)
    found = seen.select(bigram_log_odds(1, words)).to_series()
    published = (table["bigram_alpha"] / table["bigram_nonalpha"]).log()
    assert len(found) == 431
    assert np.allclose(found, published, rtol=1e-12, atol=1e-12)


def test_the_defaults_add_one_half_to_every_count():
    seen = exposures(w1_total=[20], w2_total=[7], w1_and=[3], and_w2=[0], w2_and=[1], and_w1=[4])
    terms = [(3, 1), (0, 1), (1, -1), (4, -1), (7, 1), (20, -1)]
    expected = math.fsum(sign * math.log(count + 0.5) for count, sign in terms)
    assert seen.select(bigram_log_odds()).item() == pytest.approx(expected, rel=1e-12)


def counted(lines, w1, w2):
    """Exposures to an item in lines of words."""
    pairs = Counter(pair for line in lines for pair in pairwise(line))
    words = Counter(word for line in lines for word in line)
    phrases = Counter(
        phrase for line in lines for phrase in zip(line[:-2], line[1:-1], line[2:], strict=True)
    )
    return exposures(
        w1_total=[words[w1]], w2_total=[words[w2]],
        w1_and=[pairs[w1, "and"]], and_w2=[pairs["and", w2]],
        w2_and=[pairs[w2, "and"]], and_w1=[pairs["and", w1]],
        alpha_seen=[phrases[w1, "and", w2]], nonalpha_seen=[phrases[w2, "and", w1]],
    )  # fmt: skip


def test_left_out_an_item_says_nothing_of_itself():
    others = ["bread and jam", "salt and butter", "the bread rose", "ham and butter", "butter and"]
    item = ["bread and butter"] * 7 + ["butter and bread"] * 2
    with_item = counted([line.split() for line in others + item], "bread", "butter")
    without = counted([line.split() for line in others], "bread", "butter")
    assert with_item["alpha_seen"].item() == 7
    left_out = with_item.select(bigram_log_odds(leave_out=True)).item()
    assert left_out == pytest.approx(without.select(bigram_log_odds()).item(), rel=1e-12)
    assert left_out != pytest.approx(with_item.select(bigram_log_odds()).item(), abs=0.1)


def test_orders_that_share_a_word_are_never_less_than_nothing():
    """In "bread and butter and bread" both orders have the same "butter"."""
    shared = counted([["bread", "and", "butter", "and", "bread"]], "bread", "butter")
    assert shared["w2_total"].item() == 1
    assert shared["alpha_seen"].item() == shared["nonalpha_seen"].item() == 1
    # of 2 "bread" and 1 "butter" none is left, of each of the four bigrams none either
    assert shared.select(bigram_log_odds(leave_out=True)).item() == 0.0
