"""What a training sequence is: a document (or a piece of one), or a window of the text."""

import math
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from phrase_search import ITEMS, characters, make_corpus, random_texts, slow_search
from pydantic import ValidationError
from scipy.stats import chisquare
from tiny_models import VOCABULARY, assert_identical, copy_of, each_family, make_model, make_run

from ontogeny.exposure import counts
from ontogeny.exposure.bigrams import BigramModel, pair_tokens, replayed
from ontogeny.exposure.counts import exposures
from ontogeny.exposure.occurrences import write_occurrences
from ontogeny.exposure.phrases import COUNTED, phrase_for, phrases_of
from ontogeny.scoring.trie import build_trie
from ontogeny.training import objective as objectives
from ontogeny.training.batches import IGNORED, batches
from ontogeny.training.loop import require_one_batch, train_segment
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import learning_rate, make_optimizer
from ontogeny.training.order import data_order, sequences_of
from ontogeny.training.processes import Processes
from ontogeny.training.state import StateInfo, load_state, save_state

SIZE = 16
# whole blocks, one token over, one token alone, shorter ones, longer ones
LENGTHS = [5, 16, 17, 1, 33, 48, 2, 3, 40, 9, 1, 7, 7, 12, 15, 4, 21, 6]
DOCUMENTS = np.cumsum([0, *LENGTHS])[:-1]
TOKENS = np.random.default_rng(0).integers(4, VOCABULARY, sum(LENGTHS)).astype(np.uint16)
SAMPLINGS = pytest.mark.parametrize("sampling", ["documents", "windows"])
pytestmark = pytest.mark.usefixtures("one_thread")


def run_with(sampling, **keys):
    return make_run(sampling=sampling, block_size=SIZE, **keys)


def pieces():
    """Beginning and end of each piece of a document that predicts something."""
    found = []
    for first, length in zip(DOCUMENTS.tolist(), LENGTHS, strict=True):
        for begin in range(first, first + length, SIZE):
            end = min(begin + SIZE, first + length)
            if end - begin > 1:
                found.append((begin, end))
    return found


def places(sampling):
    """Beginning and end of each sequence that a run may read."""
    if sampling == "documents":
        return pieces()
    return [(begin, begin + SIZE + 1) for begin in range(len(TOKENS) - SIZE)]


def read_by(run, step):
    """Beginning and end of each sequence that a step reads."""
    there = places(run.sampling)
    (numbers,) = data_order(run, len(there), step, step + 1)
    return [there[number] for number in numbers]


def train(model, run, segment=None, optimizer=None, micro_batch=100, save=None, merge=False):
    objective = NextTokenLoss(model, run.precision)
    optimizer = optimizer or make_optimizer(model, run.optimizer)
    segment = segment or run.segments()[0]
    save = save or (lambda step: None)
    return list(
        train_segment(
            objective,
            optimizer,
            TOKENS,
            run,
            segment,
            micro_batch,
            save,
            documents=DOCUMENTS,
            merge=merge,
        )
    )


def by_hand(model, places):
    """Mean loss of all predicted tokens, sequence by sequence, with the loss of `transformers`; its
    gradient is left in the model."""
    predicted = sum(end - begin - 1 for begin, end in places)
    total = 0.0
    for begin, end in places:
        ids = torch.from_numpy(TOKENS[begin:end].astype(np.int64))[None]
        share = (end - begin - 1) / predicted
        loss = model(input_ids=ids, labels=ids).loss * share
        loss.backward()
        total += loss.item()
    return total


def gradient(model):
    return torch.cat([p.grad.flatten().clone() for p in model.parameters()])


# ---------------------------------------------------------------------------- sequences


def test_documents_are_cut_into_pieces(tmp_path):
    np.save(tmp_path / "x.npy", DOCUMENTS)
    for documents in (DOCUMENTS, tmp_path / "x.npy"):
        sequences = sequences_of(run_with("documents"), len(TOKENS), documents)
        numbers = np.arange(sequences.count)
        ends = sequences.starts(numbers) + sequences.lengths(numbers)
        assert list(zip(sequences.starts(numbers), ends, strict=True)) == pieces()
    # all tokens but those that are alone in their piece: two documents, and the ends of two others
    assert sequences.lengths(numbers).sum() == len(TOKENS) - 4


def test_windows_are_all_that_fit():
    sequences = sequences_of(run_with("windows"), len(TOKENS))
    numbers = np.arange(sequences.count)
    ends = sequences.starts(numbers) + sequences.lengths(numbers)
    assert list(zip(sequences.starts(numbers), ends, strict=True)) == places("windows")
    assert ends[-1] == len(TOKENS)


def test_which_sequences_hold_a_phrase():
    """All phrases of one to twenty tokens, next to a look at each sequence."""
    for sampling in ("blocks", "documents", "windows"):
        sequences = sequences_of(run_with(sampling), len(TOKENS), DOCUMENTS)
        there = places(sampling) if sampling != "blocks" else None
        there = there or [(at, at + SIZE) for at in range(0, len(TOKENS) - SIZE + 1, SIZE)]
        first = np.repeat(np.arange(len(TOKENS)), 20)
        last = first + np.tile(np.arange(20), len(TOKENS))
        first, last = first[last < len(TOKENS)], last[last < len(TOKENS)]
        found = zip(*sequences.holding(first, last), strict=True)
        for phrase, (low, high) in zip(zip(first, last, strict=True), found, strict=True):
            holding = [n for n, (b, e) in enumerate(there) if b <= phrase[0] and phrase[1] < e]
            assert list(range(low, high + 1)) == holding


@SAMPLINGS
@pytest.mark.parametrize("cut", [1, 3, 7])
def test_the_order_depends_on_seed_and_position_alone(sampling, cut):
    run = run_with(sampling, seed=5)
    whole = data_order(run, 31, 0, 21)
    assert whole.shape == (21, 4)
    parts = [data_order(run, 31, first, first + cut) for first in range(0, 21, cut)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert not np.array_equal(whole, data_order(run_with(sampling, seed=6), 31, 0, 21))


def test_documents_come_once_per_epoch():
    run = run_with("documents", batch_size=5)
    order = data_order(run, 25, 0, 10).reshape(2, 25)
    assert [sorted(epoch) for epoch in order] == [list(range(25))] * 2
    assert not np.array_equal(*order)
    plain = run_with("documents", batch_size=5, shuffle=False)
    assert data_order(plain, 25, 0, 10).ravel().tolist() == [*range(25)] * 2


def test_windows_are_drawn_evenly_and_with_replacement():
    run = run_with("windows", batch_size=50)
    order = data_order(run, 20, 0, 200)
    assert any(len(set(step)) < 20 for step in order.tolist())
    assert chisquare(np.bincount(order.ravel(), minlength=20)).pvalue > 0.001
    assert len(np.bincount(order.ravel())) == 20
    # what a step draws says nothing of what the next one does
    pairs = np.bincount(order[:-1, 0] * 4 // 20 * 4 + order[1:, 0] * 4 // 20, minlength=16)
    assert chisquare(pairs).pvalue > 0.001


# ---------------------------------------------------------------------------- batches


def test_padding_is_at_the_right_and_predicts_nothing():
    run = run_with("documents", batch_size=25)
    sequences = sequences_of(run, len(TOKENS), DOCUMENTS)
    segment = SimpleNamespace(start=0, end=2)
    for step, batch in enumerate(
        batches(TOKENS, sequences, run, segment, Processes(), torch.device("cpu"))
    ):
        ids, targets = batch.part.ids.numpy(), batch.part.targets.numpy()
        assert targets.min() == IGNORED
        found = []
        for row, target in zip(ids.tolist(), targets.tolist(), strict=True):
            length = 1 + sum(token != IGNORED for token in target)
            found.append(row[:length])
            assert target == [*row[1:length], *[IGNORED] * (len(row) - length + 1)]
            assert set(row[length:]) <= {0}
        expected = [TOKENS[begin:end].tolist() for begin, end in read_by(run, step)]
        assert sorted(found) == sorted(expected)
        for most in (1, 3, 25):
            parts = list(batch.parts(most))
            assert sum(share for _, share in parts) == pytest.approx(1)
            assert max(len(part.ids) for part, _ in parts) <= most
            for part, share in parts:
                assert (part.targets != IGNORED).any(dim=0).all()  # each column predicts
                predicted = (part.targets != IGNORED).sum().item()
                assert share == pytest.approx(predicted / batch.total)


@SAMPLINGS
@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("micro_batch", [1, 100])
@pytest.mark.parametrize("merge", [False, True])
def test_parts_and_processes_share_one_mean(sampling, processes, micro_batch, merge):
    """What all processes make of their parts of a step, put together, is the mean by hand."""
    run = run_with(sampling, batch_size=7, seed=2)
    sequences = sequences_of(run, len(TOKENS), DOCUMENTS)
    segment = SimpleNamespace(start=3, end=4)
    model, plain = make_model("llama"), make_model("llama")
    objective = NextTokenLoss(model, "fp32")
    total = 0.0
    for rank in range(processes):
        of_rank = Processes(rank, processes)
        read = batches(TOKENS, sequences, run, segment, of_rank, torch.device("cpu"), merge)
        for batch in read:
            for part, share in batch.parts(micro_batch):
                loss = objective(*part.tensors()) * share
                loss.backward()
                total += loss.item()
    assert total == pytest.approx(by_hand(plain, read_by(run, 3)), rel=1e-5)
    assert torch.allclose(gradient(model), gradient(plain), rtol=1e-4, atol=1e-7)


def test_a_window_that_is_drawn_twice_is_run_once():
    run = run_with("windows", batch_size=400)
    sequences = sequences_of(run, len(TOKENS))
    segment = SimpleNamespace(start=0, end=1)
    for merge in (False, True):
        (batch,) = batches(TOKENS, sequences, run, segment, Processes(), torch.device("cpu"), merge)
        there = Counter(read_by(run, 0))
        rows = Counter()
        for row, last, amount in zip(
            batch.part.ids.tolist(), batch.part.targets[:, -1].tolist(), batch.amounts, strict=True
        ):
            rows[*row, last] += int(amount)
        assert rows == {tuple(TOKENS[b:e].tolist()): n for (b, e), n in there.items()}
        assert len(batch.part.ids) == (len(there) if merge else 400)
        assert max(there.values()) > 2


# ---------------------------------------------------------------------------- the loss


@each_family
@SAMPLINGS
@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("micro_batch", [2, 100])
def test_a_step_is_the_one_by_hand(monkeypatch, family, sampling, in_chunks, micro_batch):
    """Sequence by sequence, without padding; and the loss in chunks of a few tokens."""
    monkeypatch.setattr(objectives, "CHUNK", 10)
    monkeypatch.setattr(objectives, "CHUNKED_FROM", 2 if in_chunks else 10**6)
    run = run_with(sampling, steps=1, batch_size=9, optimizer={"max_grad_norm": 1e9})
    model, plain = make_model(family), make_model(family)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    (row,) = train(model, run, optimizer=optimizer, micro_batch=micro_batch)
    assert row.loss == pytest.approx(by_hand(plain, read_by(run, 0)), rel=1e-5)
    assert row.grad_norm == pytest.approx(gradient(plain).norm().item(), rel=1e-4)


def test_the_loss_is_that_of_a_padded_batch_with_a_mask():
    """As Hugging Face's collator makes it: labels of -100 on the padding, a mask of attention."""
    run = run_with("documents", steps=1, batch_size=9)
    model, theirs = make_model("llama"), make_model("llama")
    texts = [TOKENS[begin:end].astype(int).tolist() for begin, end in read_by(run, 0)]
    width = max(map(len, texts))
    assert min(map(len, texts)) < width
    ids, mask, labels = (
        torch.tensor([[*fill(text), *[padding] * (width - len(text))] for text in texts])
        for fill, padding in (
            (list, 0),
            (lambda text: [1] * len(text), 0),
            (list, IGNORED),
        )
    )
    (row,) = train(model, run)
    loss = theirs(input_ids=ids, attention_mask=mask, labels=labels).loss
    assert row.loss == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_targets_that_are_ignored_are_in_no_mean(monkeypatch, precision):
    """In chunks and not; a whole chunk of padding is one of them."""
    monkeypatch.setattr(objectives, "CHUNK", 8)
    rng = torch.Generator().manual_seed(1)
    ids = torch.randint(4, VOCABULARY, (5, SIZE), generator=rng)
    targets = torch.randint(4, VOCABULARY, (5, SIZE), generator=rng)
    targets[torch.rand(5, SIZE, generator=rng) < 0.4] = IGNORED
    targets[2] = IGNORED
    results = []
    for chunked_from in (2, 10**6):
        monkeypatch.setattr(objectives, "CHUNKED_FROM", chunked_from)
        model = make_model("opt")
        objective = NextTokenLoss(model, precision)
        assert objective.in_chunks == (chunked_from == 2 and precision == "fp32")
        loss = objective(ids, targets)
        loss.backward()
        results.append((loss.item(), gradient(model)))
    logits = make_model("opt")(input_ids=ids).logits
    kept = targets != IGNORED
    expected = -logits.log_softmax(-1)[kept].gather(1, targets[kept][:, None]).mean().item()
    tolerance = 1e-5 if precision == "fp32" else 1e-2
    for loss, _ in results:
        assert loss == pytest.approx(expected, rel=tolerance)
    assert torch.allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("micro_batch", [20, 200])
def test_merged_windows_train_the_same_model(micro_batch):
    """Plain SGD: Adam blows up gradients that are all rounding."""
    run = run_with("windows", steps=3, batch_size=200)
    results = []
    for merge in (False, True):
        model = make_model("gpt2")
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        rows = train(model, run, optimizer=optimizer, micro_batch=micro_batch, merge=merge)
        results.append((copy_of(model), [(row.loss, row.grad_norm) for row in rows]))
    (whole, curve), (merged, other) = results
    assert np.allclose(curve, other, rtol=1e-5, atol=0)
    for name in whole:
        assert torch.allclose(whole[name], merged[name], rtol=1e-4, atol=1e-6), name


@SAMPLINGS
@pytest.mark.parametrize("merge", [False, True])
def test_many_segments_give_the_bits_of_one(tmp_path, sampling, merge):
    curves, weights = {}, {}
    for per_segment in (10, 1):
        run = run_with(
            sampling,
            steps=12,
            batch_size=20,
            optimizer={"lr": 0.01, "weight_decay": 0.1},
            checkpoints={"every_steps": 3, "per_segment": per_segment},
        )
        curve, saved, state = [], {}, None
        for segment in run.segments():
            model = make_model("llama", seed=3 if state is None else 99)
            optimizer = make_optimizer(model, run.optimizer)
            if state is not None:
                load_state(state, model, optimizer)
            rows = train(
                model,
                run,
                segment,
                optimizer,
                micro_batch=6,
                save=lambda step, m=model, s=saved: s.update({step: copy_of(m)}),
                merge=merge,
            )
            curve += [(row.step, row.tokens, row.epoch, row.loss, row.grad_norm) for row in rows]
            state = tmp_path / f"{segment.number}.safetensors"
            save_state(state, model, optimizer, StateInfo(segment.end, "hash", 6))
        curves[per_segment], weights[per_segment] = curve, saved
    assert len(run.segments()) == 4
    assert curves[10] == curves[1]
    for step in (0, 3, 6, 9, 12):
        assert_identical(weights[10][step], weights[1][step])
    assert not torch.equal(*(weights[1][step]["lm_head.weight"] for step in (0, 3)))


def test_tokens_and_epochs():
    """Padding counts in tokens; an epoch is all pieces, or as many tokens as the text has."""
    run = run_with("documents", steps=2)
    assert [row.tokens for row in train(make_model(), run)] == [64, 128]
    rows = train(make_model(), run)
    assert rows[1].epoch == pytest.approx(2 * 4 / len(pieces()))
    rows = train(make_model(), run_with("windows", steps=2))
    assert rows[1].epoch == pytest.approx(2 * 4 * SIZE / len(TOKENS))


# ---------------------------------------------------------------------------- exposures


@SAMPLINGS
@pytest.mark.parametrize("most", [counts.MOST_SEQUENCES, 10])
def test_exposures_are_those_of_a_replay(tmp_path, monkeypatch, sampling, most):
    """Tokens are characters, so a sequence holds a phrase where it holds all its characters."""
    monkeypatch.setattr(counts, "MOST_SEQUENCES", most)
    texts = [text for text in random_texts(sampling, 60, length=20) if text]
    meta = make_corpus(tmp_path, texts, characters())
    path, begin = tmp_path / "occurrences.parquet", tmp_path / "tokens" / "train.documents.npy"
    files = (tmp_path / "train.parquet", tmp_path / "tokenizer.json", tmp_path / "tokens")
    write_occurrences(phrases_of(ITEMS), *files, path)
    size = meta["splits"]["train"]["tokens"]
    checkpoints = {"every_steps": 7}
    run = make_run(
        sampling=sampling, block_size=20, batch_size=12, steps=30, checkpoints=checkpoints
    )
    table = exposures("name", run, size, ITEMS, path, begin)

    lengths = [len(text) + 1 for text in texts]  # with <s>
    starts = np.cumsum([0, *lengths]).tolist()
    assert starts[-1] == size
    if sampling == "documents":
        there = [
            (at, min(at + 20, first + length))
            for first, length in zip(starts, lengths, strict=False)
            for at in range(first, first + length, 20)
        ]
        there = [(begin, end) for begin, end in there if end - begin > 1]
    else:
        there = [(begin, begin + 21) for begin in range(size - 20)]
    phrases = {
        phrase: [
            (start + 1 + first, start + 1 + end)
            for start, text in zip(starts, texts, strict=False)
            for first, end in slow_search(phrase, text)
        ]
        for phrase in phrases_of(ITEMS)
    }
    held = [
        {
            phrase: sum(begin <= first and last <= end for first, last in found)
            for phrase, found in phrases.items()
        }
        for begin, end in there
    ]
    seen = Counter()
    for step in range(31):
        if step in run.checkpoint_steps():
            rows = table.filter(step=step)
            for column, template in COUNTED.items():
                expected = [seen[phrase_for(template, item)] for item in ITEMS]
                assert rows[column].to_list() == expected, (step, column)
        if step < 30:
            for number in data_order(run, len(there), step, step + 1).ravel():
                seen.update(held[number])
    assert seen.total() > 500


@SAMPLINGS
def test_bigrams_are_those_of_a_replay(sampling):
    strings = np.random.default_rng(1).integers(4, VOCABULARY, (60, 6))
    starts = np.arange(0, strings.size + 1, 6)
    trie = build_trie(strings.ravel().astype(np.int32), starts)
    run = run_with(sampling, steps=13, seed=5)
    model = BigramModel(pair_tokens(trie, VOCABULARY))
    bigrams, unigrams, done = Counter(), Counter(), 0
    keys = list(zip(model.pairs.contexts.tolist(), model.pairs.tokens.tolist(), strict=True))
    for step, _, _ in replayed(run, TOKENS, model, [0, 2, 9, 13], DOCUMENTS):
        for at in range(done, step):
            for begin, end in read_by(run, at):
                ids = TOKENS[begin:end].tolist()
                bigrams.update(pairwise(ids))
                unigrams.update(ids[1:])
        done = step
        assert model.unigrams.tolist() == [unigrams[token] for token in range(VOCABULARY)]
        assert model.counts.tolist() == [bigrams[key] for key in keys]
        for place, context in enumerate(sorted({context for context, _ in keys})):
            after = {token: n for (before, token), n in bigrams.items() if before == context}
            assert model.totals[place] == sum(after.values())
            assert model.followers[place] == len(after)
    assert done == 13 and sum(model.counts) > 20


# ---------------------------------------------------------------------------- settings


def test_the_decay_ends_at_decay_steps():
    """nanoGPT's schedule, by its formula: warm-up to step 20, decay to step 80, then the least."""
    optimizer = {"lr": 2.0, "schedule": "cosine", "warmup_tokens": 20 * 64, "min_lr_share": 0.1}
    run = make_run(steps=100, optimizer={**optimizer, "decay_steps": 80})
    rates = [learning_rate(step, run) for step in range(101)]
    for step in range(20, 81):
        share = 0.5 * (1 + math.cos(math.pi * (step - 20) / (80 - 20)))
        assert rates[step] == pytest.approx(0.2 + share * (2.0 - 0.2))
    assert rates[80:] == [pytest.approx(0.2)] * 21
    assert rates[79] > rates[80]
    whole = make_run(steps=80, optimizer=optimizer)
    assert rates[:80] == [learning_rate(step, whole) for step in range(80)]


def test_windows_have_no_order_of_the_corpus():
    with pytest.raises(ValidationError, match="windows are drawn at random; leave out"):
        run_with("windows", shuffle=False)


def test_a_text_that_is_too_short_is_an_error():
    run = run_with("windows")
    require_one_batch(sequences_of(run, SIZE + 1), SIZE + 1, run, "corpus 'x'")
    with pytest.raises(ValueError, match="corpus 'x': 16 tokens hold no window of 16 and the tok"):
        require_one_batch(sequences_of(run, SIZE), SIZE, run, "corpus 'x'")
    run = run_with("documents")
    sequences = sequences_of(run, 30, np.array([0, 10, 20, 21]))
    message = "corpus 'x': 30 tokens are 3 pieces of documents of 16, fewer than the 4 of one batch"
    with pytest.raises(ValueError, match=message):
        require_one_batch(sequences, 30, run, "corpus 'x'")
    require_one_batch(sequences_of(run, 30, np.array([0, 10, 20, 22])), 30, run, "corpus 'x'")
