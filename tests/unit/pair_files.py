"""Files of minimal pairs for tests, and what reading them gives."""

import json
import zipfile

import pytest

from ontogeny.paths import PROJECT
from ontogeny.scoring.stimuli.minimal_pairs import read_minimal_pairs

BLIMP = PROJECT.parent / "shared" / "data" / "blimp.zip"
needs_blimp = pytest.mark.skipif(not BLIMP.is_file(), reason=f"needs {BLIMP}")

BIRDS = {"sentence_good": "Birds sing.", "sentence_bad": "Birds sings."}
DOGS = {"sentence_good": "Dogs bark.", "sentence_bad": "Dogs barks."}
CATS = {"sentence_good": "A cat runs.", "sentence_bad": "A cat run."}
BIRDS_SHORT = ("Birds sing.", "Birds sings.")
DOGS_SHORT = ("Dogs bark.", "Dogs barks.")
CATS_SHORT = ("A cat runs.", "A cat run.")


def lines_of(*rows):
    """Lines of a .jsonl: bytes as they are, everything else as JSON."""
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return b"".join(line + b"\n" for line in lines)


def jsonl(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines_of(*rows))
    return path


def csv_file(path, *lines, header="good,bad"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def sentences(pairs):
    return [(pair.good, pair.bad) for pair in pairs]


def names(pairs):
    return [(pair.uid, pair.pair_id) for pair in pairs]


def error_of(path, at_most=None):
    with pytest.raises(ValueError) as caught:
        read_minimal_pairs(path, at_most)
    return str(caught.value)
