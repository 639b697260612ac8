import copy
import math

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from ontogeny.scoring.engine import Scorer
from ontogeny.scoring.perplexity import perplexity
from ontogeny.scoring.records import Records, fingerprint
from ontogeny.scoring.trie import build_trie

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


def trie_of(strings, share=True):
    ids = np.concatenate(strings).astype(np.int32)
    return build_trie(ids, np.cumsum([0, *map(len, strings)]), share)


def score(model, strings, batch_tokens=1000, **options):
    return Scorer(model, trie_of(strings), batch_tokens, **options).string_logprobs()


def random_strings(count=60, longest=20):
    """Strings of which many begin alike, some are the same, and some are the start of another."""
    rng = np.random.default_rng(1)
    strings = [
        [1, *rng.integers(0, 3, size=rng.integers(1, longest)).tolist()] for _ in range(count)
    ]
    strings += [strings[3], strings[4][:2], [*strings[5], 30], [5, 6]]
    return [strings[i] for i in rng.permutation(len(strings))]


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
def test_batches_order_and_sharing_change_nothing(family):
    model, strings = make_model(family), random_strings()
    expected = score(model, strings)
    for batch_tokens in (1, 150, 333, 100_000):
        assert np.abs(score(model, strings, batch_tokens) - expected).max() < 1e-5
    assert np.abs(score(model, strings, share=False) - expected).max() < 1e-5
    unshared = Scorer(model, trie_of(strings, share=False), 1000).string_logprobs()
    assert np.abs(unshared - expected).max() < 1e-5
    shuffled = np.random.default_rng(2).permutation(len(strings))
    assert np.abs(score(model, [strings[i] for i in shuffled]) - expected[shuffled]).max() < 1e-5
    for half in (slice(0, 20), slice(20, None)):
        assert np.abs(score(model, strings[half]) - expected[half]).max() < 1e-5
    for i in (0, 7, 31):
        assert np.abs(score(model, [strings[i]]) - expected[i]).max() < 1e-5


@each_family
def test_these_families_are_run_packed(family):
    scorer = Scorer(make_model(family), trie_of(random_strings()), 1000)
    scorer.string_logprobs()
    assert scorer.share


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 2}),  # refuses such a mask
        ("mamba", {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}),  # ignores it
        ("mistral", {**WIDE, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 12}),
    ],
)
def test_families_that_mix_packed_strings_are_run_string_by_string(capsys, family, config):
    model, strings = make_model(family, **config), [[1, 2, 3]] * 40 + random_strings()
    scorer = Scorer(model, trie_of(strings), 1000)
    assert np.abs(scorer.string_logprobs() - plain(model, strings)).max() < 1e-4
    assert not scorer.share
    message = f"{family} models don't keep the strings of a packed row apart"
    assert capsys.readouterr().err.count(message) == 1


def test_weights_may_change_between_calls():
    model, strings = make_model("opt"), random_strings()
    scorer = Scorer(model, trie_of(strings), 1000)
    first = scorer.string_logprobs()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    second = scorer.string_logprobs()
    assert np.abs(second - first).max() > 0.1
    assert np.abs(second - plain(model, strings)).max() < 1e-4


@pytest.mark.parametrize("share", [True, False])
def test_no_forward_pass_is_larger_than_asked(share):
    model, seen = make_model("opt"), []
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, args: seen.append(args[0].numel())
    )
    strings = random_strings(count=200)
    scorer = Scorer(model, trie_of(strings), 150, share=share)
    scorer.string_logprobs()
    assert max(seen) <= 150
    assert len(seen) > 4


def test_batches_are_halved_until_they_fit(capsys):
    model, strings, seen = make_model("opt"), random_strings(count=300), []
    expected = score(model, strings)

    def memory_of_200_tokens(_, args):
        seen.append(args[0].numel())
        if args[0].numel() > 200:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = model.get_input_embeddings().register_forward_pre_hook(memory_of_200_tokens)
    for share in (True, False):
        scorer = Scorer(model, trie_of(strings), 1000, share=share)
        assert np.abs(scorer.string_logprobs() - expected).max() < 1e-5
        assert scorer.batch_tokens <= 200
        assert max(seen) > 200
        del seen[:]
        scorer.string_logprobs()  # what fits is remembered
        assert max(seen) <= 200
    assert "not enough memory: going on with" in capsys.readouterr().err
    hook.remove()
    model.get_input_embeddings().register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scorer.string_logprobs()


def test_bf16_is_close_and_not_the_same():
    model, strings = make_model("llama"), random_strings()
    exact, fast = score(model, strings), score(model, strings, precision="bf16")
    assert 1e-4 < np.abs(fast - exact).max() < 0.05 * np.abs(exact).max()


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


@pytest.mark.parametrize("max_tokens", [57, 48, 30, 21, 20, 1000])
def test_perplexity_of_documents_is_that_of_their_pieces_one_by_one(max_tokens):
    """Documents of 20, 1, 2, 16, 17 and 1 tokens: pieces of at most 16."""
    model = make_model("llama")
    stream = np.random.default_rng(3).integers(0, VOCABULARY, 57).astype(np.uint16)
    starts = np.array([0, 20, 21, 23, 39, 56])
    pieces = []
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), 57], strict=True):
        document = stream[begin : min(end, max_tokens)].astype(int).tolist()
        pieces += [document[first : first + 16] for first in range(0, len(document), 16)]
    pieces = [piece for piece in pieces if len(piece) > 1]
    assert len(pieces) <= 5 and (max_tokens < 57 or len(pieces) == 5)
    predicted = sum(len(piece) - 1 for piece in pieces)
    loss = -sum(plain(model, [piece]).sum() for piece in pieces) / predicted
    for batch_tokens in (1, 40, 1000):
        result = perplexity(
            model, stream, 16, max_tokens, 2.5, batch_tokens, documents=starts.astype(np.int64)
        )
        assert result.n_tokens == predicted
        assert result.loss == pytest.approx(loss, rel=1e-5)
    whole = perplexity(model, stream, 16, max_tokens, 2.5, 1000, documents=np.array([0]))
    assert whole == perplexity(model, stream, 16, max_tokens, 2.5, 1000)


def test_perplexity_of_documents_of_one_token_is_an_error():
    with pytest.raises(ValueError, match="fewer than two tokens"):
        perplexity(make_model("opt"), np.arange(9), 16, 9, 1.0, 99, documents=np.arange(9))
    with pytest.raises(ValueError, match="fewer than two tokens"):
        perplexity(make_model("opt"), np.arange(0), 16, 9, 1.0, 99, documents=np.arange(0))


def test_perplexity_of_a_model_that_knows_nothing_is_the_vocabulary():
    model = make_model("llama")
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    stream = np.arange(VOCABULARY, dtype=np.uint16)
    result = perplexity(model, stream, 16, 1000, 1.0, 1000)
    assert result.perplexity == pytest.approx(VOCABULARY, rel=1e-6)
    with pytest.raises(ValueError, match="fewer than two tokens"):
        perplexity(model, stream[:1], 16, 1000, 1.0, 1000)


# ---------------------------------------------------------------------------- records


def test_only_a_whole_file_from_the_same_inputs_is_kept(tmp_path):
    table = tmp_path / "step-00000012.csv"
    table.write_text("a,b\n1,2\n")
    made_from = fingerprint("index hash", "checkpoint hash")
    Records(tmp_path / "scores.json").add(table, made_from)
    records = Records(tmp_path / "scores.json")
    assert records.keeps(table, made_from)
    assert not records.keeps(table, fingerprint("index hash", "another checkpoint"))
    assert not records.keeps(tmp_path / "step-00000024.csv", made_from)
    for text in ("a,b\n1,", "a,b\n1,3\n", ""):
        table.write_text(text)
        assert not records.keeps(table, made_from)
    table.write_text("a,b\n1,2\n")
    assert records.keeps(table, made_from)
    table.unlink()
    assert not records.keeps(table, made_from)


@pytest.mark.parametrize("text", [None, "", '{"a', "[]", "null", '{"%s": {}}', '{"%s": 3}'])
def test_a_missing_or_damaged_record_keeps_nothing(tmp_path, text):
    table, path = tmp_path / "a.csv", tmp_path / "scores.json"
    table.write_text("a\n")
    if text is not None:
        path.write_text(text.replace("%s", str(table)))
    records = Records(path)
    assert not records.keeps(table, "x")
    records.add(table, "x")
    assert Records(path).keeps(table, "x")


def test_a_fingerprint_tells_parts_and_their_order_apart():
    parts = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a", ["b"]), (1, 2), ("1", "2")]
    assert len({fingerprint(*part) for part in parts}) == len(parts)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
