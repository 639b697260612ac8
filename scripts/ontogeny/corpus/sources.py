"""Documents of a corpus, one string at a time, in the order of the source.

Everything is streamed: memory holds one batch of rows, or one document where a document is a
whole file (or its lines end with CR alone). Text files are read as bytes and decoded some lines at
a time, so that a byte that is not UTF-8 can be reported with its line, and no exotic line separator
(U+2028, form feed ...) cuts a document in two: only LF, CRLF and CR do, and CRLF that was converted
twice.

No document holds a byte-order mark, which is left out wherever it stands, or NUL. A text file with
NUL is refused, since it is in UTF-16 or damaged; in a column, whose encoding is settled, it is left
out as well.

Every error is a `ValueError` or `OSError` that names the file and line, and what would be right.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ontogeny.corpus.facts import facts_text
from ontogeny.origins import files_below, reading
from ontogeny.published.token import hub_token
from ontogeny.study.corpora import Corpus, FactsCorpus, FilesCorpus, HubCorpus, ToyCorpus

TOY_FOLDER = Path(__file__).resolve().parents[3] / "data" / "toy"
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
JSON_LINES = {".jsonl", ".ndjson", ".json"}
NOT_TEXT = {".csv", ".tsv", ".zip", ".tar", ".bz2", ".xz", ".7z", ".pdf", ".docx", ".arrow"}
TEXT_TYPES = (pa.string(), pa.large_string(), pa.string_view())
ROWS = 4096
BUFFER_BYTES = 1 << 20
BYTE_ORDER_MARK = "\ufeff"
LINE_END = re.compile(r"\r*\n|\r")
MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def training_documents(
    spec: Corpus, files: Iterable[str] = (), toy_folder: Path = TOY_FOLDER
) -> Iterator[str]:
    """Documents to train on, before deduplication and the draw of held-out ones.

    `files` is the expanded list of a `FilesCorpus` or a `FactsCorpus`. A missing value of a parquet
    or Hub column is given as an empty document. Raises `ValueError`, `OSError` when the source
    can't be read.
    """
    match spec:
        case ToyCorpus():
            from ontogeny.corpus import toy

            language = toy.load_language(toy_folder, spec.language_seed)
            return toy.documents(language, spec.seed, spec.words)
        case FactsCorpus():
            return iter([facts_text(files, spec.withheld)])
        case FilesCorpus():
            return read_files(files, spec.documents, spec.text_column)
        case HubCorpus():
            return read_hub(spec, spec.split)
    raise ValueError(f"source {spec!r} is not one of toy, facts, files, hub")


def validation_documents(spec: Corpus, files: Iterable[str] = ()) -> Iterator[str] | None:
    """Documents of the source's own held-out split; None where it has none."""
    files = list(files)
    if isinstance(spec, FilesCorpus) and files:
        return read_files(files, spec.documents, spec.text_column)
    if isinstance(spec, HubCorpus) and spec.validation_split:
        return read_hub(spec, spec.validation_split)
    return None


# ---------------------------------------------------------------------------- files


def read_files(files: Iterable[str], documents: str, text_column: str) -> Iterator[str]:
    """Documents of text, jsonl and parquet files, told apart by name (see `read_file`)."""
    files = list(files)
    if not files:
        raise ValueError("no files are given; `files` of the corpus matches none")
    for file in files:  # all of them, before hours go into the first
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file}: there is no such file")
    for file in files:
        reading(file)
        count = 0
        for document in read_file(file, documents, text_column):
            count += bool(document.strip())
            yield document
        if not count:
            raise ValueError(f"{file}: there is no text in it; remove it from the corpus")


def read_file(file: str, documents: str, text_column: str) -> Iterator[str]:
    """Documents of one file, whose name says what it is.

    `.parquet`: a row each; `.jsonl`, `.ndjson`, `.json`: a line each; anything else is UTF-8
    text, where `documents` (`line`, `paragraph`, `file`) says what a document is. All but parquet
    may be compressed (`.gz`, `.zst` after the name).
    """
    path = Path(file)
    compression = COMPRESSIONS.get(path.suffix.lower())
    kind = Path(path.stem).suffix.lower() if compression else path.suffix.lower()
    if kind in NOT_TEXT:
        raise ValueError(
            f"{file}: {kind} is not a format that is read; there are text, .jsonl and .parquet, "
            "and .gz or .zst of the first two"
        )
    if kind == ".parquet":
        if compression:
            raise ValueError(f"{file}: decompress it first; parquet is compressed inside")
        yield from _read_parquet(file, text_column)
    elif kind in JSON_LINES:
        yield from _read_json_lines(file, compression, text_column)
    else:
        lines = (line for _, line in _read_lines(file, compression))
        if documents == "line":
            yield from (line.removesuffix("\n") for line in lines)
        elif documents == "paragraph":
            yield from _paragraphs(lines)
        else:
            yield "".join(lines)


def _read_lines(file: str, compression: str | None) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line, with `\n` for what ends it."""
    lines_before = position = 0
    try:
        with (
            pa.input_stream(file, compression=compression) as stream,
            io.BufferedReader(stream, BUFFER_BYTES) as reader,
        ):
            while block := reader.read(BUFFER_BYTES) + reader.readline():
                *lines, last = _decoded(block, file, lines_before, position).split("\n")
                for number, line in enumerate(lines, lines_before + 1):
                    yield number, f"{line}\n"
                lines_before += len(lines)
                position += len(block)
                if last:
                    yield lines_before + 1, last
    except OSError as error:
        if compression is None or error.filename is not None:
            raise
        raise ValueError(f"{file}: {_broken(file, compression, str(error))}") from None


def _decoded(block: bytes, file: str, lines_before: int, position: int) -> str:
    """The text of some whole lines, each ending with `\n`, without byte-order marks.

    `position`: where they begin in the file. Raises ValueError for what is not text in UTF-8.
    """

    def place(at: int) -> str:
        line = lines_before + len(LINE_END.findall(block[:at].decode("latin-1"))) + 1
        byte = f"byte {block[at]:#04x}, at position {position + at:,} of the text (from 0)"
        return f"{file}, line {line}: {byte}, is not "

    if b"\0" in block:
        at = block.index(0)
        order = "LE" if (position + at) % 2 else "BE"
        raise ValueError(
            f"{place(at)}of text in UTF-8; if the file is UTF-16, convert it first (`iconv -f "
            f"UTF-16{order} -t UTF-8`), else remove such bytes (`tr -d '\\000'`)"
        )
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{place(error.start)}UTF-8; convert the file to UTF-8 first") from None
    if "\r" in text:
        text = LINE_END.sub("\n", text)
    return text.replace(BYTE_ORDER_MARK, "")


def _broken(file: str, compression: str, reason: str) -> str:
    """What is wrong with a compressed file that can't be read, and what to do."""
    with open(file, "rb") as raw:
        start = raw.read(4)
    if not start.startswith(MAGIC[compression]):
        return f"it is not {compression} ({reason}); compress it, or name it as what it is"
    if "too much memory" in reason:
        return (
            "it was compressed with a window that is too long to read it here; decompress it "
            f"first (`zstd -d --long=31 {file}`)"
        )
    if "Truncated" in reason:
        return f"it is cut short ({reason}); fetch or compress it again"
    return (
        f"it is damaged, or something else follows its end ({reason}); fetch or compress it again"
    )


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    """Blocks of lines between lines that are empty or white."""
    block: list[str] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield "".join(block).removesuffix("\n")
            block = []
    if block:
        yield "".join(block).removesuffix("\n")


def _read_json_lines(file: str, compression: str | None, text_column: str) -> Iterator[str]:
    for number, line in _read_lines(file, compression):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{where}: it is not JSON ({error}); each line must be one object, such as "
                f'{{"{text_column}": "..."}}'
            ) from None
        yield _text_of(row, text_column, where)


def _text_of(row: Any, text_column: str, where: str) -> str:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: it must be an object, and is {_json_type(row)}")
    if text_column not in row:
        raise ValueError(
            f"{where}: there is no {text_column!r}; there is: {', '.join(map(str, row))}. "
            "`text_column` of the corpus says which one holds the text"
        )
    text = row[text_column]
    if not isinstance(text, str):
        raise ValueError(f"{where}: {text_column!r} must be a string, and is {_json_type(text)}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: {text_column!r} holds half a surrogate pair (character {error.start}), "
            "which is no text"
        ) from None
    return _plain(text)


def _plain(text: str) -> str:
    """A value of a column, without what is not of its text: NUL and byte-order marks."""
    return text.replace("\0", "").replace(BYTE_ORDER_MARK, "")


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _read_parquet(file: str, text_column: str) -> Iterator[str]:
    try:
        parquet = pq.ParquetFile(file)
    except pa.ArrowException as error:
        raise ValueError(f"{file}: it is not a parquet file ({error})") from None
    with parquet:
        schema = parquet.schema_arrow
        if text_column not in schema.names:
            raise ValueError(_no_column(file, text_column, schema.names))
        kind = schema.field(text_column).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if kind not in TEXT_TYPES:
            raise ValueError(f"{file}: column {text_column!r} holds {kind}; it must hold text")
        try:
            for batch in parquet.iter_batches(batch_size=ROWS, columns=[text_column]):
                for text in batch.column(0).to_pylist():
                    yield _plain(text or "")
        except pa.ArrowException as error:
            raise ValueError(f"{file}: it can't be read ({error})") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: column {text_column!r} is not UTF-8 ({error})") from None


def _no_column(where: str, text_column: str, names: Iterable[str]) -> str:
    return (
        f"{where}: there is no column {text_column!r}; there is: {', '.join(names)}. "
        "`text_column` of the corpus says which one holds the text"
    )


# ---------------------------------------------------------------------------- datasets


def read_hub(spec: HubCorpus, split: str) -> Iterator[str]:
    """Documents of one split of a dataset on the Hub, or of a local folder."""
    if Path(spec.dataset).is_dir():
        for file in (spec.dataset, *files_below(spec.dataset)):
            reading(file)
    dataset = _load_split(spec, split)
    where = f"dataset {spec.dataset!r}, split {split!r}"
    names = dataset.column_names
    if names is not None and spec.text_column not in names:
        raise ValueError(_no_column(where, spec.text_column, names))
    if names is not None:
        dataset = dataset.select_columns([spec.text_column])
    row = 0
    for batch in dataset.iter(batch_size=1000):
        if spec.text_column not in batch:
            raise ValueError(_no_column(where, spec.text_column, batch))
        for text in batch[spec.text_column]:
            if text is not None and not isinstance(text, str):
                raise ValueError(
                    f"{where}, row {row:,}: column {spec.text_column!r} must hold text, and holds "
                    f"{_json_type(text)}"
                )
            yield _plain(text or "")
            row += 1


def _load_split(spec: HubCorpus, split: str) -> Any:
    import datasets  # slow to import, and only needed here

    folder = Path(spec.dataset)
    token = False if folder.is_dir() else hub_token()
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json"))
    try:
        if saved:
            dataset = datasets.load_from_disk(str(folder))
            splits = dataset if isinstance(dataset, dict) else {"train": dataset}
            if split not in splits:
                raise ValueError(f"unknown split {split!r}; there is: {', '.join(splits)}")
            return splits[split]
        return datasets.load_dataset(
            spec.dataset,
            spec.name,
            split=split,
            revision=spec.revision,
            token=token,
            streaming=spec.streaming,
        )
    except Exception as error:  # of many kinds: the client's, the network's, the builder's
        where = f"dataset {spec.dataset!r}, split {split!r}"
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if "split" in reason.lower() or folder.is_dir():
            raise ValueError(f"{where}: {reason}") from error
        raise ValueError(
            f"{where}: it could not be fetched ({reason}); check the name and the network, or give "
            "a local copy: a folder as `dataset`, or its files with `source: files`"
        ) from error
