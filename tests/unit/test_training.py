"""Data order, learning rate, and the training loop."""

import math

import numpy as np
import pytest
import torch
from tiny_models import VOCABULARY, assert_identical, copy_of, each_family, make_model, make_run
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from ontogeny.study.runs import Optimizer
from ontogeny.training.loop import TrainingError, require_one_batch, train_segment
from ontogeny.training.objective import NextTokenLoss
from ontogeny.training.optimizer import learning_rate, make_optimizer
from ontogeny.training.order import data_order, in_epochs, permutation, sequences_of
from ontogeny.training.state import StateInfo, load_state, save_state

TOKENS = np.random.default_rng(0).integers(4, VOCABULARY, 16 * 21 + 5).astype(np.uint16)
pytestmark = pytest.mark.usefixtures("one_thread")


def train(model, optimizer, run, segment=None, micro_batch=100, save=lambda step: None, **keys):
    segment = segment or run.segments()[0]
    objective = NextTokenLoss(model, run.precision)
    return list(
        train_segment(objective, optimizer, TOKENS, run, segment, micro_batch, save, **keys)
    )


# ---------------------------------------------------------------------------- order


def test_each_block_comes_once_per_epoch_and_epochs_differ():
    order = in_epochs(0, 3 * 50, 50, seed=1, shuffle=True).reshape(3, 50)
    for epoch in order:
        assert sorted(epoch) == list(range(50))
    assert not np.array_equal(order[0], order[1])
    assert not np.array_equal(order[1], order[2])
    assert not np.array_equal(order[0], np.arange(50))
    assert not np.array_equal(order[0], in_epochs(0, 50, 50, seed=2, shuffle=True))
    # no (seed, epoch) shares its order with another
    assert (
        len({tuple(permutation(50, epoch, seed)) for seed in range(5) for epoch in range(5)}) == 25
    )


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("cut", [1, 7, 13, 40, 64])
def test_the_order_depends_on_the_position_alone(shuffle, cut):
    """Blocks 13, calls of any size: across an epoch's border, and over several epochs at once."""
    whole = in_epochs(0, 64, 13, seed=5, shuffle=shuffle)
    starts = range(0, 64, cut)
    parts = [in_epochs(s, min(cut, 64 - s), 13, 5, shuffle) for s in reversed(starts)]
    assert np.array_equal(whole, np.concatenate(parts[::-1]))


def test_unshuffled_is_the_order_of_the_corpus():
    assert in_epochs(3, 6, 5, seed=0, shuffle=False).tolist() == [3, 4, 0, 1, 2, 3]


def test_training_reads_what_data_order_says():
    """Each step's sequences, across the border of an epoch and between two segments."""
    run = make_run(steps=12, checkpoints={"every_steps": 5, "per_segment": 1})
    seen = []

    class Recorder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, ids):
            seen.append(ids.numpy())
            return self.weight * 0 + 1.0

    recorder = Recorder()
    optimizer = make_optimizer(recorder, run.optimizer)
    for segment in run.segments():
        list(train_segment(recorder, optimizer, TOKENS, run, segment, 100, lambda step: None))
    starts = data_order(run, 21, 0, 12) * 16
    assert starts.shape == (12, 4)
    assert sorted(starts.flatten()[:21]) == list(range(0, 21 * 16, 16))
    expected = [[TOKENS[start : start + 16] for start in step] for step in starts]
    assert np.array_equal(seen, expected)
    assert np.array_equal(data_order(run, 21, 4, 9) * 16, starts[4:9])


# ---------------------------------------------------------------------------- learning rate


def rates(**optimizer):
    run = make_run(steps=100, optimizer={"lr": 2.0, "warmup_share": 0.1, **optimizer})
    return [learning_rate(step, run) for step in range(101)]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_warm_up_ends_at_the_peak(schedule):
    rate = rates(schedule=schedule)
    assert rate[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert rate[9] == rate[10] == max(rate) == 2.0


def test_decay_ends_where_it_says():
    assert rates(schedule="linear")[55] == pytest.approx(1.0)
    assert rates(schedule="cosine")[40] == pytest.approx(1 + math.cos(math.pi / 3))
    assert rates(schedule="linear")[99:] == pytest.approx([2 / 90, 0])
    for schedule in ("linear", "cosine"):
        assert rates(schedule=schedule, min_lr_share=0.1)[100] == pytest.approx(0.2)
    assert set(rates(schedule="constant", min_lr_share=0.1)[9:]) == {2.0}


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)],
)
def test_decay_is_that_of_transformers(schedule, theirs):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    (decay,) = theirs(sgd, 10, 100).lr_lambdas
    assert rates(schedule=schedule)[10:] == pytest.approx([2 * decay(n) for n in range(10, 101)])


def test_warm_up_in_tokens_takes_the_place_of_the_share():
    assert make_run(optimizer={"warmup_tokens": 320}).warmup_steps == 320 // (16 * 4)
    assert make_run(optimizer={"warmup_tokens": 0}).warmup_steps == 0
    assert rates(warmup_share=0.0)[0] == 2.0
    # the published BabyLM runs: 4,000 steps
    published = make_run(block_size=1024, batch_size=800, steps=10_944)
    optimizer = Optimizer(warmup_tokens=4_000 * 819_200)
    assert published.model_copy(update={"optimizer": optimizer}).warmup_steps == 4_000


@each_family
def test_weight_decay_acts_on_matrices_only(family):
    model = make_model(family)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    optimizer = make_optimizer(model, Optimizer(lr=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        expected = 1 - 0.1 * 0.5 if parameter.ndim >= 2 else 1.0
        assert torch.allclose(parameter, torch.tensor(expected)), name


# ---------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    ("family", "dropout"), [("opt", 0.1), ("opt", 0.0), ("llama", 0.1), ("gpt2", 0.0)]
)
def test_four_segments_give_the_bits_of_one(tmp_path, family, dropout):
    key = "attention_dropout" if family == "llama" else "dropout"
    config = {} if family == "gpt2" else {key: dropout}
    settings = {"steps": 12, "optimizer": {"lr": 0.01, "weight_decay": 0.1}}
    curves, weights = {}, {}
    for per_segment in (4, 1):
        checkpoints = {"every_steps": 3, "per_segment": per_segment}
        run = make_run(checkpoints=checkpoints, **settings)
        curve, saved, state = [], {}, None
        for segment in run.segments():
            # the state brings all that counts: other weights and draws before it do not show
            model = make_model(family, seed=3 if state is None else 99, **config)
            optimizer = make_optimizer(model, run.optimizer)
            if state is not None:
                assert load_state(state, model, optimizer) == StateInfo(segment.start, "hash", 7)
            for row in train(
                model,
                optimizer,
                run,
                segment,
                save=lambda step, m=model, s=saved: s.update({step: copy_of(m)}),
            ):
                curve.append((row.step, row.tokens, row.epoch, row.loss, row.lr, row.grad_norm))
            state = tmp_path / f"{segment.number}.safetensors"
            save_state(state, model, optimizer, StateInfo(segment.end, "hash", 7))
        curves[per_segment], weights[per_segment] = curve, saved
    assert len(run.segments()) == 4
    assert curves[4] == curves[1]
    assert list(weights[1]) == [0, 3, 6, 9, 12]
    for step in weights[1]:
        assert_identical(weights[4][step], weights[1][step])


def test_dropout_is_drawn_anew_and_from_the_seed():
    run = make_run(steps=3)
    losses = []
    for config, seed in (({"dropout": 0.1}, 3), ({"dropout": 0.1}, 3), ({}, 3), ({}, 4)):
        model = make_model(seed=seed, **config)
        losses.append([row.loss for row in train(model, make_optimizer(model, run.optimizer), run)])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2] != losses[3]


@pytest.mark.parametrize("micro_batch", [1, 2, 3])
def test_the_micro_batch_changes_results_by_rounding_only(micro_batch):
    """Plain SGD: Adam divides by the size of a gradient, and so blows up one that is all noise."""
    run = make_run(steps=4, optimizer={"lr": 1.0})
    results = []
    for size in (100, micro_batch):
        model = make_model("gpt2")
        rows = train(model, torch.optim.SGD(model.parameters(), lr=1.0), run, micro_batch=size)
        results.append((copy_of(model), [(row.loss, row.grad_norm) for row in rows]))
    (whole, curve), (parts, other) = results
    assert np.allclose(curve, other, rtol=1e-5, atol=0)
    for name in whole:
        assert torch.allclose(whole[name], parts[name], rtol=1e-5, atol=1e-6), name


@each_family
def test_the_first_loss_is_that_of_a_uniform_guess(family):
    model = make_model(family)
    run = make_run(steps=1)
    (row,) = train(model, make_optimizer(model, run.optimizer), run)
    assert row.loss == pytest.approx(math.log(VOCABULARY), abs=0.05)
    assert (row.step, row.tokens, row.epoch) == (1, 64, 4 / 21)


@each_family
def test_a_step_is_the_one_that_transformers_own_loss_gives(family):
    """One step of SGD by hand: `labels=` loss over the batch, clipped gradient, learning rate."""
    optimizer = {"lr": 0.5, "warmup_share": 0, "schedule": "constant", "max_grad_norm": 0.01}
    run = make_run(steps=1, optimizer=optimizer)
    model, by_hand = make_model(family), make_model(family)
    (row,) = train(model, torch.optim.SGD(model.parameters(), lr=9.0), run)
    first = permutation(21, 0, seed=3)[:4]
    ids = torch.tensor(TOKENS[: 21 * 16].reshape(21, 16)[first].astype(np.int64))
    loss = by_hand(input_ids=ids, labels=ids).loss
    loss.backward()
    norm = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in by_hand.parameters()))
    assert row.loss == pytest.approx(loss.item(), rel=1e-6)
    assert row.grad_norm == pytest.approx(norm, rel=1e-5)
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
            theirs -= 0.5 * theirs.grad * (0.01 / norm)
            assert torch.allclose(mine, theirs, atol=1e-6)


@each_family
def test_joined_parameters_take_the_steps_of_plain_adamw(family):
    """One vector of all matrices, one of all else, against AdamW on each parameter by itself. A
    large epsilon, or Adam would take full steps of gradients that are all rounding."""
    settings = {"lr": 0.05, "epsilon": 1e-2, "weight_decay": 0.1, "warmup_share": 0}
    run = make_run(steps=6, optimizer={**settings, "schedule": "constant"})
    mine, theirs = make_model(family), make_model(family)
    optimizer = make_optimizer(mine, run.optimizer)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1]
    plain = torch.optim.AdamW(
        [
            {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.1},
            {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        eps=1e-2,
    )
    curves = [[row.loss for row in train(mine, optimizer, run)]]
    curves.append([row.loss for row in train(theirs, plain, run)])
    assert np.allclose(*curves, rtol=1e-5, atol=0)
    heads = (model.get_output_embeddings().weight for model in (mine, make_model(family)))
    assert torch.dist(*heads) > 0.1
    for (name, one), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert one.data_ptr() % 64 == optimizer.param_groups[0]["params"][0].data_ptr() % 64, name
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5), name


def test_bf16_keeps_the_weights_in_fp32_and_the_loss_close():
    losses = []
    for precision in ("fp32", "bf16"):
        run = make_run(steps=3, precision=precision)
        model = make_model("llama")
        losses.append([row.loss for row in train(model, make_optimizer(model, run.optimizer), run)])
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert losses[0] != losses[1]
    assert np.allclose(*losses, atol=0.02)


def test_training_learns_the_text():
    run = make_run(steps=60, optimizer={"lr": 0.03, "warmup_share": 0.1})
    model = make_model("llama")
    rows = train(model, make_optimizer(model, run.optimizer), run)
    assert [row.step for row in rows] == list(range(1, 61))
    assert rows[-1].loss < rows[0].loss - 1


def test_a_diverging_run_stops_at_its_step_and_saves_nothing_more():
    optimizer = {"lr": 1e30, "warmup_share": 0}
    run = make_run(steps=8, optimizer=optimizer, checkpoints={"every_steps": 4})
    model, saved = make_model(), []
    with pytest.raises(TrainingError, match=r"^step 2 \(128 tokens\): loss nan.*lower opt"):
        train(model, make_optimizer(model, run.optimizer), run, save=saved.append)
    assert saved == [0]
    second = make_run(steps=8, checkpoints={"every_steps": 4, "per_segment": 1}).segments()[1]
    with pytest.raises(TrainingError, match=r"^step 5 \(320 tokens\): loss nan"):
        train(model, make_optimizer(model, run.optimizer), run, second, save=saved.append)
    assert saved == [0]


def test_a_loss_above_the_bound_stops_the_run():
    run = make_run(steps=8, optimizer={"lr": 100.0, "warmup_share": 0})
    model, saved = make_model(), []
    message = (
        r"^step 2 \(128 tokens\): loss [0-9.e+]+ is above 7.824 \(max_loss of the run\) at "
        r"learning rate 87.5; lower optimizer.lr, .* up to step 0 is kept$"
    )
    with pytest.raises(TrainingError, match=message):
        train(
            model,
            make_optimizer(model, run.optimizer),
            run,
            save=saved.append,
            max_loss=2 * math.log(VOCABULARY),
        )
    assert saved == [0, 1]


def test_a_corpus_smaller_than_a_batch_is_an_error():
    run = make_run()
    require_one_batch(sequences_of(run, 16 * 4), 16 * 4, run, "corpus 'tiny'")
    with pytest.raises(ValueError, match=r"corpus 'tiny': 63 tokens are 3 blocks of 16.* the 4 "):
        require_one_batch(sequences_of(run, 16 * 4 - 1), 16 * 4 - 1, run, "corpus 'tiny'")
