"""What the bigrams that a run has read by a checkpoint say of minimal pairs and of binomials.

For minimal pairs a bigram model of the run's own tokens is brought up to each checkpoint: the text
is read again in the order of training, block by block, a block as often as it was trained on. Only
what tells the two sentences of a pair apart is counted. A bigram lies within one block, since the
first token of a block was never predicted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from ontogeny.corpus.bigrams import interpolation, unigram_probabilities
from ontogeny.scoring.trie import Trie
from ontogeny.study.runs import Run
from ontogeny.training.order import data_order, sequences_of

AT_ONCE = 2**22  # tokens
UNITS_PER_NAT = 2**30  # log-probabilities are rounded to these, so that equal sums are equal


@dataclass(frozen=True)
class PairTokens:
    """How often each token and bigram is predicted in the good sentence, minus in the bad one.

    `bigrams`: sparse [pairs, bigrams], without those that are as often in both; `contexts` and
    `tokens` (int64 [bigrams]) tell which they are. `unigrams`: sparse [pairs, vocabulary].
    """

    bigrams: sparse.csr_array
    contexts: np.ndarray
    tokens: np.ndarray
    unigrams: sparse.csr_array

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of the good sentence minus those of the bad one: int64 [pairs]."""
        return self.unigrams.sum(axis=1)


def pair_tokens(trie: Trie, vocab_size: int) -> PairTokens:
    """From the trie of the pairs' sentences, of each pair the good one before the bad one. The
    first token of a sentence is given, not predicted."""
    nodes, starts = trie.paths(trie.leaves)
    string = np.repeat(np.arange(len(trie.leaves)), np.diff(starts))
    predicted = trie.parents[nodes] >= 0
    nodes, string = nodes[predicted], string[predicted]
    pair, sign = string // 2, 1 - 2 * (string % 2)
    before = trie.tokens[trie.parents[nodes]].astype(np.int64)
    token = trie.tokens[nodes].astype(np.int64)
    keys, column = np.unique(before * vocab_size + token, return_inverse=True)
    pairs = len(trie.leaves) // 2
    bigrams = sparse.csr_array((sign, (pair, column)), shape=(pairs, len(keys)))
    bigrams.eliminate_zeros()
    differing = np.unique(bigrams.indices)
    unigrams = sparse.csr_array((sign, (pair, token)), shape=(pairs, vocab_size))
    unigrams.eliminate_zeros()
    keys = keys[differing]
    return PairTokens(bigrams[:, differing], keys // vocab_size, keys % vocab_size, unigrams)


class BigramModel:
    """An interpolated bigram model that goes on reading; knows what the pairs need of it.

    Holds a count of each needed bigram, and whether each token was seen after each of their
    contexts: contexts x vocabulary bytes.
    """

    def __init__(self, pairs: PairTokens):
        self.pairs = pairs
        self.vocab_size = pairs.unigrams.shape[1]
        contexts, self.row = np.unique(pairs.contexts, return_inverse=True)
        self.rows = np.full(self.vocab_size, -1)
        self.rows[contexts] = np.arange(len(contexts))
        self.keys = self.row * self.vocab_size + pairs.tokens  # ascend, as the bigrams do
        self.seen = np.zeros(len(contexts) * self.vocab_size, dtype=bool)
        self.counts = np.zeros(len(self.keys), dtype=np.int64)
        self.totals = np.zeros(len(contexts), dtype=np.int64)
        self.followers = np.zeros(len(contexts), dtype=np.int64)
        self.unigrams = np.zeros(self.vocab_size, dtype=np.int64)

    def read(self, blocks: np.ndarray) -> None:
        """Count the tokens that are predicted in `blocks`: ids, [sequences, tokens]."""
        tokens = blocks[:, 1:].ravel()
        self.unigrams += np.bincount(tokens, minlength=self.vocab_size)
        rows = self.rows[blocks[:, :-1].ravel()]
        needed = rows >= 0
        keys, n = np.unique(rows[needed] * self.vocab_size + tokens[needed], return_counts=True)
        row, width = keys // self.vocab_size, len(self.totals)
        self.totals += np.bincount(row, n, minlength=width).astype(np.int64)
        self.followers += np.bincount(row[~self.seen[keys]], minlength=width)
        self.seen[keys] = True
        place = np.searchsorted(self.keys, keys)
        found = place < len(self.keys)
        found[found] = self.keys[place[found]] == keys[found]
        self.counts[place[found]] += n[found]

    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-probability of the good sentence minus that of the bad one, by bigrams and by
        unigrams, in nats: float64 [pairs] each."""
        unigram = unigram_probabilities(self.unigrams)
        share, rest = interpolation(self.totals, self.followers)
        bigram = share[self.row] * self.counts + rest[self.row] * unigram[self.pairs.tokens]
        return self.pairs.bigrams @ _log(bigram), self.pairs.unigrams @ _log(unigram)


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.round(np.log(probabilities) * UNITS_PER_NAT) / UNITS_PER_NAT


def replayed(
    run: Run,
    tokens: np.ndarray,
    model: BigramModel,
    steps: list[int],
    documents: np.ndarray | Path | None = None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each of `steps` (ascending) with the differences of the pairs by then.

    `tokens`: the ids of the run's training text, [tokens]; `documents` as for `sequences_of`.
    """
    sequences = sequences_of(run, len(tokens), documents)
    done = 0
    at_once = max(1, AT_ONCE // run.tokens_per_step)
    for step in steps:
        for first in range(done, step, at_once):
            order = data_order(run, sequences.count, first, min(first + at_once, step)).ravel()
            starts, lengths = sequences.starts(order), sequences.lengths(order)
            for length in np.unique(lengths):
                model.read(tokens[starts[lengths == length][:, None] + np.arange(length)])
        done = step
        yield step, *model.differences()


def bigram_log_odds(
    added: float = 0.5, added_to_totals: float = 0.5, leave_out: bool = False
) -> pl.Expr:
    """How much more probable bigrams make "w1 and w2" than "w2 and w1", from the columns of a table
    of exposures: ln P(and | w1) P(w2 | and) - ln P(and | w2) P(w1 | and).

    `added` goes to each count of a bigram, `added_to_totals` to the count of a word. The defaults
    are those of Houghton (2026, hand-trained-model-prefs); 1 and the number of different words in
    the items are those of Houghton (2026, binom-prefs-novel-ablation). With `leave_out` the
    occurrences of the item itself are taken from all counts (down to 0), so that the predictor does
    not hold what it is to be told apart from.
    """
    alpha, other = pl.col("alpha_seen"), pl.col("nonalpha_seen")
    own = {"w1_and": alpha, "and_w2": alpha, "w2_and": other, "and_w1": other}
    own |= dict.fromkeys(("w1_total", "w2_total"), alpha + other)

    def log(column: str) -> pl.Expr:
        count = pl.col(column)
        if leave_out:  # in "w1 and w2 and w1" both orders share a word: not below 0
            count = (count - own[column]).clip(lower_bound=0)
        return (count + (added_to_totals if column.endswith("total") else added)).log()

    in_order = log("w1_and") + log("and_w2") - log("w1_total")
    return in_order - (log("w2_and") + log("and_w1") - log("w2_total"))
