"""What a model writes after a prompt, and whether that is the answer."""

import copy
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from ontogeny.corpus.tokenizer import load_tokenizer, make_characters, save_tokenizer, train_bpe
from ontogeny.scoring import completions
from ontogeny.scoring.completions import answers_found, complete
from ontogeny.scoring.index import make_index, question_strings
from ontogeny.scoring.probes import make_scorer
from ontogeny.scoring.stimuli.completions import Question
from ontogeny.study.models import BpeTokenizer, CharacterTokenizer
from ontogeny.study.probes import CompletionsProbe

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY = 40
EOS = 2
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SHAPE |= {"max_position_embeddings": 32}
FAMILIES = {
    "opt": {**SHAPE, "ffn_dim": 32},
    "llama": {**SHAPE, "intermediate_size": 32, "num_key_value_heads": 1},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
}
MUCH = 10_000  # tokens at once
DRAWS = 10_000
UNLIKELY = 1e-3  # p of a dozen tests with fixed seeds; a temperature a tenth off gives less


def make_model(family="llama", vocabulary=VOCABULARY):
    """A model whose weights are much larger than at the start of training."""
    ids = {"bos_token_id": 1, "eos_token_id": EOS, "pad_token_id": 0}
    torch.manual_seed(0)
    config = CONFIG_MAPPING[family](**FAMILIES[family], **ids, vocab_size=vocabulary)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return model.eval()


def make_probe(**options):
    return CompletionsProbe(type="completions", items="x.csv", **options)


def sampling(**options):
    return make_probe(decoding="sample", **options)


def prompts_of(*lengths):
    rng = np.random.default_rng(1)
    return [np.array([1, *rng.integers(3, VOCABULARY, n - 1)], dtype=np.int32) for n in lengths]


def texts(result):
    return [[text.tolist() for text in drawn] for drawn in result]


# ---------------------------------------------------------------------------- greedy


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_is_what_generate_gives(family):
    model, prompts = make_model(family), prompts_of(7, 7, 7, 7, 7, 7)
    (*found,) = texts(complete(model, prompts, [12] * 6, make_probe(), MUCH))
    ids = torch.from_numpy(np.stack(prompts)).long()
    with torch.no_grad():  # ours goes on after the end-of-text token, which is cut off later
        expected = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=12,
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
        )
    assert found == [[row] for row in expected[:, 7:].tolist()]
    assert len({tuple(row) for (row,) in found}) == 6


def test_greedy_takes_the_most_probable_token_after_all_before_it():
    model, (prompt,) = make_model(), prompts_of(5)
    ((found,),) = texts(complete(model, [prompt], [8], make_probe(), MUCH))
    ids = prompt.tolist()
    for token in found:
        with torch.no_grad():
            logits = copy.deepcopy(model).double()(torch.tensor([ids])).logits[0, -1]
        assert token == int(logits.argmax())
        ids.append(token)


def test_lengths_are_those_asked_for_and_the_longer_begins_like_the_shorter():
    model, (prompt,) = make_model(), prompts_of(5)
    prompts = [prompt, prompt, *prompts_of(3)]
    short, long, other = texts(complete(model, prompts, [2, 6, 4], make_probe(), MUCH))
    assert (len(short[0]), len(long[0]), len(other[0])) == (2, 6, 4)
    assert long[0][:2] == short[0]


def test_a_text_that_outgrows_the_positions_is_refused():
    model, prompts = make_model(), prompts_of(5, 20)
    complete(model, prompts, [4, 13], make_probe(), MUCH)  # the last token is never read
    with pytest.raises(ValueError, match="34 tokens, but the model has 32 positions; lower max_"):
        complete(model, prompts, [4, 14], make_probe(), MUCH)


# ---------------------------------------------------------------------------- draws


@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"temperature": 0.7}])
def test_draws_do_not_depend_on_the_batch(options):
    model, prompts = make_model(), prompts_of(4, 9, 4, 6, 9, 4)
    probe = sampling(samples=5, seed=3, **options)
    lengths = [6, 2, 3, 6, 4, 5]
    expected = texts(complete(model, prompts, lengths, probe, MUCH))
    for batch_tokens in (1, 30):
        assert texts(complete(model, prompts, lengths, probe, batch_tokens)) == expected
    assert len({tuple(text) for drawn in expected for text in drawn}) > 10


def test_draws_do_not_depend_on_what_else_is_drawn():
    """An item keeps its draws when others before and after it change, as long as it keeps its
    number; and its first samples when more are drawn."""
    model, prompts = make_model(), prompts_of(4, 9, 4, 6)
    probe = sampling(samples=6, seed=3)
    expected = texts(complete(model, prompts, [5] * 4, probe, MUCH))
    others = [*prompts_of(4, 5, 6), prompts[3], *prompts_of(6, 6)]
    assert texts(complete(model, others, [9, 9, 9, 5, 1, 1], probe, MUCH))[3] == expected[3]
    fewer = texts(complete(model, prompts, [5] * 4, sampling(samples=2, seed=3), MUCH))
    assert fewer == [drawn[:2] for drawn in expected]
    longer = texts(complete(model, prompts, [7] * 4, probe, MUCH))
    assert [[text[:5] for text in drawn] for drawn in longer] == expected


def test_seed_item_and_sample_have_draws_of_their_own():
    model, (prompt,) = make_model(), prompts_of(5)
    first = texts(complete(model, [prompt] * 3, [6] * 3, sampling(samples=4), MUCH))
    assert texts(complete(model, [prompt] * 3, [6] * 3, sampling(samples=4, seed=0), MUCH)) == first
    second = texts(complete(model, [prompt] * 3, [6] * 3, sampling(samples=4, seed=1), MUCH))
    drawn = [tuple(text) for item in (*first, *second) for text in item]
    assert len(set(drawn)) == len(drawn) == 24


@pytest.mark.parametrize("options", [{"temperature": 0.01}, {"top_k": 1, "temperature": 5.0}])
def test_cold_draws_and_draws_of_one_are_greedy(options):
    model, prompts = make_model(), prompts_of(4, 9, 4, 6)
    greedy = texts(complete(model, prompts, [6] * 4, make_probe(), MUCH))
    drawn = texts(complete(model, prompts, [6] * 4, sampling(samples=4, **options), MUCH))
    assert drawn == [item * 4 for item in greedy]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 4])
def test_draws_are_distributed_as_the_softmax_says(monkeypatch, temperature, top_k):
    """Also at the second token, after a first one that was drawn."""
    logits = np.array([0.3, -1.0, 2.0, 0.0, -30.0, 1.4, 2.0, -0.5])

    def fixed(_, batch, precision):
        return np.stack([np.roll(logits, row[-1] if len(row) > 3 else 0) for row in batch])

    monkeypatch.setattr(completions, "_next_logits", fixed)
    probe = sampling(samples=DRAWS, temperature=temperature, top_k=top_k, seed=5)
    (drawn,) = texts(complete(make_model(), prompts_of(3), [2], probe, MUCH))
    assert len(drawn) == DRAWS
    weights = np.exp(logits / temperature)
    if top_k is not None:
        weights[np.argsort(-logits, kind="stable")[top_k:]] = 0
    firsts = [text[0] for text in drawn]
    seconds = [(text[1] - text[0]) % len(logits) for text in drawn]  # rolled by the first
    for tokens in (firsts, seconds):
        counts = np.bincount(tokens, minlength=len(logits))
        expected = DRAWS * weights / weights.sum()
        possible = expected > 1
        assert counts[~possible].sum() <= 1
        if top_k is not None:
            assert counts[weights == 0].sum() == 0
        share = expected[possible] / expected[possible].sum() * counts[possible].sum()
        assert chisquare(counts[possible], share).pvalue > UNLIKELY
    pairs = Counter((text[0], second) for text, second in zip(drawn, seconds, strict=True))
    both = DRAWS * np.outer(weights, weights) / weights.sum() ** 2
    common = np.argwhere(both > 50)
    assert len(common) > 4
    for first, second in common:  # the two draws of a sample are independent
        deviation = np.sqrt(both[first, second])
        assert abs(pairs[first, second] - both[first, second]) < 4.5 * deviation


def test_the_distribution_is_that_of_the_models_logits():
    model, (prompt,) = make_model(), prompts_of(6)
    probe = sampling(samples=3000, temperature=1.5)
    (drawn,) = complete(model, [prompt], [1], probe, MUCH)
    with torch.no_grad():
        logits = model(torch.from_numpy(prompt)[None].long()).logits[0, -1].double()
    expected = 3000 * torch.softmax(logits / 1.5, 0).numpy()
    counts = np.bincount(np.concatenate(drawn), minlength=VOCABULARY)
    assert expected.min() > 5
    assert chisquare(counts, expected).pvalue > UNLIKELY


# ---------------------------------------------------------------------------- answers

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789 .,-\nAB"


@pytest.fixture
def characters(tmp_path):
    spec = CharacterTokenizer(type="characters", corpus="x")
    path = tmp_path / "tokenizer.json"
    save_tokenizer(make_characters(spec, [ALPHABET]), path, tmp_path / "tokenizer_config.json")
    return load_tokenizer(path)


@pytest.fixture
def answer(characters, monkeypatch):
    """Whether a model that writes `written` after a prompt is right, and the text that it gets."""
    tokenizer, info = characters

    def answer(written, expected, prompt="say ", **options):
        question = question_strings([Question("", prompt, expected)])
        index = make_index(question, tokenizer, info, "hash")
        ids = [info.eos_id if c == "$" else tokenizer.token_to_id(c) for c in written]
        start = int(index.given[0])

        def fixed(_, batch, precision):
            logits = np.zeros((len(batch), info.vocab_size))
            logits[:, [*ids, *[info.eos_id] * 50][batch.shape[1] - start]] = 9
            return logits

        monkeypatch.setattr(completions, "_next_logits", fixed)
        model = make_model(vocabulary=info.vocab_size)
        correct, first = answers_found(model, index, tokenizer, info, make_probe(**options), MUCH)
        return correct == [1], first[0]

    return answer


def test_a_completion_is_as_long_as_the_answer_unless_asked(answer):
    assert answer("lima and more", "lima") == (True, "lima")
    assert answer("limb", "lima") == (False, "limb")
    assert answer("lima and more", "lima", max_new_tokens=6) == (False, "lima a")
    assert answer("lima and more", "lima", max_new_tokens=2) == (False, "li")


def test_a_completion_ends_at_the_end_of_text_token(answer):
    assert answer("lima$and", "lima", max_new_tokens=8) == (True, "lima")
    assert answer("$lima", "lima", max_new_tokens=8) == (False, "")


def test_a_completion_ends_at_the_stop_string(answer):
    assert answer("lima\nand", "lima", max_new_tokens=8) == (True, "lima")
    assert answer("lima.and", "lima", max_new_tokens=8, stop=".") == (True, "lima")
    assert answer("lima, and.", "lima", max_new_tokens=8, stop=", a") == (True, "lima")
    assert answer("li\nma.", "lima", max_new_tokens=6, stop=".") == (False, "li\nma")
    assert answer("lima\n", "lima", max_new_tokens=5, stop="") == (True, "lima\n")
    assert answer("a\nb", "a\nb", stop="") == (True, "a\nb")


def test_the_space_around_a_completion_does_not_count(answer):
    assert answer(" lima ", "lima", max_new_tokens=6) == (True, " lima ")
    assert answer("lima", " lima", max_new_tokens=4) == (True, "lima")
    assert answer("li ma", "lima", max_new_tokens=5) == (False, "li ma")


def test_the_first_match_of_a_pattern_is_compared(answer):
    number = {"pattern": "-?[0-9]+", "max_new_tokens": 12}
    assert answer("is -12 or 13", "-12", **number) == (True, "is -12 or 13")
    assert answer("is -12 or 13", "13", **number) == (False, "is -12 or 13")
    assert answer("is nothing  ", "13", **number) == (False, "is nothing  ")
    assert answer("it is\n13", "13", **number) == (False, "it is")  # stopped before
    assert answer("abc", "ab", pattern="ab$", max_new_tokens=3) == (False, "abc")


def test_case_matters_unless_asked(answer):
    assert answer("aB", "Ab") == (False, "aB")
    assert answer("aB", "Ab", ignore_case=True) == (True, "aB")
    assert answer("x aB", "Ab", pattern="[aAbB]+", ignore_case=True, max_new_tokens=4)[0]


def test_a_tokenizer_that_lowercases_makes_answers_lower_case(tmp_path, monkeypatch):
    spec = BpeTokenizer(type="bpe", corpus="x", vocab_size=300, min_frequency=2)
    path = tmp_path / "tokenizer.json"
    save_tokenizer(
        train_bpe(spec, ["the capital is paris " * 3]), path, tmp_path / "tokenizer_config.json"
    )
    tokenizer, info = load_tokenizer(path)
    question = question_strings([Question("", "The capital is ", "Paris")])
    index = make_index(question, tokenizer, info, "hash")
    paris = tokenizer.token_to_id("\u0120paris")
    assert paris is not None

    def fixed(_, batch, precision):
        return np.eye(info.vocab_size)[[paris] * len(batch)]

    monkeypatch.setattr(completions, "_next_logits", fixed)
    model = make_model(vocabulary=info.vocab_size)
    found = answers_found(model, index, tokenizer, info, make_probe(), MUCH)
    assert found == ([1], [" paris"])  # the space that ends the prompt is part of the token


def test_correct_counts_the_samples_that_are_the_answer(characters):
    tokenizer, info = characters
    model = make_model(vocabulary=info.vocab_size)
    prompts = ["say ", "a", "so "]
    questions = question_strings([Question("", prompt, "b") for prompt in prompts])
    index = make_index(questions, tokenizer, info, "hash")
    probe = sampling(samples=400, temperature=3.0)
    correct, first = answers_found(model, index, tokenizer, info, probe, MUCH)
    assert len(first) == 3
    for prompt, count in zip(prompts, correct, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer.encode(prompt).ids])).logits[0, -1].double()
        share = torch.softmax(logits / 3, 0)[tokenizer.token_to_id("b")].item()
        assert abs(count - 400 * share) < 4 * np.sqrt(400 * share) + 1
    assert sum(correct) > 10


@pytest.mark.parametrize("family", FAMILIES)
def test_the_answers_logprob_is_that_of_the_whole_less_that_of_the_prompt(characters, family):
    tokenizer, info = characters
    model = make_model(family, info.vocab_size)
    questions = [
        Question("", "say ", "lima"),
        Question("", "say ", "lima and"),
        Question("", "a", "b"),
        Question("", "some other words", ", 12"),
    ]
    index = make_index(question_strings(questions), tokenizer, info, "hash")
    table = make_scorer(model, make_probe(), index, tokenizer, info, MUCH)()
    exact = copy.deepcopy(model).double()

    def logprob(text):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            logprobs = exact(ids).logits.log_softmax(-1)
        return logprobs[0, :-1].gather(1, ids[0, 1:, None]).sum().item()

    expected = [logprob(q.prompt + q.answer) - logprob(q.prompt) for q in questions]
    assert np.std(expected) > 1
    assert table["answer_logprob"].to_list() == pytest.approx(expected, abs=1e-4)
    assert table["samples"].to_list() == [1] * 4
