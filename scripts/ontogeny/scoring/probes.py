"""From a probe to the function that scores a live model on it."""

from collections.abc import Callable

import polars as pl
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from ontogeny.corpus.tokenizer import TokenizerInfo
from ontogeny.scoring.completions import answer_logprobs, answers_found
from ontogeny.scoring.engine import Advance, Scorer, ignore
from ontogeny.scoring.index import Index
from ontogeny.scoring.tables import binomials_table, completions_table, pairs_table
from ontogeny.study.probes import CompletionsProbe, IndexedProbe

PADDING = 1024  # rows that a published model's vocabulary may have beyond its tokenizer's entries


def make_scorer(
    model: PreTrainedModel,
    probe: IndexedProbe,
    index: Index,
    tokenizer: Tokenizer,
    info: TokenizerInfo,
    batch_tokens: int,
    advance: Advance = ignore,
) -> Callable[[], pl.DataFrame]:
    """What scores the model's weights, as they are at each call, on the strings of `index`.

    The table has the columns that `tables.py` gives for the type of the probe; `advance` is told
    the share of the work that is done, part by part. Raises ValueError for a model that the index
    was not made for.
    """
    _check(model, index, getattr(probe, "context", None))
    if getattr(probe, "context", None) is not None:
        return lambda: _in_context(model, probe, index, tokenizer, info, batch_tokens)
    scorer = Scorer(model, index.trie, batch_tokens, probe.precision)

    def completions() -> pl.DataFrame:
        sums = scorer.node_logprobs(advance)
        path, starts = index.trie.paths(index.trie.leaves)
        logprobs = sums[index.trie.leaves] - sums[path[starts[:-1] + index.given - 1]]
        correct, first = answers_found(model, index, tokenizer, info, probe, scorer.batch_tokens)
        return completions_table(index, logprobs, probe.samples, correct, first)

    return {
        "binomials": lambda: binomials_table(index, scorer.string_logprobs(advance)),
        "minimal_pairs": lambda: pairs_table(index, scorer.string_logprobs(advance)),
        "completions": completions,
    }[probe.type]


def _in_context(
    model: PreTrainedModel,
    probe: CompletionsProbe,
    index: Index,
    tokenizer: Tokenizer,
    info: TokenizerInfo,
    batch_tokens: int,
) -> pl.DataFrame:
    """The table of completions of a model that sees the end of a text alone."""
    logprobs = answer_logprobs(model, index, probe, batch_tokens)
    correct, first = answers_found(model, index, tokenizer, info, probe, batch_tokens)
    return completions_table(index, logprobs, probe.samples, correct, first)


def check_vocabulary(model: PreTrainedModel, vocab_size: int) -> None:
    """Raise ValueError when a model's vocabulary can't be that of a tokenizer of this size."""
    entries = model.config.vocab_size
    if not vocab_size <= entries < vocab_size + PADDING:
        raise ValueError(
            f"the model has a vocabulary of {entries:,}, the tokenizer one of {vocab_size:,}; "
            "take the tokenizer that the model was trained with"
        )


def _check(model: PreTrainedModel, index: Index, context: int | None) -> None:
    check_vocabulary(model, index.vocab_size)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and min(index.longest, context or index.longest) > positions:
        raise ValueError(
            f"a string of {index.longest} tokens does not fit into the {positions} positions of "
            "the model"
        )
