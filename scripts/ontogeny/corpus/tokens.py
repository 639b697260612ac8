"""From documents to one flat file of token ids per split, ready to be memory-mapped.

Ids are as narrow as the vocabulary allows (uint16 up to 65,536 entries), so a corpus of 100M words
is some 300 MB and stays in the page cache when training reads it in random order. Documents are
streamed in batches of 8 MB of text; how they are encoded is in `pieces`.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ontogeny.corpus.pieces import Encoder, make_encoder, slices
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.files import naming, replacing
from ontogeny.origins import reading, sha256_of
from ontogeny.progress import Progress, say

BATCH_BYTES = 8 * 1024 * 1024  # twice as much is no faster, and takes some 400 MB more
BATCH_ROWS = 65_536


def token_dtype(vocab_size: int) -> np.dtype:
    """Little-endian uint16, or uint32 where the largest id needs it."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


def read_tokens(path: str | Path, dtype: str | np.dtype) -> np.ndarray:
    """The token ids of a split, [tokens], read-only and memory-mapped (an empty file: no map).

    `dtype` is that of `meta.json`.
    """
    dtype = np.dtype(dtype).newbyteorder("<")
    if not reading(path).stat().st_size:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")


def write_tokens(
    tokenizer_path: str | Path, documents: dict[str, str | Path], folder: str | Path
) -> dict[str, Any]:
    """Encode each split's parquet file (`documents[split]`) into `folder`; return the meta data.

    Writes `<split>.bin` (token ids, each document after its BOS if the tokenizer puts one),
    `<split>.documents.npy` (uint64 [documents]: where each one starts, in tokens) and
    `meta.json`. All appear, complete, or none.
    """
    tokenizer, info = load_tokenizer(tokenizer_path)
    dtype = token_dtype(info.vocab_size)
    folder = Path(folder)
    encoder = make_encoder(tokenizer, info.bos_id)
    meta: dict[str, Any] = {
        "dtype": dtype.name,
        "vocab_size": info.vocab_size,
        "bos_id": info.bos_id,
        "tokenizer_sha256": sha256_of(tokenizer_path),
        "splits": {},
    }
    with contextlib.ExitStack() as files:
        meta_file = files.enter_context(replacing(folder / "meta.json"))  # is renamed last
        for split, path in documents.items():
            tokens = files.enter_context(replacing(folder / f"{split}.bin"))
            starts = files.enter_context(replacing(folder / f"{split}.documents.npy"))
            meta["splits"][split] = _write_split(
                encoder, path, dtype, info.unk_id, tokens, starts, split
            )
        meta_file.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return meta


def _write_split(
    encoder: Encoder,
    path: str | Path,
    dtype: np.dtype,
    unk_id: int | None,
    tokens_path: Path,
    starts_path: Path,
    split: str,
) -> dict[str, int]:
    lengths = [np.zeros(1, np.uint64)]
    counts = {"tokens": 0, "documents": 0, "bytes": 0, "unknown": 0}
    with (
        naming(tokens_path),
        tokens_path.open("wb") as file,
        Progress(f"encoding {split}", _rows(path), "documents") as progress,
    ):
        for texts in read_batches(path):
            ids, document_lengths = encoder.encode(texts)
            file.write(ids.astype(dtype))
            lengths.append(document_lengths.astype(np.uint64))
            counts["tokens"] += len(ids)
            counts["documents"] += len(texts)
            counts["bytes"] += pc.sum(pc.binary_length(texts)).as_py()
            counts["unknown"] += 0 if unk_id is None else int(np.count_nonzero(ids == unk_id))
            progress.advance(len(texts), f"{counts['tokens']:,} tokens")
    with naming(starts_path), starts_path.open("wb") as file:
        np.save(file, np.cumsum(np.concatenate(lengths), dtype=np.uint64)[:-1])
    if counts["unknown"]:
        say(f"{split}: {counts['unknown']:,} tokens are unknown to the tokenizer")
    return counts


def _rows(path: str | Path) -> int:
    try:
        return pq.read_metadata(reading(path)).num_rows
    except pa.ArrowException as error:
        raise ValueError(f"{path}: it is not a parquet file ({error})") from None


def read_batches(path: str | Path) -> Iterator[pa.LargeStringArray]:
    """Texts of a parquet file in batches of some 8 MB; a longer document is a batch of its own."""
    with pq.ParquetFile(reading(path)) as parquet:
        if "text" not in parquet.schema_arrow.names:
            names = ", ".join(parquet.schema_arrow.names)
            raise ValueError(f"{path}: there is no column 'text'; there is: {names}")
        for group in range(parquet.num_row_groups):  # else a batch spans several, of any size
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=["text"]):
                texts = pc.fill_null(batch.column(0).cast(pa.large_string()), "")
                yield from slices(texts, BATCH_BYTES)
