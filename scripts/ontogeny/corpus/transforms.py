"""Corpora made of parts of others: `mix` and `take`.

Sizes are in bytes of UTF-8, without the line ends between documents. All is streamed: memory holds
8 bytes a document at most, some batches of 8 MB, and for a random order 64 MB.

What is held out has no copy in training (`copies`), though corpora of a mix may have text in common
and a document that ends early may be another one's copy: such a document is left out of training.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain, compress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow.compute as pc

from ontogeny.corpus.copies import Copies
from ontogeny.corpus.splits import Splits, batched, read_documents, write_split, writing
from ontogeny.corpus.tokens import read_batches
from ontogeny.progress import say
from ontogeny.study.corpora import MixCorpus, TakeCorpus

HELD_OUT_CHUNK = 4096  # bytes
SHUFFLED_AT_ONCE = 64 * 1024 * 1024  # bytes


class Part:
    """The beginning of a split, at most `quota` bytes of it; the last document may end early, with
    a whole line, unless it is then a copy of one that is `held_out`. `taken` is what was given so
    far, `documents` how many."""

    def __init__(self, documents: Iterable[str], quota: int, held_out: Copies | None = None):
        self.documents = self.taken = 0
        self.quota = quota
        self.held_out = held_out or Copies()
        self.source = self._beginning(documents)

    def _beginning(self, documents: Iterable[str]) -> Iterator[str]:
        for document in documents:
            room = self.quota - self.taken
            kept = whole_lines(document, room, byte_length)
            if len(kept) < len(document) and self.held_out.among([kept]).any():
                return
            if kept:
                self.taken += byte_length(kept)
                self.documents += 1
                yield kept
            if len(kept) < len(document):
                return

    def up_to(self, size: int) -> Iterator[str]:
        """Documents until `size` bytes, counted from the first, have been given."""
        while self.taken < size and (document := next(self.source, None)) is not None:
            yield document


def byte_length(text: str) -> int:
    """Length in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def word_count(text: str) -> int:
    """How many stretches of text without white space there are."""
    return len(text.split())


def whole_lines(document: str, room: int, measure: Callable[[str], int]) -> str:
    """As many of its first lines as fit into `room`, in the unit of `measure`: all of it, or some
    of it without the line end after them, or nothing."""
    if measure(document) <= room:
        return document
    used = start = end = 0
    while (stop := document.find("\n", start)) >= 0:
        used += measure(document[start:stop])
        if used > room:
            break
        end = stop
        used += measure("\n")
        start = stop + 1
    kept = document[:end].removesuffix("\r")
    return "" if kept.isspace() else kept


# ---------------------------------------------------------------------------- mix


def write_mix(spec: MixCorpus, sources: list[Splits], target: Splits) -> dict[str, Any]:
    """Write both splits of a mix of the `sources`, in the order of `spec.corpora`; return the
    counts of both, for the provenance file.

    Raises ValueError where a source is too small for its share, or no line fits into it.
    """
    whole = [_split_bytes(source.train) for source in sources]
    shares = spec.shares or ([1.0] * len(whole) if spec.bytes else [float(s) for s in whole])
    held_out = [_split_bytes(source.validation) for source in sources]
    validation = held_out
    if not spec.holds_all_there_is:
        validation = quotas(held_out, spec.validation_bytes, shares)
    _require(spec.corpora, held_out, validation, shares, "validation_bytes", "held out")
    copies = _held_out(sources, validation)
    left_out, sizes = zip(*(_copies_in(source.train, copies) for source in sources), strict=True)
    given = spec.shares or spec.bytes
    train = quotas(sizes, spec.bytes, shares) if given else sizes
    _require(spec.corpora, sizes, train, shares, "bytes", "to train on")
    also_held_out = sum(int(mask.sum()) for mask in left_out)
    if also_held_out:
        say(f"{also_held_out:,} documents are left out of training: the mix holds out the same")

    counts: dict[str, Any] = {
        "shares": dict(zip(spec.corpora, shares, strict=True)),
        "also_held_out": also_held_out,
    }
    with (
        writing(target) as paths,
        tempfile.TemporaryDirectory(prefix=".shuffled-", dir=paths[0].parent) as folder,
    ):
        for split, path in zip(("train", "validation"), paths, strict=True):
            if split == "train":
                parts = [
                    Part(compress(read_documents(source.train), ~mask), quota, copies)
                    for source, mask, quota in zip(sources, left_out, train, strict=True)
                ]
                texts = _in_order(spec, parts, Path(folder))
            else:
                parts = _held_out_parts(sources, validation)
                texts = take_turns(parts, HELD_OUT_CHUNK)
            counts[split] = write_split(batched(texts), path)
            counts[split]["parts"] = {
                name: {"quota": part.quota, "documents": part.documents, "bytes": part.taken}
                for name, part in zip(spec.corpora, parts, strict=True)
            }
            if split == "train" or spec.validation_bytes:
                _require_text(spec.corpora, parts, split)
    return counts


def _held_out_parts(sources: list[Splits], most: list[int]) -> list[Part]:
    return [
        Part(read_documents(source.validation), quota)
        for source, quota in zip(sources, most, strict=True)
    ]


def _held_out(sources: list[Splits], most: list[int]) -> Copies:
    """All that the sources hold out, and what of it ends early in the mix, to find copies of it."""
    whole = (read_documents(source.validation) for source in sources)
    parts = (part.up_to(part.quota) for part in _held_out_parts(sources, most))
    return Copies(chain.from_iterable(chain(whole, parts)))


def _copies_in(path: Path, held_out: Copies) -> tuple[np.ndarray, int]:
    """A mask of the documents of a split that are held out elsewhere, and the bytes of the others.
    1 byte a document."""
    masks, size = [np.zeros(0, bool)], 0
    for texts in read_batches(path):
        masks.append(held_out.among(texts.to_pylist()))
        size += int(pc.binary_length(texts).to_numpy()[~masks[-1]].sum())
    return np.concatenate(masks), size


def _in_order(spec: MixCorpus, parts: list[Part], folder: Path) -> Iterator[str]:
    """All documents of the parts, in the order of the mix."""
    if spec.order == "round_robin":
        return take_turns(parts, spec.chunk_bytes)
    texts = (text for part in parts for text in part.up_to(part.quota))
    if spec.order == "shuffle":
        return shuffled(texts, sum(part.quota for part in parts), spec.seed, folder)
    return texts


def _require_text(names: list[str], parts: list[Part], split: str) -> None:
    """Raise ValueError for a part of which nothing was taken."""
    for name, part in zip(names, parts, strict=True):
        if part.quota and not part.documents:
            raise ValueError(
                f"corpus {name!r}: its first line is longer than its share of {part.quota:,} bytes "
                f"({split}); give it a larger one"
            )


def quotas(sizes: list[int], total: int | None, shares: list[float]) -> list[int]:
    """How many bytes of each part: `total` in these shares, the first parts having one more where
    it can't be divided; without a `total`, as much as parts of these `sizes` allow."""
    exact = [Fraction(share) for share in shares]
    if total is None:
        scale = min((size / share for size, share in zip(sizes, exact, strict=True)), default=0)
        return [math.floor(scale * share) for share in exact]
    most = [math.floor(total * share / sum(exact)) for share in exact]
    rest = total - sum(most)
    return [n + (i < rest) for i, n in enumerate(most)]


def take_turns(parts: list[Part], chunk: int) -> Iterator[str]:
    """A chunk of documents from each part, again and again. The largest quota has chunks of so many
    bytes, the others smaller ones in proportion, so that all parts end in the same turn."""
    largest = max(part.quota for part in parts)
    for turn in range(1, math.ceil(largest / chunk) + 1):
        for part in parts:
            yield from part.up_to(min(part.quota, math.ceil(turn * chunk * part.quota / largest)))


def shuffled(documents: Iterable[str], size: int, seed: int, folder: Path) -> Iterator[str]:
    """Documents in random order, all orders being equally likely. They are thrown into bins at
    random, files in `folder` of some 64 MB, and each bin is shuffled in memory. `size`: of all."""
    rng = np.random.default_rng(seed)
    bins = max(1, math.ceil(size / SHUFFLED_AT_ONCE))
    files = [(folder / str(number)).open("w+b") for number in range(bins)]
    try:
        for document in documents:
            text = document.encode()
            file = files[rng.integers(bins)] if bins > 1 else files[0]
            file.write(len(text).to_bytes(8, "little") + text)
        for file in files:
            texts = list(_records(file))
            for number in rng.permutation(len(texts)):
                yield texts[number].decode()
    finally:
        for file in files:
            file.close()


def _records(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while length := file.read(8):
        yield file.read(int.from_bytes(length, "little"))


def _split_bytes(path: Path) -> int:
    return sum(pc.sum(pc.binary_length(texts)).as_py() for texts in read_batches(path))


def _require(
    names: list[str], sizes: list[int], most: list[int], shares: list[float], key: str, what: str
) -> None:
    """Raise ValueError for a part that is smaller than its share."""
    for name, size, quota in zip(names, sizes, most, strict=True):
        if quota > size:
            total = sum(quotas(sizes, None, shares))
            while any(q > n for q, n in zip(quotas(sizes, total, shares), sizes, strict=True)):
                total -= 1
            raise ValueError(
                f"corpus {name!r} has {size:,} bytes {what}, and its share is {quota:,}; lower "
                f"`{key}` to {total:,}, or its share"
            )


# ---------------------------------------------------------------------------- take


def write_take(spec: TakeCorpus, source: Splits, target: Splits) -> dict[str, Any]:
    """Write part of the training split and all of the held-out split; return the counts of both.

    Raises ValueError where there is less than should be taken, or no line fits.
    """
    unit = "bytes" if spec.bytes else "words" if spec.words else "documents"
    amount = getattr(spec, unit)
    measure = {"bytes": byte_length, "words": word_count, "documents": lambda text: 1}[unit]
    sizes = np.fromiter(map(measure, read_documents(source.train)), np.int64)
    if amount > sizes.sum():
        raise ValueError(
            f"corpus {source.name!r} has {sizes.sum():,} {unit} to train on, not {amount:,}; lower "
            f"`{unit}`"
        )
    order = np.arange(len(sizes))
    if spec.which == "random":
        order = np.random.default_rng(spec.seed).permutation(len(sizes))
    ends = np.cumsum(sizes[order])
    whole = int(np.searchsorted(ends, amount, side="right"))
    chosen = np.zeros(len(sizes), bool)
    chosen[order[:whole]] = True
    last = int(order[whole]) if whole < len(order) else -1
    room = amount - (int(ends[whole - 1]) if whole else 0)

    def documents() -> Iterator[str]:
        for number, document in enumerate(read_documents(source.train)):
            if chosen[number]:
                yield document
            elif number == last:
                kept = whole_lines(document, room, measure)
                if kept and not Copies(read_documents(source.validation)).among([kept]).any():
                    yield kept

    with writing(target) as (train, validation):
        counts = {"train": write_split(batched(documents()), train)}
        counts["validation"] = write_split(read_batches(source.validation), validation)
        if not counts["train"]["documents"]:
            raise ValueError(
                f"corpus {source.name!r}: its first line is longer than {amount:,} {unit}; take "
                "more, or make more documents of its source (`documents: line`)"
            )
    return counts
