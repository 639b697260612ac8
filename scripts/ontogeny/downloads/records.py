"""Records of what was downloaded: a small JSON file beside each file. Standard library only."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ontogeny.files import read_json, write_json
from ontogeny.origins import sha256
from ontogeny.study.downloads import Download

BY_HAND = "put there by hand"


def record_of(file: Path) -> Path:
    """The record of a downloaded file: `home` (its keys in the study), `sha256`, `bytes`, `date`,
    `how` (`downloaded`, or `put there by hand`), and the `commit` of a file of the Hub."""
    return file.with_name(f"{file.name}.json")


def read_record(file: Path) -> dict[str, Any] | None:
    """The record of a file; None where there is none. Raises ValueError for one that is damaged."""
    path = record_of(file)
    if not path.exists():
        return None
    try:
        record = read_json(path)
        return {**record, "sha256": str(record["sha256"]), "bytes": int(record["bytes"])}
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is damaged; remove it") from None


def write_record(download: Download, file: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Write the record of a file; `found` is what was measured, and `how` it came there."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"home": download.home, **found, "date": now}
    write_json(record_of(file), record)
    return record


def measured(path: Path) -> dict[str, Any]:
    """The sha256 and the size of a file."""
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def check_there(download: Download, file: Path) -> dict[str, Any]:
    """Read a file that is there, and write its record anew; returns it.

    Raises ValueError where the file is not the one that the study, or the record, says.
    """
    known = read_record(file)
    found = {**measured(file), "how": known.get("how", BY_HAND) if known else BY_HAND}
    if problem := difference(download, known, found):
        raise ValueError(
            f"{file} was put there, and {problem}; put the right file there, or remove it"
        )
    kept = {"commit": known["commit"]} if known and "commit" in known else {}
    return write_record(download, file, {**kept, **found})


def difference(
    download: Download, known: dict[str, Any] | None, found: dict[str, Any]
) -> str | None:
    """How what was measured of a file differs from the study, or from the record `known`."""
    if download.sha256 is not None and found["sha256"] != download.sha256:
        return (
            f"has the sha256 {found['sha256']} ({found['bytes']:,} bytes), but the study says "
            f"{download.sha256}"
        )
    if download.bytes is not None and found["bytes"] != download.bytes:
        return f"has {found['bytes']:,} bytes, but the study says {download.bytes:,}"
    if known is not None and found["sha256"] != known["sha256"]:
        return (
            f"has the sha256 {found['sha256']}, but what was there on {known.get('date', '?')} had "
            f"{known['sha256']}: it has changed; to take what there is now, remove the record of "
            "what was (FILE.json)"
        )
    return None


def conflict(download: Download, file: Path) -> str | None:
    """Why what was downloaded before is not what the study asks for; None if it is, or if there is
    none. Compares records and sizes, and reads no file whole."""
    record = read_record(file)
    if record is None:
        return None
    anew = f"correct the study, or remove {file.parent} to download it again"
    if download.sha256 is not None and download.sha256 != record["sha256"]:
        return (
            f"{file} has the sha256 {record['sha256']}, but the study says {download.sha256}; "
            f"{anew}"
        )
    if download.sha256 is None and download.home != record.get("home"):
        return (
            f"{file} is from {_told(record.get('home'))}, but the study says "
            f"{_told(download.home)}; {anew}; or, where another study uses it, give this download "
            "another name"
        )
    if download.bytes is not None and download.bytes != record["bytes"]:
        return (
            f"{file} has {record['bytes']:,} bytes, but the study says {download.bytes:,}; {anew}"
        )
    if file.exists() and file.stat().st_size != record["bytes"]:
        return (
            f"{file} has {file.stat().st_size:,} bytes, but had {record['bytes']:,} when it was "
            f"checked: it was changed; remove {file.parent} to download it again"
        )
    return None


def _told(home: Any) -> str:
    return ", ".join(map(str, home.values())) if isinstance(home, dict) else "elsewhere"
