"""How far a model's predictions are from those of unigrams and of bigrams.

The divergence is KL(n-gram || model), as in Chang & Bergen (2022, "Word acquisition in neural
language models", TACL 10): the mean over predicted tokens of
sum over w of P(w) (ln P(w) - ln Q(w)), in nats, with P the n-gram's distribution and Q the model's
after all of the text before. It is 0 for a model that predicts as the n-gram does.
"""

import numpy as np
import torch
from scipy import sparse
from torch.nn.functional import embedding_bag

from ontogeny.corpus.bigrams import interpolation, unigram_probabilities


class Divergence:
    """Divergences of a model's predictions from the interpolated n-grams of a text.

    `counts`: of the text, as `count_bigrams` gives them, [vocabulary, vocabulary].
    """

    def __init__(self, counts: sparse.csr_array, device: torch.device):
        self.counts, self.device = counts, device
        self.weights = np.stack(interpolation(counts.sum(axis=1), np.diff(counts.indptr)))
        self.unigram = self._to_device(unigram_probabilities(counts.sum(axis=0)))

    def sums(self, contexts: torch.Tensor, logprobs: torch.Tensor) -> tuple[float, float]:
        """KL(unigram || model) and KL(bigram || model), in nats, summed over predictions.

        A bigram's distribution is `rest` x the unigram's, but for the tokens that the text has
        after the context: only those are looked at one by one, once for each distinct context.

        Args:
            contexts: the token before each prediction, int64 [predictions].
            logprobs: what the model predicts, float32 [predictions, vocabulary].
        """
        distinct, n = contexts.unique(return_counts=True)
        logprobs = embedding_bag(  # summed over the predictions of each context
            contexts.argsort(stable=True), logprobs, n.cumsum(0) - n, mode="sum"
        )
        from_unigram = n * (self.unigram * self.unigram.log()).sum()
        from_unigram -= (logprobs @ self.unigram.float()).double()
        rows = distinct.cpu().numpy()
        share, rest = self._to_device(self.weights[:, rows])
        seen = self.counts[rows].tocoo()
        row, token = (torch.from_numpy(x).to(self.device, torch.int64) for x in seen.coords)
        unseen = rest[row] * self.unigram[token]
        p = share[row] * self._to_device(seen.data) + unseen
        terms = n[row] * (p * p.log() - unseen * unseen.log()) - (p - unseen) * logprobs[row, token]
        from_bigram = terms.sum() + (rest * (n * rest.log() + from_unigram)).sum()
        return float(from_unigram.sum()), float(from_bigram)

    def _to_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, torch.float64)
