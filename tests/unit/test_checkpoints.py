"""Checkpoints and states: what is written loads, and what is damaged is named."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import TOKENIZER, assert_identical, copy_of, each_family, make_model
from transformers import AutoModelForCausalLM

from ontogeny.study.models import Architecture
from ontogeny.study.runs import Optimizer
from ontogeny.training.model import (
    check_causal,
    named_weights,
    new_model,
    read_weights,
    save_checkpoint,
    set_weights,
)
from ontogeny.training.optimizer import make_optimizer
from ontogeny.training.state import StateInfo, load_state, save_state

pytestmark = pytest.mark.usefixtures("one_thread")


def load_weights(model, weights):
    set_weights(model, read_weights(weights), weights)


def save(model, folder):
    save_checkpoint(model, folder / "model.safetensors", folder / "config.json")
    return folder / "model.safetensors"


@each_family
def test_checkpoints_load_with_transformers_and_into_a_live_model(tmp_path, family):
    model = make_model(family).eval()
    weights = save(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", weights.name]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    live = make_model(family, seed=8).eval()
    load_weights(live, weights)
    assert type(loaded) is type(model)
    assert loaded.dtype == torch.float32
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        expected = model(ids).logits
        assert torch.equal(loaded(ids).logits, expected)
        assert torch.equal(live(ids).logits, expected)


def test_a_model_is_drawn_from_its_seed():
    assert_identical(copy_of(make_model(seed=5)), copy_of(make_model(seed=5)))
    matrices = [make_model(seed=seed).get_input_embeddings().weight for seed in (5, 6)]
    assert not torch.equal(*matrices)


def damaged(weights: Path, how: str):
    if how == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "missing":
        weights.unlink()
    return weights


@pytest.mark.parametrize("how", ["cut short", "empty", "missing"])
def test_a_damaged_file_is_named(tmp_path, how):
    model = make_model()
    with pytest.raises(ValueError, match=r"model\.safetensors: is missing, damaged or cut short"):
        load_weights(model, damaged(save(model, tmp_path), how))
    optimizer = make_optimizer(model, Optimizer())
    state = tmp_path / "0000.safetensors"
    save_state(state, model, optimizer, StateInfo(0, "hash", 7))
    with pytest.raises(ValueError, match=r"0000\.safetensors: is missing, damaged or cut short"):
        load_state(damaged(state, how), model, optimizer)


def test_the_state_of_another_model_is_named(tmp_path):
    model, state = make_model(), tmp_path / "0000.safetensors"
    save_state(state, model, make_optimizer(model, Optimizer()), StateInfo(0, "hash", 7))
    for config in ({"ffn_dim": 48}, {"num_hidden_layers": 3}):
        other = make_model(**config)
        with pytest.raises(ValueError, match=r"0000\.safetensors: is not a training state of this"):
            load_state(state, other, make_optimizer(other, Optimizer()))
    optimizer = make_optimizer(model, Optimizer())
    with pytest.raises(ValueError, match=r"model\.safetensors: is no training state, or one of an"):
        load_state(save(model, tmp_path), model, optimizer)
    for info in ('{"step": 0, "checkpoint_sha256": ""}', "{"):  # an earlier form; cut short
        save_file(named_weights(model), state, metadata={"info": info})
        with pytest.raises(ValueError, match=r"0000\.safetensors: is no training state, or one of"):
            load_state(state, model, optimizer)


def test_a_state_without_moments_is_named(tmp_path):
    model, state = make_model(), tmp_path / "0000.safetensors"
    save_state(state, model, make_optimizer(model, Optimizer()), StateInfo(3, "hash", 7))
    with pytest.raises(ValueError, match=r"is not a training state of this model \('optimizer'"):
        load_state(state, model, make_optimizer(model, Optimizer()))


def test_weights_of_another_model_are_named(tmp_path):
    weights = save(make_model(), tmp_path)
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor '.*' has shape .* the model"):
        load_weights(make_model(ffn_dim=48), weights)
    with pytest.raises(ValueError, match=r"tensor '.*layers\.2\..*' is missing"):
        load_weights(make_model(num_hidden_layers=3), weights)
    with pytest.raises(ValueError, match=r"tensor '.*layers\.1\..*' is not in the model"):
        load_weights(make_model(num_hidden_layers=1), weights)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_named_and_never_saved(tmp_path, value):
    model = make_model()
    weights = save(model, tmp_path)
    before = weights.read_bytes()
    with torch.no_grad():
        model.model.decoder.layers[1].fc1.bias[3] = value
    with pytest.raises(ValueError, match=r"fc1\.bias holds NaN or infinity: training has diverged"):
        save(model, tmp_path)
    assert weights.read_bytes() == before
    save_file(named_weights(model), weights)
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor '.*fc1\.bias' holds NaN"):
        load_weights(make_model(), weights)


def test_mistakes_in_an_architecture_are_named():
    with pytest.raises(ValueError, match=r"opt models have no setting 'fnn_dim'.*'ffn_dim'"):
        make_model(fnn_dim=3)
    with pytest.raises(ValueError, match=r"'optt' is not a causal .*; did you mean 'opt'"):
        new_model(Architecture(model_type="optt"), TOKENIZER, 16, 0)
    for family, key in (("opt", "max_position_embeddings"), ("gpt2", "n_positions")):
        with pytest.raises(ValueError, match="blocks of 16 tokens do not fit into the 15"):
            make_model(family, **{key: 15})


def test_a_model_that_looks_ahead_is_refused():
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    bert = Architecture(model_type="bert", config={**sizes, "num_attention_heads": 2})
    with pytest.raises(ValueError, match="bert models look ahead"):
        check_causal(new_model(bert, TOKENIZER, 16, 0))
    check_causal(make_model())


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"num_attention_heads": 3}, "no opt model can be built"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0, should be a whole number above 0"),
        ({"hidden_size": "16"}, "hidden_size is '16', should be a whole number above 0"),
    ],
)
def test_an_impossible_architecture_is_one_clear_error(config, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_model(**config)
