"""Reading score files back: whole ones only, and preferences by item."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from ontogeny.scoring.records import require_as_scored
from ontogeny.study.schedule import checkpoint_name
from ontogeny.tables import first_line, read_table

CHECKPOINT = ["checkpoint", "step", "tokens"]
TEXT = ["model", "checkpoint", "prompt", "binom", "uid", "pair_id", "class", "answer", "completion"]
NUMBERS = {
    "preference": pl.Float64,
    "answer_logprob": pl.Float64,
    "samples": pl.Int64,
    "correct": pl.Int64,
}
TYPES = dict.fromkeys(TEXT, pl.String) | {"step": pl.Int64, "tokens": pl.Int64} | NUMBERS
UNREADABLE = (pl.exceptions.PolarsError, OSError)  # OSError: compressed, and cut short
PATH = "path of the score file"  # no column of a published file has this name
UNITS_PER_NAT = 2**30
PREFERENCES = {
    "run": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "binom": pl.String,
    "n": pl.Int64,
    "preference": pl.Float64,
}


def read_scores(files: list[str], stimuli: int | None = None) -> pl.LazyFrame:
    """The score files of a run on one probe of strings, in their own columns.

    Columns that are not in `TYPES` stay text, so that files may differ in what these hold.

    Raises ValueError that names a file which holds less than the others (it was cut short), or
    another number of rows than there are `stimuli`, where that is given.
    """
    require_as_scored(files)
    scores = _scanned(files)
    try:
        names = _numbers(scores)  # none in a file that holds something else
        whole = pl.all_horizontal(pl.col(names).is_not_null()) if names else pl.lit(False)
        held = scores.group_by(PATH).agg(rows=whole.sum()).collect(engine="streaming")
    except UNREADABLE:
        _require_readable(files)
        raise
    _require_whole(files, dict(held.iter_rows()), stimuli)
    return scores.drop(PATH)


def read_preferences(
    files: Mapping[int, str], items: Sequence[str], run: str, probe: str
) -> pl.DataFrame:
    """The mean preference of each item over its `n` prompts, in the columns of `PREFERENCES`, and
    `ties`, in how many of these it is exactly 0.

    One row per checkpoint and item, in the order of tokens and then of the items; what the files
    hold of other items is left out. The files, by the step of their checkpoint, are read once.

    Raises ValueError that names a file which holds less than the others (it was cut short), or a
    checkpoint and an item that lacks a finite score or that was not scored in each of the prompts.
    """
    preference, units = pl.col("preference"), in_units("preference")
    paths = list(files.values())
    require_as_scored(paths)
    try:
        sums = (
            _scanned(paths)
            .group_by("step", "binom")
            .agg(
                pl.col("tokens").first(),
                n=pl.len().cast(pl.Int64),
                rows=preference.count(),
                finite=units.count(),
                ties=(preference == 0).sum().cast(pl.Int64),
                total=units.sum(),
            )
            .collect(engine="streaming")
        )
    except UNREADABLE:
        _require_readable(paths)
        raise
    held = sums.group_by("step").agg(pl.col("rows").sum(), pl.col("tokens").first())
    rows = dict(held.select("step", "rows").iter_rows())
    _require_whole(paths, {path: rows.get(step, 0) for step, path in files.items()})
    order = pl.DataFrame({"binom": items}, schema={"binom": pl.String}).with_row_index("place")
    table = sums.join(order, on="binom").sort("tokens", "place")
    _require_every_item(table, held.join(order, how="cross"), run)
    names = {step: checkpoint_name(step) for step in files}
    return table.with_columns(
        run=pl.lit(run),
        checkpoint=pl.col("step").replace_strict(names),
        probe=pl.lit(probe),
        preference=pl.col("total").cast(pl.Float64) / UNITS_PER_NAT / pl.col("n"),
    ).select(*PREFERENCES, "ties")


def read_preference_table(path: str | Path) -> pl.DataFrame:
    """A run's table of preferences, in the columns of `PREFERENCES`."""
    return read_table(path, PREFERENCES)


def preference_matrix(
    preferences: pl.DataFrame, items: Sequence[str], run: str
) -> tuple[pl.DataFrame, np.ndarray]:
    """Preferences in nats [checkpoints, items], and their checkpoints in the order of tokens.

    `preferences` are those of one run and probe (`PREFERENCES`), in any order; items that are not
    among `items` are left out. Raises ValueError when there are none, or a
    checkpoint lacks an item.
    """
    checkpoints = preferences.select(CHECKPOINT).unique().sort("tokens")
    if checkpoints.is_empty():
        raise ValueError(f"run {run!r}: there are no preferences")
    matrix = np.full((len(checkpoints), len(items)), np.nan)
    places = pl.DataFrame({"tokens": checkpoints["tokens"]}).with_row_index("row")
    columns = pl.DataFrame({"binom": items}, schema={"binom": pl.String}).with_row_index("column")
    found = preferences.join(places, on="tokens").join(columns, on="binom")
    matrix[found["row"].to_numpy(), found["column"].to_numpy()] = found["preference"].to_numpy()
    for row in np.flatnonzero(~np.isfinite(matrix).all(axis=1))[:1]:
        missing = np.flatnonzero(~np.isfinite(matrix[row]))
        raise ValueError(
            f"run {run!r}, {checkpoints['checkpoint'][int(row)]}: no preference for {len(missing)} "
            f"items, the first is {items[missing[0]]!r}"
        )
    return checkpoints, matrix


def _scanned(files: list[str]) -> pl.LazyFrame:
    return pl.scan_csv(
        files,
        include_file_paths=PATH,
        raise_if_empty=False,
        infer_schema=False,
        schema_overrides=TYPES,
    )


def _require_whole(files: list[str], rows: dict[str, int], stimuli: int | None = None) -> None:
    """Raise ValueError for the first file that has not as many whole `rows` as it should."""
    expected = max(rows.values(), default=0) if stimuli is None else stimuli
    source = "other checkpoints have" if stimuli is None else "the stimuli are"
    if not any(rows.values()):
        raise ValueError(f"{files[0]}: no whole rows; remove it to make it again")
    for file in files:
        if rows.get(file, 0) != expected:
            raise ValueError(
                f"{file}: {rows.get(file, 0)} whole rows, but {source} {expected}; "
                "remove it to make it again"
            )


def _require_every_item(table: pl.DataFrame, every: pl.DataFrame, run: str) -> None:
    """Raise ValueError unless `every` checkpoint and item has a finite score in each prompt."""
    finite = table.filter(pl.col("finite") == pl.col("n"))
    if len(finite) < len(every):
        missing = every.join(finite, on=["step", "binom"], how="anti").sort("tokens", "place")
        step, first = missing["step"][0], missing["binom"][0]
        count = missing.filter(pl.col("step") == step).height
        raise ValueError(
            f"run {run!r}, {checkpoint_name(step)}: no finite score for {count} items, "
            f"the first is {first!r}"
        )
    usual = table["n"].mode().max()
    for row in table.filter(pl.col("n") != usual).head(1).iter_rows(named=True):
        raise ValueError(
            f"run {run!r}, {checkpoint_name(row['step'])}: {row['n']} scores of {row['binom']!r}, "
            f"but {usual} of others, one for each prompt"
        )


def _numbers(scores: pl.LazyFrame) -> list[str]:
    """The columns that no whole row lacks (a completion, for one, may be empty)."""
    return [name for name in NUMBERS if name in scores.collect_schema()]


def _require_readable(files: list[str]) -> None:
    """Raise ValueError for the first file with a field that can't be read (half a number, say), or
    without any column of scores."""
    for file in files:
        try:
            table = _scanned([file]).collect()
        except UNREADABLE as error:
            raise _unreadable(file, error) from None
        if table.columns != [PATH] and not _numbers(table.lazy()):
            raise ValueError(f"{file}: it holds no scores; remove it to make it again")


def _unreadable(file: str, error: Exception) -> ValueError:
    """What to do about it; a file that the system does not give (not found, no permission, a
    network file system that is away: polars says "os error") may be whole."""
    if isinstance(error, OSError) and "(os error" in str(error):
        return ValueError(f"{file}: {first_line(error)}")
    return ValueError(f"{file}: {first_line(error)}; remove it to make it again")


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
    try:
        table = pl.read_csv(file, truncate_ragged_lines=True, raise_if_empty=False)
    except UNREADABLE as error:
        raise _unreadable(file, error) from None
    if table.height != 1 or table.null_count().sum_horizontal().item():
        raise ValueError(f"{file}: does not hold one whole row; remove it to make it again")
    return table
