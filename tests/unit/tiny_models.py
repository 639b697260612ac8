"""Tiny models of four families, and runs for them."""

import pytest
import torch

from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.study.models import Architecture
from ontogeny.study.runs import Run
from ontogeny.training.model import new_model

VOCABULARY = 50
TOKENIZER = TokenizerInfo(vocab_size=VOCABULARY, bos_id=1, eos_id=2, pad_id=0, unk_id=3)
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPE |= {"max_position_embeddings": 32}
ARCHITECTURES = {
    "opt": {**SHAPE, "ffn_dim": 32, "dropout": 0.0},
    "llama": {**SHAPE, "intermediate_size": 32, "num_key_value_heads": 1},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    "gpt_neox": {**SHAPE, "intermediate_size": 32},
}
each_family = pytest.mark.parametrize("family", ARCHITECTURES)


def make_run(**keys):
    defaults = {"corpus": "c", "tokenizer": "t", "architecture": "a", "seed": 3}
    defaults |= {"steps": 12, "block_size": 16, "batch_size": 4}
    return Run(**{**defaults, **keys})


def make_model(family="opt", seed=3, **config):
    architecture = Architecture(model_type=family, config={**ARCHITECTURES[family], **config})
    return new_model(architecture, TOKENIZER, 16, seed)


def copy_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_identical(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
