"""What each kind of job depends on: of a run or a probe the keys that its result follows from, and
no others. A key that only analyses read is in no view of training, fetching or scoring, so it can't
train, fetch or score anything.

A view is a JSON value; keys that have their default are left out, so that a key which a later
version adds changes none. The tests go through them key by key.
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from ontogeny.origins import digest
from ontogeny.study.models import Architecture
from ontogeny.study.probes import IndexedProbe, Probe
from ontogeny.study.runs import AnyRun, HubRun, Run, ScoresRun

# What its weights follow from: not when they are kept, nor when training gives up (`max_loss`).
TRAINED = (
    *("corpus", "tokenizer", "architecture", "seed", "block_size", "batch_size", "sampling"),
    *("shuffle", "precision", "optimizer"),
)
# Which text it sees when.
ORDERED = (
    *("corpus", "tokenizer", "architecture", "seed", "block_size", "batch_size", "sampling"),
    "shuffle",
)
# Which checkpoints there are.
SCHEDULED = {
    Run: ("corpus", "tokenizer", "architecture", "block_size", "batch_size"),
    HubRun: ("source", "model", "revisions", "sample", "tokenizer"),
    ScoresRun: (
        *("source", "probe", "files", "tokens_per_step", "steps_from", "last_step"),
        "checkpoints",
    ),
}
# Which files with published scores are read, and how.
RELEASED = ("source", "probe", "files", "tokens_per_step", "steps_from")
# The strings of a probe.
INDEXED = {
    "binomials": ("type", "items", "items_from", "word1", "word2", "order", "max_prompts"),
    "minimal_pairs": ("type", "pairs", "pairs_from", "sample"),
    "completions": ("type", "items", "context"),
}
# How its strings are scored.
SCORED = {
    "binomials": ("type", "precision"),
    "minimal_pairs": ("type", "precision"),
    "completions": (
        *("type", "precision", "decoding", "temperature", "top_k", "samples", "seed"),
        *("max_new_tokens", "context", "stop", "pattern", "ignore_case"),
    ),
    "perplexity": ("type", "precision", "max_tokens", "sequences", "ngrams"),
}
# What tables are made with.
ANALYSED = {
    "binomials": (
        *("type", "items", "items_from", "word1", "word2", "order", "attested_column"),
        "frequency_column",
        *("frequency_bins", "exposure_bins", "references", "prior", "constraints", "responses"),
    ),
    "minimal_pairs": ("type", "pairs", "pairs_from", "sample"),
    "completions": ("type", "items"),
}


def trained(run: Run, architecture: Architecture) -> dict[str, Any]:
    """All that a run's weights depend on, but the text and the tokenizer themselves."""
    return {
        "run": _view(run, TRAINED) | {"steps": run.last_step},
        "architecture": _view(architecture, tuple(Architecture.model_fields)),
    }


def fetched(model: str, revisions: Iterable[Any]) -> dict[str, Any]:
    """Which weights of a published model a segment has: the lines of its list."""
    return {"model": model, "revisions": [vars(revision) for revision in revisions]}


def ordered(run: Run) -> dict[str, Any]:
    """Which text a run has seen by each of its checkpoints."""
    return _view(run, ORDERED) | {"steps": run.last_step, "checkpoints": _kept(run)}


def scheduled(run: AnyRun) -> dict[str, Any]:
    """Which checkpoints a run has."""
    view = _view(run, SCHEDULED[type(run)])
    if isinstance(run, Run):
        view |= {"steps": run.last_step, "checkpoints": _kept(run)}
    return view


def released(run: ScoresRun) -> dict[str, Any]:
    """Published scores, without the schedule, which only tells what is missing."""
    return _view(run, RELEASED)


def indexed(probe: IndexedProbe) -> dict[str, Any]:
    """The strings of a probe."""
    return _view(probe, INDEXED[probe.type])


def scored(probe: Probe) -> dict[str, Any]:
    """How the strings, or the text, of a probe are scored."""
    return _view(probe, SCORED[probe.type])


def read_probe(view: str) -> Probe:
    """A probe from the JSON of `indexed` or `scored`. What no probe is without, and the view has
    not, is empty in it."""
    values = json.loads(view)
    if values["type"] == "binomials":
        empty = {"references": {"none": {"column": ""}}}
        empty |= {} if "items_from" in values else {"items": ""}
    elif values["type"] == "minimal_pairs":
        empty = {} if "pairs_from" in values else {"pairs": ""}
    else:
        empty = {"items": ""} if values["type"] == "completions" else {}
    return TypeAdapter(Probe).validate_python(empty | values)


def analysed(probe: Probe) -> dict[str, Any]:
    """What tables are made with, from the scores of a probe."""
    return _view(probe, ANALYSED[probe.type])


def name_of(view: Any) -> str:
    """A short name for a view, the same wherever and whenever it is taken."""
    return digest(view)[:16]


def as_json(view: Any) -> str:
    """A view as it is given to a script."""
    return json.dumps(view, ensure_ascii=False, separators=(",", ":"))


def _kept(run: Run) -> dict[str, Any]:
    """A run's schedule, without how it is cut into jobs."""
    return run.checkpoints.model_dump(mode="json", exclude_defaults=True, exclude={"per_segment"})


def _view(section: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    return section.model_dump(mode="json", include=set(keys), exclude_defaults=True)
