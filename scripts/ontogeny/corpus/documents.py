"""From a stream of documents to `train.parquet` and `validation.parquet`, one column `text`.

Two passes. The first writes every document to a temporary parquet file and keeps one 64-bit hash
(xxh3) of each in memory; the second copies row groups through a mask. So memory is 8 bytes a
document (some 30 while duplicates are looked for) and one row group, the held-out documents are
an exact share, drawn from what is left without duplicates, and the price is that the text is
written twice. Two different documents of n collide, and the second one is lost, with probability
n^2 / 2^65: 3e-6 for ten million.
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

from ontogeny.files import replacing
from ontogeny.progress import Progress
from ontogeny.study.corpora import Holdout

SCHEMA = pa.schema([pa.field("text", pa.large_string(), nullable=False)])
ROW_GROUP_BYTES = 32 * 1024 * 1024
ROW_GROUP_ROWS = 131_072


@dataclass
class Pool:
    """All documents of a source in a temporary file: `rows` of them, a hash of each."""

    path: Path
    hashes: np.ndarray
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
    first of several identical documents stays, and a training document that is also held out is
    dropped from training.

    Both files appear, complete, or neither. Raises `ValueError` when nothing is left to train on.
    """
    train_path, validation_path = Path(train_path), Path(validation_path)
    train_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".documents-", dir=train_path.parent) as folder:
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
            if not other.rows:
                raise ValueError("the held-out split has no documents: its source holds no text")
            keep_other = _first_of_each(other.hashes) if deduplicate else np.ones(other.rows, bool)
            leaked = np.isin(pool.hashes, other.hashes) & keep & deduplicate
            keep &= ~leaked
            counts |= {
                "also_held_out": int(leaked.sum()),
                "held_out_read": other.rows + other.empty,
                "held_out_empty": other.empty,
                "held_out_duplicates": int(other.rows - keep_other.sum()),
            }
        else:
            other, keep_other = pool, draw(keep, holdout)
            keep &= ~keep_other
        if not keep.any():
            raise ValueError(_nothing_left(counts, own_split, int(keep_other.sum()), holdout))
        with replacing(train_path) as train, replacing(validation_path) as validation:
            counts["train"] = _copy(pool.path, keep, train)
            counts["validation"] = _copy(other.path, keep_other, validation)
    return counts


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
    texts: list[bytes] = []
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
            progress.advance(len(texts))
            texts.clear()
            size = 0

        for document in documents:
            if not document or document.isspace():
                empty += 1
                continue
            text = document.encode()
            texts.append(text)
            size += len(text)
            if size >= ROW_GROUP_BYTES or len(texts) >= ROW_GROUP_ROWS:
                flush()
        if texts:
            flush()
    return Pool(path, np.concatenate(hashes) if hashes else np.empty(0, np.uint64), empty)


def _copy(source: Path, keep: np.ndarray, target: Path) -> dict[str, int]:
    """Copy the rows of `keep`; return how many, and their UTF-8 bytes."""
    start = documents = size = 0
    with (
        pq.ParquetFile(source) as reader,
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
