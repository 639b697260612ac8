"""What a person wants to know at once of the scores of one model, as lines of text."""

from collections.abc import Iterable, Mapping

import polars as pl

from ontogeny.analysis.completions import completion_statistics
from ontogeny.analysis.minimal_pairs import ALL, pair_statistics
from ontogeny.analysis.scores import CHECKPOINT, item_preferences

STRONGEST = 5


def binomials_summary(scores: pl.DataFrame, order: str = "alphabetical") -> list[str]:
    """How many items the model prefers in the order that preferences are for, and its strongest
    preferences.

    An item's preference is its mean over prompts, in nats.
    """
    items = item_preferences(_known(scores).lazy()).sort("preference", descending=True)
    preference = items["preference"]
    share = ((preference > 0).sum() + 0.5 * (preference == 0).sum()) / len(items)
    lines = [
        f"{len(items):,} items, mean over {scores['prompt'].n_unique()} prompts: {order} "
        f"order preferred in {share:.1%}, mean preference {preference.mean():+.3f} nat",
        "",
    ]
    count = min(STRONGEST, len(items) // 2)
    rows = [
        (row["binom"], f"{row['preference']:+.2f}")
        for part in (items.head(count), items.tail(count))
        for row in part.iter_rows(named=True)
    ]
    return lines + aligned(("strongest preferences", "nat"), rows)


def pairs_summary(scores: pl.DataFrame, phenomena: Mapping[str, str]) -> list[str]:
    """Accuracy and mean difference for each paradigm, each phenomenon and all pairs."""
    table = pair_statistics(_known(scores), phenomena, "model", "pairs")
    rows = []
    several = len(phenomena) > 1
    for row in table.iter_rows(named=True):
        if row["phenomenon"] == ALL:
            name = "all pairs"
        elif row["uid"] == ALL:
            name = row["phenomenon"]
        else:
            name = "  " * bool(row["phenomenon"]) + row["uid"]
        if several or row["phenomenon"] == ALL:
            rows.append(
                (
                    name,
                    f"{row['n']:,}",
                    *_accuracy(row),
                    f"{row['mean_difference']:+.2f}",
                    f"{row['tie_rate']:.1%}",
                )
            )
    head = ("", "pairs", "accuracy", "95 % interval", "good - bad, nat", "ties")
    return aligned(head, rows)


def completions_summary(scores: pl.DataFrame) -> list[str]:
    """Share of correct completions and log-probability of the answer, by class."""
    table = completion_statistics(_known(scores), "model", "questions")
    rows = [
        (
            "all items" if row["class"] == ALL else row["class"],
            f"{row['n']:,}",
            *_accuracy(row),
            f"{row['answer_logprob']:.2f}",
        )
        for row in table.iter_rows(named=True)
    ]
    return aligned(("", "items", "correct", "95 % interval", "log P(answer), nat"), rows)


def perplexity_summary(scores: pl.DataFrame) -> list[str]:
    row = scores.row(0, named=True)
    return [
        f"perplexity {row['perplexity']:.2f} ({row['loss']:.4f} nat a token, "
        f"{row['bits_per_byte']:.4f} bits a byte) on {row['n_tokens']:,} tokens"
    ]


def aligned(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _accuracy(row: Mapping[str, float]) -> tuple[str, str]:
    return f"{row['accuracy']:.3f}", f"[{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]"


def _known(scores: pl.DataFrame) -> pl.DataFrame:
    """Scores of one model, with the columns that tell checkpoints apart."""
    return scores.with_columns(pl.lit(0).alias(name) for name in CHECKPOINT)
