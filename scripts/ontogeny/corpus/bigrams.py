"""How often each token follows each other one in a text, and the probabilities that follow.

Probabilities are interpolated after Witten & Bell (1991, "The zero-frequency problem", method C;
in the form of Chen & Goodman 1999, "An empirical study of smoothing techniques"): a bigram's with
the unigram's, the unigram's with 1 / vocabulary, so nothing has probability 0. The method has no
parameter to choose, and needs no count of contexts that are not asked for, as Kneser-Ney would.
"""

import numpy as np
from scipy import sparse

AT_ONCE = 2**23  # tokens


def interpolation(total: np.ndarray, followers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`share` and `rest` of contexts, so that P(token | context) = share x (how often the token
    follows) + rest x P(token), which sums to 1.

    `total`: how often a context was followed, `followers`: by how many different tokens. One that
    never was has share 0 and rest 1.
    """
    weight = total + followers
    share = (total > 0) / np.maximum(weight, 1)
    return share, np.where(total > 0, share * followers, 1.0)


def unigram_probabilities(counts: np.ndarray) -> np.ndarray:
    """Probability of each token, from the counts of all: float64 [vocabulary]."""
    share, rest = interpolation(counts.sum(), np.count_nonzero(counts))
    return share * counts + rest / len(counts)


def count_bigrams(tokens: np.ndarray, vocab_size: int) -> sparse.csr_array:
    """How often the token of a column follows that of a row: int64 [vocabulary, vocabulary]."""
    counts = sparse.csr_array((vocab_size, vocab_size), dtype=np.int64)
    for first in range(0, len(tokens) - 1, AT_ONCE):
        part = np.asarray(tokens[first : first + AT_ONCE + 1], dtype=np.int64)
        keys, n = np.unique(part[:-1] * vocab_size + part[1:], return_counts=True)
        found = (n, (keys // vocab_size, keys % vocab_size))
        counts += sparse.csr_array(found, shape=counts.shape, dtype=np.int64)
    return counts
