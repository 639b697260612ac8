"""The architectures of docs/architectures.md, and what an architecture promises."""

import math
import re

import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM

from ontogeny.corpus.facts import facts_text
from ontogeny.corpus.tokenizer import TokenizerInfo, make_characters
from ontogeny.paths import PROJECT
from ontogeny.study.models import Architecture, CharacterTokenizer
from ontogeny.training.model import check_causal, count_parameters, new_model, save_checkpoint

PAGE = (PROJECT / "docs/architectures.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
ROWS = re.findall(r"^\| `(.+?)` \| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.M)
ON_PAGE = {
    name: Architecture(**keys)
    for block in BLOCKS
    for name, keys in yaml.safe_load(block)["architectures"].items()
}

SMALL = {"max_position_embeddings": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES = {
    "opt": {**SMALL, "hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32},
    "llama": {**SMALL, "hidden_size": 16, "intermediate_size": 32},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "gpt_neox": {**SMALL, "hidden_size": 16, "intermediate_size": 32},
}
DROPOUT = {
    "opt": ["dropout", "attention_dropout"],
    "llama": ["attention_dropout"],
    "gpt2": ["embd_pdrop", "attn_pdrop", "resid_pdrop"],
    "gpt_neox": ["hidden_dropout", "attention_dropout"],
}
VOCABULARY = 60
pytestmark = pytest.mark.usefixtures("one_thread")
each_family = pytest.mark.parametrize("family", FAMILIES)


def tokenizer(vocabulary=VOCABULARY):
    return TokenizerInfo(vocabulary, bos_id=1, eos_id=2, pad_id=0, unk_id=3)


def build(family, seed=0, biases=True, **config):
    architecture = Architecture(
        model_type=family, config={**FAMILIES[family], **config}, biases=biases
    )
    return new_model(architecture, tokenizer(), 16, seed)


def batch(seed=0, length=16):
    return torch.randint(4, VOCABULARY, (3, length), generator=torch.Generator().manual_seed(seed))


def train(model, steps=5):
    """A few steps of AdamW over all parameters, with strong decay of all of them."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.5)
    losses = []
    for step in range(steps):
        ids = batch(step)
        logits = model.train()(input_ids=ids).logits
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def logits_of(model):
    with torch.no_grad():
        return model.eval()(input_ids=batch(99)).logits


def reloaded(model, folder):
    save_checkpoint(model, folder / "model.safetensors", folder / "config.json")
    return AutoModelForCausalLM.from_pretrained(folder)


# ---------------------------------------------------------------------------- the page


def counts(name, vocabulary):
    with torch.device("meta"):
        return count_parameters(new_model(ON_PAGE[name], tokenizer(vocabulary), 9, 0))


def test_the_page_has_a_row_for_each_of_its_architectures():
    assert set(ON_PAGE) == {name for name, *_ in ROWS}
    assert len(ROWS) == 9 + 12


@pytest.mark.parametrize(("name", "vocabulary", "total", "trained", "bare"), ROWS)
def test_the_page_tells_the_numbers_of_parameters(name, vocabulary, total, trained, bare):
    found = counts(name, int(vocabulary))
    assert [f"{found[key]:,}" for key in found] == [total, trained, bare]


@pytest.mark.parametrize(
    ("name", "vocabulary", "key", "published"),
    [
        ("opt-125m", 8192, "parameters", 92_135_424),
        ("opt-350m", 8192, "parameters", 311_748_608),
        ("opt-350m-pre-norm", 8192, "parameters", 311_750_656),
        ("opt-1.3b", 8192, "parameters", 1_227_481_088),
        ("llama-26m", 16_002, "parameters", 26_450_304),
        ("llama-66m", 32_002, "parameters", 66_333_184),
        ("gpt2-small", 50_257, "parameters", 124_439_808),
        ("neox-70m", 50_304, "parameters", 70_426_624),
        *(
            (f"nano-{name}", vocabulary, "trained_without_positions", published)
            for vocabulary, column in {
                17: (1_456, 5_264, 19_936, 10_628_352),
                51: (1_932, 6_216, 21_840, 10_641_408),
                66: (2_142, 6_636, 22_680, 10_647_168),
            }.items()
            for name, published in zip(("n14", "n28", "n56", "mlt"), column, strict=True)
        ),
    ],
)
def test_published_numbers_of_parameters(name, vocabulary, key, published):
    assert counts(name, vocabulary)[key] == published


@pytest.mark.parametrize(
    ("files", "characters", "published"),
    [
        (["arithmetic"], 17, "1,456"),
        (["capitals"], 51, "1,932"),
        (["arithmetic", "capitals"], 66, "2,142"),
    ],
)
def test_the_pages_tell_the_numbers_of_the_tokenizers_that_there_are(files, characters, published):
    """Special tokens are entries of the vocabulary, which the published models don't have."""
    text = facts_text([str(PROJECT / f"data/facts/{name}.csv") for name in files], [])
    spec = CharacterTokenizer(type="characters", corpus="facts", bos=False)
    size = make_characters(spec, [text]).get_vocab_size()
    assert len(set(text)) == characters == size - 4
    ours = f"{counts('nano-n14', size)['trained_without_positions']:,}"
    assert ("nano-n14", str(size), ours) in [(name, v, bare) for name, v, *_, bare in ROWS]
    assert counts("nano-n14", size - 4)["trained_without_positions"] == int(
        published.replace(",", "")
    )
    study = (PROJECT / "docs/studies/too_big_to_think_barron_2025.md").read_text()
    differs = study.split("## What is not as published")[1].split("\n## ")[0]
    row = next(line for line in differs.splitlines() if "special tokens" in line)
    assert published in row.split("|")[1] and ours in row.split("|")[2]


def test_opt_350m_with_its_projection():
    # embeddings [V, 512] and two projections [512, 1024] in the place of embeddings [V, 1024]
    difference = counts("opt-350m", 8192)["parameters"]
    difference -= counts("opt-350m-projected", 8192)["parameters"]
    assert difference == 8192 * 512 - 2 * 512 * 1024


# ---------------------------------------------------------------------------- without biases


class PlainBlock(nn.Module):
    """A GPT block as nanoGPT's model has it with `bias=False`: pre-norm, exact GELU."""

    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        n, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(-1)
        x = x + self.out((weights @ value).transpose(1, 2).reshape(n, length, width))
        inner = self.up(self.norm2(x))
        inner = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
        return x + self.down(inner)


class PlainGPT(nn.Module):
    """Tied GPT without biases, from the weights of a GPT-2 of `transformers`."""

    def __init__(self, model):
        super().__init__()
        config = model.config
        width, inner = config.n_embd, config.n_inner or 4 * config.n_embd
        weights = dict(model.named_parameters())
        take = lambda name: nn.Parameter(weights[f"transformer.{name}.weight"].detach())  # noqa: E731
        self.tokens, self.positions = take("wte"), take("wpe")
        self.norm = nn.LayerNorm(width, bias=False)
        self.norm.weight = take("ln_f")
        self.blocks = nn.ModuleList(
            PlainBlock(width, config.n_head, inner) for _ in range(config.n_layer)
        )
        for i, block in enumerate(self.blocks):
            block.norm1.weight, block.norm2.weight = take(f"h.{i}.ln_1"), take(f"h.{i}.ln_2")
            for ours, theirs in [
                (block.qkv, "attn.c_attn"),
                (block.out, "attn.c_proj"),
                (block.up, "mlp.c_fc"),
                (block.down, "mlp.c_proj"),
            ]:
                ours.weight = nn.Parameter(take(f"h.{i}.{theirs}").T)  # Conv1D is [in, out]

    def forward(self, ids):
        x = functional.embedding(ids, self.tokens) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.T


@pytest.mark.parametrize("shape", [{}, {"n_inner": 16, "n_layer": 1, "n_head": 1}])
def test_gpt2_without_biases_is_a_gpt_without_biases(shape, tmp_path):
    dropout = dict.fromkeys(DROPOUT["gpt2"], 0.0)
    model = build("gpt2", biases=False, activation_function="gelu", **dropout, **shape)
    torch.manual_seed(1)
    with torch.no_grad():  # far from the small weights of the start
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.3 * torch.randn(parameter.shape)
    train(model)
    biases = {n: p for n, p in model.named_parameters() if n.endswith("bias")}
    assert len(biases) == 6 * model.config.n_layer + 1
    assert all((p == 0).all() and not p.requires_grad for p in biases.values())

    plain = PlainGPT(model)
    expected = plain(batch(99))
    assert expected.std() > 0.5
    torch.testing.assert_close(logits_of(model), expected, rtol=0, atol=1e-5)
    assert count_parameters(model)["trained"] == sum(p.numel() for p in plain.parameters())
    torch.testing.assert_close(logits_of(reloaded(model, tmp_path)), expected, rtol=0, atol=1e-5)


@each_family
def test_biases_stay_zero_in_every_family(family):
    model = build(family, biases=False)
    losses = train(model)
    assert losses[-1] != losses[0]
    biases = {name: p for name, p in model.named_parameters() if name.endswith("bias")}
    assert len(biases) == 0 if family == "llama" else len(biases) > 10
    assert all((p == 0).all() for p in biases.values())
    everywhere = build(family)
    train(everywhere)
    assert all((p != 0).any() for n, p in everywhere.named_parameters() if n.endswith("bias"))
    found = count_parameters(model)
    assert found["parameters"] - found["trained"] == sum(p.numel() for p in biases.values())
    assert count_parameters(everywhere)["trained"] == found["parameters"]


# ---------------------------------------------------------------------------- the start


@pytest.mark.parametrize("biases", [True, False])
def test_gpt2_begins_as_gpt2_does(biases):
    layers, width = 8, 128
    model = build("gpt2", biases=biases, n_embd=width, n_layer=layers, n_head=4)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all()
        elif parameter.ndim == 1:
            assert (parameter == 1).all()  # layer norms
        else:
            is_residual = name.endswith("c_proj.weight")
            sd = 0.02 / math.sqrt(2 * layers) if is_residual else 0.02
            # the standard error of a standard deviation is sd / sqrt(2 n)
            allowed = 5 * sd / math.sqrt(2 * parameter.numel())
            assert abs(parameter.std().item() - sd) < allowed, name
            assert abs(parameter.mean().item()) < 5 * sd / math.sqrt(parameter.numel()), name


@each_family
@pytest.mark.parametrize("biases", [True, False])
def test_the_seed_decides_the_weights(family, biases):
    first, again, other = (build(family, seed, biases).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if first[name].ndim > 1]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@each_family
def test_dropout_acts_in_training_alone(family):
    model = build(family, **dict.fromkeys(DROPOUT[family], 0.5))
    ids = batch()
    with torch.no_grad():
        torch.manual_seed(0)
        first, second = (model.train()(input_ids=ids).logits for _ in range(2))
        assert not torch.equal(first, second)
        first, second = (model.eval()(input_ids=ids).logits for _ in range(2))
        assert torch.equal(first, second)
        model = build(family, **dict.fromkeys(DROPOUT[family], 0.0))
        assert torch.equal(model.train()(input_ids=ids).logits, model.eval()(input_ids=ids).logits)


# ---------------------------------------------------------------------------- every family


POST_NORM = {"do_layer_norm_before": False, "word_embed_proj_dim": 8}


@pytest.mark.parametrize(
    ("family", "config"), [*((family, {}) for family in FAMILIES), ("opt", POST_NORM)]
)
def test_a_small_model_trains_and_comes_back(family, config, tmp_path):
    model = build(family, **config)
    assert 1_000 < count_parameters(model)["parameters"] < 10_000
    check_causal(model)
    before = logits_of(model)
    train(model)
    after = logits_of(model)
    assert not torch.equal(before, after)
    torch.testing.assert_close(logits_of(reloaded(model, tmp_path)), after, rtol=0, atol=1e-6)


def test_post_norm_opt_projects_and_has_no_final_norm():
    names = dict(build("opt", **POST_NORM).named_parameters())
    assert names["model.decoder.project_in.weight"].shape == (16, 8)
    assert names["model.decoder.project_out.weight"].shape == (8, 16)
    assert "model.decoder.final_layer_norm.weight" not in names
    assert "model.decoder.final_layer_norm.weight" in dict(build("opt").named_parameters())
