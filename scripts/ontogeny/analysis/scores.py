"""Reading score files back: whole ones only, and preferences by item."""

import polars as pl

CHECKPOINT = ["checkpoint", "step", "tokens"]
TEXT = ["model", "checkpoint", "prompt", "binom", "uid", "pair_id", "class", "answer", "completion"]
NUMBERS = {
    "preference": pl.Float64,
    "answer_logprob": pl.Float64,
    "samples": pl.Int64,
    "correct": pl.Int64,
}
TYPES = dict.fromkeys(TEXT, pl.String) | {"step": pl.Int64, "tokens": pl.Int64} | NUMBERS
PATH = "path of the score file"  # no column of a published file has this name
UNITS_PER_NAT = 2**30


def read_scores(files: list[str], stimuli: int | None = None) -> pl.LazyFrame:
    """The score files of a run on one probe of strings, in their own columns.

    Columns that are not in `TYPES` stay text, so that files may differ in what these hold.

    Raises ValueError that names a file which holds less than the others (it was cut short), or
    another number of rows than there are `stimuli`, where that is given.
    """
    scores = pl.scan_csv(
        files,
        include_file_paths=PATH,
        raise_if_empty=False,
        infer_schema=False,
        schema_overrides=TYPES,
    )
    try:
        whole = pl.all_horizontal(pl.col(_numbers(scores)).is_not_null())
        held = scores.group_by(PATH).agg(rows=whole.sum()).collect(engine="streaming")
    except pl.exceptions.ComputeError:
        _require_readable(files)
        raise
    rows = dict(held.iter_rows())
    expected = max(rows.values(), default=0) if stimuli is None else stimuli
    source = "other checkpoints have" if stimuli is None else "the stimuli are"
    for file in files:
        if rows.get(file, 0) != expected:
            raise ValueError(
                f"{file}: {rows.get(file, 0)} whole rows, but {source} {expected}; "
                "remove it to make it again"
            )
    return scores.drop(PATH)


def _numbers(scores: pl.LazyFrame) -> list[str]:
    """The columns that no whole row lacks (a completion, for one, may be empty)."""
    return [name for name in NUMBERS if name in scores.collect_schema()]


def _require_readable(files: list[str]) -> None:
    """Raise ValueError for the first file with a field that can't be read: half a number, say."""
    for file in files:
        try:
            pl.scan_csv(file, raise_if_empty=False, schema_overrides=TYPES).collect()
        except pl.exceptions.ComputeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{file}: {reason}; remove it to make it again") from None


def in_units(column: str) -> pl.Expr:
    """A column in nats as integers of 2^-30 nats (about 1e-9), null where it is not finite.

    Their sums do not depend on the order, as those of floats do, so that a table has the same
    bytes however the rows were divided among threads.
    """
    units = (pl.col(column) * UNITS_PER_NAT).round()
    return units.cast(pl.Int128, strict=False)


def require_same_counts(counts: pl.DataFrame, group: str, run: str) -> None:
    """Raise ValueError that names a checkpoint with fewer rows of a group than another one has.

    `counts`: columns `CHECKPOINT`, the name of the group, and `n`.
    """
    most = counts.group_by(group).agg(most=pl.col("n").max())
    every = counts.select(CHECKPOINT).unique().join(most, how="cross")
    every = every.join(counts, on=[*CHECKPOINT, group], how="left").fill_null(0)
    fewer = every.filter(pl.col("n") < pl.col("most")).sort("tokens", group)
    for row in fewer.head(1).iter_rows(named=True):
        raise ValueError(
            f"run {run!r}, {row['checkpoint']}: {row['n']} rows of {group} {row[group]!r}, "
            f"but another checkpoint has {row['most']}"
        )


def item_preferences(scores: pl.LazyFrame) -> pl.DataFrame:
    """Mean preference of each item over prompts: checkpoint, step, tokens, binom, preference; null
    where a prompt has no finite number."""
    units = in_units("preference")
    mean = units.sum().cast(pl.Float64) / UNITS_PER_NAT / pl.len()
    return (
        scores.group_by([*CHECKPOINT, "binom"])
        .agg(preference=pl.when(units.count() == pl.len()).then(mean))
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
