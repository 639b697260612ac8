"""Which texts are copies of others, so that none that is held out is also trained on.

A copy differs in case and in white space at its ends at most. A tokenizer may throw both away, and
then a copy is the same tokens. White space between words is kept by all that are trained here, so
texts that differ in it are different ones.
"""

from collections.abc import Iterable

import numpy as np
import xxhash


def copy_key(text: str) -> bytes:
    """What a text and its copies have in common, in UTF-8; empty where there is no text."""
    return text.strip().casefold().encode()


def hashes_of(texts: Iterable[str]) -> np.ndarray:
    """A 64-bit hash (xxh3) of each text's `copy_key`, uint64 [texts]."""
    return np.fromiter((xxhash.xxh3_64_intdigest(copy_key(text)) for text in texts), np.uint64)


def among(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A mask of the hashes that are some of the `others`, which are sorted."""
    if not len(others):
        return np.zeros(len(hashes), bool)
    places = np.searchsorted(others, hashes)
    places[places == len(others)] = 0
    return others[places] == hashes


class Copies:
    """Some texts, to ask which others are copies of one. Memory: 8 bytes for each."""

    def __init__(self, texts: Iterable[str] = ()):
        self.hashes = np.unique(hashes_of(texts))

    def __len__(self) -> int:
        return len(self.hashes)

    def among(self, texts: Iterable[str]) -> np.ndarray:
        """A mask of the `texts` that are copies."""
        return among(hashes_of(texts), self.hashes)
