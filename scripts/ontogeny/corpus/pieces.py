"""Encoding text fast and exactly: the `tokenizers` library encodes each different piece once.

`encode_batch_fast` gives some 280,000 tokens/s per core, because it runs its expression and its
merges over every word anew. Text repeats itself. So text is cut into pieces that encode alike
wherever they stand, Arrow finds the different pieces of a batch, the library encodes those that
are new, and numpy puts their ids together: on two cores 4 million tokens/s of ordinary text, 1.5 to
2 million where each line has a word that never occurs again (`benchmarks/tokens.py`). The price
is memory for the pieces known so far (at most `MOST_PIECES`, then all are forgotten).

Exact for GPT-2's pre-tokenisation (byte-level BPE) and for single characters, lowercased or not.
Any other pipeline (SentencePiece, Unicode normalisation ...) goes through the library. So does
all text if a sample of the first batch should come out differently.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer, pre_tokenizers

from ontogeny.progress import say

MOST_PIECES = 2_000_000
CHECKED_DOCUMENTS = 200
CHECKED_LENGTH = 20_000
CODE_POINTS = 0x110000
# At once through the library, which keeps some 150 bytes for each token until it is done.
LIBRARY_BYTES = 4 * 1024 * 1024
LIBRARY_PIECES = 100_000


def slices(texts: pa.LargeStringArray, most_bytes: int) -> Iterator[pa.LargeStringArray]:
    """Stretches of `texts` of at most so many bytes; a longer text is a stretch of its own."""
    sizes = np.cumsum(pc.binary_length(texts).to_numpy())
    start = 0
    while start < len(texts):
        before = sizes[start - 1] if start else 0
        stop = int(np.searchsorted(sizes, before + most_bytes, side="right"))
        stop = max(stop, start + 1)
        yield texts.slice(start, stop - start)
        start = stop


def flat(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 of all texts on end, uint8 [bytes], and where each text starts, int64 [texts + 1]."""
    _, offsets, data = texts.buffers()
    offsets = np.frombuffer(offsets, np.int64)[texts.offset :][: len(texts) + 1]
    data = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return data[offsets[0] : offsets[-1]], offsets - offsets[0]


class Encoder:
    """Encodes batches of texts as the tokenizer does, through the library."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def encode(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all texts on end, uint32 [tokens], and the tokens of each, int64 [texts]."""
        ids = [np.empty(0, np.uint32)]
        lengths = [np.empty(0, np.int64)]
        for part in slices(texts, LIBRARY_BYTES):
            encodings = self.tokenizer.encode_batch_fast(part.to_pylist())
            ids.extend(np.array(encoding.ids, np.uint32) for encoding in encodings)
            lengths.append(np.fromiter(map(len, encodings), np.int64, len(encodings)))
        return np.concatenate(ids), np.concatenate(lengths)


def make_encoder(tokenizer: Tokenizer, bos_id: int | None) -> Encoder:
    """The fastest encoder that is exact for this tokenizer."""
    spec = json.loads(tokenizer.to_str())
    if not _is_plain(spec):
        return Encoder(tokenizer)
    pre = spec["pre_tokenizer"]
    if pre is None and not spec["model"]["merges"]:
        return Checked(CharacterEncoder(tokenizer, bos_id))
    if pre is not None and pre["type"] == "ByteLevel" and pre.get("use_regex", True):
        lowercase = spec["normalizer"] is not None
        return Checked(WordEncoder(tokenizer, bos_id, bool(pre["add_prefix_space"]), lowercase))
    return Encoder(tokenizer)


def _is_plain(spec: dict[str, Any]) -> bool:
    """Whether nothing but lowercasing and BPE happens, so that a piece's context has no effect."""
    model, normalizer = spec["model"], spec["normalizer"]
    return (
        model["type"] == "BPE"
        and not model.get("dropout")
        and not model.get("fuse_unk")
        and not model.get("continuing_subword_prefix")
        and not model.get("end_of_word_suffix")
        and (normalizer is None or normalizer["type"] == "Lowercase")
        and all(token["special"] for token in spec["added_tokens"])
    )


class Checked(Encoder):
    """A fast encoder that is compared with the library on texts of its first batch."""

    def __init__(self, fast: "PieceEncoder"):
        super().__init__(fast.tokenizer)
        self.fast: PieceEncoder | None = fast
        self.checked = False

    def encode(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """See `Encoder.encode`."""
        if not self.checked:
            self.checked = True
            sample = pc.utf8_slice_codeunits(texts.slice(0, CHECKED_DOCUMENTS), 0, CHECKED_LENGTH)
            if not all(map(np.array_equal, self.fast.encode(sample), super().encode(sample))):
                say("this tokenizer can't be sped up exactly; encoding at the library's own speed")
                self.fast = None
        return self.fast.encode(texts) if self.fast else super().encode(texts)


@dataclass
class Memo:
    """Ids of the pieces encoded so far: piece i has ids[starts[i] : starts[i] + lengths[i]]."""

    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))
    starts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    lengths: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.starts)

    def append(self, encoded: list[list[int]]) -> None:
        """Add pieces, given the ids of each."""
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        flat = np.fromiter((i for ids in encoded for i in ids), np.uint32, lengths.sum())
        self.starts = np.append(self.starts, len(self.ids) + np.cumsum(lengths) - lengths)
        self.lengths = np.append(self.lengths, lengths)
        self.ids = np.append(self.ids, flat)

    def gather(self, pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids of a sequence of pieces on end, [tokens], and the tokens of each, [pieces]."""
        lengths = self.lengths[pieces]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        where = np.repeat(self.starts[pieces] - (ends - lengths), lengths)
        where += np.arange(total)
        return self.ids[where], lengths


class PieceEncoder(Encoder):
    """Cuts texts into pieces and encodes each different piece once. Piece 0 is BOS, or nothing."""

    def __init__(self, tokenizer: Tokenizer, bos_id: int | None):
        super().__init__(tokenizer)
        self.bos_ids = [] if bos_id is None else [bos_id]
        self.piece_tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.piece_tokenizer.encode_special_tokens = True
        self.forget()

    def forget(self) -> None:
        """Start with an empty memo."""
        self.memo = Memo()
        self.memo.append([self.bos_ids])

    def learn(self, pieces: list[str]) -> None:
        """Encode new pieces and put them into the memo."""
        for start in range(0, len(pieces), LIBRARY_PIECES):
            part = pieces[start : start + LIBRARY_PIECES]
            encodings = self.piece_tokenizer.encode_batch_fast(part, add_special_tokens=False)
            self.memo.append([encoding.ids for encoding in encodings])

    def assemble(self, pieces: np.ndarray, firsts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ids and tokens per text, from memo indices of all pieces and each text's first piece."""
        pieces = np.insert(pieces, firsts, 0)  # BOS before each text
        firsts = firsts + np.arange(len(firsts))
        ids, lengths = self.memo.gather(pieces)
        return ids, np.add.reduceat(lengths, firsts) if len(firsts) else lengths


class CharacterEncoder(PieceEncoder):
    """Each code point is a piece."""

    def forget(self) -> None:
        """Start with an empty memo."""
        super().forget()
        self.index = np.full(CODE_POINTS, -1, np.int32)

    def encode(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """See `Encoder.encode`."""
        strings = texts.to_pylist()
        points = np.frombuffer("".join(strings).encode("utf-32-le"), "<u4")
        new = np.flatnonzero(np.bincount(points[self.index[points] < 0], minlength=1))
        if len(new):
            self.index[new] = len(self.memo) + np.arange(len(new))
            self.learn([chr(point) for point in new])
        ends = np.cumsum(np.fromiter(map(len, strings), np.int64, len(strings)))
        firsts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        return self.assemble(self.index[points], firsts)


class WordEncoder(PieceEncoder):
    """Pieces are words with the space before them, punctuation, and stretches of white space.

    See `cuts` for the rule. Of several threads, all encode new pieces (Rust); the rest is one.
    """

    def __init__(
        self, tokenizer: Tokenizer, bos_id: int | None, prefix_space: bool, lowercase: bool
    ):
        super().__init__(tokenizer, bos_id)
        self.prefix_space, self.lowercase = prefix_space, lowercase
        self.piece_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def forget(self) -> None:
        """Start with an empty memo."""
        super().forget()
        self.index: dict[bytes, int] = {}

    def encode(self, texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
        """See `Encoder.encode`."""
        if len(self.index) > MOST_PIECES:
            self.forget()
        pieces, firsts = self.cut(texts)
        different = pieces.dictionary.to_pylist()
        new = [piece for piece in different if piece not in self.index]
        if new:
            known = len(self.memo)
            self.index.update(zip(new, range(known, known + len(new)), strict=True))
            self.learn([piece.decode() for piece in new])
        memo_index = np.fromiter(map(self.index.__getitem__, different), np.int32, len(different))
        return self.assemble(memo_index[pieces.indices.to_numpy()], firsts)

    def cut(self, texts: pa.LargeStringArray) -> tuple[pa.DictionaryArray, np.ndarray]:
        """All pieces of all texts in order, and each text's first piece."""
        if self.prefix_space:
            bare = pc.and_(
                pc.invert(pc.starts_with(texts, " ")), pc.greater(pc.binary_length(texts), 0)
            )
            space = pc.if_else(bare, pa.scalar(" ", pa.large_string()), "")
            texts = pc.binary_join_element_wise(space, texts, pa.scalar("", pa.large_string()))
        data, offsets = flat(texts)
        if self.lowercase:  # fewer different pieces; letters beyond ASCII are left to the library
            data = ASCII_LOWER[data]

        begins = cuts(data)
        begins[offsets[:-1][np.diff(offsets) > 0]] = True
        starts = np.flatnonzero(begins)
        buffers = [None, pa.py_buffer(np.append(starts, len(data))), pa.py_buffer(data)]
        pieces = pa.Array.from_buffers(pa.large_binary(), len(starts), buffers)
        return pieces.dictionary_encode(), np.searchsorted(starts, offsets[:-1])


# ---------------------------------------------------------------------------- where to cut

OTHER, WORD, PUNCTUATION, SPACE = 0, 1, 2, 4  # only WORD ^ PUNCTUATION is 3


def _byte_kinds() -> np.ndarray:
    kinds = np.full(256, OTHER, np.uint8)
    for byte in range(0x21, 0x7F):
        kinds[byte] = WORD if chr(byte).isalnum() else PUNCTUATION
    kinds[ord("'")] = OTHER
    kinds[[*range(0x09, 0x0E), 0x20]] = SPACE
    return kinds


BYTE_KINDS = _byte_kinds()
ASCII_LOWER = np.frombuffer(bytes(range(256)).lower(), np.uint8)
WIDE_SPACES = [  # with those of ASCII, all of Unicode's White_Space, which `\s` is
    chr(point).encode()
    for point in (
        0x85,
        0xA0,
        0x1680,
        *range(0x2000, 0x200B),
        0x2028,
        0x2029,
        0x202F,
        0x205F,
        0x3000,
    )
]


def cuts(data: np.ndarray) -> np.ndarray:
    """Where GPT-2's pre-tokenisation always ends one match and begins the next.

    `data` is UTF-8, uint8 [bytes]; the result is a mask of bytes, true where a piece begins. The
    expression is

        's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

    (a) before white space that follows something else: no match has it inside;
    (b) before a space that something else follows: `\\s+(?!\\S)` leaves the last of a stretch of
        white space to that match, and it ends where it would at the end of a text;
    (c) between ASCII letters or digits and ASCII punctuation, either way, but for the apostrophe:
        no match has both.

    Not every boundary is cut (letters of other scripts), which costs only speed.
    """
    kinds = BYTE_KINDS[data]
    white = kinds == SPACE
    first = white.copy()
    for encoded in WIDE_SPACES:
        at = np.flatnonzero(data[: max(0, len(data) - len(encoded) + 1)] == encoded[0])
        for i, byte in enumerate(encoded[1:], 1):
            at = at[data[at + i] == byte]
        first[at] = True
        for i in range(len(encoded)):
            white[at + i] = True
    cut = np.zeros(len(data), bool)
    cut[1:] = first[1:] & ~white[:-1]  # (a)
    cut[:-1] |= (data[:-1] == ord(" ")) & ~white[1:]  # (b)
    cut[1:] |= (kinds[1:] ^ kinds[:-1]) == (WORD ^ PUNCTUATION)  # (c)
    return cut
