"""Where phrases stand in text: what counts as an occurrence, and a fast way to find them all.

Text and phrases are compared in lowercase, character by character otherwise. A phrase is one word
or several ("bread and butter", "mr. and mrs.", "ice cream"). It occurs where

- its words follow each other with nothing but white space between them, at most one line break
  in each gap: no punctuation, no blank line, no border of a document;
- each of its words stands alone. The characters next to it are no letters (with the marks that
  combine with them), digits or underscores; nor is one of them a hyphen or an apostrophe with a
  letter, digit or underscore on its other side, as in "butter-milk", "butter's" and
  "bread-and-butter". Punctuation that belongs to a word ("mr.", "a.b.") must be there, and the
  same holds around it: "c." is in "c., d." and not in "etc." or "c.d.".

Occurrences may overlap: "a and b and c" holds both "a and b" and "b and c".

Text repeats itself. So it is cut into pieces, each a stretch without white space and the white
space after it; Arrow finds the different pieces of a batch, and those that can hold a word of a
phrase are taken apart in Python. What remains is a walk along neighbouring pieces that do.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import polars as pl
import pyarrow as pa

from ontogeny.corpus.pieces import flat
from ontogeny.scoring.stimuli.binomials import Binomial

# What is counted for the item "word1 and word2", by the column of the exposures.
COUNTED = {
    "alpha_seen": "{0} and {1}",
    "nonalpha_seen": "{1} and {0}",
    "w1_total": "{0}",
    "w2_total": "{1}",
    "w1_and": "{0} and",
    "w2_and": "{1} and",
    "and_w1": "and {0}",
    "and_w2": "and {1}",
}
JOINERS = frozenset("-\u2010\u2011'\u2019")
# Python's white space, all of it below U+3001.
WHITE_SPACE = [character for character in map(chr, range(0x3001)) if character.isspace()]
WIDE_SPACES = [character.encode() for character in WHITE_SPACE if not character.isascii()]
NARROW_SPACE = np.zeros(256, bool)
NARROW_SPACE[[ord(character) for character in WHITE_SPACE if character.isascii()]] = True
LEADS = np.zeros(256, bool)  # first bytes of wide spaces
LEADS[[encoded[0] for encoded in WIDE_SPACES]] = True
KNOWN_PIECES = 200_000  # that were taken apart and are remembered
ROOT = 0
NO_PHRASE = -1


def phrase_for(template: str, item: Binomial) -> str:
    """One of the phrases that are counted for an item, in lowercase with single spaces."""
    return " ".join(template.format(item.word1, item.word2).lower().split())


def phrases_of(items: Iterable[Binomial]) -> list[str]:
    """All that is counted for these items, each phrase once: both orders of each item, its words,
    and these before and after "and". The order follows from that of the items."""
    phrases = (phrase_for(template, item) for item in items for template in COUNTED.values())
    return list(dict.fromkeys(phrases))


class PhraseFinder:
    """Finds phrases in batches of documents; several threads may share one. `phrases`: in
    lowercase, with single spaces (see `phrase_for`)."""

    def __init__(self, phrases: list[str]):
        self.words = {word: i for i, word in enumerate(sorted({*" ".join(phrases).split()}))}
        self.edges = _trie(phrases, self.words)
        self.lengths: dict[str, list[int]] = {}  # of the words that begin with a character
        for first, length in sorted({(word[0], len(word)) for word in self.words}):
            self.lengths.setdefault(first, []).append(length)
        self.take_apart = lru_cache(KNOWN_PIECES)(self._take_apart)
        other = r"[^\p{L}\p{M}\p{N}_]"  # see `_is_letter`
        words = "|".join(map(re.escape, self.words))
        self.pattern = f"(?:^|{other})(?:{words})(?:$|{other})"

    def find(self, texts: pa.LargeStringArray) -> pl.DataFrame:
        """All occurrences in `texts`, sorted: `phrase` (its number), `start` and `end`, in bytes
        of UTF-8 from where the first text starts in its buffer, all texts on end."""
        words = self._words_in(texts)
        opening = words.filter("opens").drop("opens").rename({"start": "word_start"})
        paths = words.join(self.edges.filter(pl.col("node") == ROOT), on="word")
        found = [paths]
        while len(paths):
            paths = (
                paths.filter("closes")
                .select("start", node="next", piece=pl.col("piece") + 1)
                .join(opening, on="piece")
                .join(self.edges, on=["node", "word"])
            )
            found.append(paths)
        columns = ["phrase", "start", "end"]
        table = pl.concat([part.select(columns) for part in found])
        return table.filter(pl.col("phrase") != NO_PHRASE).sort("start", "end", "phrase")

    def _words_in(self, texts: pa.LargeStringArray) -> pl.DataFrame:
        """Where words of phrases stand alone: `word` (its number), `piece` (of the batch),
        `start` and `end` (bytes); whether it `opens` its piece, and whether it `closes` it and the
        next piece may go on with a phrase."""
        data, offsets = flat(texts)
        border = np.zeros(len(data) + 1, bool)
        border[offsets] = True
        white = white_space(data)
        begins = border[:-1].copy()
        begins[1:] |= white[:-1] & ~white[1:]
        ends = np.append(np.flatnonzero(begins), len(data))
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
        pieces = pa.Array.from_buffers(pa.large_binary(), len(ends) - 1, buffers)
        pieces = pieces.dictionary_encode()
        held = self._held(pl.Series("text", pieces.dictionary.view(pa.large_string())))
        places = pl.DataFrame(
            {
                "different": pieces.indices.to_numpy(),
                "piece": np.arange(len(pieces)),
                "at": ends[:-1],
                "last": border[ends[1:]],
            }
        )
        return places.join(held, on="different").select(
            "word",
            "piece",
            pl.col("start") + pl.col("at"),
            pl.col("end") + pl.col("at"),
            "opens",
            pl.col("closes") & ~pl.col("last"),
        )

    def _held(self, pieces: pl.Series) -> pl.DataFrame:
        """The words of phrases in different pieces, as in `_words_in`, but `different` (the
        piece's number here) for `piece`, and bytes from the start of the piece."""
        lowercase = pieces.str.to_lowercase()
        some = lowercase.str.contains(self.pattern)
        rows = [
            (different, *row)
            for different, piece in zip(some.arg_true(), pieces.filter(some), strict=True)
            for row in self.take_apart(piece)
        ]
        schema = {"different": pl.Int32, "word": pl.Int32, "start": pl.Int64, "end": pl.Int64}
        schema |= {"opens": pl.Boolean, "closes": pl.Boolean}
        return pl.DataFrame(rows, schema, orient="row")

    def _take_apart(self, piece: str) -> list[tuple[int, int, int, bool, bool]]:
        """The words of phrases in one piece: word, start, end (bytes), opens, closes."""
        solid = piece.rstrip()
        gap = piece[len(solid) :]
        goes_on = len(f"|{gap}|".splitlines()) <= 2
        places = _byte_places(solid)
        last = len(places) - 1
        # Spaces at both ends, so that each character has two neighbours on either side.
        text = f"  {solid.lower()}  "
        rows = []
        for start in range(2, last + 2):
            lengths = self.lengths.get(text[start])
            if lengths is None or _runs_on(text[start - 1], text[start - 2]):
                continue
            for length in lengths:
                end = start + length
                word = self.words.get(text[start:end])
                if word is not None and not _runs_on(text[end], text[end + 1]):
                    closes = goes_on and end - 2 == last
                    rows.append((word, places[start - 2], places[end - 2], start == 2, closes))
        return rows


def white_space(data: np.ndarray) -> np.ndarray:
    """A mask of the bytes of UTF-8 text, uint8 [bytes], that are white space."""
    white = NARROW_SPACE[data]
    leads = np.flatnonzero(data >= 0xC2)
    leads = leads[LEADS[data[leads]]]
    for encoded in WIDE_SPACES:
        at = leads[leads <= len(data) - len(encoded)]
        for i, byte in enumerate(encoded):
            at = at[data[at + i] == byte]
        for i in range(len(encoded)):
            white[at + i] = True
    return white


def _trie(phrases: list[str], words: dict[str, int]) -> pl.DataFrame:
    """The phrases as a trie: from `node` the `word` leads to `next`, where `phrase` ends (or
    `NO_PHRASE` does)."""
    edges: dict[tuple[int, int], list[int]] = {}  # (node, word): [next, phrase]
    for number, phrase in enumerate(phrases):
        edge = [ROOT]
        for word in phrase.split():
            edge = edges.setdefault((edge[0], words[word]), [len(edges) + 1, NO_PHRASE])
        edge[1] = number
    rows = [(*key, *edge) for key, edge in edges.items()]
    schema = dict.fromkeys(("node", "word", "next", "phrase"), pl.Int32)
    return pl.DataFrame(rows, schema, orient="row")


def _byte_places(text: str) -> range | list[int]:
    """Where each character of `text.lower()` stands in `text`, and its end, in bytes of UTF-8."""
    if text.isascii():
        return range(len(text) + 1)
    places, at = [], 0
    for character in text:
        places += [at] * len(character.lower())  # of U+0130 two
        at += len(character.encode())
    return [*places, at]


def _runs_on(near: str, far: str) -> bool:
    """Whether a word goes on in its neighbour `near`, which `far` follows on the other side."""
    return _is_letter(near) or (near in JOINERS and _is_letter(far))


def _is_letter(character: str) -> bool:
    return (
        character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
    )
