"""Reading CSV files of stimuli. Only the standard library, so that the Snakefile can check every
file before a job starts."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV with the number of the line on which each ends."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: byte {error.object[error.start]:#04x} is not UTF-8; convert "
            f"the file, for example with: iconv -f latin1 -t utf-8 {path} > converted.csv"
        ) from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or []
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: there are two columns {repeated[0]!r}")
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(reader.fieldnames)} columns in the "
                    "header, but not in this row"
                )
            yield reader.line_num, row
    except csv.Error as error:  # line_num still is that of the last good row
        raise ValueError(f"{path}, line {reader.line_num + 1}: {error}") from None


def require_columns(path: Path, rows: list[tuple[int, dict]], columns: list[str]) -> None:
    if not rows:
        raise ValueError(f"{path}: the file has no rows")
    present = list(rows[0][1])
    missing = [column for column in columns if column not in present]
    if missing and len(present) == 1 and any(mark in str(*present) for mark in ";\t"):
        raise ValueError(f"{path}: columns must be separated by commas, the header is {present}")
    if missing:
        raise ValueError(
            f"{path}: column {', '.join(map(repr, missing))} is missing; there is: "
            + ", ".join(map(repr, present))
        )


def number(row: Mapping[str, str], column: str, place: str = "") -> float:
    try:
        value = float(row[column])
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        raise ValueError(f"{place}{column} is {row[column]!r}, should be a number") from None
    return value


def optional_number(row: Mapping[str, str], column: str) -> float | None:
    return number(row, column) if row[column].strip() else None
