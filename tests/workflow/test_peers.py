"""The same checkpoint under minicons and under lm-evaluation-harness, as their users run them.

Both are peers for tests alone (`envs/requirements-dev.txt`), and nothing is fetched.
"""

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.workflow

PROJECT = Path(__file__).resolve().parents[2]
BLIMP = PROJECT.parent / "shared" / "data" / "blimp.zip"
PARADIGMS = [
    *("anaphor_gender_agreement", "determiner_noun_agreement_1"),
    *("distractor_agreement_relational_noun", "principle_A_case_2"),
]
IN_BOTH = 250  # pairs of each
BATCH = 64


@pytest.fixture(scope="module")
def offline():
    """No peer asks the Hub for anything, nor draws bars."""
    with pytest.MonkeyPatch.context() as patch:  # before they are imported, which is when they ask
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TQDM_DISABLE"):
            patch.setenv(name, "1")
        yield


@pytest.fixture(scope="module")
def model_folder(finished, tmp_path_factory):
    """The last checkpoint with its tokenizer beside it."""
    folder = tmp_path_factory.mktemp("model")
    run = finished.results / "runs" / "fast" / "checkpoints" / "step-00000200"
    for source in (run, finished.results / "tokenizers" / "bpe"):
        for path in source.glob("[!.]*"):
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def score(model_folder, probe, output):
    """Our own score file, by UID and pairID."""
    command = [sys.executable, str(PROJECT / "scripts" / "score.py"), "--model", str(model_folder)]
    command += ["--probe", str(probe), "--output", str(output), "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return {(row["uid"], row["pair_id"]): row for row in rows(output)}


def write_jsonl(folder, pairs):
    """Pairs as BLiMP publishes its own, one file a paradigm."""
    folder.mkdir()
    for uid in dict.fromkeys(pair["UID"] for pair in pairs):
        lines = [json.dumps(pair) + "\n" for pair in pairs if pair["UID"] == uid]
        (folder / f"{uid}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def toy(finished, model_folder, tmp_path_factory):
    """Four paradigms of the toy language: a folder of them, our scores, and the pairs.

    Two pairs are made ties, by what the tokenizer lowercases.
    """
    columns = {"sentence_good": "good", "sentence_bad": "bad", "UID": "uid", "pairID": "pair_id"}
    columns["linguistics_term"] = "phenomenon"
    pairs = [
        {name: row[column] for name, column in columns.items()}
        for row in rows(finished.results / "corpora" / "toy" / "pairs.csv")
    ]
    kept = list(dict.fromkeys(pair["UID"] for pair in pairs))[::2][:4]
    pairs = [pair for pair in pairs if pair["UID"] in kept]
    for pair in pairs[:2]:
        pair["sentence_bad"] = pair["sentence_good"].upper()
    folder = tmp_path_factory.mktemp("toy")
    files = write_jsonl(folder / "pairs", pairs)
    return files, score(model_folder, files, folder / "scores.csv"), pairs


def blimp_pairs():
    with zipfile.ZipFile(BLIMP) as archive:
        members = {Path(name).stem: name for name in archive.namelist()}
        lines = [
            archive.read(members[paradigm]).decode().splitlines()[:IN_BOTH]
            for paradigm in PARADIGMS
        ]
    return [json.loads(line) for part in lines for line in part]


# ---------------------------------------------------------------------------- minicons


def test_minicons_gives_the_same_logprobs(offline, model_folder, toy):
    """It gets objects: given a path, its dtype is the file's and the model stays in training mode.

    `bos_token` stays False, since our tokenizers put BOS themselves, and reduction is our sum: its
    default is the mean over tokens.
    """
    from minicons.scorer import IncrementalLMScorer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, scores, pairs = toy
    texts, ours = [], []
    for pair in pairs[::4]:
        row = scores[pair["UID"], pair["pairID"]]
        for side in ("good", "bad"):
            texts.append(pair[f"sentence_{side}"])
            ours.append(float(row[f"{side}_logprob"]))
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    scorer = IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    theirs = []
    for first in range(0, len(texts), BATCH):
        batch = texts[first : first + BATCH]
        theirs += scorer.sequence_score(batch, reduction=lambda x: x.double().sum().item())
    assert len(theirs) == 200
    assert np.std(theirs) > 5
    assert np.abs(np.subtract(ours, theirs)).max() < 1e-3


# ---------------------------------------------------------------------------- lm-eval


def lm_eval_blimp(model_folder, files, cache):
    """Accuracy of each file under the harness's own BLiMP task, with only its data replaced, and
    the log-probabilities of (good, bad), in the order of the file."""
    import lm_eval
    import yaml
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    template = Path(lm_eval.__file__).parent / "tasks" / "blimp" / "_template_yaml"
    task = yaml.safe_load(template.read_text(encoding="utf-8")) | {"dataset_path": "json"}
    configs = [
        {
            **{**task, "task": file.stem},
            "dataset_kwargs": {"data_files": {"train": str(file)}, "cache_dir": str(cache)},
        }
        for file in files
    ]
    model = HFLM(pretrained=str(model_folder), device="cpu", dtype="float32", batch_size=BATCH)
    tasks = TaskManager(include_defaults=False).load(configs)
    results = evaluate(model, tasks, bootstrap_iters=0, log_samples=True)
    accuracies = {file.stem: results["results"][file.stem]["acc,none"] for file in files}
    logprobs = {}
    for file in files:
        samples = sorted(results["samples"][file.stem], key=lambda sample: sample["doc_id"])
        logprobs[file.stem] = [
            [logprob for logprob, _ in sample["filtered_resps"]] for sample in samples
        ]
    return accuracies, logprobs


def agree(model_folder, folder, scores, cache):
    """Compare each pair and each paradigm; returns the accuracies."""
    files = sorted(folder.iterdir())
    accuracies, logprobs = lm_eval_blimp(model_folder, files, cache)
    for file in files:
        of_file = [row for (uid, _), row in scores.items() if uid == file.stem]
        ours = np.array([[float(r["good_logprob"]), float(r["bad_logprob"])] for r in of_file])
        assert np.abs(ours - logprobs[file.stem]).max() < 1e-3
        preferences = np.array([float(row["preference"]) for row in of_file])
        # the harness takes the first of two equal sentences, the good one
        right = (preferences >= 0).sum()
        # where the difference is no more than rounding, it may have the other sign there
        unsure = ((np.abs(preferences) < 2e-4) & (preferences != 0)).sum()
        assert abs(accuracies[file.stem] * len(of_file) - right) <= unsure + 1e-6
        assert unsure <= 0.01 * len(of_file)
    return accuracies


def ties(scores):
    return [key for key, row in scores.items() if float(row["preference"]) == 0]


def test_lm_eval_gives_the_same_accuracies_on_toy_pairs(offline, model_folder, toy, tmp_path):
    folder, scores, pairs = toy
    assert len(scores) == len(pairs) == 400
    assert ties(scores)[:2] == [(pair["UID"], pair["pairID"]) for pair in pairs[:2]]
    assert len(agree(model_folder, folder, scores, tmp_path)) == 4


@pytest.mark.skipif(not BLIMP.is_file(), reason=f"needs {BLIMP}")
def test_lm_eval_gives_the_same_accuracies_on_blimp(offline, model_folder, tmp_path):
    folder = write_jsonl(tmp_path / "pairs", blimp_pairs())
    scores = score(model_folder, folder, tmp_path / "scores.csv")
    assert len(scores) == len(PARADIGMS) * IN_BOTH
    assert ("principle_A_case_2", "105") in ties(scores)  # one of BLiMP's seven
    accuracies = agree(model_folder, folder, scores, tmp_path / "cache")
    assert len(set(accuracies.values())) > 2
