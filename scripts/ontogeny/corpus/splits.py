"""The splits of corpora that are made from others: parquet files with one column `text`, read and
written as a stream. No document is dropped on the way, also none that stands there twice."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ontogeny.corpus.documents import SCHEMA
from ontogeny.corpus.tokens import BATCH_BYTES, BATCH_ROWS, read_batches
from ontogeny.files import naming, replacing


@dataclass(frozen=True)
class Splits:
    """The two files of a corpus, by its name in the study."""

    name: str
    train: Path
    validation: Path


def read_documents(path: str | Path) -> Iterator[str]:
    """Documents of a split, in their order."""
    for texts in read_batches(path):
        yield from texts.to_pylist()


def batched(documents: Iterable[str]) -> Iterator[pa.LargeStringArray]:
    """Documents in batches of some 8 MB; a longer one is in a batch of its own."""
    texts: list[bytes] = []
    size = 0
    for document in documents:
        text = document.encode()
        if texts and (size + len(text) > BATCH_BYTES or len(texts) == BATCH_ROWS):
            yield pa.array(texts, pa.large_binary()).view(pa.large_string())
            texts, size = [], 0
        texts.append(text)
        size += len(text)
    if texts:
        yield pa.array(texts, pa.large_binary()).view(pa.large_string())


def write_split(batches: Iterable[pa.LargeStringArray], path: Path) -> dict[str, int]:
    """Write documents; return how many, and their UTF-8 bytes."""
    documents = size = 0
    with (
        naming(path),
        pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=False) as writer,
    ):
        for texts in batches:
            if len(texts):
                writer.write_table(pa.table([texts], schema=SCHEMA))
                documents += len(texts)
                size += pc.sum(pc.binary_length(texts)).as_py()
    return {"documents": documents, "bytes": size}


@contextmanager
def writing(splits: Splits) -> Iterator[tuple[Path, Path]]:
    """Temporary paths of both files, which appear, complete, or neither."""
    with replacing(splits.train) as train, replacing(splits.validation) as validation:
        yield train, validation
