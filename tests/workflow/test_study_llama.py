"""The study of two small LLaMA models, at the scale that shows that all of it runs."""

import csv
import json
import math

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ontogeny.paths import PROJECT

pytestmark = pytest.mark.workflow
STUDY = PROJECT / "studies" / "babylm_llama.yaml"
SMALL = ("--config", "scale=small")
RUNS = ("a-lines-42", "b-packed-42")
FIGURES = ("loss", "perplexity", "minimal_pairs")


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def workflow(elsewhere):
    elsewhere.study.write_text(STUDY.read_text(encoding="utf-8"), encoding="utf-8")
    return elsewhere


def test_the_study_at_small_scale(workflow):
    results = workflow.folder / "results" / "babylm_llama-small"
    figures = [results / "figures" / RUNS[0] / f"{figure}.png" for figure in FIGURES]
    workflow.make("tables", *(str(path.relative_to(workflow.folder)) for path in figures), *SMALL)
    assert all(path.stat().st_size > 10_000 for path in figures)

    # a third of the bytes from each source, and the same held-out text for both
    for corpus, size in (("a", 40_000), ("b", 120_000)):
        told = json.loads((results / "corpora" / corpus / "provenance.json").read_text())
        for split, total in (("train", size), ("validation", 10_000)):
            parts = [part["bytes"] for part in told["documents"][split]["parts"].values()]
            assert len(parts) == 3 and total / 3 - 1_200 < min(parts) <= max(parts) < total / 3 + 1

    for run in RUNS:
        folder, tables = results / "runs" / run / "checkpoints", results / "tables" / run
        steps = sorted(int(path.name.removeprefix("step-")) for path in folder.iterdir())
        assert steps == [0, 1, 2, 4, 8, 30, 60, 90, 120, 150]
        losses = [float(row["loss"]) for row in rows(tables / "losses.csv")]
        assert len(losses) == 150 and losses[-1] < losses[0] - 1
        pairs = [row for row in rows(tables / "minimal_pairs.csv") if row["step"] == "150"]
        sizes = {row["probe"]: row["n"] for row in pairs if row["phenomenon"] == "all"}
        assert sizes == {"blimp": "900", "blimp-2000": "200", "blimp-200-each": "180"}
        in_phenomena = [row for row in pairs if row["uid"] == "all" != row["phenomenon"]]
        assert len(in_phenomena) == 3 * 3
        for row in in_phenomena:
            low, high = float(row["accuracy_low"]), float(row["accuracy_high"])
            assert low < float(row["accuracy"]) < high

    # held-out loss line by line, with nothing but transformers
    told = {
        row["probe"]: row
        for row in rows(results / "tables" / "a-lines-42" / "perplexity.csv")
        if row["step"] == "150"
    }
    model = AutoModelForCausalLM.from_pretrained(
        results / "runs" / "a-lines-42" / "checkpoints" / "step-00000150"
    )
    tokenizer = AutoTokenizer.from_pretrained(results / "tokenizers" / "a")
    total = count = 0
    held_out = pq.read_table(results / "corpora" / "a" / "validation.parquet")
    for line in held_out["text"].to_pylist():
        ids = tokenizer(line)["input_ids"]
        for first in range(0, len(ids), 32):
            piece = torch.tensor([ids[first : first + 32]])
            if piece.shape[1] > 1:
                with torch.no_grad():
                    loss = model(input_ids=piece, labels=piece).loss
                total, count = (
                    total + loss.item() * (piece.shape[1] - 1),
                    count + piece.shape[1] - 1,
                )
    assert int(told["lines"]["n_tokens"]) == count
    assert math.isclose(float(told["lines"]["loss"]), total / count, rel_tol=1e-5)
    assert told["blocks"]["loss"] != told["lines"]["loss"]


def test_the_other_scales_are_planned_without_a_network(workflow):
    """Every job of the study, and of A reduced: none of the texts are here yet."""
    whole = workflow.dry_run()
    assert whole.counts["download"] == 3 and whole.counts["derive"] == 2
    assert whole.counts["unpack"] == 6
    # step 0, then 15 checkpoints of A and 16 of B, five a job
    trained = sum(n for rule, n in whole.counts.items() if rule.startswith("train_"))
    assert trained == 6 * 3 + 6 * 4
    reduced = workflow.dry_run("--config", "scale=cpu")
    assert reduced.counts["download"] == 3 and "derive" not in reduced.counts
