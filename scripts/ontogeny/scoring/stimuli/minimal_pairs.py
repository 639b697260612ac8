"""Minimal pairs: an acceptable sentence and an unacceptable one that differs little.

Read from BLiMP as it is published (Warstadt et al., 2020, https://doi.org/10.1162/tacl_a_00321),
from data sets that use its field names, or from a CSV. Files are read line by line and zips are
never unpacked, so memory goes to the pairs alone: about 0.5 KB for each.
"""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from random import Random
from sys import intern
from typing import BinaryIO, NamedTuple

from ontogeny.origins import reading
from ontogeny.scoring.stimuli.rows import (
    OneSpelling,
    Problems,
    not_utf8,
    read_rows,
    require_columns,
)
from ontogeny.study.probes import PairSample

# Pairs of BLiMP whose sentences are the same (issue 10 of its repository), as (UID, pairID).
KNOWN_TIES = frozenset(
    [("passive_1", number) for number in ("324", "810")]
    + [("principle_A_case_2", number) for number in ("105", "287", "372", "816", "967")]
)
# The data have 13 terms; the paper counts this one (2 paradigms) to the other, and has 12.
PHENOMENON_IN_THE_PAPER = {"s-selection": "argument_structure"}

SUFFIXES_IN_A_FOLDER = (".jsonl", ".jsonl.gz", ".csv")
BUFFER_BYTES = 1 << 17
LONGEST_LINE = 1_000_000  # bytes of two sentences and their names; a few packed KB may hold more


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """Two sentences; a model should find the good one more probable.

    `uid` names the paradigm; `phenomenon` is empty where the file states none; `pair_id` is unique
    in a paradigm.
    """

    uid: str
    phenomenon: str
    pair_id: str
    good: str
    bad: str


class _Names(NamedTuple):
    """What a file format calls the fields of a pair."""

    good: str
    bad: str
    uid: str
    phenomenon: str
    pair_id: str


_BLIMP = _Names("sentence_good", "sentence_bad", "UID", "linguistics_term", "pairID")
_CSV = _Names("good", "bad", "uid", "phenomenon", "pair_id")


@dataclass(frozen=True)
class _File:
    """One file of pairs, or one member of a zip.

    `rows` has the number of a line and what stands there: for JSON the bytes, for CSV a dictionary.
    """

    place: str
    stem: str
    names: _Names
    rows: Iterator[tuple[int, bytes | dict[str, str]]]


def read_minimal_pairs(path: Path, at_most: int | None = None) -> list[MinimalPair]:
    """The pairs of a file, or of all files of a folder or a zip, sorted by the files' names.

    `path` is a .jsonl (or .jsonl.gz) with BLiMP's fields, a .zip of them, a folder of them and of
    CSV files (subfolders of it are read too, theirs are not), or a CSV with the columns `good` and
    `bad`. What names no paradigm is named after its file, pairs without a number are numbered from
    0 in each file. `at_most` pairs of each file are read. Raises ValueError with the file and every
    line that is wrong.
    """
    problems = Problems()
    pairs: list[MinimalPair] = []
    seen = _Seen()
    for file in _files(path):
        try:
            problems.extend(_read(file, at_most, pairs, seen))
        except ValueError as error:  # of the file: what was wrong with lines may follow from it
            problems.add(str(error))
    problems.raise_any()
    return pairs


def sampled(pairs: list[MinimalPair], sample: PairSample | None) -> list[MinimalPair]:
    """The pairs of a sample, in their order; all where there is none.

    Raises ValueError where there are fewer pairs than it asks for.
    """
    if sample is None:
        return pairs
    classes: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        classes.setdefault(pair.uid if sample.per_class else "", []).append(number)
    size = sample.per_class or sample.pairs
    draw = Random(sample.seed)
    chosen: list[int] = []
    for uid, numbers in classes.items():
        if len(numbers) < size:
            place = f"uid {uid!r} has" if sample.per_class else "there are"
            raise ValueError(f"sample: {size:,} pairs are wanted, and {place} {len(numbers):,}")
        chosen += draw.sample(numbers, size)
    return [pairs[number] for number in sorted(chosen)]


def known_ties(pairs: list[MinimalPair]) -> list[MinimalPair]:
    """Pairs with the same sentence twice, which only BLiMP's own files may have."""
    return [pair for pair in pairs if pair.good == pair.bad]


def _read(
    file: _File,
    at_most: int | None,
    pairs: list[MinimalPair],
    seen: "_Seen",
) -> Problems:
    """Append the pairs of one file; what is wrong with single lines is returned."""
    problems = Problems()
    number = -1
    with closing(file.rows):
        for number, (line, row) in enumerate(islice(file.rows, at_most)):
            try:
                pair = _pair(row, file, number)
                seen.check(pair, file.place, line)
            except UnicodeDecodeError as error:  # the lines below will be no better
                raise not_utf8(f"{file.place}, line {line}", error) from None
            except ValueError as error:
                problems.add(f"{file.place}, line {line}: {error}")
                continue
            pairs.append(pair)
    if number < 0:
        raise ValueError(f"{file.place}: there are no pairs in the file")
    return problems


def _pair(row: bytes | Mapping[str, object], file: _File, number: int) -> MinimalPair:
    names = file.names
    fields = _json_object(row) if isinstance(row, bytes) else row
    good, bad = _sentence(fields, names.good), _sentence(fields, names.bad)
    uid = _name(fields, names.uid, file.stem)
    # pair_id is what the copy of BLiMP on Hugging Face calls it
    pair_id = _name(fields, "pair_id" if "pair_id" in fields else names.pair_id, str(number))
    phenomenon = fields.get(names.phenomenon)
    phenomenon = "" if phenomenon is None else str(phenomenon).strip()
    if names is _BLIMP:
        phenomenon = PHENOMENON_IN_THE_PAPER.get(phenomenon, phenomenon)
    if good == bad and (uid, pair_id) not in KNOWN_TIES:
        raise ValueError(
            f"good and bad are the same sentence {good!r}; remove the pair, it can only tie"
        )
    return MinimalPair(intern(uid), intern(phenomenon), pair_id, good, bad)


def _json_object(line: bytes) -> dict[str, object]:
    text = line.decode("utf-8")
    try:
        fields = json.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deeply for JSON of a pair") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"is not JSON ({error.msg} at column {error.colno}); each line should be an object "
            f'{{"{_BLIMP.good}": "...", "{_BLIMP.bad}": "..."}}'
        ) from None
    if not isinstance(fields, dict):
        raise ValueError(
            f"is {_short(fields)}, should be an object with {_BLIMP.good!r} and {_BLIMP.bad!r}"
        )
    return fields


def _sentence(fields: Mapping[str, object], name: str) -> str:
    if name not in fields:
        there = ", ".join(map(repr, fields)) or "nothing"
        raise ValueError(f"{name} is missing; there is: {there}")
    sentence = fields[name]
    if not isinstance(sentence, str):
        raise ValueError(f"{name} is {_short(sentence)}, should be a sentence in quotes")
    if not sentence.strip():
        raise ValueError(f"{name} is empty")
    if "\0" in sentence:
        raise ValueError(f"{name} has a NUL character; remove it")
    try:
        sentence.encode()
    except UnicodeEncodeError as error:  # JSON can write halves of characters: "\\ud83d"
        half = sentence[error.start].encode("unicode_escape").decode()
        raise ValueError(f"{name} has {half}, which is only half of a character") from None
    return sentence


def _name(fields: Mapping[str, object], key: str, otherwise: str) -> str:
    value = fields.get(key)
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{key} is {_short(value)}, should be a name or a number")
    if not (name := str(value).strip()):
        raise ValueError(f"{key} is empty; fill it in for every pair, or leave {key} out")
    return name


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


class _Seen:
    """What was read so far, so that each pair stands once and each class in one spelling."""

    def __init__(self) -> None:
        self.places: dict[str, dict[str, tuple[str, int]]] = {}
        self.uids, self.phenomena = OneSpelling("uid"), OneSpelling("phenomenon")

    def check(self, pair: MinimalPair, place: str, line: int) -> None:
        """Raise ValueError for a pair that can't stand beside the others."""
        first = self.places.setdefault(pair.uid, {}).setdefault(pair.pair_id, (place, line))
        if first != (place, line):
            where = f"line {first[1]}" if first[0] == place else f"{first[0]}, line {first[1]}"
            raise ValueError(
                f"pair {pair.pair_id!r} of {pair.uid!r} stands already on {where}; give each pair "
                "of a paradigm a number of its own"
            )
        self.uids.check(pair.uid, f"{place}, line {line}")
        self.phenomena.check(pair.phenomenon, f"{place}, line {line}")


def _files(path: Path) -> Iterator[_File]:
    name = path.name.lower()
    if path.is_dir():
        yield from _files_of_folder(path)
    elif name.endswith(".zip"):
        yield from _files_of_zip(path)
    else:
        yield _file(path)


def _file(path: Path) -> _File:
    if path.name.lower().endswith((".jsonl", ".jsonl.gz")):
        rows = _json_lines(str(path), path)
        return _File(str(path), path.name[: path.name.lower().rindex(".jsonl")], _BLIMP, rows)
    return _File(str(path), path.stem, _CSV, _csv_rows(path))


def _files_of_folder(folder: Path) -> Iterator[_File]:
    with _readable(str(folder)):
        paths = sorted(
            path
            for pattern in ("*", "*/*")
            for path in folder.glob(pattern)
            if path.name.lower().endswith(SUFFIXES_IN_A_FOLDER)
            and not _is_hidden(path.relative_to(folder))
            and path.is_file()
        )
    if not paths:
        raise ValueError(
            f"{folder}: no {', '.join(SUFFIXES_IN_A_FOLDER)} in this folder or its subfolders"
        )
    yield from map(_file, paths)


def _files_of_zip(path: Path) -> Iterator[_File]:
    with _readable(str(path)):
        archive = zipfile.ZipFile(reading(path))
    with archive:
        members = [
            member
            for member in archive.infolist()
            if member.filename.lower().endswith(".jsonl")
            and not _is_hidden(PurePath(member.filename))
        ]
        if not members:
            raise ValueError(f"{path}: no .jsonl in this zip")
        for member in sorted(members, key=lambda member: member.filename):
            place = f"{path} [{member.filename}]"
            rows = _json_lines(place, path, archive, member)
            yield _File(place, PurePath(member.filename).stem, _BLIMP, rows)


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    rows = read_rows(path)
    first = list(islice(rows, 1))
    require_columns(path, first, [_CSV.good, _CSV.bad])
    yield from first
    yield from rows


def _json_lines(
    place: str,
    path: Path,
    archive: zipfile.ZipFile | None = None,
    member: zipfile.ZipInfo | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Lines of a file or of a member of a zip with their numbers; empty lines are left out."""

    def opened() -> BinaryIO:
        if archive is not None:
            return archive.open(member)
        return (gzip.open if path.suffix.lower() == ".gz" else open)(reading(path), "rb")

    with _readable(place), opened() as raw, io.BufferedReader(raw, BUFFER_BYTES) as file:
        lines = iter(lambda: file.readline(LONGEST_LINE + 1), b"")
        for number, line in enumerate(lines, start=1):
            if len(line) > LONGEST_LINE:
                raise ValueError(
                    f"{place}, line {number}: has more than {LONGEST_LINE:,} bytes; each line "
                    "should be one pair of sentences"
                )
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")  # byte order mark
            if line := line.strip():
                yield number, line


@contextmanager
def _readable(place: str) -> Iterator[None]:
    """What goes wrong when a file is opened or unpacked, as ValueError with its name."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{place}: there is no such file") from None
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{place}: the file is damaged ({error}); download it again") from None
    except RuntimeError as error:  # zipfile: a password, or a compression that it can't read
        raise ValueError(f"{place}: {error}") from None
    except OSError as error:
        raise ValueError(f"{place}: {error.strerror or error}") from None
