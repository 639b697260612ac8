"""Reading CSV files of stimuli. Only the standard library, so that the Snakefile can check every
file before a job starts.

Columns stand between commas, semicolons or tabs, whichever makes most columns of the header; where
it isn't commas, numbers may have a decimal comma. A number that is `NA`, as R writes it, is an
empty field.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from ontogeny.origins import reading

MOST_PROBLEMS_SHOWN = 10
LARGEST = 10**15  # of steps and tokens, as in a study; floats hold it exactly
DELIMITERS = ",;\t"
NO_DELIMITER = "\x1f"  # of a file with one column: commas are part of its text


class DecimalCommas(dict[str, str]):
    """A row of a file whose columns are not separated by commas: 0,5 is a number in it."""


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


class OneSpelling:
    """Names of classes, which must be written in one way: in two cases they would be two."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.first: dict[str, tuple[str, str]] = {}
        self.known: set[str] = set()

    def check(self, name: str, place: str) -> None:
        """Raise ValueError for a name that stands elsewhere in another case."""
        if name in self.known:
            return
        known, where = self.first.setdefault(name.casefold(), (name, place))
        if known != name:
            raise ValueError(
                f"{self.what} is {name!r}, but {known!r} in {where}; write it in one way"
            )
        self.known.add(name)


def read_header(path: Path) -> list[str]:
    """Names of the columns of a CSV; an empty list if the file is empty."""
    return [name.strip() for name in next(_records(path), (0, "", []))[2]]


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV with the number of the line on which each ends, read as they are asked for."""
    records = _records(path)
    _, delimiter, header = next(records, (0, "", []))
    names = [name.strip() for name in header]
    kind = dict if delimiter == "," else DecimalCommas
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{path}: there are two columns {repeated[0]!r}")
    for line, _, values in records:
        if not values:  # an empty line
            continue
        if len(values) != len(names):
            raise ValueError(
                f"{path}, line {line}: {len(names)} columns in the header, but not in this row"
            )
        yield line, kind(zip(names, values, strict=True))


def not_utf8(place: str, error: UnicodeDecodeError, path: Path | None = None) -> ValueError:
    """The error for a line, named by `place`; `path` is the file, if a command can convert it."""
    command = (
        f", for example with: iconv -f latin1 -t utf-8 {path} > converted{path.suffix}"
        if path
        else ""
    )
    byte = f"byte {error.object[error.start]:#04x}"
    return ValueError(f"{place}: {byte} is not UTF-8; convert the file{command}")


def _records(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Lines of a CSV, the header first: the number of the line on which each ends, what separates
    its fields, and these."""
    line = 0
    try:
        with open(reading(path), encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = _delimiter(header)
            lines = _without_nul(chain([header] if header else [], file), path)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            for record in reader:
                line = reader.line_num
                yield line, delimiter, record
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _first_not_utf8(path) from None
    except csv.Error as error:  # `line` still is that of the last good row
        raise ValueError(f"{path}, line {line + 1}: {error}") from None


def _delimiter(header: str) -> str:
    """What separates the columns: that which makes most of them; nothing where there is one."""
    columns = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in DELIMITERS}
    best = max(columns, key=columns.__getitem__)
    return best if columns[best] > 1 else NO_DELIMITER


def _without_nul(lines: Iterator[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(
                f"{path}, line {number}: there is a NUL byte, so this is no text in UTF-8 (or is "
                "damaged); write the file again"
            )
        yield line


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
    if missing:
        raise ValueError(
            f"{path}: column {', '.join(map(repr, missing))} is missing; there is: "
            + ", ".join(map(repr, present))
        )


def is_empty(text: str) -> bool:
    """Whether a number, flag or label is not there: an empty field, or R's NA."""
    return text.strip() in ("", "NA")


def number(row: Mapping[str, str], column: str, place: str = "") -> float:
    """A finite number; raises ValueError, which begins with `place`, for anything else."""
    text = row[column]
    if isinstance(row, DecimalCommas) and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
        if not math.isfinite(value) or "_" in text:  # Python reads 1_000 as 1000
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
    return None if is_empty(row[column]) else number(row, column)
