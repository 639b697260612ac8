"""Corpora made from others, as a study makes them; what runs would read of their items."""

import csv
import json
from collections import defaultdict

import pytest

pytestmark = pytest.mark.workflow


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_what_runs_read_after_items_were_removed_and_inserted(elsewhere, tiny):
    """Runs that read all of their corpus once, in blocks so long that few sentences are cut."""
    language = {"corpus": "toy", "items_from": "toy", "attested_only": True}
    tiny["corpora"] |= {
        "without": {"source": "remove", **language},
        "inserted": {
            "source": "insert",
            **language,
            "corpus": "without",
            "templates": "data/toy/insertions.csv",
            "kind_column": "Kind",
            "counts": [0, 20],
        },
        "part": {"source": "take", "corpus": "inserted", "words": 9_000},
        "mixed": {"source": "mix", "corpora": ["part", "without"], "bytes": 60_000},
    }
    tiny["architectures"]["opt"]["config"]["max_position_embeddings"] = 1024
    run = {**tiny["runs"]["slow"], "block_size": 1024, "batch_size": 1, "checkpoints": {}}
    names = ("toy", "without", "inserted", "mixed")
    tiny["runs"] = {name: {**run, "corpus": name, "steps": 30} for name in names}
    elsewhere.write(tiny)
    elsewhere.make("exposure")

    seen = defaultdict(lambda: [0, 0])
    for name in names:
        for row in rows(elsewhere.results / "exposures" / "binomials" / f"{name}.csv"):
            if row["step"] == "30":
                seen[name, row["binom"]] = [int(row["alpha_seen"]), int(row["nonalpha_seen"])]
    items = rows(elsewhere.results / "corpora" / "toy" / "items.csv")
    attested = [row["Alpha"] for row in items if row["Attested"] == "1"]
    assert sum(sum(seen["toy", name]) for name in attested) > 200
    assert all(seen["without", name] == [0, 0] for name in attested)

    provenance = elsewhere.results / "corpora" / "inserted" / "provenance.json"
    told = json.loads(provenance.read_text())["documents"]
    planned = {f"{row['Word1']} and {row['Word2']}": row for row in told["items"]}
    assert sorted(planned) == sorted(attested)
    for name, row in planned.items():
        assert row["alpha"] + row["nonalpha"] in (0, 20)
        for order, count in zip(("alpha", "nonalpha"), seen["inserted", name], strict=True):
            assert count <= row[order]
            assert row[order] == 0 or count > 0
    assert sum(sum(seen["mixed", name]) for name in attested) > 100
    mixed = elsewhere.results / "corpora" / "mixed" / "provenance.json"
    counts = json.loads(mixed.read_text())["documents"]["train"]
    assert 59_000 < counts["bytes"] <= 60_000
    assert {part["quota"] for part in counts["parts"].values()} == {30_000}
