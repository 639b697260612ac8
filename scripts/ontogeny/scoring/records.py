"""Score files of one segment: which are whole and made from today's inputs, so that only the
others are made.

Beside the CSVs stands one record per segment: for each CSV the fingerprint of what it was made
from and the sha256 of what was written. A CSV that was cut short, edited, or made from other
weights, other stimuli or another setting doesn't match its record and is scored again.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from ontogeny.files import read_json, sha256, write_json


def fingerprint(*parts: Any) -> str:
    """Hash of everything that a score file depends on: JSON values, in order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Records:
    """The record file of one segment at `path`; a missing or unreadable one counts as empty."""

    def __init__(self, path: Path):
        self.path = path
        try:
            entries = read_json(path)
        except (OSError, ValueError):
            entries = {}
        self.entries: dict[str, dict[str, str]] = entries if isinstance(entries, dict) else {}

    def is_whole(self, csv: Path, made_from: str) -> bool:
        """Whether `csv` is there, as it was written, from the inputs `made_from`."""
        if not csv.is_file():
            return False
        return self.entries.get(str(csv)) == {"made_from": made_from, "sha256": sha256(csv)}

    def add(self, csv: Path, made_from: str) -> None:
        """Record a finished CSV at once, so that a job that is killed keeps what it has done."""
        self.entries[str(csv)] = {"made_from": made_from, "sha256": sha256(csv)}
        write_json(self.path, self.entries)
