"""How often a model completes a prompt with the answer, and how probable the answer is to it."""

import polars as pl

from ontogeny.analysis.correlations import wilson
from ontogeny.analysis.scores import CHECKPOINT, UNITS_PER_NAT, in_units, require_same_counts

ALL = "all"
COLUMNS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "class": pl.String,
    "n": pl.Int64,
    "samples": pl.Int64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
    "answer_logprob": pl.Float64,
}


def completion_statistics(
    scores: pl.LazyFrame | pl.DataFrame, run: str, probe: str
) -> pl.DataFrame:
    """One row per checkpoint and class of items, and one for `all`, in the columns of `COLUMNS`.

    `accuracy` is the mean over the `n` items of the share of their `samples` that are correct. Its
    95 % interval is Wilson's with n trials, however many samples an item has: draws of one item
    are not independent, so they make no trials of their own. With several samples the interval is
    wider than it need be. `answer_logprob` is the mean over items, in nats.

    An empty class has no row of its own. Classes stand in the order of the scores.

    Raises:
        ValueError: a checkpoint lacks items, a number is not finite, items differ in `samples`,
            or a class is named `all`.
    """
    items = scores.lazy().with_columns(pl.col("class").fill_null("")).with_row_index("place")
    logprob = in_units("answer_logprob")
    finite = pl.all_horizontal(pl.col("correct", "samples").is_not_null(), logprob.is_not_null())
    classes = (
        items.group_by([*CHECKPOINT, "class"])
        .agg(
            pl.col("place").min(),
            n=pl.len().cast(pl.Int64),
            finite=finite.sum(),
            correct=pl.col("correct").sum(),
            logprob=logprob.sum(),
            fewest=pl.col("samples").min(),
            samples=pl.col("samples").max(),
        )
        .collect(engine="streaming")
    )
    _check(classes, run, probe)
    together = classes.group_by(CHECKPOINT).agg(
        pl.col("n", "correct", "logprob").sum(), pl.col("samples").max()
    )
    together = together.with_columns(pl.lit(ALL).alias("class"), place=pl.lit(-1))
    named = classes.filter(pl.col("class") != "").with_columns(
        pl.col("place").cast(pl.Int64).min().over("class")
    )
    table = pl.concat([together, named], how="diagonal_relaxed")
    right = table["correct"] / table["samples"]
    low, high = wilson(right.to_numpy(), table["n"].to_numpy())
    return (
        table.with_columns(
            run=pl.lit(run),
            probe=pl.lit(probe),
            accuracy=right / table["n"],
            accuracy_low=pl.Series(low),
            accuracy_high=pl.Series(high),
            answer_logprob=pl.col("logprob").cast(pl.Float64) / UNITS_PER_NAT / pl.col("n"),
        )
        .sort("tokens", "place")
        .select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
    )


def _check(classes: pl.DataFrame, run: str, probe: str) -> None:
    """Raise ValueError unless every checkpoint has numbers for the same items."""
    if ALL in classes["class"]:
        raise ValueError(f"probe {probe!r}: {ALL!r} stands for all items and can't name a class")
    require_same_counts(classes, "class", run)
    undefined = classes.filter(pl.col("finite") < pl.col("n")).sort("tokens", "place")
    for row in undefined.head(1).iter_rows(named=True):
        raise ValueError(
            f"run {run!r}, {row['checkpoint']}: no finite score for {row['n'] - row['finite']} "
            f"items of class {row['class']!r}"
        )
    if classes["fewest"].min() != classes["samples"].max():
        raise ValueError(
            f"run {run!r}: items have from {classes['fewest'].min()} to "
            f"{classes['samples'].max()} samples, should all have as many"
        )
