"""What a model writes after a prompt, and whether it is the answer.

Prompts of one length are run together, without padding, and a text that several samples share is
run once. The whole text, or as much of its end as `context` allows, is run again for each new
token, which is exact for every model family.
"""

import re

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.scoring.engine import bounded_batch, selected_logits
from ontogeny.scoring.index import Index
from ontogeny.study.probes import CompletionsProbe


def answers_found(
    model: PreTrainedModel,
    index: Index,
    tokenizer: Tokenizer,
    info: TokenizerInfo,
    probe: CompletionsProbe,
    batch_tokens: int,
) -> tuple[list[int], list[str]]:
    """For each item how many of its completions are its answer, and the first one as text.

    A completion begins after the last token that lies in the prompt, and ends at the end-of-text
    token or at `probe.stop`. It and the answer are compared as the tokenizer writes them
    (lowercased where it lowercases), without the space around them.
    """
    nodes, starts = index.trie.paths(index.trie.leaves)
    strings = np.split(index.trie.tokens[nodes], starts[1:-1])
    prompts = [ids[:given] for ids, given in zip(strings, index.given, strict=True)]
    answers = [ids[given:] for ids, given in zip(strings, index.given, strict=True)]
    lengths = [probe.max_new_tokens or len(answer) for answer in answers]
    completions = complete(model, prompts, lengths, probe, batch_tokens)
    correct, first = [], []
    for prompt, answer, drawn in zip(prompts, answers, completions, strict=True):
        texts = [_ended(_text(tokenizer, prompt, ids, info.eos_id), probe.stop) for ids in drawn]
        expected = _text(tokenizer, prompt, answer, None).strip()
        correct.append(sum(_is_answer(text, expected, probe) for text in texts))
        first.append(texts[0])
    return correct, first


def complete(
    model: PreTrainedModel,
    prompts: list[np.ndarray],
    lengths: list[int],
    probe: CompletionsProbe,
    batch_tokens: int,
) -> list[list[np.ndarray]]:
    """For each prompt (token ids) `probe.samples` completions of `lengths[i]` tokens.

    A draw depends on the seed and on the numbers of prompt, sample and step, and on nothing that
    is run beside it. Raises ValueError when a text outgrows the model's positions.
    """
    longest = max(len(prompt) + extra for prompt, extra in zip(prompts, lengths, strict=True))
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and min(longest - 1, probe.context or longest) > positions:
        raise ValueError(
            f"a prompt with its completion has {longest} tokens, but the model has {positions} "
            f"positions; lower max_new_tokens, or set `context` to {positions}"
        )
    result: list[list[np.ndarray]] = [[] for _ in prompts]
    for width in sorted({len(prompt) for prompt in prompts}):
        members = [i for i, prompt in enumerate(prompts) if len(prompt) == width]
        drawn = [(i, sample) for i in members for sample in range(probe.samples)]
        texts = np.array([prompts[i] for i, _ in drawn], dtype=np.int64)
        steps = max(lengths[i] for i in members)
        uniform = [np.random.default_rng((probe.seed, *pair)).random(steps) for pair in drawn]
        for step in range(steps):
            seen = texts[:, -(probe.context or texts.shape[1]) :]
            different, which = np.unique(seen, axis=0, return_inverse=True)
            chosen = np.empty(len(texts), dtype=np.int64)
            at_once = max(1, bounded_batch(model, batch_tokens) // different.shape[1])
            for first in range(0, len(different), at_once):
                logits = _next_logits(model, different[first : first + at_once], probe.precision)
                for i in np.flatnonzero((which >= first) & (which < first + at_once)):
                    chosen[i] = _choose(logits[which[i] - first], uniform[i][step], probe)
            texts = np.concatenate([texts, chosen[:, None]], axis=1)
        for (i, _), text in zip(drawn, texts, strict=True):
            result[i].append(text[width : width + lengths[i]])
    return result


def answer_logprobs(
    model: PreTrainedModel, index: Index, probe: CompletionsProbe, batch_tokens: int
) -> np.ndarray:
    """Log-probability of each answer after its prompt, of whose text the model sees the last
    `probe.context` tokens before each token: float64 [strings], nats."""
    nodes, starts = index.trie.paths(index.trie.leaves)
    strings = np.split(index.trie.tokens[nodes].astype(np.int64), starts[1:-1])
    seen: dict[int, list[tuple[int, np.ndarray, int]]] = {}
    for number, (ids, given) in enumerate(zip(strings, index.given, strict=True)):
        for place in range(given, len(ids)):
            before = ids[max(0, place - probe.context) : place]
            seen.setdefault(len(before), []).append((number, before, ids[place]))
    sums = np.zeros(len(strings))
    for width, rows in seen.items():
        at_once = max(1, bounded_batch(model, batch_tokens) // width)
        for first in range(0, len(rows), at_once):
            numbers, texts, tokens = zip(*rows[first : first + at_once], strict=True)
            logits = torch.from_numpy(_next_logits(model, np.stack(texts), probe.precision))
            logprobs = logits.log_softmax(1).numpy()[np.arange(len(tokens)), list(tokens)]
            np.add.at(sums, list(numbers), logprobs)
    return sums


def _next_logits(model: PreTrainedModel, texts: np.ndarray, precision: str) -> np.ndarray:
    """Logits of what follows each text: float64 [texts, vocabulary]."""
    device = next(model.parameters()).device
    last = torch.arange(1, len(texts) + 1, device=device) * texts.shape[1] - 1
    ids = torch.from_numpy(texts).to(device)
    with torch.inference_mode():
        return selected_logits(model, last, precision, input_ids=ids).double().cpu().numpy()


def _choose(logits: np.ndarray, uniform: float, probe: CompletionsProbe) -> int:
    """The most probable token, or the one whose share of the unit interval holds `uniform`."""
    if probe.decoding == "greedy":
        return int(logits.argmax())
    order = np.argsort(-logits, kind="stable")[: probe.top_k]
    weights = np.exp((logits[order] - logits[order[0]]) / probe.temperature)
    cumulative = weights.cumsum()
    return int(order[np.searchsorted(cumulative, uniform * cumulative[-1], side="right")])


def _text(tokenizer: Tokenizer, prompt: np.ndarray, ids: np.ndarray, eos_id: int | None) -> str:
    """What `ids`, up to the end-of-text token, add to the text of the prompt."""
    ids = ids.tolist()
    if eos_id in ids:
        ids = ids[: ids.index(eos_id)]
    before = tokenizer.decode(prompt.tolist())
    return tokenizer.decode(prompt.tolist() + ids)[len(before) :]


def _ended(text: str, stop: str) -> str:
    return text.split(stop, 1)[0] if stop else text


def _is_answer(text: str, expected: str, probe: CompletionsProbe) -> bool:
    if probe.pattern is not None:
        found = re.search(probe.pattern, text)
        text = found[0] if found else ""
    text = text.strip()
    return text.casefold() == expected.casefold() if probe.ignore_case else text == expected
