"""Reading CSV files of stimuli. Only the standard library, so that the Snakefile can check every
file before a job starts."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from ontogeny.origins import reading

MOST_PROBLEMS_SHOWN = 10
LARGEST = 10**15  # of steps and tokens, as in a study; floats hold it exactly


class Problems:
    """What is wrong with stimuli, told together: the first messages, then how many there are."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.count = 0

    def add(self, message: str) -> None:
        self.count += 1
        if self.count <= MOST_PROBLEMS_SHOWN:
            self.shown.append(message)

    def extend(self, others: "Problems") -> None:
        self.count += others.count
        self.shown = (self.shown + others.shown)[:MOST_PROBLEMS_SHOWN]

    def raise_any(self) -> None:
        """Raise ValueError if there are problems."""
        if self.count:
            hidden = self.count - len(self.shown)
            more = [f"... and {hidden} more"] if hidden else []
            raise ValueError("\n".join(self.shown + more))


def read_header(path: Path) -> list[str]:
    """Names of the columns of a CSV; an empty list if the file is empty."""
    return next(_records(path), (0, []))[1]


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV with the number of the line on which each ends, read as they are asked for."""
    records = _records(path)
    _, names = next(records, (0, []))
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: there are two columns {repeated[0]!r}")
    for line, values in records:
        if not values:  # an empty line
            continue
        if len(values) != len(names):
            raise ValueError(
                f"{path}, line {line}: {len(names)} columns in the header, but not in this row"
            )
        yield line, dict(zip(names, values, strict=True))


def not_utf8(place: str, error: UnicodeDecodeError, path: Path | None = None) -> ValueError:
    """The error for a line, named by `place`; `path` is the file, if a command can convert it."""
    command = (
        f", for example with: iconv -f latin1 -t utf-8 {path} > converted{path.suffix}"
        if path
        else ""
    )
    byte = f"byte {error.object[error.start]:#04x}"
    return ValueError(f"{place}: {byte} is not UTF-8; convert the file{command}")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines of a CSV, the header first, each with the number of the line on which it ends."""
    line = 0
    try:
        with open(reading(path), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for record in reader:
                line = reader.line_num
                yield line, record
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _first_not_utf8(path) from None
    except csv.Error as error:  # `line` still is that of the last good row
        raise ValueError(f"{path}, line {line + 1}: {error}") from None


def _first_not_utf8(path: Path) -> ValueError:
    """The place of the first byte that is not UTF-8: a reader of text knows only its block."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return not_utf8(f"{path}, line {number}", error, path)
    return ValueError(f"{path}: the file changed while it was read")


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


def whole_number(row: Mapping[str, str], column: str, place: str = "") -> int:
    """A whole number up to `LARGEST`, also as other programs write it: 12.0, 1e+05."""
    value = number(row, column, place)
    if value < 0 or not value.is_integer():
        raise ValueError(f"{place}{column} is {row[column]!r}, should be a whole number")
    if value > LARGEST:
        raise ValueError(f"{place}{column} is {row[column]!r}, should be at most {LARGEST:,}")
    return int(value)


def optional_number(row: Mapping[str, str], column: str) -> float | None:
    return number(row, column) if row[column].strip() else None
