"""A text file is read as what it is: line ends, byte-order marks, NUL, damaged compression."""

import gzip
import json
import random

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ontogeny.corpus import sources
from ontogeny.study.corpora import HubCorpus

LINES = ["One.", "", "Zwei, größer", " three\u2028still three\x0c\x85", "4", "five"]


def read(path, content, how="line"):
    path.write_bytes(content)
    return list(sources.read_files([str(path)], how, "text"))


def read_with_an_error(path, content):
    with pytest.raises(ValueError) as error:
        read(path, content)
    return str(error.value).removeprefix(str(path))


# ---------------------------------------------------------------------------- line ends


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("last", ["", "end"])
def test_lines_end_alike_whatever_ends_them(tmp_path, end, last):
    """As an editor shows them: by LF, CRLF, CR, or CRLF that was made of CRLF."""
    content = (end.join(LINES) + (end if last else "")).encode()
    path = tmp_path / "a.txt"
    assert read(path, content) == LINES
    assert read(path, content, "paragraph") == ["One.", "\n".join(LINES[2:])]
    assert read(path, content, "file") == ["\n".join(LINES) + ("\n" if last else "")]


def test_files_of_different_line_ends_put_together_are_read_line_by_line(tmp_path):
    parts = ["a\rb\r\rc\r", "d\n\ne\n", "f\r\ng\r\n", "h\r\r\n\r\r\ni"]
    path = tmp_path / "a.txt"
    assert read(path, "".join(parts).encode()) == [*"ab", "", *"cd", "", *"efgh", "", "i"]
    assert read(path, b"a\r\rb\nc\n", "paragraph") == ["a", "b\nc"]


def test_where_the_file_is_cut_for_reading_changes_nothing(tmp_path, monkeypatch):
    rng = random.Random(0)
    content = "".join(rng.choice(["a", "é", "\n", "\r", "\r\n", "\ufeff"]) for _ in range(3000))
    path = tmp_path / "a.txt"
    for how in ("line", "paragraph", "file"):
        monkeypatch.setattr(sources, "BUFFER_BYTES", 1 << 20)
        whole = read(path, content.encode(), how)
        for size in (1, 2, 3, 7, 64):
            monkeypatch.setattr(sources, "BUFFER_BYTES", size)
            assert read(path, content.encode(), how) == whole


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\r\n"])
@pytest.mark.parametrize("size", [2, 1 << 20])
def test_a_bad_byte_is_named_by_its_line_whatever_ends_lines(tmp_path, monkeypatch, end, size):
    monkeypatch.setattr(sources, "BUFFER_BYTES", size)
    for bad in (b"\xff", b"\0"):
        content = end.join([b"one", b"two", b"x" + bad, b"four"])
        error = read_with_an_error(tmp_path / "a.txt", content)
        assert error.startswith(f", line 3: byte 0x{bad.hex()}, at position {content.index(bad)} ")


# ---------------------------------------------------------------------------- no text


def test_byte_order_marks_are_left_out(tmp_path):
    mark = "\ufeff".encode()
    content = mark + b"one\ntwo\n" + mark + b"one\nlast" + mark + b" one\n"
    assert read(tmp_path / "a.txt", content) == ["one", "two", "one", "last one"]


@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE"])
def test_utf_16_is_refused_and_what_converts_it_is_told(tmp_path, encoding):
    error = read_with_an_error(tmp_path / "a.txt", "one\nzwei größer\n".encode(encoding))
    assert error.startswith(", line 1: byte 0x00, at position ")
    assert f"`iconv -f {encoding} -t UTF-8`" in error
    marked = read_with_an_error(tmp_path / "a.txt", "\ufeffone\n".encode(encoding))
    assert f"`iconv -f {encoding} -t UTF-8`" in marked


def test_columns_hold_no_nul_and_no_byte_order_mark(tmp_path):
    given = ["\ufeffone", "t\0wo\0", "three\ufeff", None, "\0"]
    right = ["one", "two", "three", "", ""]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": given}), path)
    assert list(sources.read_files([str(path)], "line", "text")) == right
    rows = "\n".join(json.dumps({"text": text}) for text in given if text is not None)
    assert read(tmp_path / "a.jsonl", rows.encode()) == ["one", "two", "three", ""]
    datasets.Dataset.from_dict({"text": given}).save_to_disk(tmp_path / "saved")
    spec = HubCorpus(source="hub", dataset=str(tmp_path / "saved"))
    assert list(sources.training_documents(spec)) == right


# ---------------------------------------------------------------------------- compressed files


def long_window(text):
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=28)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(text) + stream.flush()


@pytest.mark.parametrize("lines", [3, 100_000])
def test_what_is_wrong_with_a_compressed_file_is_told(tmp_path, lines):
    text = b"".join(b"line %d\n" % n for n in range(lines))
    zipped, zstd = gzip.compress(text), zstandard.compress(text)
    follows = "it is damaged, or something else follows its end"
    for name, content, what in (
        ("a.txt.gz", zipped + bytes(9), follows),
        ("a.txt.gz", zipped + b"more text", follows),
        ("a.txt.zst", zstd + b"more text", follows),
        ("a.txt.gz", zipped[:-9], "it is cut short"),
        ("a.txt.zst", zstd[:-1], "it is cut short"),
        ("a.txt.gz", text, "it is not gzip"),
        ("a.txt.zst", zipped, "it is not zstd"),
    ):
        error = read_with_an_error(tmp_path / name, content)
        assert error.startswith(f": {what} (") and " bytes" not in error
    assert len(read(tmp_path / "a.txt.gz", zipped + zipped)) == 2 * lines


def test_a_long_window_of_zstd_is_told_with_what_reads_it(tmp_path):
    path = tmp_path / "a.txt.zst"
    error = read_with_an_error(path, long_window(b"a line\n" * 100_000))
    assert f"(`zstd -d --long=31 {path}`)" in error
