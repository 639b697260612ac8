"""Tables that were written here are read back, and what is wrong with one is told in one line."""

import polars as pl
import pyarrow
import pytest

from ontogeny.files import write_rows
from ontogeny.tables import read_table

COLUMNS = {"run": pl.String, "tokens": pl.Int64, "r": pl.Float64, "early": pl.Boolean}
HEADER = b"run,tokens,r,early\n"
ROW = b"007,8,0.5,true\n"


def read(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    return read_table(path, COLUMNS)


def test_named_columns_are_read_in_their_types(tmp_path):
    table = read(tmp_path, b"more,early,r,tokens,run\n1,false,,8,007\n")
    assert dict(table.schema) == COLUMNS
    assert table.rows() == [("007", 8, None, False)]
    assert read(tmp_path, HEADER).is_empty()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty; remove it to make it again"),
        ((HEADER + 9 * ROW)[:-9], "its last line has no end; remove it to make it again"),
        (b"a,b\n1,2\n", "its columns should be run, tokens, r, early"),
        (HEADER + ROW.replace(b"0.5", b"oops"), "could not parse `oops` as dtype `f64`"),
        (HEADER + ROW.replace(b"true", b"true,1"), "found more fields"),
        (HEADER + ROW.replace(b"007", b'"007'), "could not parse"),
        (HEADER + ROW.replace(b"007", b"\xff"), "invalid utf-8"),
    ],
)
def test_what_is_no_such_table_is_named(tmp_path, content, complaint):
    with pytest.raises(ValueError, match=rf"t\.csv: .*{complaint}") as error:
        read(tmp_path, content)
    assert "\n" not in str(error.value)


def test_a_compressed_table_holds_the_same_text(tmp_path):
    rows = [{"word": "bread, butter", "n": 1}, {"word": "été", "n": 2.5}]
    for name in ("plain.csv", "compressed.csv.zst"):
        write_rows(tmp_path / name, rows)
    with pyarrow.input_stream(tmp_path / "compressed.csv.zst", compression="zstd") as file:
        assert file.read() == (tmp_path / "plain.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compressed.csv.zst", "plain.csv"]
