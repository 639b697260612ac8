"""Writing files so that a reader sees the old one, the new one, or none: never half of one."""

import csv
import errno
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ontogeny import origins

UMASK = os.umask(0)  # can only be read by setting it
os.umask(UMASK)


@contextmanager
def replacing(path: str | os.PathLike, record: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; renamed to `path` on success.

    On an exception the temporary file is removed and `path` is left as it was. In a job that is on
    record (`origins`) the file gets its record; not without `record`, for files whose sha256 stands
    elsewhere: weights in a manifest, score files in `scores.json`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path, also_for=temporary):
            yield temporary
            temporary.chmod(0o666 & ~UMASK)  # safetensors makes files that only the owner can read
            if record:
                origins.put_on_record(path, temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: str | os.PathLike, also_for: str | os.PathLike | None = None) -> Iterator[None]:
    """Give a system's error that names no file, or `also_for`, the name of the file written here.

    For each of several files that are written at once: else the error gets the name of another.
    """
    try:
        yield
    except ValueError:  # a mistake, told in words already
        raise
    except Exception as error:
        named = getattr(error, "filename", None)
        number = _system_error(str(error))
        if number is None or named not in (None, str(also_for)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from None


def _system_error(message: str) -> int | None:
    """The number of the system's error that a library tells of in words of its own."""
    if "No space left on device" in message:
        return errno.ENOSPC
    if re.search(r"\d requested and \d+ written", message):  # numpy, which does not say why
        return errno.ENOSPC
    found = re.search(r"\(os error (\d+)\)", message)
    return int(found[1]) if found else None


def write_text(path: str | os.PathLike, text: str, record: bool = True) -> None:
    """Write a text. `record` as for `replacing`."""
    with replacing(path, record) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=False) + "\n")


def write_rows(path: str | os.PathLike, rows: list[dict[str, Any]], record: bool = True) -> None:
    """Write a CSV with a column for each key of the rows; compressed where the name ends in
    `.zst`. `record` as for `replacing`."""
    with (
        replacing(path, record) as temporary,
        _text_file(temporary, str(path).endswith(".zst")) as file,
    ):
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _text_file(path: Path, compressed: bool) -> TextIO:
    if compressed:
        import pyarrow  # takes a while

        stream = pyarrow.output_stream(path, compression="zstd")
        return io.TextIOWrapper(stream, encoding="utf-8", newline="")
    return open(path, "w", encoding="utf-8", newline="")


def read_json(path: str | os.PathLike) -> Any:
    """The value in a JSON file. Raises ValueError that names a file which is none, or is not what
    was written."""
    try:
        return json.loads(origins.reading(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is no JSON, or was cut short ({error})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no JSON ({error})") from None


def require_config(path: Path) -> None:
    """Raise ValueError where the config.json of a checkpoint is missing: no rule declares it."""
    if not path.is_file():
        raise ValueError(
            f"{path}: it is missing; copy that of another checkpoint of the run, or remove the "
            "model.safetensors beside it to make both again"
        )
