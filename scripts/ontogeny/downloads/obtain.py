"""From a download of a study to a checked file with its record."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ontogeny.downloads import web
from ontogeny.downloads.records import (
    check_there,
    conflict,
    difference,
    measured,
    read_record,
    write_record,
)
from ontogeny.files import UMASK
from ontogeny.origins import sha256
from ontogeny.progress import say
from ontogeny.study.downloads import Download


def obtain(name: str, download: Download, file: Path) -> dict[str, Any]:
    """Make a download's file and its record, or check the file that is there; returns the record.

    The file appears under its name when it is whole and right: with the size and the sha256 of the
    study or, where the study has none, with those of the record that an earlier download has left.
    A wrong one is not kept, except where somebody has put it there. Raises ValueError in one line.
    """
    try:
        if problem := conflict(download, file):
            raise ValueError(problem)
        if not file.exists():
            return _download(name, download, file)
        record = check_there(download, file)
    except ValueError as error:
        raise ValueError(f"download {name!r}: {error}") from None
    say(f"{file}: is there already; sha256 {record['sha256']}")
    return record


def _download(name: str, download: Download, file: Path) -> dict[str, Any]:
    file.parent.mkdir(parents=True, exist_ok=True)
    known = read_record(file)
    try:
        temporary, found = _fetched(name, download, file)
        found |= {**measured(temporary), "how": "downloaded"}
        if problem := difference(download, known, found):
            temporary.unlink()
            raise ValueError(f"what came from {_home_address(download)} {problem}; it was not kept")
        temporary.chmod(0o666 & ~UMASK)
        record = write_record(download, file, found)
        os.replace(temporary, file)
    finally:
        shutil.rmtree(_hub_folder(file), ignore_errors=True)
    say(f"{file}: {found['bytes']:,} bytes, sha256 {found['sha256']}")
    return record


def _fetched(name: str, download: Download, file: Path) -> tuple[Path, dict[str, Any]]:
    try:
        if download.url is not None:
            return web.fetch(download.url, file, download.bytes), {}
        from ontogeny.downloads import hub  # slow to import, and only needed here

        shutil.rmtree(_hub_folder(file), ignore_errors=True)  # what a kill left there
        path, commit, stated = hub.fetch(download, _hub_folder(file))
        if stated is not None and sha256(path) != stated:
            raise ValueError("what has arrived was damaged on the way")
        return path, {"commit": commit}
    except ValueError as error:
        known = f" (sha256 {download.sha256})" if download.sha256 else ""
        raise ValueError(
            f"{_home_address(download)}: {error}. To do it by hand, fetch that file{known} on any "
            f"machine and put it at {file.absolute()}, or name a copy in the study: "
            f"downloads.{name}.path; then run the same command again"
        ) from None


def _home_address(download: Download) -> str:
    if download.url is not None:
        return download.url
    server = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    kind = "datasets/" if download.repo_type == "dataset" else ""
    revision = quote(download.revision, safe="")
    return f"{server}/{kind}{download.repo}/resolve/{revision}/{quote(download.file or '')}"


def _hub_folder(file: Path) -> Path:
    return file.with_name(f".{file.name}.hub")
