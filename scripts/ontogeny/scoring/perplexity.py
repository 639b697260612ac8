"""How well a model predicts held-out text."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from ontogeny.scoring.divergence import Divergence
from ontogeny.scoring.engine import bounded_batch, selected_logits


@dataclass(frozen=True)
class Perplexity:
    """Mean loss in nats per predicted token, its exponential, and bits per byte of the text.

    `kl_unigram`, `kl_bigram`: mean divergence of the predictions from n-grams, in nats; None where
    it was not asked for.
    """

    n_tokens: int
    loss: float
    perplexity: float
    bits_per_byte: float
    kl_unigram: float | None = None
    kl_bigram: float | None = None


def perplexity(
    model: PreTrainedModel,
    tokens: np.ndarray,
    block_size: int,
    max_tokens: int,
    bytes_per_token: float,
    batch_tokens: int,
    precision: str = "fp32",
    divergence: Divergence | None = None,
    documents: np.ndarray | None = None,
) -> Perplexity:
    """Loss on the first `max_tokens` ids of a token file.

    The stream is cut into consecutive blocks of `block_size`, as in training, the last one
    shorter; each block's first token is given. With `documents`, where they begin (int64
    [documents]), each of them is cut by itself. `bytes_per_token` is the UTF-8 length of the text
    over its tokens. `divergence`: of the n-grams that predictions are compared with, if any.
    """
    device = next(model.parameters()).device
    stream = np.asarray(tokens[:max_tokens], dtype=np.int64)
    total, count, apart = 0.0, 0, np.zeros(2)
    with torch.inference_mode():
        for part in _sequences(stream, block_size, np.zeros(1) if documents is None else documents):
            at_once = max(1, bounded_batch(model, batch_tokens) // part.shape[1])
            for first in range(0, len(part), at_once):
                batch = torch.from_numpy(part[first : first + at_once]).to(device)
                places = torch.arange(batch.numel(), device=device).view(batch.shape)
                logits = selected_logits(
                    model, places[:, :-1].flatten(), precision, input_ids=batch
                )
                targets = batch[:, 1:].flatten()
                logprobs = logits.log_softmax(dim=1)
                total -= float(logprobs.gather(1, targets[:, None]).double().sum())
                count += len(targets)
                if divergence is not None:
                    apart += divergence.sums(batch[:, :-1].flatten(), logprobs)
    if count == 0:
        raise ValueError("the held-out text has fewer than two tokens: nothing to predict")
    loss = total / count
    return Perplexity(
        n_tokens=count,
        loss=loss,
        perplexity=math.exp(loss),
        bits_per_byte=loss / math.log(2) / bytes_per_token,
        kl_unigram=None if divergence is None else float(apart[0]) / count,
        kl_bigram=None if divergence is None else float(apart[1]) / count,
    )


def _sequences(stream: np.ndarray, size: int, documents: np.ndarray) -> list[np.ndarray]:
    """The documents that begin in the stream, cut into pieces of up to `size` tokens, those of one
    length together: ids [pieces, tokens]. Pieces of one token predict nothing and are left out."""
    begin = documents[documents < len(stream)].astype(np.int64)
    ends = np.append(begin, len(stream))[1:]
    pieces = -(-(ends - begin) // size)
    inside = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
    first = np.repeat(begin, pieces) + inside * size
    length = np.minimum(size, np.repeat(ends, pieces) - first)
    lengths = sorted(set(length.tolist()) - {1}, reverse=True)
    return [stream[first[length == n][:, None] + np.arange(n)] for n in lengths]
