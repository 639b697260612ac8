"""Reading score files back: whole ones only, and preferences by item."""

import polars as pl


def read_binomials_scores(files: list[str]) -> pl.LazyFrame:
    """The score files of a run on one binomials probe, in their own columns.

    Raises ValueError that names a file which holds less than the others: it was cut short.
    """
    scores = pl.scan_csv(files, include_file_paths="file", raise_if_empty=False)
    held = scores.group_by("file").agg(pl.col("preference").count().alias("rows")).collect()
    rows = dict(held.iter_rows())
    expected = max(rows.values())
    for file in files:
        if rows.get(file, 0) != expected:
            raise ValueError(
                f"{file}: {rows.get(file, 0)} whole rows, but other checkpoints have {expected}; "
                "remove it to make it again"
            )
    return scores.drop("file")


def item_preferences(scores: pl.LazyFrame) -> pl.DataFrame:
    """Mean preference of each item over prompts: checkpoint, step, tokens, binom, preference."""
    checkpoint = ["checkpoint", "step", "tokens"]
    return (
        scores.group_by([*checkpoint, "binom"])
        .agg(pl.col("preference").mean())
        .sort("tokens", "binom")
        .collect()
    )


def read_perplexity_score(file: str) -> pl.DataFrame:
    """The one row of a score file of a perplexity probe.

    Raises ValueError that names a file which does not hold one whole row.
    """
    table = pl.read_csv(file, truncate_ragged_lines=True, raise_if_empty=False)
    if table.height != 1 or table.null_count().sum_horizontal().item():
        raise ValueError(f"{file}: does not hold one whole row; remove it to make it again")
    return table
