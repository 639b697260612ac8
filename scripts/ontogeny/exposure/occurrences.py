"""Where phrases stand in a corpus, as positions in its token file: found once for all runs.

The file (parquet) has a row for each occurrence, in the order of the corpus: `phrase`, the number
of the phrase in the list that the file's schema keeps; `first`, the position in `train.bin` of the
first token that overlaps it; `span`, how many tokens later the last one is. What an occurrence is
says `phrases`; a token overlaps it that holds a byte of its characters, so a token " bread" does,
and one that is only the space before does not.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ontogeny.corpus.pieces import flat
from ontogeny.corpus.tokenizer import load_tokenizer
from ontogeny.corpus.tokens import read_batches, read_tokens
from ontogeny.exposure.alignment import Aligner, Batch
from ontogeny.exposure.phrases import COUNTED, PhraseFinder, phrase_for
from ontogeny.files import read_json, replacing
from ontogeny.origins import reading, sha256_of
from ontogeny.progress import Progress
from ontogeny.scoring.stimuli.binomials import Binomial

PHRASES = b"phrases"
NAMED = 10  # items that never occur
FIELDS = [("phrase", pa.int32()), ("first", pa.uint64()), ("span", pa.int32())]
STORAGE = {
    "compression": "zstd",
    "use_dictionary": ["phrase", "span"],
    "column_encoding": {"first": "DELTA_BINARY_PACKED"},
}


def write_occurrences(
    phrases: list[str],
    documents: str | Path,
    tokenizer_path: str | Path,
    tokens_folder: str | Path,
    path: str | Path,
    threads: int = 1,
) -> np.ndarray:
    """Find `phrases` (see `phrases_of`) in the training documents; return how often each is there,
    int64 [phrases].

    `documents` is the corpus' `train.parquet`, `tokens_folder` holds its tokens under the
    tokenizer. Memory: some batches of 8 MB of text (a longer document is one) per thread. Raises
    ValueError when the tokens are not those of these documents under this tokenizer.
    """
    tokenizer, info = load_tokenizer(tokenizer_path)
    folder = Path(tokens_folder)
    meta = read_json(folder / "meta.json")
    if meta["tokenizer_sha256"] != sha256_of(tokenizer_path):
        raise ValueError(f"{folder}: made with another tokenizer than {tokenizer_path}")
    ids = read_tokens(folder / "train.bin", meta["dtype"])
    starts = np.load(reading(folder / "train.documents.npy")).astype(np.int64)
    finder, aligner = PhraseFinder(phrases), Aligner(tokenizer, info.bos_id)
    schema = pa.schema(FIELDS, {PHRASES: json.dumps(phrases)})

    def search(batch: Batch) -> tuple[int, pa.Table]:
        found = finder.find(batch.texts)
        first, last = aligner.tokens_of(batch, found["start"].to_numpy(), found["end"].to_numpy())
        found = found.select("phrase", first=pl.Series(first), span=pl.Series(last - first))
        found = found.filter(pl.col("span") >= 0).sort("first", "span", "phrase")
        return len(batch.texts), found.to_arrow().cast(schema)

    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, **STORAGE) as writer,
        Progress("finding occurrences", len(starts), "documents") as progress,
        ThreadPoolExecutor(threads) as pool,
    ):
        counts = np.zeros(len(phrases), np.int64)
        batches = _batches(documents, ids, np.append(starts, len(ids)))
        for texts, found in _in_order(pool, search, batches, threads):
            writer.write_table(found)
            counts += np.bincount(found["phrase"].to_numpy(), minlength=len(phrases))
            progress.advance(texts, f"{counts.sum():,} occurrences")
    return counts


def items_told(items: list[Binomial], phrases: list[str], counts: np.ndarray) -> str:
    """How many items occur, in either order, and which never do: a line for the log. `counts`: of
    each of the `phrases`."""
    of_phrase = dict(zip(phrases, counts.tolist(), strict=True))
    orders = [COUNTED["alpha_seen"], COUNTED["nonalpha_seen"]]
    seen = [sum(of_phrase[phrase_for(order, item)] for order in orders) for item in items]
    never = [item.alpha for item, count in zip(items, seen, strict=True) if not count]
    line = (
        f"{len(items) - len(never):,} of {len(items):,} items occur in the text "
        f"({sum(seen):,} times in all)"
    )
    if not never:
        return line
    more = f" and {len(never) - NAMED:,} more" if len(never) > NAMED else ""
    return f"{line}; {len(never):,} never: {', '.join(never[:NAMED])}{more}"


def read_occurrences(
    path: str | Path, phrases: list[str]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Number of the phrase, first and last token of occurrences, part by part of the corpus.

    Raises ValueError when the file holds the occurrences of other phrases than these.
    """
    with pq.ParquetFile(reading(path)) as parquet:
        metadata = parquet.schema_arrow.metadata or {}
        if json.loads(metadata.get(PHRASES, "null")) != phrases:
            raise ValueError(
                f"{path}: it holds the occurrences of other items; remove it to make it again"
            )
        for group in range(parquet.num_row_groups):
            phrase, first, span = map(np.asarray, parquet.read_row_group(group).columns)
            first = first.astype(np.int64)
            yield phrase, first, first + span


def _batches(documents: str | Path, ids: np.ndarray, starts: np.ndarray) -> Iterator[Batch]:
    """Documents with their tokens, in batches of some 8 MB. `starts`: [documents + 1]."""
    row = 0
    for texts in read_batches(documents):
        stop = row + len(texts)
        if stop < len(starts):
            yield Batch(texts, flat(texts)[1], ids, starts[row : stop + 1])
        row = stop
    if row != len(starts) - 1:
        raise ValueError(
            f"{documents}: {row:,} documents, but the tokens are of {len(starts) - 1:,}; remove "
            "the tokens to make them again"
        )


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Any], Any], arguments: Iterable[Any], ahead: int
) -> Iterator[Any]:
    """`map` in a pool, but no more than `ahead` + 1 arguments are taken before their results."""
    waiting: deque = deque()
    for argument in arguments:
        waiting.append(pool.submit(work, argument))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
