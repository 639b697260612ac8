"""The columns that each figure reads, and errors that name the table where one is wrong."""

import os
from collections.abc import Mapping

import polars as pl

from ontogeny.origins import reading

CORRELATIONS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "tokens": pl.Int64,
    "probe": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "n": pl.Int64,
    "r": pl.Float64,
    "r_low": pl.Float64,
    "r_high": pl.Float64,
}
SEEDS = {
    "family": pl.String,
    "checkpoint": pl.String,
    "tokens": pl.Int64,
    "probe": pl.String,
    "group": pl.String,
    "reference": pl.String,
    "phenomenon": pl.String,
    "uid": pl.String,
    "statistic": pl.String,
    "n": pl.Int64,
    "n_seeds": pl.Int64,
    "mean": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
LOSSES = {"run": pl.String, "tokens": pl.Int64, "loss": pl.Float64, "lr": pl.Float64}
MINIMAL_PAIRS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "tokens": pl.Int64,
    "probe": pl.String,
    "phenomenon": pl.String,
    "uid": pl.String,
    "n": pl.Int64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
}
STATES = {
    "run": pl.String,
    "tokens": pl.Int64,
    "probe": pl.String,
    "uid": pl.String,
    "n": pl.Int64,
    "accuracy": pl.Float64,
    "state": pl.String,
}
PARADIGMS = {
    "run": pl.String,
    "probe": pl.String,
    "uid": pl.String,
    "fate": pl.String,
    "end_accuracy": pl.Float64,
    "onset_tokens": pl.Int64,
    "recovery_tokens": pl.Int64,
}
COMPLETIONS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "tokens": pl.Int64,
    "probe": pl.String,
    "class": pl.String,
    "n": pl.Int64,
    "samples": pl.Int64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
}
CAPACITY = {
    "run": pl.String,
    "family": pl.String,
    "architecture": pl.String,
    "corpus": pl.String,
    "weight_decay": pl.Float64,
    "parameters": pl.Int64,
    "probe": pl.String,
    "class": pl.String,
    "n": pl.Int64,
    "end_accuracy": pl.Float64,
    "best_accuracy": pl.Float64,
}
CURVES = {
    "run": pl.String,
    "family": pl.String,
    "architecture": pl.String,
    "corpus": pl.String,
    "weight_decay": pl.Float64,
    "parameters": pl.Int64,
    "seed": pl.Int64,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "class": pl.String,
    "n": pl.Int64,
    "statistic": pl.String,
    "value": pl.Float64,
}
PERPLEXITY = {
    "run": pl.String,
    "checkpoint": pl.String,
    "tokens": pl.Int64,
    "probe": pl.String,
    "corpus": pl.String,
    "n_tokens": pl.Int64,
    "perplexity": pl.Float64,
    "kl_unigram": pl.Float64,
    "kl_bigram": pl.Float64,
}
OPTIONAL = ("kl_unigram", "kl_bigram")  # null in a table that does not have them
BIGRAM_CLASSES = {
    "run": pl.String,
    "probe": pl.String,
    "uid": pl.String,
    "fate": pl.String,
    "n": pl.Int64,
    "early_tokens": pl.Int64,
    "early_separation": pl.Float64,
    "early_bigram_separation": pl.Float64,
    "end_tokens": pl.Int64,
    "end_separation": pl.Float64,
    "end_bigram_separation": pl.Float64,
}
BIGRAM_TESTS = {
    "run": pl.String,
    "probe": pl.String,
    "test": pl.String,
    "predictor": pl.String,
    "statistic": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "n": pl.Int64,
    "positives": pl.Int64,
}
REGRESSIONS = {
    "run": pl.String,
    "probe": pl.String,
    "model_name": pl.String,
    "items": pl.String,
    "tokens": pl.Int64,
    "term": pl.String,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "n_items": pl.Int64,
}
ITEMS = {
    "run": pl.String,
    "probe": pl.String,
    "binom": pl.String,
    "alpha_seen": pl.Int64,
    "nonalpha_seen": pl.Int64,
    "log_ratio": pl.Float64,
    "preference": pl.Float64,
}
LEARNING = {
    "run": pl.String,
    "probe": pl.String,
    "mean_exposure": pl.Float64,
    "n": pl.Int64,
    "n_items": pl.Int64,
    "correct": pl.Float64,
    "correct_lo": pl.Float64,
    "correct_hi": pl.Float64,
}
THRESHOLDS = {
    "run": pl.String,
    "probe": pl.String,
    "model": pl.String,
    "term": pl.String,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "n_items": pl.Int64,
}

INSERTIONS = {
    "run": pl.String,
    "corpus": pl.String,
    "probe": pl.String,
    "inserted": pl.String,
    "tokens": pl.Int64,
    "count_low": pl.Int64,
    "count_high": pl.Int64,
    "mean_count": pl.Float64,
    "n": pl.Int64,
    "preference": pl.Float64,
    "preference_low": pl.Float64,
    "preference_high": pl.Float64,
    "share": pl.Float64,
    "share_low": pl.Float64,
    "share_high": pl.Float64,
}


def read_table(source: str | os.PathLike, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """The named columns of a CSV; other columns are left out.

    Raises:
        ValueError: the table has no rows, lacks a column, or a column can't be read as its type.
    """
    text = pl.read_csv(reading(source), infer_schema=False)
    return check_table(text, columns, name=str(source))


def check_table(
    table: pl.DataFrame, columns: Mapping[str, type[pl.DataType]], name: str
) -> pl.DataFrame:
    """The named columns of `table` in their types, NaN as null. `name` is for the errors.

    Raises:
        ValueError: as for `read_table`.
    """
    absent = [name for name in OPTIONAL if name in columns and name not in table.columns]
    table = table.with_columns(pl.lit(None).alias(name) for name in absent)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"{name}: there is no column {', '.join(map(repr, missing))}; "
            f"the columns are {', '.join(table.columns)}"
        )
    if table.is_empty():
        raise ValueError(f"{name}: the table has no rows, so there is nothing to draw")
    for column, dtype in columns.items():
        try:
            table = table.with_columns(pl.col(column).cast(dtype))
        except pl.exceptions.InvalidOperationError as error:
            raise ValueError(f"{name}: column {column!r} is not {dtype}: {error}") from None
    floats = [column for column, dtype in columns.items() if dtype == pl.Float64]
    return table.select(*columns).with_columns(pl.col(floats).fill_nan(None))
