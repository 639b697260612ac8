"""What a finished study leaves behind. The tiny study runs once for all tests of this folder."""

import csv
import hashlib
import json
import math
import statistics

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
PAIRS = 900
Z = 1.959963984540054  # of a two-sided 95 % interval


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def score_file(workflow, probe, run, step):
    return workflow.results / "scores" / probe / run / f"step-{step:08d}.csv"


def manifests(finished, run):
    folder = finished.results / "runs" / run / "segments"
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.manifest.json"))]


def test_everything_is_made(finished):
    for run in RUNS:
        for probe in ("binomials", "grammar", "held-out"):
            made = {path.name for path in (finished.results / "scores" / probe / run).iterdir()}
            assert made == {f"step-{step:08d}.csv" for step in STEPS}
        tables = {path.name for path in (finished.results / "tables" / run).glob("[!.]*")}
        names = (
            *("losses", "preferences", "correlations", "trajectories", "regressions"),
            *("deviations", "constraints", "items", "learning", "thresholds", "minimal_pairs"),
            *("states", "paradigms", "failing", "bigram_tests", "bigram_classes", "perplexity"),
        )
        assert tables == {f"{name}.csv" for name in names}
        figures = {path.name for path in (finished.results / "figures" / run).glob("[!.]*")}
        names = (
            *("loss", "perplexity", "correlation", "relative_frequency", "thresholds"),
            *("coefficients", "minimal_pairs", "paradigms", "entrenchment", "bigrams"),
        )
        assert figures == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    across = [path.name for path in (finished.results / "tables").glob("*.csv")]
    assert sorted(across) == ["comparisons.csv", "runs.csv"]
    assert {"README.md", "study.yaml", "environment.txt"} < {
        path.name for path in finished.results.iterdir()
    }
    for suffix in ("png", "svg"):
        assert (finished.results / "figures" / f"overview.{suffix}").stat().st_size > 1000


def test_nothing_is_made_twice(project):
    everything = ("all", "corpora", "runs", "exposure", "scores", "tables", "figures")
    assert project.dry_run(*everything).counts == {}
    assert "Nothing to be done" in project.make()


def test_no_temporary_file_is_left(finished):
    assert [path for path in finished.results.rglob("*") if path.name.endswith(".tmp")] == []


def test_only_the_last_state_of_a_run_is_kept(finished):
    for run in RUNS:
        states = sorted((finished.results / "runs" / run / "state").glob("[!.]*"))
        assert [path.name for path in states] == ["0001.safetensors"]


@pytest.mark.parametrize("run", RUNS)
def test_score_files_hold_each_item_in_each_prompt(finished, run):
    for step in STEPS:
        scores = rows(score_file(finished, "binomials", run, step))
        assert len(scores) == ITEMS * PROMPTS
        assert len({(row["prompt"], row["binom"]) for row in scores}) == ITEMS * PROMPTS
        for row in scores:
            assert (row["model"], row["checkpoint"]) == (run, f"step-{step:08d}")
            assert (int(row["step"]), int(row["tokens"])) == (step, step * TOKENS_PER_STEP)
            alpha, other = float(row["alpha_logprob"]), float(row["nonalpha_logprob"])
            assert alpha < 0 and other < 0
            assert float(row["preference"]) == pytest.approx(alpha - other, abs=1e-4)


@pytest.mark.parametrize("run", RUNS)
def test_score_files_hold_each_minimal_pair(finished, run):
    pairs = rows(finished.results / "corpora" / "toy" / "pairs.csv")
    assert len(pairs) == PAIRS
    columns = "model,checkpoint,step,tokens,uid,pair_id,good_logprob,bad_logprob,preference"
    for step in STEPS:
        scores = rows(score_file(finished, "grammar", run, step))
        assert list(scores[0]) == columns.split(",")
        for pair, row in zip(pairs, scores, strict=True):
            assert (row["uid"], row["pair_id"]) == (pair["uid"], pair["pair_id"])
            assert (row["model"], row["checkpoint"]) == (run, f"step-{step:08d}")
            assert (int(row["step"]), int(row["tokens"])) == (step, step * TOKENS_PER_STEP)
            good, bad = float(row["good_logprob"]), float(row["bad_logprob"])
            assert good < 0 and bad < 0
            assert float(row["preference"]) == pytest.approx(good - bad, abs=1e-4)


def wilson(share, n):
    """Wilson (1927): the shares p for which |share - p| <= z sqrt(p (1 - p) / n)."""
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return middle - half, middle + half


def paradigms_of(pairs):
    """Every set of pairs that the table has a row of, with its pairs."""
    sets = {}
    for pair in pairs:
        phenomenon, uid = pair["phenomenon"], pair["uid"]
        for key in (("all", "all"), (phenomenon, "all"), (phenomenon, uid)):
            sets.setdefault(key, set()).add((uid, pair["pair_id"]))
    return sets


@pytest.mark.parametrize("run", RUNS)
def test_accuracies_are_those_of_the_score_files(finished, run):
    sets = paradigms_of(rows(finished.results / "corpora" / "toy" / "pairs.csv"))
    table = rows(finished.results / "tables" / run / "minimal_pairs.csv")
    assert len(table) == len(STEPS) * len(sets)
    accuracies = set()
    for step in STEPS:
        preferences = {
            (row["uid"], row["pair_id"]): float(row["preference"])
            for row in rows(score_file(finished, "grammar", run, step))
        }
        of_step = [row for row in table if int(row["step"]) == step]
        assert {(row["phenomenon"], row["uid"]) for row in of_step} == set(sets)
        for row in of_step:
            values = [preferences[pair] for pair in sets[row["phenomenon"], row["uid"]]]
            ties = values.count(0.0)
            share = (sum(value > 0 for value in values) + ties / 2) / len(values)
            assert (row["run"], row["probe"], int(row["n"])) == (run, "grammar", len(values))
            assert float(row["accuracy"]) == pytest.approx(share, abs=1e-12)
            interval = float(row["accuracy_low"]), float(row["accuracy_high"])
            assert interval == pytest.approx(wilson(share, len(values)), abs=1e-9)
            assert float(row["tie_rate"]) == pytest.approx(ties / len(values), abs=1e-12)
            mean = math.fsum(values) / len(values)
            assert float(row["mean_difference"]) == pytest.approx(mean, abs=1e-8)
            deviation = statistics.stdev(values)
            assert float(row["separation"]) == pytest.approx(mean / deviation, abs=1e-6)
            accuracies.add(share)
    assert len(accuracies) > 5


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
    assert {"seen", "unseen", "seen-1of5", "seen-5of5"} <= groups
    kinds = {(row["group"], row["reference"]) for row in correlations}
    assert {reference for _, reference in kinds} == {"truth", "human", "relative_exposure"}
    assert len(correlations) == len(STEPS) * len(kinds)
    for row in correlations:
        if row["r_low"]:
            assert -1 <= float(row["r_low"]) <= float(row["r"]) <= float(row["r_high"]) <= 1
        else:  # few items of the group were seen, or all in one order
            assert row["reference"] == "relative_exposure"
        if row["group"] == "all" and row["reference"] != "relative_exposure":
            assert int(row["n"]) == ITEMS


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
    scores = rows(score_file(finished, "binomials", "fast", 200))
    row = scores[-1]
    ids = tokenizer(row["prompt"] + row["binom"], return_tensors="pt")["input_ids"]
    assert ids[0, 0] == tokenizer.bos_token_id
    with torch.no_grad():
        logits = model(ids).logits.log_softmax(-1)
    logprob = logits[0, :-1].gather(1, ids[0, 1:, None]).sum().item()
    assert logprob == pytest.approx(float(row["alpha_logprob"]), abs=1e-3)


def test_a_score_file_is_what_transformers_gives_in_float64(finished):
    """Each string by itself, nothing of this project involved."""
    folder = finished.results / "runs" / "fast" / "checkpoints" / "step-00000200"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(finished.results / "tokenizers" / "bpe")
    pairs = rows(finished.results / "corpora" / "toy" / "pairs.csv")
    scores = rows(score_file(finished, "grammar", "fast", 200))
    for number in range(0, PAIRS, PAIRS // 20):
        for side in ("good", "bad"):
            ids = tokenizer(pairs[number][side], return_tensors="pt")["input_ids"]
            with torch.no_grad():
                logprobs = model(ids).logits.log_softmax(-1)
            logprob = logprobs[0, :-1].gather(1, ids[0, 1:, None]).sum().item()
            assert float(scores[number][f"{side}_logprob"]) == pytest.approx(logprob, abs=1e-4)


def test_a_probe_of_completions_is_added_to_a_finished_study(project, tiny):
    """Nothing that was scored is scored again; its table is what the score files say."""
    items = ["animal,The dog and the,cat", "animal,the cat and the ,dog", ",One day,."]
    (project.folder / "questions.csv").write_text("\n".join(["class,prompt,answer", *items]) + "\n")
    tiny["probes"]["questions"] = {
        **{"type": "completions", "items": "questions.csv"},
        **{"decoding": "sample", "samples": 7, "max_new_tokens": 5, "pattern": "[a-z.]+"},
    }
    project.write(tiny)
    before = {path: path.stat().st_ino for path in project.results.glob("scores/*/*/*.csv")}
    table, figure = (
        f"results/tiny/{kind}/fast/completions.{suffix}"
        for kind, suffix in (("tables", "csv"), ("figures", "png"))
    )
    project.make(table, figure)
    after = {path: path.stat().st_ino for path in project.results.glob("scores/*/*/*.csv")}
    made = {score_file(project, "questions", "fast", step) for step in STEPS}
    assert after.keys() - before.keys() == made
    assert {path for path in before if before[path] != after[path]} == set()
    assert (project.folder / figure).stat().st_size > 1000

    statistics_of = {(int(row["step"]), row["class"]): row for row in rows(project.folder / table)}
    assert set(statistics_of) == {(step, name) for step in STEPS for name in ("all", "animal")}
    columns = "class,prompt,answer,answer_logprob,samples,correct,completion"
    for step in STEPS:
        scores = rows(score_file(project, "questions", "fast", step))
        assert list(scores[0])[4:] == columns.split(",")
        assert [",".join(list(row.values())[4:7]) for row in scores] == items
        assert {row["samples"] for row in scores} == {"7"}
        for name, chosen in (("all", scores), ("animal", scores[:2])):
            row, n = statistics_of[step, name], len(chosen)
            assert (int(row["n"]), row["samples"]) == (n, "7")
            share = sum(int(score["correct"]) for score in chosen) / 7 / n
            assert float(row["accuracy"]) == pytest.approx(share, abs=1e-12)
            interval = float(row["accuracy_low"]), float(row["accuracy_high"])
            assert interval == pytest.approx(wilson(share, n), abs=1e-9)
            logprob = sum(float(score["answer_logprob"]) for score in chosen) / n
            assert float(row["answer_logprob"]) == pytest.approx(logprob, abs=1e-6)
    assert len({row["accuracy"] for row in statistics_of.values()}) > 1
