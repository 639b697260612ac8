"""A study as it is run, for others: its grid expanded, at its scale, as one mapping."""

import base64
import json
import zlib
from typing import Any

from ontogeny.study.downloads import CORPUS_KEYS, PROBE_KEYS, as_reference
from ontogeny.study.models import Study

# Of a study, but in no result: a change of these remakes nothing.
IN_NO_RESULT = {"resources", "keep_checkpoints"}
LONGEST_ARGUMENT = 60_000  # of a command line, which Linux ends at 131,072


def resolved_study(study: Study) -> dict[str, Any]:
    """The study as a mapping that `load_study` reads as the same study, but for `IN_NO_RESULT`.

    Every run stands under `runs`. Keys that have their default value are left out. What was a
    reference to a download is one again.
    """
    expanded = {"grid", "scale", "scales"}
    values = study.model_dump(mode="json", exclude_defaults=True, exclude=expanded | IN_NO_RESULT)

    def referring(value: Any, keys: tuple[str, ...], key: str) -> Any:
        if isinstance(value, dict):
            return {k: referring(v, keys, k) for k, v in value.items()}
        if isinstance(value, list):
            return [referring(v, keys, key) for v in value]
        is_path = isinstance(value, str) and key in keys
        return as_reference(value, study.downloads) if is_path else value

    for section, keys in {"corpora": CORPUS_KEYS, "probes": PROBE_KEYS}.items():
        if section in values:
            values[section] = referring(values[section], keys, "")
    return values


def packed(values: dict[str, Any]) -> str:
    """A mapping as one argument of a command: JSON, or, where that is long, JSON compressed."""
    text = json.dumps(values)
    if len(text) <= LONGEST_ARGUMENT:
        return text
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(argument: str) -> dict[str, Any]:
    """What `packed` packed."""
    if not argument.startswith("{"):
        argument = zlib.decompress(base64.b64decode(argument)).decode()
    return json.loads(argument)
