"""The table of all runs of a study: what each was trained on, how, and where it ended."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from ontogeny.files import read_json
from ontogeny.inputs import checkpoint_steps
from ontogeny.paths import Paths
from ontogeny.study import Study
from ontogeny.study.runs import HubRun, Optimizer, Run, ScoresRun, seed_families
from ontogeny.study.schedule import segments
from ontogeny.tables import read_table

SIZES = ("parameters", "trained", "trained_without_positions")
NAMES = ("run", "family", "source", "model", "corpus", "tokenizer", "architecture")
COLUMNS = {
    **dict.fromkeys(NAMES, pl.String),
    **dict.fromkeys(("seed", *SIZES), pl.Int64),
    **dict.fromkeys(Optimizer.model_fields, pl.Float64),
    **{"schedule": pl.String, "warmup_tokens": pl.Int64, "decay_steps": pl.Int64},
    **{"precision": pl.String, "sampling": pl.String, "shuffle": pl.Boolean},
    **dict.fromkeys(("batch_size", "block_size", "checkpoints", "steps", "tokens"), pl.Int64),
    **{"epochs": pl.Float64, "last_loss": pl.Float64},
    **dict.fromkeys(("device", "version", "commit"), pl.String),
}
LOSSES = {"step": pl.Int64, "tokens": pl.Int64, "epoch": pl.Float64, "loss": pl.Float64}
RELEASED = {"step": pl.Int64, "tokens": pl.Int64, "present": pl.Int64, "model": pl.String}


def runs_table(study: Study, paths: Paths) -> pl.DataFrame:
    """A row for each run, in the order of the study, in the columns of `COLUMNS`; null where
    something is not known, or there is no such thing.

    Read are the architectures' files, the manifests of all segments, the loss curves, and the
    tables of what was released. Raises ValueError or OSError that names a file.
    """
    trained = {name: run for name, run in study.runs.items() if isinstance(run, Run)}
    family = {run: name for name, runs in seed_families(trained).items() for run in runs}
    kinds = {Run: _trained, HubRun: _fetched, ScoresRun: _released}
    rows = []
    for name, run in study.runs.items():
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {"run": name, "family": family.get(name), "source": run.source}
        rows.append(row | kinds[type(run)](name, run, paths))
    return pl.DataFrame(rows, schema=COLUMNS)


def _trained(name: str, run: Run, paths: Paths) -> dict[str, Any]:
    sizes = read_json(paths.architecture(run.architecture, run.tokenizer))
    last = read_table(paths.run_table(name, "losses"), LOSSES).row(-1, named=True)
    settings = run.optimizer.model_dump()
    if settings["warmup_tokens"] is not None:
        settings["warmup_share"] = None  # not in use
    keys = ("corpus", "tokenizer", "architecture", "seed", "precision", "sampling", "shuffle")
    return {
        **{key: getattr(run, key) for key in (*keys, "batch_size", "block_size")},
        **{key: sizes[key] for key in SIZES},
        **settings,
        "checkpoints": len(run.checkpoint_steps()),
        "steps": last["step"],
        "tokens": last["tokens"],
        "epochs": last["epoch"],
        "last_loss": last["loss"],
        **_made_by(_manifests(name, run, paths)),
    }


def _fetched(name: str, run: HubRun, paths: Paths) -> dict[str, Any]:
    manifests = _manifests(name, run, paths)
    last = manifests[-1]["checkpoints"][-1]
    return {
        "model": run.model,
        "tokenizer": run.tokenizer,
        "block_size": run.block_size,
        "parameters": manifests[-1]["parameters"],
        "checkpoints": len(checkpoint_steps(run)),
        "steps": last["step"],
        "tokens": last["tokens"],
        **_made_by(manifests),
    }


def _released(name: str, _: ScoresRun, paths: Paths) -> dict[str, Any]:
    table = read_table(paths.run_table(name, "completeness"), RELEASED)
    there = table.filter(pl.col("present") == 1)
    last = there.sort("step").row(-1, named=True)
    return {
        "model": last["model"],
        "checkpoints": len(there),
        "steps": last["step"],
        "tokens": last["tokens"],
    }


def _manifests(name: str, run: Run | HubRun, paths: Paths) -> list[dict[str, Any]]:
    """The manifests of a run's segments, in order."""
    parts = segments(checkpoint_steps(run), run.per_segment)
    return [read_json(paths.segment(name, part.number, "manifest.json")) for part in parts]


def _made_by(manifests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Devices and versions; where segments differ in them, all."""
    of_each = [
        {
            "device": manifest.get("device"),
            "version": manifest["versions"]["ontogeny"],
            "commit": manifest["versions"].get("commit"),
        }
        for manifest in manifests
    ]
    found = {key: dict.fromkeys(filter(None, (one[key] for one in of_each))) for key in of_each[0]}
    return {key: "; ".join(values) or None for key, values in found.items()}
