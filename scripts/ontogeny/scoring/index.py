"""The index of a probe: its strings as token ids, made once and used for every checkpoint.

Strings are tokenised whole (prompt and item together), as the model would read them, and hold the
tokenizer's BOS where its policy puts one.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.files import replacing
from ontogeny.scoring.stimuli.binomials import Binomial


@dataclass(frozen=True)
class Index:
    """Token ids of all strings of a probe, and what the strings are.

    String `i` has the ids `ids[starts[i] : starts[i + 1]]`, int32. Its first token is given, not
    scored: the BOS, or where there is none the first of the text, which has no probability of its
    own. For binomials the strings are ordered by prompt, then item, then (alphabetical, other)
    order.
    """

    ids: np.ndarray
    starts: np.ndarray
    prompts: list[str]
    items: list[str]
    tokenizer_sha256: str
    vocab_size: int

    @property
    def longest(self) -> int:
        """Tokens of the longest string."""
        return int(np.diff(self.starts).max())


def index_binomials(
    items: list[Binomial],
    prompts: list[str],
    tokenizer: Tokenizer,
    info: TokenizerInfo,
    tokenizer_sha256: str,
) -> Index:
    """Tokenise each item in each prompt and both orders.

    Raises ValueError that names the string when the tokenizer can't represent it.
    """
    texts = [
        prompt + order
        for prompt in prompts
        for item in items
        for order in (item.alpha, item.nonalpha)
    ]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    for text, ids in zip(texts, encoded, strict=True):
        if info.unk_id is not None and info.unk_id in ids:
            raise ValueError(
                f"the tokenizer can't represent {text!r}: its tokens are "
                f"{[tokenizer.id_to_token(i) for i in ids]}"
            )
        if len(ids) < 2:
            raise ValueError(f"{text!r} has no token that can be scored")
    starts = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(ids) for ids in encoded], out=starts[1:])
    return Index(
        ids=np.fromiter((i for ids in encoded for i in ids), dtype=np.int32, count=starts[-1]),
        starts=starts,
        prompts=prompts,
        items=[item.alpha for item in items],
        tokenizer_sha256=tokenizer_sha256,
        vocab_size=info.vocab_size,
    )


def save_index(index: Index, path: Path) -> None:
    """Write an index as safetensors; the same index gives the same bytes.

    Texts and hashes are JSON under one key of the metadata, since the order of keys is random.
    """
    texts = {
        "prompts": index.prompts,
        "items": index.items,
        "tokenizer_sha256": index.tokenizer_sha256,
        "vocab_size": index.vocab_size,
    }
    with replacing(path) as temporary:
        arrays = {"ids": index.ids, "starts": index.starts}
        save_file(arrays, temporary, {"index": json.dumps(texts)})


def load_index(path: Path) -> Index:
    """Read what `save_index` wrote."""
    with safe_open(path, framework="numpy") as file:
        texts = json.loads(file.metadata()["index"])
        return Index(ids=file.get_tensor("ids"), starts=file.get_tensor("starts"), **texts)
