import copy
import csv
import math

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from ontogeny.corpus.tokenizer import load_tokenizer, make_characters, save_tokenizer
from ontogeny.scoring.engine import string_logprobs
from ontogeny.scoring.index import Index, index_binomials, load_index, save_index
from ontogeny.scoring.perplexity import perplexity
from ontogeny.scoring.records import Records, fingerprint
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.scoring.tables import write_binomials, write_perplexity
from ontogeny.study.models import CharacterTokenizer

VOCABULARY = 40
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPE |= {"max_position_embeddings": 32}
WIDE = {**SHAPE, "intermediate_size": 32}
FAMILIES = {
    "opt": {**SHAPE, "ffn_dim": 32},
    "opt, norm after": {**SHAPE, "ffn_dim": 32, "do_layer_norm_before": False},
    "opt, narrow words": {**SHAPE, "ffn_dim": 32, "word_embed_proj_dim": 8},
    "llama": {**WIDE, "num_key_value_heads": 1},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "gpt_neox": WIDE,
}


pytestmark = pytest.mark.usefixtures("one_thread")
each_family = pytest.mark.parametrize("family", FAMILIES)


def make_model(family, **config):
    """A model whose weights are much larger than at the start of training, dropout off."""
    kind = family.split(",")[0]
    config = {**FAMILIES.get(family, {}), **config, "vocab_size": VOCABULARY}
    config |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return model.eval()


def plain(model, strings):
    """Sum of log P by the book: one string at a time, the whole model in float64."""
    model = copy.deepcopy(model).double()
    result = []
    with torch.inference_mode():
        for ids in strings:
            logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0], dim=-1)
            result.append(sum(float(logprobs[i, ids[i + 1]]) for i in range(len(ids) - 1)))
    return np.array(result)


def score(model, strings, batch_tokens=1000):
    starts = np.cumsum([0, *map(len, strings)])
    return string_logprobs(model, np.concatenate(strings).astype(np.int32), starts, batch_tokens)


def random_strings(count=25, longest=20):
    rng = np.random.default_rng(1)
    return [
        rng.integers(0, VOCABULARY, rng.integers(2, longest + 1)).tolist() for _ in range(count)
    ]


# ---------------------------------------------------------------------------- engine


@each_family
def test_sums_are_those_of_one_string_at_a_time_in_float64(family):
    model, strings = make_model(family), random_strings()
    expected = plain(model, strings)
    assert np.std(expected / [len(ids) - 1 for ids in strings]) > 0.1  # the weights matter
    assert np.abs(score(model, strings) - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("granite", {"logits_scaling": 8.0}),
        ("cohere", {"logit_scale": 0.0625}),
        ("gemma2", {"final_logit_softcapping": 2.0, "head_dim": 8}),
    ],
)
def test_models_that_change_their_logits_after_the_output_matrix(family, config):
    model = make_model(family, **WIDE, num_key_value_heads=1, **config)
    strings = random_strings(10)
    assert np.abs(score(model, strings) - plain(model, strings)).max() < 1e-4


@each_family
def test_batches_and_the_order_of_strings_change_nothing(family):
    model, strings = make_model(family), random_strings()
    expected = score(model, strings)
    for batch_tokens in (1, 21, 64, 333, 100_000):
        assert np.abs(score(model, strings, batch_tokens) - expected).max() < 1e-5
    shuffled = np.random.default_rng(2).permutation(len(strings))
    assert np.abs(score(model, [strings[i] for i in shuffled]) - expected[shuffled]).max() < 1e-5


@each_family
def test_no_forward_pass_is_larger_than_asked(family):
    model, seen = make_model(family), []
    embeddings = model.get_input_embeddings()
    embeddings.register_forward_pre_hook(lambda _, args: seen.append(args[0].numel()))
    score(model, random_strings(longest=20), batch_tokens=50)
    assert max(seen) <= 50
    assert len(seen) > 1


@each_family
def test_what_may_follow_a_prefix_sums_to_one(family):
    model, prefix = make_model(family), [1, 7, 12, 5]
    (alone,) = score(model, [prefix])
    longer = score(model, [[*prefix, token] for token in range(VOCABULARY)])
    assert np.exp(longer - alone).sum() == pytest.approx(1, abs=1e-5)
    assert (longer < alone).all()


def test_the_first_token_is_given_and_not_scored():
    model = make_model("llama")
    logprobs = score(model, [[token, 9] for token in range(VOCABULARY)])
    with torch.inference_mode():
        logits = model(torch.arange(VOCABULARY)[:, None]).logits[:, 0].double()
    assert np.allclose(logprobs, torch.log_softmax(logits, -1)[:, 9].numpy(), atol=1e-5)


# ---------------------------------------------------------------------------- perplexity


@pytest.mark.parametrize("max_tokens", [57, 48, 49, 50, 7, 1000])
def test_perplexity_is_that_of_the_blocks_one_by_one(max_tokens):
    model = make_model("gpt_neox")
    stream = np.random.default_rng(3).integers(0, VOCABULARY, 57).astype(np.uint16)
    used = stream[:max_tokens].astype(int).tolist()
    blocks = [used[first : first + 16] for first in range(0, len(used), 16)]
    blocks = [block for block in blocks if len(block) > 1]
    predicted = sum(len(block) - 1 for block in blocks)
    loss = -plain(model, blocks).sum() / predicted
    for batch_tokens in (1, 40, 1000):
        result = perplexity(model, stream, 16, max_tokens, 2.5, batch_tokens)
        assert result.n_tokens == predicted
        assert result.loss == pytest.approx(loss, rel=1e-5)
        assert result.perplexity == pytest.approx(math.exp(loss), rel=1e-4)
        assert result.bits_per_byte == pytest.approx(loss / math.log(2) / 2.5, rel=1e-5)


def test_perplexity_of_a_model_that_knows_nothing_is_the_vocabulary():
    model = make_model("llama")
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    stream = np.arange(VOCABULARY, dtype=np.uint16)
    result = perplexity(model, stream, 16, 1000, 1.0, 1000)
    assert result.perplexity == pytest.approx(VOCABULARY, rel=1e-6)
    with pytest.raises(ValueError, match="fewer than two tokens"):
        perplexity(model, stream[:1], 16, 1000, 1.0, 1000)


# ---------------------------------------------------------------------------- index

ITEMS = [
    Binomial("ham", "jam", True, 3.0, {"human": 0.5}),
    Binomial("a", "b", False, None, {"human": None}),
]


def characters(folder, *documents, bos=True):
    spec = CharacterTokenizer(type="characters", corpus="x", bos=bos)
    path = folder / "tokenizer.json"
    save_tokenizer(make_characters(spec, documents), path, folder / "tokenizer_config.json")
    return load_tokenizer(path)


def make_index(folder, *documents, prompts=(" ", "m "), **options):
    tokenizer, info = characters(folder, *documents, **options)
    return index_binomials(ITEMS, list(prompts), tokenizer, info, "hash"), tokenizer, info


@pytest.mark.parametrize("bos", [True, False])
def test_strings_are_ordered_by_prompt_item_order(tmp_path, bos):
    index, tokenizer, info = make_index(tmp_path, "ham and jam b", bos=bos)
    pairs = zip(index.starts, index.starts[1:], strict=False)
    strings = [[tokenizer.id_to_token(i) for i in index.ids[a:b]] for a, b in pairs]
    orders = ["ham and jam", "jam and ham", "a and b", "b and a"]
    start = ["<s>"] if bos else []
    assert strings == [[*start, *prompt, *text] for prompt in (" ", "m ") for text in orders]
    assert (info.bos_id is not None) == bos
    assert index.items == ["ham and jam", "a and b"]
    assert index.longest == len("m ham and jam") + len(start)
    assert index.vocab_size == info.vocab_size == 4 + len(set("ham and jam b"))


def test_a_character_without_a_token_is_an_error_that_names_the_string(tmp_path):
    with pytest.raises(ValueError, match=r"can't represent ' ham and jam'.*'<unk>'"):
        make_index(tmp_path, "ham and b")


def test_an_index_comes_back_from_its_file(tmp_path):
    index, _, _ = make_index(tmp_path, "ham and jam b\u00e9", prompts=["\u00e9 ", " "])
    save_index(index, tmp_path / "index.safetensors")
    loaded = load_index(tmp_path / "index.safetensors")
    for key, value in vars(index).items():
        assert np.array_equal(getattr(loaded, key), value), key
    assert loaded.ids.dtype == np.int32
    first = (tmp_path / "index.safetensors").read_bytes()
    save_index(loaded, tmp_path / "index.safetensors")
    assert (tmp_path / "index.safetensors").read_bytes() == first


# ---------------------------------------------------------------------------- records


def test_only_a_whole_file_from_the_same_inputs_is_kept(tmp_path):
    table = tmp_path / "step-00000012.csv"
    table.write_text("a,b\n1,2\n")
    made_from = fingerprint("index hash", "checkpoint hash")
    Records(tmp_path / "scores.json").add(table, made_from)
    records = Records(tmp_path / "scores.json")
    assert records.is_whole(table, made_from)
    assert not records.is_whole(table, fingerprint("index hash", "another checkpoint"))
    assert not records.is_whole(tmp_path / "step-00000024.csv", made_from)
    for text in ("a,b\n1,", "a,b\n1,3\n", ""):
        table.write_text(text)
        assert not records.is_whole(table, made_from)
    table.write_text("a,b\n1,2\n")
    assert records.is_whole(table, made_from)
    table.unlink()
    assert not records.is_whole(table, made_from)


@pytest.mark.parametrize("text", [None, "", '{"a', "[]", "null", '{"%s": {}}', '{"%s": 3}'])
def test_a_missing_or_damaged_record_keeps_nothing(tmp_path, text):
    table, path = tmp_path / "a.csv", tmp_path / "scores.json"
    table.write_text("a\n")
    if text is not None:
        path.write_text(text.replace("%s", str(table)))
    records = Records(path)
    assert not records.is_whole(table, "x")
    records.add(table, "x")
    assert Records(path).is_whole(table, "x")


def test_a_fingerprint_tells_parts_and_their_order_apart():
    parts = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a", ["b"]), (1, 2), ("1", "2")]
    assert len({fingerprint(*part) for part in parts}) == len(parts)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


# ---------------------------------------------------------------------------- tables


def test_binomials_table_tells_neighbouring_float32_apart(tmp_path):
    values = -np.abs(np.random.default_rng(4).normal(30, 20, 8)).astype(np.float32)
    values[1] = np.nextafter(values[0], np.float32(0))
    index = Index(
        ids=np.zeros(16, np.int32),
        starts=np.arange(0, 17, 2),
        prompts=["So, ", " "],
        items=["ham and jam", "a and b"],
        tokenizer_sha256="hash",
        vocab_size=5,
    )
    path = tmp_path / "new" / "step-00000012.csv"
    write_binomials(path, "opt-s", 12, 9_830_400, index, values.astype(np.float64))
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = "model,checkpoint,step,tokens,prompt,binom,alpha_logprob,nonalpha_logprob,preference"
    assert list(rows[0]) == columns.split(",")
    assert [(row["prompt"], row["binom"]) for row in rows] == [
        (prompt, item) for prompt in index.prompts for item in index.items
    ]
    both = [float(row[key]) for row in rows for key in ("alpha_logprob", "nonalpha_logprob")]
    assert np.array_equal(np.float32(both), values)
    for row, (alpha, other) in zip(rows, values.reshape(4, 2).astype(float), strict=True):
        assert float(row["preference"]) == pytest.approx(alpha - other, rel=1e-8)
        assert (row["model"], row["checkpoint"]) == ("opt-s", "step-00000012")
        assert (row["step"], row["tokens"]) == ("12", "9830400")


def test_perplexity_table(tmp_path):
    stream = np.arange(30, dtype=np.uint16)
    result = perplexity(make_model("llama"), stream, 8, 30, 1.0, 100)
    write_perplexity(tmp_path / "p.csv", "opt-s", 3, 300, "text", result)
    ((_, *row),) = csv.reader((tmp_path / "p.csv").read_text().splitlines()[1:])
    assert row[:5] == ["step-00000003", "3", "300", "text", "26"]
    assert [float(value) for value in row[5:]] == list(vars(result).values())[1:]
