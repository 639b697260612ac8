"""What each file of a study was made from, kept beside it: of `NAME`, `.origins/NAME.json` has the
command that made it, the files which that read, and the file's own size and sha256.

So results know by themselves whether they are what a study asks for, wherever they are moved and
whatever Snakemake remembers of them: the Snakefile compares each job's command with the one on
record (`change`). And whoever reads a file first compares it with what was written (`reading`), so
that a file which was cut short or altered is an error, not another result.

Standard library only: the Snakefile reads records of hundreds of files.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = ".origins"

# What decides how fast, where, or which of a job's files are made, and never what is in them.
NO_PART = {
    *("--threads", "--gpu", "--processes", "--batch-tokens", "--compile"),
    *("--max-loss", "--checkpoints", "--steps", "--check"),
}
# Of jobs that take hours, or need weights that may be gone, what alone counts: a later version may
# call all else by other names.
COUNTS = {
    "train": {"--spec", "--segment", "--begin", "--end"},
    "fetch": {"--model", "--revisions"},
    "score_segment": {"--probe", "--perplexity", "--block-size", "--trained-as"},
}
# Files from outside up to this size are read again where their time has changed; of larger ones
# the time decides, as it does for `make`.
HASHED_AGAIN = 500_000_000
MOST_SHOWN = 4  # differences of one job

Option = tuple[str, ...]  # an option and its values; the name of the script comes first
WORD = re.compile(r"""(?:[^\s'"]+|'[^']*'|"[^"]*")+""")
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass
class Job:
    """What this process makes, and the marks of what it has read so far, by name."""

    command: list[Option]
    read: dict[str, dict[str, Any]] = field(default_factory=dict)


_jobs: list[Job] = []  # the job of this process, where it has one


def begin(argv: list[str]) -> None:
    """From here on, files that this process writes (`files.replacing`) are put on record."""
    _jobs[:] = [Job(command_of(argv))]


# ---------------------------------------------------------------------------- commands


def command_of(argv: list[str]) -> list[Option]:
    """What of a command line decides what is made: the script's name, then its options in their
    order. Paths below the project's folder are as in a study, wherever the project lies."""
    options: list[list[str]] = [[Path(argv[0]).stem]]
    for word in argv[1:]:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            options.append([name, value] if equals else [name])
        else:
            options[-1].append(_in_project(word))
    script = options[0][0]
    counted = COUNTS.get(script)
    kept = [
        tuple(option)
        for option in options[1:]
        if (option[0] in counted if counted else option[0] not in NO_PART)
    ]
    return [tuple(options[0]), *kept]


def words_of(shell: str) -> list[str]:
    """The command line of a rule's shell command: what follows `python`, up to the pipe."""
    command = shell.partition(" 2>&1")[0]
    words = [
        QUOTED.sub(lambda found: found[1] if found[1] is not None else found[2], word)
        if "'" in word or '"' in word
        else word
        for word in WORD.findall(command)
    ]
    return words[1:]


def _in_project(word: str) -> str:
    return word.removeprefix(f"{PROJECT}/")


# ---------------------------------------------------------------------------- records


def record_path(path: str | os.PathLike) -> Path:
    """Where the record of a file is."""
    path = Path(path)
    return path.parent / FOLDER / f"{path.name}.json"


def record_of(path: str) -> dict[str, Any] | None:
    """The record of a file; None where there is none that can be read."""
    try:
        record = json.loads(record_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(record, dict) and {"command", "read", "bytes", "sha256"} <= record.keys()
    return record if whole else None


def put_on_record(path: Path, written: Path) -> None:
    """Record what is about to become the file `path`, if this process has begun a job."""
    for job in _jobs:
        record = {
            "command": job.command,
            "read": job.read,
            "bytes": written.stat().st_size,
            "sha256": sha256(written),
        }
        target = record_path(path)
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def reading(path: str | os.PathLike) -> Path:
    """The path of a file (or a folder) that is about to be read. It is compared with its record,
    where it has one, and put on the record of what this process makes.

    Raises ValueError that names a file which is not what was written.
    """
    path = Path(path)
    record = record_of(str(path))
    if (record is None and not _jobs) or not path.exists():
        return path
    mark = _mark(str(path))
    if record is not None and any(mark[key] != record[key] for key in ("bytes", "sha256")):
        size = f"{mark['bytes']:,} bytes"
        if mark["bytes"] != record["bytes"]:
            size += f", not {record['bytes']:,}"
        raise ValueError(
            f"{path}: is not what was written ({size}; its sha256 is another); remove it to make "
            "it again"
        )
    for job in _jobs:
        job.read[_in_project(str(path))] = mark
    return path


@contextmanager
def off_record() -> Iterator[None]:
    """What is read in here has no part in what this process makes: it is only checked."""
    jobs, _jobs[:] = list(_jobs), []
    try:
        yield
    finally:
        _jobs[:] = jobs


def counting_only(path: str | os.PathLike, what: list[str], content: Any) -> None:
    """Put on record that of a file which was read only `content` counts, a JSON value, which `what`
    names: a function, and what it is given after the file. A change of all else in the file then
    makes nothing again. Not for a file of which the same job reads more."""
    for job in _jobs:
        mark = job.read.get(_in_project(str(path)))
        if mark is not None and record_of(str(path)) is None:
            mark |= {"only": what, "only_sha256": digest(content)}


def sha256_of(path: str | os.PathLike) -> str:
    """Hex digest of a file that is read as a whole; `reading` has compared it."""
    return _mark(str(path))["sha256"] if reading(path).is_file() else sha256(path)


def digest(value: Any) -> str:
    """Hex digest of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: str | os.PathLike) -> str:
    """Hex digest of a file's content, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mark(path: str) -> dict[str, Any]:
    """Size, time and sha256 of a file; of a folder its number of files, no time, and the sha256 of
    their names."""
    if Path(path).is_dir():
        names = files_below(path)
        return {"bytes": len(names), "mtime_ns": 0, "sha256": digest(names)}
    status = Path(path).stat()
    size, time = status.st_size, status.st_mtime_ns
    return {"bytes": size, "mtime_ns": time, "sha256": _content(path, size, time, status.st_ino)}


@cache
def _content(path: str, size: int, mtime_ns: int, inode: int) -> str:
    """The sha256 of a file as it is now: one that is read again is not hashed again."""
    return sha256(path)


def files_below(folder: str | os.PathLike) -> list[str]:
    """The files of a folder and of those in it, sorted, as paths that begin with it; none that are
    hidden."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(
        str(path)
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


# ---------------------------------------------------------------------------- what has changed


def change(
    path: str,
    shell: str,
    outside: list[str],
    only: Mapping[str, Callable[..., Any]],
) -> str | None:
    """What has changed since a file was made; None where nothing has, or nothing is known.

    Args:
        path: the file.
        shell: the shell command that makes it now.
        outside: the files that this reads and that no job makes, as paths.
        only: the functions that `counting_only` was given, by name.
    """
    record = record_of(path)
    if record is None:
        return _newer(path, outside)
    before = [tuple(option) for option in record["command"]]
    if before != (now := command_of(words_of(shell))):
        return "; ".join(islice(_differences(before, now), MOST_SHOWN)) or "another command"
    inputs = {_in_project(name): name for name in outside}
    for name, mark in record["read"].items():
        given = next((i for i in inputs if name == i or name.startswith(f"{i}/")), None)
        if given is not None:
            file = Path(inputs[given] + name.removeprefix(given))
            if not _is_same(file, mark, only, Path(path)):
                return f"{file} is not what it was"
    return None


def _newer(path: str, outside: list[str]) -> str | None:
    """The first of the files that is newer than `path`: all that is known without a record."""
    try:
        made = Path(path).stat().st_mtime_ns
    except OSError:
        return None
    there = (name for name in outside if Path(name).exists())
    newer = (name for name in there if Path(name).stat().st_mtime_ns > made)
    return next((f"{name} is newer" for name in newer), None)


def _is_same(
    file: Path, mark: dict[str, Any], only: Mapping[str, Callable[..., Any]], made: Path
) -> bool:
    """Whether a file from outside is what it was when `made` was made from it."""
    if not file.exists():
        return True  # whoever needs it says that it is missing
    if file.is_dir():
        return _mark(str(file)) == mark
    status = file.stat()
    same_size = status.st_size == mark["bytes"]
    if same_size and status.st_mtime_ns == mark["mtime_ns"]:
        return True
    if status.st_size > HASHED_AGAIN:
        return same_size and status.st_mtime <= made.stat().st_mtime
    if same_size and _mark(str(file))["sha256"] == mark["sha256"]:
        return True
    if "only" not in mark:
        return False
    function, *arguments = mark["only"]
    return digest(only[function](file, *arguments)) == mark["only_sha256"]


def _differences(before: list[Option], now: list[Option]) -> Iterator[str]:
    """What two commands differ in, as people call it."""
    old, new = [option for option in before if option not in now], list(now)
    for option in old:
        other = next((o for o in new if o[0] == option[0] and o not in before), None)
        if other is None:
            yield f"no {' '.join(option[:2])} any more"
            continue
        new.remove(other)
        for value, changed in zip(option[1:], other[1:], strict=False):
            if value != changed:
                yield from said(_value(value), _value(changed), option[0].lstrip("-"))
        if len(option) != len(other):
            yield f"{option[0].lstrip('-')}: {len(option) - 1} values, now {len(other) - 1}"
    for option in new:
        if option not in before:
            yield f"now {' '.join(option[:2])}"


def said(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Each key in which two JSON values differ, with both values: `optimizer.lr was 1, is 2`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            if before.get(key) != now.get(key):
                inner = f"{place}.{key}" if place else key
                yield from said(before.get(key), now.get(key), inner)
    else:
        yield f"{place} was {_short(before)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def note(lines: list[str], most: int = 10) -> None:
    """Say what is made again on stderr: the first lines, then how many there are."""
    print("Made again, since the study or a file has changed:", file=sys.stderr)
    for line in lines[:most]:
        print(f"  - {line}", file=sys.stderr)
    if len(lines) > most:
        print(f"  - ... and {len(lines) - most:,} more", file=sys.stderr)
