"""Operations of a model, and how many sequences are run at once."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ontogeny.training import speed
from ontogeny.training.speed import even_part, find_micro_batch, flops_per_token


def test_operations_of_the_published_shape():
    """OPT-125M with 8,192 entries and 1,024 positions: 6 x 92,135,424 + 12 x 12 x 768 x 1,024."""
    shape = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
    config = AutoConfig.for_model(
        "opt", **shape, ffn_dim=3072, vocab_size=8192, max_position_embeddings=1024
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert flops_per_token(model, 1024) == 6 * 92_135_424 + 12 * 12 * 768 * 1024
    assert flops_per_token(model, 1024) == pytest.approx(0.666e9, rel=1e-3)


def test_parts_are_few_and_nearly_equal():
    assert even_part(800, 64) == 62  # 13 parts: 12 of 62 and one of 56
    assert even_part(8, 128) == 8
    assert even_part(8, 5) == 4
    assert even_part(7, 1) == 1
    assert even_part(7, 0) == 1
    for sequences in range(1, 40):
        for most in range(1, 45):
            size = even_part(sequences, most)
            parts = len(torch.zeros(sequences).split(size))
            assert size <= most
            assert parts == -(-sequences // min(most, sequences))


class Memory(torch.nn.Module):
    """Runs out of memory above so many sequences."""

    def __init__(self, room):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.room, self.tried = room, []

    def forward(self, ids):
        self.tried.append(tuple(ids.shape))
        if len(ids) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (self.weight * ids.sum()).sum()


@pytest.mark.parametrize(
    ("room", "tried"),
    [(100, [50]), (49, [50, 25]), (24, [50, 25, 12]), (1, [50, 25, 12, 6, 3, 1])],
)
def test_the_largest_part_that_fits_is_found(room, tried):
    objective = Memory(room)
    optimizer = torch.optim.AdamW(objective.parameters())
    assert find_micro_batch(objective, optimizer, 100, 16, most=64) == tried[-1]
    assert objective.tried == [(size, 16) for size in tried]
    assert not objective.weight.grad.any()
    assert not optimizer.state
    assert torch.equal(objective.weight.detach(), torch.ones(3))


def test_by_default_it_tries_what_a_gpu_can_use(monkeypatch):
    monkeypatch.setattr(speed, "GPU_BATCH_TOKENS", 16 * 10)
    objective = Memory(100)
    optimizer = torch.optim.AdamW(objective.parameters())
    assert find_micro_batch(objective, optimizer, 100, 16) == 10


def test_a_sequence_that_never_fits_is_an_error():
    objective = Memory(0)
    optimizer = torch.optim.AdamW(objective.parameters())
    with pytest.raises(ValueError, match=r"one sequence of 16 tokens does not fit .* of cpu; sho"):
        find_micro_batch(objective, optimizer, 4, 16, most=4)
