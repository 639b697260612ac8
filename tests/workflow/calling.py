"""What the tests of the scoring scripts share: calling a script, and models to score."""

import csv
import os
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
)

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = PROJECT / "scripts" / "score.py"
HEAVY = [
    *("torch", "polars", "statsmodels.stats.proportion"),
    *("transformers.models.auto.modeling_auto", "transformers.models.opt.modeling_opt"),
]
VOCABULARY = 400  # of the tiny study's tokenizer
POSITIONS = 64
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SHAPE |= {"intermediate_size": 64, "max_position_embeddings": POSITIONS}
FAMILIES = {
    "gpt2": (GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS}),
    "llama": (LlamaConfig, {**SHAPE, "num_key_value_heads": 2}),
    "gpt_neox": (GPTNeoXConfig, SHAPE),
}
TEXTS = [
    "The dog and the cat ran home.",
    "the cat and the dog ran home",
    '"These bees are sleepy," said Max.',
    "Nora ran",
    "Salt and pepper, \u00e9t\u00e9 and 12 \u732b.",
]
QUESTIONS = [
    ("class", "prompt", "answer"),
    ("animal", "The dog and the", " cat"),
    ("animal", "The cat ran to the", " dog"),
    ("", "One day, Max", " and Nora"),
    ("food", "They ate bread and", " butter"),
]


@dataclass(frozen=True)
class Done:
    """How a script ended, and what it printed."""

    code: int
    output: str
    errors: str


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path, *lines):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def call_in_child(script, args, folder, output, errors):
    """What a process of `python script` does. Importing Snakemake is an error in it."""
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(folder)
    sys.modules["snakemake"] = None
    sys.argv = [script, *args]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


def the_error(done):
    """The one line that tells what is wrong; before it only what a script that works says too."""
    *before, last = done.errors.splitlines()
    assert last.startswith("error: "), done.errors
    for line in before:
        assert re.search(r": [0-9,]+ parameters; .* before each string$|^scoring: ", line), line
    return last


def random_model(family, vocabulary=VOCABULARY):
    """A model whose weights are much larger than at the start of training."""
    config, shape = FAMILIES[family]
    torch.manual_seed(7)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    model = AutoModelForCausalLM.from_config(config(**shape, **ids, vocab_size=vocabulary))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    return model


def save_model(folder, family, tokenizer_folder, vocabulary=VOCABULARY):
    """A folder as others publish it: model and tokenizer together, saved by transformers."""
    random_model(family, vocabulary).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


def plain_logprobs(model_folder, tokenizer_folder, texts, bos=True):
    """Sum of log P(token | all before it) by transformers alone, in float64."""
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    result = []
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        ids = torch.tensor([ids if bos else ids[1:]])
        with torch.no_grad():
            logprobs = model(ids).logits.log_softmax(-1)
        result.append(logprobs[0, :-1].gather(1, ids[0, 1:, None]).sum().item())
    return np.array(result)


def pairs_of(texts):
    """A file of minimal pairs: each text and its reverse of words."""
    return [("good", "bad"), *((text, " ".join(reversed(text.split(" ")))) for text in texts)]


def logprobs_of(scores):
    return np.array([[float(row["good_logprob"]), float(row["bad_logprob"])] for row in scores])


def cells(line):
    return re.split(r"  +", line.strip())
