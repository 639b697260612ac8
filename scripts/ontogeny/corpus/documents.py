"""From a stream of documents to `train.parquet` and `validation.parquet`, one column `text`.

Two passes. The first writes every document to a temporary parquet file and keeps two 64-bit hashes
(xxh3) of each in memory, of the text as it is and of what its copies have in common (`copies`);
the second copies row groups through a mask. So memory is 16 bytes a document (some 60 while
duplicates and copies are looked for) and one row group, the held-out documents are an exact share,
and the price is that the text is written twice. Two different documents of n collide, and the
second one is lost, with probability n^2 / 2^65: 3e-6 for ten million.

No text is in both splits. What is drawn has no copy among the other documents, so that training
keeps every text that is repeated as often as it is. Where the source has a held-out split of its
own, what is in both leaves training; without deduplication it leaves the held-out split instead,
for the same reason.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from ontogeny.corpus.copies import among, copy_key
from ontogeny.files import naming, replacing
from ontogeny.progress import Progress, say
from ontogeny.study.corpora import Holdout

SCHEMA = pa.schema([pa.field("text", pa.large_string(), nullable=False)])
ROW_GROUP_BYTES = 32 * 1024 * 1024
ROW_GROUP_ROWS = 131_072
# A held-out part is larger than it should be above both: so many times its share, and this share.
MUCH_MORE = 2
LARGE_SHARE = 0.1
AGAIN = 1  # a stream of random numbers


@dataclass
class Pool:
    """All documents of a source in a temporary file: `rows` of them, two hashes of each (of its
    text, and of its text without what copies may differ in)."""

    path: Path
    hashes: np.ndarray
    copy_hashes: np.ndarray
    empty: int

    @property
    def rows(self) -> int:
        return len(self.hashes)


def write_corpus(
    training: Iterable[str],
    held_out: Iterable[str] | None,
    holdout: Holdout,
    deduplicate: bool,
    train_path: str | Path,
    validation_path: str | Path,
) -> dict[str, Any]:
    """Write both splits and return their counts, for the provenance file.

    `held_out`: the source's own held-out documents, kept in their order, or None to draw
    `holdout.share` of the training documents (at least one when the share is above 0; then also
    in the order of the source). Documents without any text are dropped. With `deduplicate`, the
    first of several identical documents stays. No text is in both splits (see above).

    Both files appear, complete, or neither. Says what was dropped, and warns where much more is
    held out than `holdout.share`. Raises `ValueError` when nothing is left to train on, or too
    little to hold out.
    """
    train_path, validation_path = Path(train_path), Path(validation_path)
    train_path.parent.mkdir(parents=True, exist_ok=True)
    with (
        naming(train_path),
        tempfile.TemporaryDirectory(prefix=".documents-", dir=train_path.parent) as folder,
    ):
        own_split = held_out is not None
        pool = _collect(training, Path(folder, "training.parquet"), "training documents")
        if not pool.rows:
            raise ValueError("the corpus has no documents: its source holds no text")
        keep = _first_of_each(pool.hashes) if deduplicate else np.ones(pool.rows, bool)
        counts = {
            "read": pool.rows + pool.empty,
            "empty": pool.empty,
            "duplicates": int(pool.rows - keep.sum()),
        }
        if own_split:
            other = _collect(held_out, Path(folder, "held_out.parquet"), "held-out documents")
            keep_other, more_counts = _separate(pool, keep, other, deduplicate)
            counts |= more_counts
        else:
            other, keep_other = pool, draw(keep, holdout)
            counts["drawn_again"] = replace_copies(keep_other, keep, pool.copy_hashes, holdout)
            keep &= ~keep_other
        if not keep.any():
            raise ValueError(_nothing_left(counts, own_split, int(keep_other.sum()), holdout))
        with replacing(train_path) as train, replacing(validation_path) as validation:
            counts["train"] = _copy(pool.path, keep, train)
            counts["validation"] = _copy(other.path, keep_other, validation)
    say(_summary(counts))
    if not own_split and (warning := _held_out_too_much(counts, holdout)):
        say(warning)
    return counts


def _separate(
    pool: Pool, keep: np.ndarray, other: Pool, deduplicate: bool
) -> tuple[np.ndarray, dict[str, int]]:
    """A mask of the documents to keep of a held-out split of the source's own (`other`), and
    counts. What `pool` has in common with it leaves `keep`, or without `deduplicate` that mask."""
    if not other.rows:
        raise ValueError("the held-out split has no documents: its source holds no text")
    keep_other = _first_of_each(other.hashes) if deduplicate else np.ones(other.rows, bool)
    counts = {
        "also_held_out": 0,
        "held_out_read": other.rows + other.empty,
        "held_out_empty": other.empty,
        "held_out_duplicates": int(other.rows - keep_other.sum()),
        "held_out_also_trained": 0,
    }
    if deduplicate:
        common = keep & among(pool.copy_hashes, np.unique(other.copy_hashes))
        keep &= ~common
        return keep_other, counts | {"also_held_out": int(common.sum())}
    common = among(other.copy_hashes, np.unique(pool.copy_hashes))
    if common.all():
        raise ValueError(
            "no documents are held out: all of the held-out split are also in training; "
            "`deduplicate: true` drops them from training instead"
        )
    return ~common, counts | {"held_out_also_trained": int(common.sum())}


def draw(candidates: np.ndarray, holdout: Holdout) -> np.ndarray:
    """A mask of documents to hold out, drawn without replacement from the true `candidates`.

    So many are drawn: share x candidates, rounded, at least 1 where the share is above 0, at most
    `holdout.max_documents`. The same seed and number of candidates give the same draw.
    """
    chosen = np.zeros(len(candidates), bool)
    if not holdout.share:
        return chosen
    rows = np.flatnonzero(candidates)
    count = max(1, round(holdout.share * len(rows)))
    count = min(count, len(rows), holdout.max_documents or count)
    chosen[np.random.default_rng(holdout.seed).choice(rows, count, replace=False)] = True
    return chosen


def replace_copies(
    chosen: np.ndarray, candidates: np.ndarray, copy_hashes: np.ndarray, holdout: Holdout
) -> int:
    """Put back what was drawn (`chosen`, a mask that is changed) and has a copy among the
    `candidates`, and draw as many others that have none; return how many.

    Where no copy was drawn nothing changes; else all documents without a copy are equally likely.
    Raises ValueError when there are too few of them.
    """
    hashes, counts = np.unique(copy_hashes[candidates], return_counts=True)
    has_copy = among(copy_hashes, hashes[counts > 1])
    again = int((chosen & has_copy).sum())
    if not again:
        return 0
    rows = np.flatnonzero(candidates & ~has_copy & ~chosen)
    if len(rows) < again:
        raise ValueError(
            f"{chosen.sum():,} documents should be held out (`holdout.share` {holdout.share:g}), "
            f"and only {(candidates & ~has_copy).sum():,} have no copy among the others, which "
            "would be trained on (case and white space at the ends aside); lower `holdout.share`, "
            "drop documents that are exactly the same (`deduplicate: true`), or give held-out text "
            "of its own"
        )
    chosen &= ~has_copy
    rng = np.random.default_rng([holdout.seed, AGAIN])
    chosen[rng.choice(rows, again, replace=False)] = True
    return again


def _summary(counts: dict[str, Any]) -> str:
    """What was read, dropped and kept, in one line."""
    train, validation = (counts[split]["documents"] for split in ("train", "validation"))
    dropped = {"empty": "empty", "duplicates": "repeated", "also_held_out": "also held out"}
    line = f"documents: {counts['read']:,} read, {_dropped(counts, dropped)}{train:,} to train on"
    if "held_out_read" not in counts:
        return f"{line}, {validation:,} held out"
    dropped = {
        "held_out_empty": "empty",
        "held_out_duplicates": "repeated",
        "held_out_also_trained": "also in training",
    }
    read = f"{counts['held_out_read']:,} read"
    return f"{line}; held out: {read}, {_dropped(counts, dropped)}{validation:,} left"


def _dropped(counts: dict[str, Any], reasons: dict[str, str]) -> str:
    """Part of a line: how many were dropped for which reason; nothing where none was."""
    parts = [f"{counts[key]:,} {reason}" for key, reason in reasons.items() if counts.get(key)]
    return f"{' and '.join(parts)} dropped, " if parts else ""


def _held_out_too_much(counts: dict[str, Any], holdout: Holdout) -> str | None:
    """A warning, where the documents held out are many more than they should be, or much longer."""
    train, validation = counts["train"], counts["validation"]
    shares = {
        unit: validation[unit] / (train[unit] + validation[unit]) for unit in ("documents", "bytes")
    }
    if max(shares.values()) <= max(LARGE_SHARE, MUCH_MORE * holdout.share):
        return None
    documents = train["documents"] + validation["documents"]
    return (
        f"warning: {validation['documents']:,} of {documents:,} documents held out, "
        f"{shares['bytes']:.0%} of the text, where `holdout.share` is {holdout.share:g}: at least "
        "1 document is, however long; give more and shorter documents (`documents: line` makes "
        "more of a text file than `file`), or held-out text of its own, or `holdout: {share: 0}`"
    )


def _nothing_left(counts: dict, own_split: bool, drawn: int, holdout: Holdout) -> str:
    if own_split:
        return (
            f"no documents are left to train on: all {counts['also_held_out']:,} different ones "
            "are also held out"
        )
    return (
        f"no documents are left to train on: holding out share {holdout.share} takes {drawn:,} of "
        f"{drawn:,}; lower `holdout.share`, or give more documents (`documents: line` makes more "
        "of a text file than `file`)"
    )


def _first_of_each(hashes: np.ndarray) -> np.ndarray:
    """A mask of the first document with each hash."""
    keep = np.zeros(len(hashes), bool)
    keep[np.unique(hashes, return_index=True)[1]] = True
    return keep


def _collect(documents: Iterable[str], path: Path, what: str) -> Pool:
    """Write all documents that have text to `path`; remember their hashes."""
    hashes: list[np.ndarray] = []
    copy_hashes: list[np.ndarray] = []
    texts: list[bytes] = []
    chunk: list[int] = []  # of copy_hashes
    size = empty = 0
    digest = xxhash.xxh3_64_intdigest
    with (
        pq.ParquetWriter(path, SCHEMA, compression="lz4", use_dictionary=False) as writer,
        Progress(f"reading {what}", 0, "documents") as progress,
    ):

        def flush() -> None:
            nonlocal size
            column = pa.array(texts, pa.large_binary()).view(pa.large_string())
            writer.write_table(pa.table([column], schema=SCHEMA))
            hashes.append(np.fromiter(map(digest, texts), np.uint64, len(texts)))
            copy_hashes.append(np.array(chunk, np.uint64))
            progress.advance(len(texts))
            texts.clear()
            chunk.clear()
            size = 0

        for document in documents:
            key = copy_key(document)
            if not key:
                empty += 1
                continue
            text = document.encode()
            texts.append(text)
            chunk.append(digest(key))
            size += len(text)
            if size >= ROW_GROUP_BYTES or len(texts) >= ROW_GROUP_ROWS:
                flush()
        if texts:
            flush()
    none = [np.empty(0, np.uint64)]
    return Pool(path, np.concatenate(hashes or none), np.concatenate(copy_hashes or none), empty)


def _copy(source: Path, keep: np.ndarray, target: Path) -> dict[str, int]:
    """Copy the rows of `keep`; return how many, and their UTF-8 bytes."""
    start = documents = size = 0
    with (
        pq.ParquetFile(source) as reader,
        naming(target),
        pq.ParquetWriter(target, SCHEMA, compression="zstd", use_dictionary=False) as writer,
    ):
        for group in range(reader.num_row_groups):
            table = reader.read_row_group(group)
            mask = keep[start : start + len(table)]
            start += len(table)
            if not mask.any():
                continue
            table = table.filter(pa.array(mask))
            writer.write_table(table)
            documents += len(table)
            size += pc.sum(pc.binary_length(table["text"])).as_py()
    return {"documents": documents, "bytes": size}
