"""`score.py` without a study, on every kind of stimuli and models of several families."""

import json
import math
import os
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from calling import (
    FAMILIES,
    POSITIONS,
    PROJECT,
    QUESTIONS,
    SCRIPT,
    TEXTS,
    VOCABULARY,
    cells,
    logprobs_of,
    pairs_of,
    plain_logprobs,
    rows,
    save_model,
    write_rows,
)
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
)

from ontogeny.files import read_json, write_json

pytestmark = pytest.mark.workflow


# ---------------------------------------------------------------------------- each kind of probe


def in_every_format(pairs, folder):
    """The study's minimal pairs as BLiMP publishes its own: by paradigm, as JSON lines."""
    folder.mkdir()
    by_uid = {}
    for pair in pairs:
        line = {"sentence_good": pair["good"], "sentence_bad": pair["bad"], "UID": pair["uid"]}
        line |= {"linguistics_term": pair["phenomenon"], "pairID": pair["pair_id"], "field": "x"}
        by_uid.setdefault(pair["uid"], []).append(json.dumps(line) + "\n")
    for uid, lines in by_uid.items():
        (folder / f"{uid}.jsonl").write_text("".join(lines), encoding="utf-8")
    single = folder.with_suffix(".jsonl")
    single.write_text("".join(line for lines in by_uid.values() for line in lines))
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"data/{path.name}")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".zip", ""])
def test_minimal_pairs_score_as_in_the_study(
    finished, checkpoint, tokenizer_folder, score, tmp_path, suffix
):
    csv_file = finished.results / "corpora" / "toy" / "pairs.csv"
    pairs = rows(csv_file)
    in_every_format(pairs, tmp_path / "pairs")
    probe = csv_file if suffix == ".csv" else (tmp_path / "pairs").with_suffix(suffix)
    scores, done = score(checkpoint, probe, "--tokenizer", tokenizer_folder)
    assert len(scores) == len(pairs)
    of_study = rows(finished.results / "scores" / "grammar" / "fast" / "step-00000200.csv")
    expected = {(row["uid"], row["pair_id"]): row for row in of_study}
    right = Counter()
    for row in scores:
        other = expected[row["uid"], row["pair_id"]]
        assert list(row) == list(other)
        assert (row["model"], row["step"], row["tokens"]) == ("step-00000200", "", "")
        for name in ("good_logprob", "bad_logprob"):
            assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-4)
        difference = float(row["good_logprob"]) - float(row["bad_logprob"])
        assert float(row["preference"]) == pytest.approx(difference, abs=1e-4)
        right[row["uid"]] += float(row["preference"]) > 0
    sizes, names = Counter(pair["uid"] for pair in pairs), {p["uid"]: p for p in pairs}
    shown = {cells(line)[0]: cells(line) for line in done.output.splitlines()[1:]}
    phenomena = {pair["phenomenon"] for pair in pairs}
    assert set(shown) == {"all pairs", *phenomena, *sizes}
    for name, (_, count, accuracy, *_) in shown.items():
        uids = [uid for uid in sizes if name in ("all pairs", uid, names[uid]["phenomenon"])]
        n = sum(sizes[uid] for uid in uids)
        assert int(count) == n
        assert accuracy == f"{sum(right[uid] for uid in uids) / n:.3f}"
    assert len({line[2] for line in shown.values()}) > 1


def test_the_script_needs_no_study(finished, checkpoint, tokenizer_folder, tmp_path):
    """A process that shares nothing with the tests, in a folder of its own."""
    empty = tmp_path / "empty"
    empty.mkdir()
    probe = write_rows(tmp_path / "pairs.csv", *pairs_of(TEXTS))
    command = [sys.executable, str(SCRIPT), "--model", str(checkpoint), "--output", "out.csv"]
    command += ["--tokenizer", str(tokenizer_folder), "--probe", str(probe)]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=empty,
        env={**kept, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in empty.iterdir()] == ["out.csv"]
    expected = plain_logprobs(checkpoint, tokenizer_folder, np.ravel(pairs_of(TEXTS)[1:]))
    assert np.abs(logprobs_of(rows(empty / "out.csv")).ravel() - expected).max() < 1e-4


def test_binomials_score_as_in_the_study(finished, checkpoint, tokenizer_folder, score, tmp_path):
    items = rows(finished.results / "corpora" / "toy" / "items.csv")
    words = [("Word1", "Word2"), *((item["Word1"], item["Word2"]) for item in items)]
    scores, done = score(
        *(checkpoint, write_rows(tmp_path / "words.csv", *words)),
        *("--tokenizer", tokenizer_folder, "--max-prompts", 2),
        *("--prompts", finished.folder / "data" / "toy" / "prompts.csv"),
    )
    of_study = rows(finished.results / "scores" / "binomials" / "fast" / "step-00000200.csv")
    preferences = {}
    for row, other in zip(scores, of_study, strict=True):
        assert (row["prompt"], row["binom"]) == (other["prompt"], other["binom"])
        for name in ("alpha_logprob", "nonalpha_logprob"):
            assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-4)
        preferences.setdefault(row["binom"], []).append(float(row["preference"]))
    means = {item: sum(values) / len(values) for item, values in preferences.items()}
    first, _, _, *strongest = done.output.splitlines()
    share = sum(mean > 0 for mean in means.values()) / len(means)
    assert first == (
        f"{len(items)} items, mean over 2 prompts: alphabetical order preferred in {share:.1%}, "
        f"mean preference {sum(means.values()) / len(means):+.3f} nat"
    )
    order = sorted(means, key=means.__getitem__, reverse=True)
    expected = [[item, f"{means[item]:+.2f}"] for item in order[:5] + order[-5:]]
    assert [cells(line) for line in strongest] == expected


def test_binomials_may_be_in_any_order(checkpoint, tokenizer_folder, score, tmp_path):
    items = write_rows(tmp_path / "words.csv", ("one", "two"), ("salt", "pepper"))
    keys = ("--tokenizer", tokenizer_folder, "--max-prompts", 1, "--word1", "one", "--word2", "two")
    turned, _ = score(checkpoint, items, *keys)
    given, done = score(checkpoint, items, *keys, "--order", "first", "--name", "m")
    assert [row["binom"] for row in turned + given] == ["pepper and salt", "salt and pepper"]
    assert [row["model"] for row in turned + given] == ["step-00000200", "m"]
    assert turned[0]["alpha_logprob"] == given[0]["nonalpha_logprob"]
    assert float(turned[0]["preference"]) == -float(given[0]["preference"])
    assert "1 items, mean over 1 prompts: first order preferred in " in done.output


def test_binomials_are_scored_in_the_prompts_that_ship(
    checkpoint, tokenizer_folder, score, tmp_path
):
    items = write_rows(tmp_path / "words.csv", ("Word1", "Word2"), ("bread", "butter"))
    scores, _ = score(checkpoint, items, "--tokenizer", tokenizer_folder)
    prompts = [row["prompt"] for row in rows(PROJECT / "data" / "prompts" / "prompts.csv")]
    assert [row["prompt"] for row in scores] == list(dict.fromkeys(prompts))
    texts = [row["prompt"] + "bread and butter" for row in scores]
    expected = plain_logprobs(checkpoint, tokenizer_folder, texts)
    found = np.array([float(row["alpha_logprob"]) for row in scores])
    assert np.abs(found - expected).max() < 1e-4


def test_greedy_completions_are_those_of_transformers(
    checkpoint, tokenizer_folder, score, tmp_path
):
    model = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    written = []
    for _, prompt, _ in QUESTIONS[1:]:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            longer = model.generate(ids, max_new_tokens=6, do_sample=False)
        new = longer[0, ids.shape[1] :]
        written.append(tokenizer.decode(new, skip_special_tokens=True).split("\n")[0])
    # one question whose answer is what the model writes
    questions = [*QUESTIONS, ("echo", QUESTIONS[1][1], written[0])]
    probe = write_rows(tmp_path / "questions.csv", *questions)
    args = ("--tokenizer", tokenizer_folder, "--max-new-tokens", 6)
    scores, done = score(checkpoint, probe, *args)
    assert [row["completion"] for row in scores] == [*written, written[0]]
    assert [row["samples"] for row in scores] == ["1"] * len(scores)
    right = [
        text.strip() == row["answer"].strip()
        for text, row in zip(written, scores[:-1], strict=True)
    ]
    assert [row["correct"] for row in scores] == [*(str(int(x)) for x in right), "1"]
    whole = [prompt + answer for _, prompt, answer in questions[1:]]
    given = [prompt for _, prompt, _ in questions[1:]]
    expected = plain_logprobs(checkpoint, tokenizer_folder, whole + given).reshape(2, -1)
    found = np.array([float(row["answer_logprob"]) for row in scores])
    assert np.abs(found - (expected[0] - expected[1])).max() < 1e-4
    shown = {cells(line)[0]: cells(line)[1:] for line in done.output.splitlines()[1:]}
    assert list(shown) == ["all items", "animal", "food", "echo"]
    assert shown["echo"][:2] == ["1", "1.000"]
    assert shown["all items"][:2] == ["5", f"{(sum(right) + 1) / 5:.3f}"]
    assert shown["all items"][-1] == f"{found.mean():.2f}"


def test_sampled_completions_depend_on_the_seed_alone(
    checkpoint, tokenizer_folder, score, tmp_path
):
    questions = [("They ate bread and", " The"), ("One day, Max", "."), ("The dog ran", ".")]
    probe = write_rows(tmp_path / "questions.csv", ("prompt", "answer"), *questions)
    sampled = ("--tokenizer", tokenizer_folder, "--decoding", "sample", "--samples", 40)
    sampled += ("--ignore-case", "--top-k", 20, "--temperature", 0.9)
    first, done = score(checkpoint, probe, *sampled)
    assert all(row["samples"] == "40" for row in first)
    assert all(0 < int(row["correct"]) < 40 for row in first)
    share = sum(int(row["correct"]) for row in first) / 120
    assert cells(done.output.splitlines()[1])[1:3] == ["3", f"{share:.3f}"]
    again, _ = score(checkpoint, probe, *sampled, "--seed", 0, "--batch-tokens", 1)
    other, _ = score(checkpoint, probe, *sampled, "--seed", 1)
    found = [[(row["correct"], row["completion"]) for row in run] for run in (first, again, other)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("most", [None, 100])
def test_perplexity_is_that_of_transformers_in_float64(
    checkpoint, tokenizer_folder, score, tmp_path, most
):
    lines = [
        *TEXTS,
        "",
        "   ",
        "a page\x0cin one line",
        *(text.upper() + " so it was" for text in TEXTS),
    ]
    probe = tmp_path / "held-out.txt"
    probe.write_text("\n".join(lines) + "\n", encoding="utf-8-sig", newline="\r\n")
    limit = () if most is None else ("--max-tokens", most)
    (row,), done = score(checkpoint, probe, "--tokenizer", tokenizer_folder, *limit)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    documents = [line for line in lines if line.strip()]
    ids = [i for document in documents for i in tokenizer(document)["input_ids"]]
    bytes_per_token = sum(len(document.encode()) for document in documents) / len(ids)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float64).eval()
    total = count = 0
    used = ids[:most]
    for first in range(0, len(used), POSITIONS):
        block = torch.tensor([used[first : first + POSITIONS]])
        with torch.no_grad():
            logprobs = model(block).logits.log_softmax(-1)[0, :-1]
        total -= logprobs.gather(1, block[0, 1:, None]).sum().item()
        count += block.shape[1] - 1
    assert len(ids) > 2 * POSITIONS > (most or 0)
    assert row["corpus"] == "held-out.txt"
    assert int(row["n_tokens"]) == count
    assert float(row["loss"]) == pytest.approx(total / count, rel=1e-5)
    assert float(row["perplexity"]) == pytest.approx(math.exp(total / count), rel=1e-4)
    bits = total / count / math.log(2) / bytes_per_token
    assert float(row["bits_per_byte"]) == pytest.approx(bits, rel=1e-5)
    assert done.output.startswith(f"perplexity {float(row['perplexity']):.2f} (")


def test_help_is_help(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0
    for option in ("--model", "--probe", "--no-bos", "--temperature", "--max-tokens"):
        assert option in done.stdout
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------------------- models of others


@pytest.mark.parametrize("family", FAMILIES)
def test_models_of_other_families_score_as_in_transformers(
    score, tokenizer_folder, tmp_path, family
):
    """The tokenizer stands in the model's folder; some rows of the vocabulary are padding."""
    folder = save_model(tmp_path / family, family, tokenizer_folder, VOCABULARY + 48)
    pairs = pairs_of(TEXTS)
    scores, done = score(folder, write_rows(tmp_path / "pairs.csv", *pairs))
    expected = plain_logprobs(folder, folder, np.ravel(pairs[1:]))
    assert np.std(expected) > 10
    assert np.abs(logprobs_of(scores).ravel() - expected).max() < 1e-4
    assert {row["model"] for row in scores} == {family}
    assert "'<s>' before each string" in done.errors


def test_without_bos_the_first_token_is_given(score, tokenizer_folder, tmp_path):
    folder = save_model(tmp_path / "llama", "llama", tokenizer_folder)
    pairs = pairs_of(TEXTS)
    probe = write_rows(tmp_path / "pairs.csv", *pairs)
    scores, done = score(folder, probe, "--no-bos")
    expected = plain_logprobs(folder, folder, np.ravel(pairs[1:]), bos=False)
    assert np.abs(logprobs_of(scores).ravel() - expected).max() < 1e-4
    assert "no token before each string" in done.errors
    with_bos, _ = score(folder, probe, "--bos")
    assert np.abs(logprobs_of(with_bos) - logprobs_of(scores)).min() > 0.1


@pytest.mark.parametrize(
    ("post_processor", "bos"),
    [
        ("nothing", False),  # a template that puts nothing before a text
        (None, True),
        ({"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}, True),  # GPT-2's
    ],
)
def test_bos_is_as_the_tokenizer_is_made_to(score, tokenizer_folder, tmp_path, post_processor, bos):
    folder = save_model(tmp_path / "gpt2", "gpt2", tokenizer_folder)
    tokenizer = read_json(folder / "tokenizer.json")
    if post_processor == "nothing":
        template = {"Sequence": {"id": "A", "type_id": 0}}
        post_processor = {**tokenizer["post_processor"], "single": [template]}
    tokenizer["post_processor"] = post_processor
    write_json(folder / "tokenizer.json", tokenizer)
    pairs = pairs_of(TEXTS[:3])
    probe = write_rows(tmp_path / "pairs.csv", *pairs)
    for args, expected_bos in (((), bos), (("--bos",), True), (("--no-bos",), False)):
        scores, _ = score(folder, probe, *args)
        expected = plain_logprobs(folder, tokenizer_folder, np.ravel(pairs[1:]), expected_bos)
        assert np.abs(logprobs_of(scores).ravel() - expected).max() < 1e-4
