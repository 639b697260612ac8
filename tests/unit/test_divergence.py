"""Divergence of predictions from unigrams and bigrams, next to dense arithmetic."""

import warnings
from collections import Counter

import numpy as np
import polars as pl
import pytest
import torch
from tiny_models import VOCABULARY, make_model

from ontogeny.corpus import bigrams
from ontogeny.corpus.bigrams import count_bigrams
from ontogeny.figures.perplexity import perplexity_figure
from ontogeny.figures.style import save_figure
from ontogeny.scoring.divergence import Divergence
from ontogeny.scoring.perplexity import perplexity
from ontogeny.scoring.tables import perplexity_table

pytestmark = pytest.mark.usefixtures("one_thread")


def text(seed=0, size=400, vocabulary=VOCABULARY):
    """Zipf-like tokens; the last few of the vocabulary never occur."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocabulary - 2)
    return rng.choice(vocabulary - 3, size, p=weights / weights.sum()).astype(np.uint16)


def dense(tokens, vocabulary=VOCABULARY):
    """P(token) and P(token | token before), by Witten & Bell's formula, entry by entry."""
    following = Counter(zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True))
    single = Counter(tokens[1:].tolist())
    total, kinds = len(tokens) - 1, len(single)
    unigram = [(single[w] + kinds / vocabulary) / (total + kinds) for w in range(vocabulary)]
    bigram = np.empty((vocabulary, vocabulary))
    for v in range(vocabulary):
        seen = {w: n for (before, w), n in following.items() if before == v}
        n = sum(seen.values())
        for w in range(vocabulary):
            if seen:
                bigram[v, w] = (seen.get(w, 0) + len(seen) * unigram[w]) / (n + len(seen))
            else:
                bigram[v, w] = unigram[w]
    return np.array(unigram), bigram


def divergence_of(tokens, vocabulary=VOCABULARY):
    return Divergence(count_bigrams(tokens, vocabulary), torch.device("cpu"))


@pytest.mark.parametrize("at_once", [1, 7, 399, 400, 2**23])
def test_bigrams_are_counted_across_pieces(monkeypatch, at_once):
    monkeypatch.setattr(bigrams, "AT_ONCE", at_once)
    tokens = text()
    counts = count_bigrams(tokens, VOCABULARY)
    expected = Counter(zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True))
    found = {pair: n for pair, n in np.ndenumerate(counts.toarray()) if n}
    assert found == expected
    assert (np.diff(counts.indptr) == [sum(v == w for v, _ in expected) for w in range(50)]).all()


def test_a_text_without_bigrams_leaves_every_token_equally_probable():
    for tokens in (np.array([], np.uint16), np.array([3], np.uint16)):
        uniform = torch.full((2, VOCABULARY), 1 / VOCABULARY).log()
        sums = divergence_of(tokens).sums(torch.tensor([3, 4]), uniform)
        assert sums == pytest.approx((0, 0), abs=1e-6)


def test_a_model_that_is_the_bigram_model_has_divergence_0_from_it():
    tokens = text(1)
    unigram, bigram = dense(tokens)
    contexts = torch.arange(VOCABULARY).repeat(3)
    divergence = divergence_of(tokens)
    as_bigram = torch.from_numpy(np.log(bigram)).float()[contexts]
    from_unigram, from_bigram = divergence.sums(contexts, as_bigram)
    assert from_bigram == pytest.approx(0, abs=1e-4)
    assert from_unigram > 1
    as_unigram = torch.from_numpy(np.log(unigram)).float().expand(len(contexts), -1).contiguous()
    from_unigram, from_bigram = divergence.sums(contexts, as_unigram)
    assert from_unigram == pytest.approx(0, abs=1e-4)
    assert from_bigram > 1


@pytest.mark.parametrize("seed", range(5))
def test_divergences_are_those_of_dense_arithmetic(seed):
    tokens = text(seed)
    unigram, bigram = dense(tokens)
    assert np.allclose(bigram.sum(axis=1), 1) and (bigram > 0).all()
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, VOCABULARY, 200)  # some of them never in the text
    logits = rng.normal(size=(200, VOCABULARY)) * 3
    log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    p = bigram[contexts]
    expected = (
        (unigram * (np.log(unigram) - log_q)).sum(),
        (p * (np.log(p) - log_q)).sum(),
    )
    found = divergence_of(tokens).sums(torch.from_numpy(contexts), torch.from_numpy(log_q).float())
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_checkpoint_has_the_mean_over_its_predicted_tokens():
    model, tokens = make_model("llama"), text(2)
    held_out = text(3, size=57)
    unigram, bigram = dense(tokens)
    apart = []
    for block in np.split(held_out.astype(int), [16, 32, 48]):
        with torch.inference_mode():
            log_q = model(torch.from_numpy(block)[None]).logits[0].double().log_softmax(-1).numpy()
        for before, q in zip(block[:-1], log_q, strict=False):
            p = bigram[before]
            apart.append([(unigram * (np.log(unigram) - q)).sum(), (p * (np.log(p) - q)).sum()])
    for batch_tokens in (1, 40, 1000):
        result = perplexity(
            model, held_out, 16, 1000, 2.5, batch_tokens, divergence=divergence_of(tokens)
        )
        assert result.n_tokens == len(apart) == 53
        found = (result.kl_unigram, result.kl_bigram)
        assert found == pytest.approx(np.mean(apart, axis=0), rel=1e-5)
    assert perplexity_table("c", result).columns[-2:] == ["kl_unigram", "kl_bigram"]


def test_scores_without_ngrams_stay_as_they_were():
    result = perplexity(make_model("llama"), text(3, 57), 16, 1000, 2.5, 1000)
    columns = ["corpus", "n_tokens", "loss", "perplexity", "bits_per_byte"]
    assert perplexity_table("c", result).columns == columns


# ---------------------------------------------------------------------------- the figure


def table_of(tokens, probes=("held-out",), measured=("held-out",)):
    tokens = np.asarray(tokens)
    parts = []
    for number, probe in enumerate(probes):
        loss = 2 + number + 5 / (1 + tokens / 1e5)
        known = probe in measured
        parts.append(
            pl.DataFrame(
                {
                    "run": "opt-s",
                    "checkpoint": [f"step-{i}" for i in range(len(tokens))],
                    "tokens": tokens,
                    "probe": probe,
                    "corpus": "diverse",
                    "n_tokens": 1000,
                    "perplexity": np.exp(loss),
                    "kl_unigram": 0.1 + (np.log10(tokens + 100) - 5) ** 2 if known else None,
                    "kl_bigram": 0.2 + (np.log10(tokens + 100) - 6) ** 2 if known else None,
                },
                schema_overrides={"kl_unigram": pl.Float64, "kl_bigram": pl.Float64},
            )
        )
    return pl.concat(parts)


def drawn(tmp_path, table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot = perplexity_figure(table)
        save_figure(plot, tmp_path / "a.png", tmp_path / "a.svg")
    frames = [layer._data for layer in plot.layers if type(layer.geom).__name__ == "geom_point"]
    points = pl.concat([pl.from_pandas(frame) for frame in frames], how="diagonal_relaxed")
    return points.with_columns(pl.col("panel", "^ngram$", "series").cast(pl.String))


@pytest.mark.parametrize("tokens", [[0, 300, 5000, 10**6], [0], [10**6], range(0, 10**9, 10**6)])
def test_every_divergence_is_drawn_below_the_perplexity(tmp_path, tokens):
    table = table_of(tokens)
    points = drawn(tmp_path, table)
    assert points["panel"].n_unique() == 2
    for column, ngram in (("kl_unigram", "from unigrams"), ("kl_bigram", "from bigrams")):
        shown = points.filter(ngram=ngram).sort("tokens")
        assert shown["value"].to_list() == table[column].to_list()
    perplexities = points.filter(pl.col("ngram").is_null()).sort("tokens")
    assert perplexities["value"].to_list() == table["perplexity"].to_list()


def test_only_the_probes_that_measured_it_have_a_divergence(tmp_path):
    points = drawn(tmp_path, table_of([0, 300, 5000], ("held-out", "own")))
    apart = points.drop_nulls("ngram")
    assert len(apart) == 6 and apart["series"].str.starts_with("held-out").all()


def test_without_divergences_there_is_the_perplexity_alone(tmp_path):
    table = table_of([0, 300, 5000], measured=())
    for one in (table, table.drop("kl_unigram", "kl_bigram")):
        points = drawn(tmp_path, one)
        assert points["panel"].n_unique() == 1 and len(points) == 3
