"""The loss that training minimises, next to the one of `transformers`."""

import math

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ontogeny.training.objective import CHUNK, NextTokenLoss

V = 300  # enough for the loss to be made in chunks
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": V}
FAMILIES = {
    "opt": {**SHAPE, "ffn_dim": 32, "word_embed_proj_dim": 16, "dropout": 0.0},
    "opt-post-norm": {**SHAPE, "ffn_dim": 32, "word_embed_proj_dim": 8, "dropout": 0.0}
    | {"do_layer_norm_before": False},
    "llama": {**SHAPE, "intermediate_size": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": V}
    | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    "gpt_neox": {**SHAPE, "intermediate_size": 32},
    "gptj": {"n_embd": 16, "n_layer": 2, "n_head": 2, "rotary_dim": 4, "vocab_size": V}
    | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),  # a head with a bias
    "gemma2": {**SHAPE, "intermediate_size": 32, "head_dim": 8, "num_key_value_heads": 1}
    | {"final_logit_softcapping": 0.01},
    "cohere": {**SHAPE, "intermediate_size": 32, "logit_scale": 5.0},
}
CAPPED = {"gemma2", "cohere"}
pytestmark = pytest.mark.usefixtures("one_thread")


def make_model(family):
    torch.manual_seed(1)
    config = AutoConfig.for_model(family.split("-")[0], **FAMILIES[family], pad_token_id=0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # far from a uniform guess, and with a bias
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.train()


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("compiled", [False, True])
def test_loss_and_gradient_are_those_of_transformers(family, compiled):
    """`compiled` asks for the path without chunks; more tokens than one chunk holds."""
    model = make_model(family)
    ids = torch.randint(0, V, (12, CHUNK // 10), generator=torch.Generator().manual_seed(2))
    assert ids.numel() > CHUNK
    expected = model(input_ids=ids, labels=ids).loss
    expected.backward()
    theirs = gradients(model)
    model.zero_grad()
    objective = NextTokenLoss(model, "fp32", compiled)
    assert objective.in_chunks == (family not in CAPPED and not compiled)
    loss = objective(ids)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert abs(loss.item() - math.log(V)) > 0.001 or family == "gemma2"
    for name, gradient in gradients(model).items():
        assert torch.allclose(gradient, theirs.pop(name), rtol=1e-4, atol=1e-6), name
    assert not theirs


def test_the_model_is_left_in_its_mode():
    model = make_model("opt")
    for mode in (True, False):
        NextTokenLoss(model.train(mode), "fp32")
        assert model.training is mode


def test_bf16_is_close_and_its_loss_is_fp32():
    model = make_model("llama")
    ids = torch.randint(0, V, (4, 32), generator=torch.Generator().manual_seed(2))
    full, half = (NextTokenLoss(model, precision)(ids) for precision in ("fp32", "bf16"))
    assert half.dtype == torch.float32
    assert half.item() != full.item()
    assert half.item() == pytest.approx(full.item(), rel=0.01)
