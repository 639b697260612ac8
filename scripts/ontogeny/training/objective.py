"""What training minimises: the mean loss, in nats, of each token of a sequence but the first."""

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from ontogeny.training.batches import IGNORED

CHUNK = 1024  # tokens whose logits are held at once
CHUNKED_FROM = 256  # entries of a vocabulary; the logits of a smaller one are no burden


class NextTokenLoss(torch.nn.Module):
    """The mean loss of predicting each token of some sequences from those before it.

    In fp32 the logits of a thousand tokens at a time are made, used for the loss and for its
    gradient, and dropped, which is up to twice as fast as keeping all of them and takes less
    memory. A compiled model (`compiled`) needs no such care: the compiler fuses the loss into one
    pass over bf16 logits. Families that change what their output matrix gives (a cap, a scale)
    are run as they are.
    """

    def __init__(self, model: PreTrainedModel, precision: str, compiled: bool = False):
        super().__init__()
        self.model = model
        self.is_bf16 = precision == "bf16"
        worth_it = not (compiled or self.is_bf16) and model.config.vocab_size >= CHUNKED_FROM
        self.in_chunks = worth_it and _has_plain_head(model)

    def forward(
        self,
        ids: torch.Tensor,
        targets: torch.Tensor | None = None,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The loss of token ids [sequences, tokens], a scalar in fp32.

        `targets` [sequences, tokens]: what each position is to predict, -100 for nothing; by
        default the next token, and nothing at the last. `weights` [sequences] of a weighted mean,
        for targets that are all tokens.
        """
        last = -1 if targets is None else None
        targets = (ids[:, 1:] if targets is None else targets).flatten()
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.is_bf16):
            if not self.in_chunks or weights is not None:
                logits = self.model(input_ids=ids, use_cache=False).logits[:, :last]
                logits = logits.flatten(0, 1).float()
                if weights is None:
                    return functional.cross_entropy(logits, targets)
                losses = functional.cross_entropy(logits, targets, reduction="none")
                return losses.view(len(ids), -1).mean(1) @ weights / weights.sum()
            hidden = self.model.base_model(input_ids=ids, use_cache=False)[0][:, :last]
            hidden = hidden.flatten(0, 1)
            if last is None:  # padding needs no logits
                hidden, targets = hidden[targets != IGNORED], targets[targets != IGNORED]
            head = self.model.get_output_embeddings()
            return functional.linear_cross_entropy(
                hidden,
                head.weight,
                targets,
                linear_bias=head.bias,
                options=torch.nn.LinearCrossEntropyOptions(batch_chunk_size=CHUNK),
            )


def _has_plain_head(model: PreTrainedModel) -> bool:
    """Whether logits are the output matrix times what the model's body gives, and no more."""
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        return False
    device = next(model.parameters()).device
    ids = torch.arange(8, device=device).remainder(model.config.vocab_size)[None]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
            hidden = model.base_model(input_ids=ids, use_cache=False)[0]
            return hidden.shape[-1] == head.in_features and torch.allclose(
                head(hidden), logits, rtol=1e-5, atol=1e-6
            )
    finally:
        model.train(was_training)
