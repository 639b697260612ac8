"""Which tokens a stretch of text became: exact, without encoding the text again where possible.

In a pipeline that keeps every byte of a text, or of its lowercase (byte-level BPE, single
characters), each token stands for a fixed number of bytes, so their running sum over a document
tells where each token begins and ends. A document whose tokens do not add up to its length, or of
which this would not be certain, is encoded again by the library, which tells the place of each
token; that must give the tokens that the document has.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from ontogeny.corpus.pieces import LIBRARY_BYTES, slices

# Normalizers that leave ASCII as it is, but for its case and the white space at its ends.
HARMLESS = {"Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Strip", "StripAccents"}
PREFIXES = {"Ġ", "▁"}  # a space, in byte-level vocabularies and in SentencePiece's
NOT_ASCII = r"[^\x00-\x7f]"


@dataclass(frozen=True)
class Batch:
    """Documents, and where each starts: in their UTF-8 on end, `text_starts` [documents + 1], and
    in the token file `ids`, `token_starts` [documents + 1]."""

    texts: pa.LargeStringArray
    text_starts: np.ndarray
    ids: np.ndarray
    token_starts: np.ndarray


class Aligner:
    """Finds the tokens of stretches of text, for one tokenizer (with `encode_special_tokens`)."""

    def __init__(self, tokenizer: Tokenizer, bos_id: int | None):
        self.tokenizer = tokenizer
        spec = json.loads(tokenizer.to_str())
        steps = list(_steps(spec["pre_tokenizer"], "pretokenizers"))
        byte_level = [step for step in steps if step["type"] == "ByteLevel"]
        self.prefix_space = any(step["add_prefix_space"] for step in byte_level)
        normalizers = {step["type"] for step in _steps(spec["normalizer"], "normalizers")}
        self.doubtful = None  # documents that match it need not keep the number of their bytes
        if normalizers == {"Lowercase"}:
            self.doubtful = f"[{_resized()}]"
        elif normalizers:
            self.doubtful = NOT_ASCII
        self.sizes = None
        if normalizers <= HARMLESS and (byte_level or not steps):
            unknown = tokenizer.token_to_id(spec["model"].get("unk_token") or "")
            self.sizes = _token_sizes(tokenizer, bool(byte_level))
            self.sizes[[i for i in (bos_id, unknown) if i is not None]] = 0

    def tokens_of(
        self, batch: Batch, start: np.ndarray, end: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """First and last of the tokens that overlap each stretch of text, as positions in the
        token file, int64 [stretches]. Where the tokenizer has dropped a stretch, so that no token
        overlaps it, `last` is less than `first`.

        Stretches are the bytes `start` up to `end` of all texts on end, [stretches], sorted by
        `start`; none crosses the border of a document. Raises ValueError when a document has
        other tokens than the tokenizer gives it.
        """
        document = np.searchsorted(batch.text_starts, start, side="right") - 1
        if self.sizes is None:
            first, last = np.empty((2, len(start)), np.int64)
            again = np.unique(document)
        else:
            origin, stop = batch.token_starts[[0, -1]]
            bounds = np.zeros(stop - origin + 1, np.int64)  # of token t: [t] up to [t + 1]
            np.cumsum(self.sizes[batch.ids[origin:stop]], out=bounds[1:])
            before = bounds[batch.token_starts - origin]
            lengths = np.diff(batch.text_starts)
            added = self._added(batch.texts)
            certain = (np.diff(before) == lengths + added) & ~self._doubts(batch.texts)
            shift = (before[:-1] + added - batch.text_starts[:-1])[document]
            first = origin + np.searchsorted(bounds[1:], start + shift, side="right")
            last = origin + np.searchsorted(bounds[:-1], end + shift, side="left") - 1
            again = np.unique(document[~certain[document]])
        for number, spans in self._encode(batch, again):
            rows = slice(*np.searchsorted(document, [number, number + 1]))
            at = batch.text_starts[number]
            # Characters before each byte: bytes that continue a character are 0b10xxxxxx.
            text = np.frombuffer(batch.texts[number].as_buffer(), np.uint8)
            characters = np.append(0, np.cumsum((text & 0xC0) != 0x80))
            places = (characters[edge[rows] - at] for edge in (start, end))
            for result, token in zip((first, last), _overlapping(spans, *places), strict=True):
                result[rows] = token + batch.token_starts[number]
        return first, last

    def _added(self, texts: pa.LargeStringArray) -> np.ndarray:
        """Bytes that the prefix space adds to each text, int64 [texts]."""
        if not self.prefix_space:
            return np.zeros(len(texts), np.int64)
        bare = pc.and_not(pc.not_equal(texts, ""), pc.starts_with(texts, " "))
        return bare.to_numpy(zero_copy_only=False).astype(np.int64)

    def _doubts(self, texts: pa.LargeStringArray) -> np.ndarray:
        """Which texts need not keep the number of their bytes, bool [texts]."""
        if self.doubtful is None:
            return np.zeros(len(texts), bool)
        found = pc.match_substring_regex(texts, self.doubtful)
        return found.to_numpy(zero_copy_only=False)

    def _encode(self, batch: Batch, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Encode documents by number: the number, and the characters of each token [tokens, 2]."""
        done = 0
        for texts in slices(batch.texts.take(pa.array(numbers)), LIBRARY_BYTES):
            strings = texts.to_pylist()
            encodings = self.tokenizer.encode_batch(strings)
            for number, text, encoding in zip(numbers[done:], strings, encodings, strict=False):
                tokens = slice(*batch.token_starts[number : number + 2])
                if not np.array_equal(encoding.ids, batch.ids[tokens]):
                    raise ValueError(
                        f"the tokens of the document that begins {text[:40]!r} are not those that "
                        "the tokenizer gives it; remove the tokens to make them again"
                    )
                spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
                # A space that the library puts before a text has the place of its first character.
                for i, token in enumerate(encoding.tokens[:2]):  # BOS may come first
                    if token in PREFIXES and spans[i, 0] == 0:
                        spans[i] = 0
                yield number, spans
            done += len(texts)


def _overlapping(
    spans: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and last token that overlap the characters `start` up to `end`, given the characters
    `spans` [tokens, 2] of each."""
    first = np.searchsorted(spans[:, 1], start, side="right")
    return first, np.searchsorted(spans[:, 0], end, side="left") - 1


def _steps(spec: dict[str, Any] | None, key: str) -> Iterator[dict[str, Any]]:
    """The steps of a part of a pipeline, which is one step, a sequence of them, or nothing."""
    if spec is not None and spec["type"] == "Sequence":
        for step in spec[key]:
            yield from _steps(step, key)
    elif spec is not None:
        yield spec


def _token_sizes(tokenizer: Tokenizer, byte_level: bool) -> np.ndarray:
    """Bytes of text that each token id stands for, int64 [ids]."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    added = tokenizer.get_added_tokens_decoder()
    sizes = np.zeros(max([*vocabulary.values(), *added]) + 1, np.int64)
    for token, i in vocabulary.items():  # of byte-level tokens each character stands for a byte
        sizes[i] = len(token) if byte_level else len(token.encode())
    for i, token in added.items():
        sizes[i] = len(token.content.encode())
    return sizes


def _resized() -> str:
    """Characters whose lowercase takes another number of bytes in UTF-8."""
    lowered = ((character, character.lower()) for character in map(chr, range(0x110000)))
    return "".join(
        character
        for character, lower in lowered
        if character != lower and len(character.encode()) != len(lower.encode())
    )
