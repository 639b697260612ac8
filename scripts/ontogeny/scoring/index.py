"""The index of a probe: its strings as a trie of token ids, made once and used for every checkpoint
of every run.

Strings are tokenised whole (prompt and item together), as a model would read them, and hold the
tokenizer's BOS where its policy puts one. The first token of a string is given, not scored: the
BOS, or where there is none the first of the text, which has no probability of its own.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tokenizers import Encoding, Tokenizer

from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.files import replacing
from ontogeny.origins import reading
from ontogeny.scoring.stimuli.binomials import Binomial
from ontogeny.scoring.stimuli.completions import Question
from ontogeny.scoring.stimuli.minimal_pairs import MinimalPair
from ontogeny.scoring.trie import Trie, build_trie

AT_ONCE = 10_000  # strings that are tokenised together


@dataclass(frozen=True)
class Strings:
    """What is to be tokenised.

    `labels`: columns of the score file, by name. `prompts` (completions only): the first part of
    each text, which is given.
    """

    texts: Iterable[str]
    labels: Mapping[str, list[str]]
    prompts: list[str] | None = None


@dataclass(frozen=True)
class Index:
    """All strings of a probe, in the order of `Strings.texts`.

    `given` (completions only): how many of a string's tokens stand before its answer, int32
    [strings]. `stimuli_sha256` is of the texts, `tokenizer_sha256` of the tokenizer's file.
    """

    trie: Trie
    labels: Mapping[str, list[str]]
    tokenizer_sha256: str
    vocab_size: int
    bos: bool
    stimuli_sha256: str
    given: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    @property
    def longest(self) -> int:
        """Tokens of the longest string."""
        return int(self.trie.lengths.max())


def binomial_strings(items: list[Binomial], prompts: list[str]) -> Strings:
    """By prompt, then item, then (alphabetical, other) order."""
    texts = (
        prompt + order
        for prompt in prompts
        for item in items
        for order in (item.alpha, item.nonalpha)
    )
    return Strings(texts, {"prompt": prompts, "binom": [item.alpha for item in items]})


def pair_strings(pairs: list[MinimalPair]) -> Strings:
    """By pair, then (good, bad)."""
    texts = (sentence for pair in pairs for sentence in (pair.good, pair.bad))
    labels = {"uid": [pair.uid for pair in pairs], "pair_id": [pair.pair_id for pair in pairs]}
    return Strings(texts, labels)


def question_strings(questions: list[Question]) -> Strings:
    """Each prompt with its answer."""
    prompts = [question.prompt for question in questions]
    answers = [question.answer for question in questions]
    texts = (prompt + answer for prompt, answer in zip(prompts, answers, strict=True))
    groups = [question.group for question in questions]
    return Strings(texts, {"class": groups, "prompt": prompts, "answer": answers}, prompts)


def make_index(
    strings: Strings,
    tokenizer: Tokenizer,
    info: TokenizerInfo,
    tokenizer_sha256: str,
    positions: int | None = None,
) -> Index:
    """Tokenise all strings and build their trie.

    Raises ValueError that names a string which the tokenizer can't represent, which has no token
    that can be scored, or which has more tokens than a model has `positions`.
    """
    ids: list[np.ndarray] = []
    lengths: list[int] = []
    given: list[int] = []
    digest = hashlib.sha256()
    for texts in _batches(strings.texts):
        encodings = tokenizer.encode_batch(texts)
        rows = [encoding.ids for encoding in encodings]
        for text, encoding, row in zip(texts, encodings, rows, strict=True):
            _check(text, encoding, row, info.unk_id, positions)
            digest.update(json.dumps(text).encode())
        if strings.prompts is not None:
            prompts = strings.prompts[len(given) : len(given) + len(texts)]
            given += map(_given, prompts, texts, encodings)
        lengths += map(len, rows)
        ids.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
    starts = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Index(
        trie=build_trie(np.concatenate(ids), starts),
        labels=strings.labels,
        tokenizer_sha256=tokenizer_sha256,
        vocab_size=info.vocab_size,
        bos=info.bos_id is not None,
        stimuli_sha256=digest.hexdigest(),
        given=np.array(given, dtype=np.int32),
    )


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    texts = iter(texts)
    while batch := list(islice(texts, AT_ONCE)):
        yield batch


def _check(
    text: str, encoding: Encoding, ids: list[int], unk_id: int | None, positions: int | None
) -> None:
    if unk_id is not None and unk_id in ids:
        start, end = encoding.offsets[ids.index(unk_id)]
        raise ValueError(f"the tokenizer can't represent {text[start:end]!r} in {text!r}")
    if len(ids) < 2:
        raise ValueError(f"{text!r} has no token that can be scored")
    if positions is not None and len(ids) > positions:
        raise ValueError(
            f"{text!r} has {len(ids)} tokens, more than the {positions} positions of a model "
            "that is scored on it; shorten it, or raise the model's max_position_embeddings"
        )


def _given(prompt: str, text: str, encoding: Encoding) -> int:
    """Tokens that lie in the prompt; one that reaches into the answer belongs to the answer."""
    count = sum(end <= len(prompt) for _, end in encoding.offsets)
    if count == 0:
        raise ValueError(
            f"no token of {text!r} lies before its answer; the tokenizer puts no BOS, so the "
            "prompt must be longer"
        )
    return count


def save_index(index: Index, path: Path) -> None:
    """Write an index as safetensors; the same index gives the same bytes.

    Texts and hashes are one tensor of JSON: keys of the metadata come in random order.
    """
    texts = {
        "labels": index.labels,
        "tokenizer_sha256": index.tokenizer_sha256,
        "vocab_size": index.vocab_size,
        "bos": index.bos,
        "stimuli_sha256": index.stimuli_sha256,
    }
    arrays = {
        "tokens": index.trie.tokens,
        "depths": index.trie.depths,
        "leaves": index.trie.leaves,
        "given": index.given,
        "texts": np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8),
    }
    with replacing(path) as temporary:
        save_file(arrays, temporary)


def load_index(path: Path, tokenizer_sha256: str | None = None) -> Index:
    """Read what `save_index` wrote.

    Raises ValueError when it is damaged, or was made with another tokenizer than the one given.
    """
    try:
        with safe_open(reading(path), framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        texts = json.loads(arrays.pop("texts").tobytes())
        given = arrays.pop("given")
        index = Index(trie=Trie(**arrays), given=given, **texts)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: is no whole index ({error}); remove it to make it again"
        ) from None
    if tokenizer_sha256 is not None and tokenizer_sha256 != index.tokenizer_sha256:
        raise ValueError(
            f"{path}: was made with another tokenizer (sha256 {index.tokenizer_sha256[:12]}..., "
            f"not {tokenizer_sha256[:12]}...); remove it to make it again"
        )
    return index
