"""Log-probabilities of strings under a causal model: exact first.

Sum of log P(token | all before it) over a string's tokens after the first, natural logarithm.
Weights and logits are fp32, each token's log-probability comes from logsumexp in fp32, sums are
fp64. Strings are right-padded without an attention mask: under causal attention no token sees
what follows it, so padding changes nothing, and no model family's mask or position handling comes
into play. The output matrix is applied to the rows that are scored, never to padding.
"""

from collections.abc import Iterator

import numpy as np
import torch
from transformers import PreTrainedModel


def string_logprobs(
    model: PreTrainedModel, ids: np.ndarray, starts: np.ndarray, batch_tokens: int
) -> np.ndarray:
    """Log-probability of each string, in nats: float64 [strings].

    String `i` is `ids[starts[i] : starts[i + 1]]`, at least two tokens; its first token is given,
    not scored. `batch_tokens` bounds the tokens of one forward pass, padding included.
    """
    lengths = np.diff(starts)
    result = np.empty(len(lengths), dtype=np.float64)
    device = next(model.parameters()).device
    with torch.inference_mode():
        for chosen in _batches(lengths, batch_tokens):
            width = int(lengths[chosen].max())
            columns = np.arange(width)
            inside = columns < lengths[chosen, None]
            rows = np.zeros((len(chosen), width), dtype=np.int64)
            rows[inside] = ids[(starts[chosen, None] + columns)[inside]]
            batch = torch.from_numpy(rows).to(device)
            predicted = torch.from_numpy(inside[:, 1:]).to(device)
            logprobs = token_logprobs(model, batch, predicted)
            sums = torch.zeros(predicted.shape, dtype=torch.float64, device=device)
            sums[predicted] = logprobs.double()
            result[chosen] = sums.sum(dim=1).cpu().numpy()
    return result


def token_logprobs(
    model: PreTrainedModel, batch: torch.Tensor, predicted: torch.Tensor
) -> torch.Tensor:
    """Log-probability of each predicted token of `batch` [strings, width], in nats: fp32 [n].

    `predicted` [strings, width - 1] marks the tokens after the first that are scored; the result
    has them in row order.
    """
    head = model.get_output_embeddings()
    # in the model's own forward pass, since some families scale or cap what the matrix gives
    selection = head.register_forward_pre_hook(lambda _, given: (given[0][:, :-1][predicted],))
    try:
        logits = model(input_ids=batch, use_cache=False).logits.float()
    finally:
        selection.remove()
    targets = batch[:, 1:][predicted]
    chosen = logits.gather(1, targets[:, None])[:, 0]
    return chosen - logits.logsumexp(dim=1)


def _batches(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Strings in batches of similar length, each of at most `batch_tokens` tokens (or one)."""
    order = np.argsort(lengths, kind="stable")
    first = 0
    while first < len(order):
        last = first + 1
        while last < len(order) and (last + 1 - first) * lengths[order[last]] <= batch_tokens:
            last += 1
        yield order[first:last]
        first = last
