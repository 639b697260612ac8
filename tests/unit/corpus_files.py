"""Splits of a corpus as files, from a list of texts and back."""

import pyarrow as pa
import pyarrow.parquet as pq

from ontogeny.corpus.documents import SCHEMA
from ontogeny.corpus.splits import Splits


def make_splits(folder, name, train, validation=()):
    """A corpus with these documents, in a folder of its name."""
    folder = folder / name
    folder.mkdir()
    splits = Splits(name, folder / "train.parquet", folder / "validation.parquet")
    for path, documents in ((splits.train, train), (splits.validation, validation)):
        table = pa.table({"text": pa.array(list(documents), pa.large_string())}).cast(SCHEMA)
        pq.write_table(table, path, row_group_size=7)
    return splits


def texts(path):
    return pq.read_table(path)["text"].to_pylist()
