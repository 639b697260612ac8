"""What a finished study leaves behind. The tiny study runs once for all tests of this folder."""

import csv
import hashlib
import json
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = pytest.mark.workflow

RUNS = ["slow", "fast"]
STEPS = [0, 4, 50, 100, 150, 200]
TOKENS_PER_STEP = 32 * 8
ITEMS = 180
PROMPTS = 2


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def manifests(finished, run):
    folder = finished.results / "runs" / run / "segments"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.manifest.json"))]


def test_everything_is_made_and_nothing_is_left_to_do(finished):
    for run in RUNS:
        for probe in ("binomials", "held-out"):
            made = {path.name for path in (finished.results / "scores" / probe / run).iterdir()}
            assert made == {f"step-{step:08d}.csv" for step in STEPS}
        tables = {path.name for path in (finished.results / "tables" / run).iterdir()}
        assert tables == {"losses.csv", "correlations.csv", "perplexity.csv"}
        figures = {path.name for path in (finished.results / "figures" / run).iterdir()}
        names = ("loss", "correlation", "perplexity")
        assert figures == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    for suffix in ("png", "svg"):
        assert (finished.results / "figures" / f"overview.{suffix}").stat().st_size > 1000
    assert finished.dry_run("all", "corpora", "runs", "scores", "tables", "figures").counts == {}
    assert "Nothing to be done" in finished.make()


def test_no_temporary_file_is_left(finished):
    assert [path for path in finished.results.rglob("*") if path.name.endswith(".tmp")] == []


def test_only_the_last_state_of_a_run_is_kept(finished):
    for run in RUNS:
        states = sorted((finished.results / "runs" / run / "state").iterdir())
        assert [path.name for path in states] == ["0001.safetensors"]


@pytest.mark.parametrize("run", RUNS)
def test_score_files_hold_each_item_in_each_prompt(finished, run):
    for step in STEPS:
        scores = rows(finished.results / "scores" / "binomials" / run / f"step-{step:08d}.csv")
        assert len(scores) == ITEMS * PROMPTS
        assert len({(row["prompt"], row["binom"]) for row in scores}) == ITEMS * PROMPTS
        for row in scores:
            assert (row["model"], row["checkpoint"]) == (run, f"step-{step:08d}")
            assert (int(row["step"]), int(row["tokens"])) == (step, step * TOKENS_PER_STEP)
            alpha, other = float(row["alpha_logprob"]), float(row["nonalpha_logprob"])
            assert alpha < 0 and other < 0
            assert float(row["preference"]) == pytest.approx(alpha - other, abs=1e-4)


@pytest.mark.parametrize("run", RUNS)
def test_tables_have_a_row_for_each_checkpoint_or_step(finished, run):
    tables = finished.results / "tables" / run
    losses = rows(tables / "losses.csv")
    assert [int(row["step"]) for row in losses] == list(range(1, STEPS[-1] + 1))
    assert all(int(row["tokens"]) == int(row["step"]) * TOKENS_PER_STEP for row in losses)
    assert float(losses[-1]["loss"]) < float(losses[0]["loss"]) - 0.5
    perplexity = rows(tables / "perplexity.csv")
    assert [int(row["step"]) for row in perplexity] == STEPS
    for row in perplexity:
        assert float(row["perplexity"]) == pytest.approx(math.exp(float(row["loss"])))
    assert float(perplexity[-1]["loss"]) < float(perplexity[0]["loss"]) - 0.5
    correlations = rows(tables / "correlations.csv")
    groups = {row["group"] for row in correlations}
    assert {"all", "attested", "nonce"} <= groups
    assert len(correlations) == len(STEPS) * len(groups)
    for row in correlations:
        assert -1 <= float(row["r_low"]) <= float(row["r"]) <= float(row["r_high"]) <= 1
        assert row["group"] != "all" or int(row["n"]) == ITEMS


def test_the_runs_differ_only_from_the_first_step_on(finished):
    slow, fast = (
        [
            checkpoint["sha256"]
            for part in manifests(finished, run)
            for checkpoint in part["checkpoints"]
        ]
        for run in RUNS
    )
    assert slow[0] == fast[0]
    assert not set(slow[1:]) & set(fast[1:])


@pytest.mark.parametrize("run", RUNS)
def test_manifests_hold_the_hashes_of_the_checkpoints(finished, run):
    parts = manifests(finished, run)
    assert [(part["start"], part["end"]) for part in parts] == [(0, 100), (100, 200)]
    saved = [checkpoint for part in parts for checkpoint in part["checkpoints"]]
    assert [checkpoint["step"] for checkpoint in saved] == STEPS
    for checkpoint in saved:
        folder = finished.results / "runs" / run / "checkpoints" / checkpoint["checkpoint"]
        content = (folder / "model.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == checkpoint["sha256"]
        assert checkpoint["tokens"] == checkpoint["step"] * TOKENS_PER_STEP
    assert len({checkpoint["sha256"] for checkpoint in saved}) == len(STEPS)


def test_a_checkpoint_is_a_plain_transformers_model(finished):
    """It loads without anything of this project, and gives the probabilities of the score file."""
    folder = finished.results / "runs" / "fast" / "checkpoints" / "step-00000200"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(finished.results / "tokenizers" / "bpe")
    weights = load_file(folder / "model.safetensors")
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())
    scores = rows(finished.results / "scores" / "binomials" / "fast" / "step-00000200.csv")
    row = scores[-1]
    ids = tokenizer(row["prompt"] + row["binom"], return_tensors="pt")["input_ids"]
    assert ids[0, 0] == tokenizer.bos_token_id
    with torch.no_grad():
        logits = model(ids).logits.log_softmax(-1)
    logprob = logits[0, :-1].gather(1, ids[0, 1:, None]).sum().item()
    assert logprob == pytest.approx(float(row["alpha_logprob"]), abs=1e-3)
