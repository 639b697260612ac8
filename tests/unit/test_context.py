"""Completions of a model that sees the end of a text alone (`context`)."""

import copy

import numpy as np
import polars as pl
import pytest
import torch
from test_answers import MUCH, VOCABULARY, make_model, make_probe, prompts_of, sampling, texts

from ontogeny.corpus.tokenizer import load_tokenizer, make_characters, save_tokenizer
from ontogeny.scoring.completions import answer_logprobs, complete
from ontogeny.scoring.index import make_index, question_strings
from ontogeny.scoring.probes import make_scorer
from ontogeny.scoring.stimuli.completions import Question
from ontogeny.study.models import CharacterTokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
FAMILIES = pytest.mark.parametrize("family", ["opt", "llama", "gpt2"])
QUESTIONS = [
    Question("sum", "<12+34=", "46>"),
    Question("sum", "<1+1=", "2>"),
    Question("fact", "Capital of Switzerland is ", "Bern"),
    Question("fact", "Capital of Peru is ", "Lima"),
    Question("fact", "a", "very long answer, longer than what the model sees of it"),
]


def index_of(folder, bos=False):
    lines = [question.prompt + question.answer for question in QUESTIONS]
    spec = CharacterTokenizer(type="characters", corpus="x", bos=bos)
    save_tokenizer(make_characters(spec, lines), folder / "tokenizer.json", folder / "config.json")
    tokenizer, info = load_tokenizer(folder / "tokenizer.json")
    return make_index(question_strings(QUESTIONS), tokenizer, info, ""), tokenizer, info


def next_logprobs(model, ids):
    """One text at a time, in fp64."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1]
    return logits.log_softmax(-1)


def answers_one_by_one(model, index, context):
    """Log-probability of each answer, token by token from the last `context` tokens before it."""
    model = copy.deepcopy(model).double()
    nodes, starts = index.trie.paths(index.trie.leaves)
    sums = []
    for number, given in enumerate(index.given):
        ids = index.trie.tokens[nodes[starts[number] : starts[number + 1]]].tolist()
        tokens = range(given, len(ids))
        seen = [ids[max(0, at - context) : at] for at in tokens]
        terms = [next_logprobs(model, seen)[ids[at]] for seen, at in zip(seen, tokens, strict=True)]
        sums.append(float(sum(terms)))
    return np.array(sums)


@FAMILIES
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("context", [1, 3, 8, 24])
def test_answers_are_those_one_by_one(tmp_path, family, bos, context):
    index, _, info = index_of(tmp_path, bos)
    model = make_model(family, info.vocab_size)
    expected = answers_one_by_one(model, index, context)
    for batch_tokens in (1, 50, MUCH):
        found = answer_logprobs(model, index, make_probe(context=context), batch_tokens)
        assert found.dtype == np.float64
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-4)


@FAMILIES
@pytest.mark.parametrize("options", [{}, {"decoding": "sample", "samples": 2, "seed": 1}])
def test_all_of_a_text_in_view_is_no_context_at_all(tmp_path, monkeypatch, family, options):
    """The table is the one without the key: answers, completions and what is drawn."""
    monkeypatch.setitem(globals(), "QUESTIONS", QUESTIONS[:4])
    index, tokenizer, info = index_of(tmp_path)
    model = make_model(family, info.vocab_size)
    tables = [
        make_scorer(model, make_probe(**options, **keys), index, tokenizer, info, MUCH)()
        for keys in ({}, {"context": 31}, {"context": 1000}, {"context": 4})
    ]
    whole, *same, short = tables
    for table in same:
        assert table.drop("answer_logprob").equals(whole.drop("answer_logprob"))
        both = (frame["answer_logprob"].to_numpy() for frame in (table, whole))
        assert np.allclose(*both, rtol=1e-5, atol=1e-4)
    assert short.columns == whole.columns
    assert not np.allclose(short["answer_logprob"], whole["answer_logprob"], atol=0.1)
    assert short["completion"].to_list() != whole["completion"].to_list()


@FAMILIES
@pytest.mark.parametrize("context", [1, 4, 7, 20])
def test_greedy_is_the_most_probable_token_after_the_end_of_the_text(family, context):
    model, prompts = make_model(family), prompts_of(3, 9, 9, 14, 2)
    probe = make_probe(context=context)
    lengths = [6, 10, 3, 5, 7]
    exact = copy.deepcopy(model).double()
    expected = [prompt.tolist() for prompt in prompts]
    for ids, length in zip(expected, lengths, strict=True):
        for _ in range(length):
            ids.append(int(next_logprobs(exact, ids[-context:]).argmax()))
    for batch_tokens in (1, MUCH):
        found = texts(complete(model, prompts, lengths, probe, batch_tokens))
        for prompt, (completion,), ids in zip(prompts, found, expected, strict=True):
            assert [*prompt.tolist(), *completion] == ids


def test_draws_follow_what_is_in_view():
    """One text of many draws: the next token after the last two, whatever stood before them."""
    model = make_model()
    ending = [5, 6]
    prompts = [np.array([1, *before, *ending]) for before in ([7, 8], [9, 10])]
    probe = sampling(samples=4000, context=2)
    first, second = (
        np.bincount([text[0] for text in drawn], minlength=VOCABULARY) / 4000
        for drawn in texts(complete(model, prompts, [1, 1], probe, MUCH))
    )
    expected = next_logprobs(copy.deepcopy(model).double(), ending).exp().numpy()
    assert np.abs(first - expected).max() < 0.03 and np.abs(second - expected).max() < 0.03


def test_a_context_lets_a_model_of_few_positions_read_long_texts(tmp_path):
    model, prompts = make_model(), prompts_of(5, 40)
    with pytest.raises(ValueError, match=r"44 tokens, but the model has 32 pos.*`context` to 32"):
        complete(model, prompts, [4, 4], make_probe(), MUCH)
    with pytest.raises(ValueError, match="but the model has 32 positions"):
        complete(model, prompts, [4, 4], make_probe(context=33), MUCH)
    found = texts(complete(model, prompts, [4, 4], make_probe(context=32), MUCH))
    assert [len(text) for (text,) in found] == [4, 4]
    index, tokenizer, info = index_of(tmp_path)
    model = make_model("gpt2", info.vocab_size)
    with pytest.raises(ValueError, match="a string of 56 tokens does not fit into the 32 positio"):
        make_scorer(model, make_probe(), index, tokenizer, info, MUCH)
    table = make_scorer(model, make_probe(context=32), index, tokenizer, info, MUCH)()
    assert table["class"].to_list() == ["sum", "sum", "fact", "fact", "fact"]
    assert table["answer_logprob"].dtype == pl.Float32
