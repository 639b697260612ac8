"""Score files of one segment: which are whole and made from today's inputs, so that only the
others are made.

Beside the CSVs stands one record per segment: for each CSV the fingerprint of what it was made
from and the sha256 of what was written. A CSV that was cut short, edited, or made from other
weights, other stimuli or another setting doesn't match its record and is scored again.
"""

from collections.abc import Iterable
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from ontogeny.files import read_json, write_json
from ontogeny.origins import digest, sha256


def fingerprint(*parts: Any) -> str:
    """Hash of everything that a score file depends on: JSON values, in order."""
    return digest(parts)


class Records:
    """The record file of one segment at `path`; a missing or unreadable one counts as empty."""

    def __init__(self, path: Path):
        self.path = path
        try:
            entries = read_json(path)
        except (OSError, ValueError):
            entries = {}
        self.entries: dict[str, dict[str, str]] = entries if isinstance(entries, dict) else {}

    def keeps(self, csv: Path, made_from: str) -> bool:
        """Whether `csv` is there, as it was written, from the inputs `made_from`; also
        where another segment has scored it, before checkpoints were divided in another way."""
        name = str(csv)
        if not csv.is_file() or name not in (self.entries.keys() | self.of_others.keys()):
            return False
        entry = {"made_from": made_from, "sha256": sha256(csv)}
        if self.entries.get(name) != entry and self.of_others.get(name) != entry:
            return False
        self.entries[name] = entry
        return True

    def add(self, csv: Path, made_from: str) -> None:
        """Record a finished CSV at once, so that a job that is killed keeps what it has done."""
        self.entries[str(csv)] = {"made_from": made_from, "sha256": sha256(csv)}
        self.write()

    def write(self) -> None:
        write_json(self.path, self.entries)

    @cached_property
    def of_others(self) -> dict[str, dict[str, str]]:
        """The entries of the run's other segments."""
        entries: dict[str, dict[str, str]] = {}
        for path in sorted(self.path.parent.glob("*.scores.json")):
            if path != self.path:
                entries |= Records(path).entries
        return entries


def require_as_scored(files: Iterable[str]) -> None:
    """Raise ValueError for the first score file that is not what was written, by the records of its
    run. A file that stands on no record is taken as it is."""
    for folder, of_run in groupby(map(Path, files), key=lambda file: file.parent):
        probe, run = folder.parent.name, folder.name
        hashes: dict[str, set[str]] = {}  # two where a segment has scored again what another had
        for path in (folder.parents[2] / "runs" / run / "segments").glob("*.scores.json"):
            for name, entry in Records(path).entries.items():
                if Path(name).parts[-3:-1] == (probe, run):
                    hashes.setdefault(Path(name).name, set()).add(entry["sha256"])
        for file in of_run:
            if file.name in hashes and file.is_file() and sha256(file) not in hashes[file.name]:
                raise ValueError(f"{file}: is not what was written; remove it to make it again")
