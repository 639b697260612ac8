"""How often the acceptable sentence of a minimal pair is the more probable one, and by how much.

Pairs of a paradigm share a template, so the intervals, which take them for independent, are too
narrow for statements about sentences that another template would give.
"""

from collections.abc import Iterable, Mapping

import polars as pl

from ontogeny.analysis.correlations import wilson
from ontogeny.analysis.scores import CHECKPOINT, UNITS_PER_NAT, in_units, require_same_counts
from ontogeny.scoring.stimuli.minimal_pairs import MinimalPair

ALL = "all"
COLUMNS = {
    "run": pl.String,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    "probe": pl.String,
    "phenomenon": pl.String,
    "uid": pl.String,
    "n": pl.Int64,
    "accuracy": pl.Float64,
    "accuracy_low": pl.Float64,
    "accuracy_high": pl.Float64,
    "mean_difference": pl.Float64,
    "separation": pl.Float64,
    "tie_rate": pl.Float64,
}


def phenomena_of(pairs: Iterable[MinimalPair]) -> dict[str, str]:
    """The phenomenon of each uid, in the order of the pairs.

    Raises ValueError for a uid that is of two phenomena.
    """
    phenomena: dict[str, str] = {}
    for pair in pairs:
        if phenomena.setdefault(pair.uid, pair.phenomenon) != pair.phenomenon:
            raise ValueError(
                f"pairs of uid {pair.uid!r} are of two phenomena, {phenomena[pair.uid]!r} and "
                f"{pair.phenomenon!r}; each should have a uid of its own"
            )
    return phenomena


def pair_statistics(
    scores: pl.LazyFrame | pl.DataFrame, phenomena: Mapping[str, str], run: str, probe: str
) -> pl.DataFrame:
    """One row per checkpoint and set of pairs, in the columns of `COLUMNS`.

    Sets are all pairs (`phenomenon` and `uid` are `all`), each phenomenon (`uid` is `all`), and
    each paradigm. Accuracy counts a tie one half; its 95 % interval is Wilson's over pairs.
    `mean_difference` is the mean preference in nats; `separation` is that in standard deviations
    (n - 1) of the preference over pairs, null where they don't vary.

    Args:
        scores: score files of one run and probe; `preference` in nats, good minus bad.
        phenomena: of each uid, in the order of the rows. A phenomenon without a name (empty) has
            no row of its own.
        run: its name, for the table and for errors.
        probe: its name, for the table.

    Raises:
        ValueError: a checkpoint lacks pairs, a preference is not a finite number, a uid is in one
            of `scores` and `phenomena` only, or is named `all`.
    """
    if ALL in phenomena or ALL in phenomena.values():
        raise ValueError(f"probe {probe!r}: {ALL!r} stands for all pairs and can't name some")
    paradigms = _paradigms(scores.lazy())
    _check(paradigms, phenomena, run)
    names = pl.DataFrame(
        {"uid": list(phenomena), "phenomenon": list(phenomena.values())},
        schema={"uid": pl.String, "phenomenon": pl.String},
    )
    paradigms = paradigms.join(names, on="uid")
    everything = pl.lit(ALL)
    sums = pl.col("n", "right", "ties", "total", "squares").sum()
    sets = [
        paradigms.group_by(CHECKPOINT).agg(sums, phenomenon=everything, uid=everything),
        paradigms.group_by([*CHECKPOINT, "phenomenon"]).agg(sums, uid=everything),
        paradigms,
    ]
    table = pl.concat(sets, how="diagonal").join(_order(phenomena), on=["phenomenon", "uid"])
    low, high = wilson(table["right"].to_numpy(), table["n"].to_numpy())
    n, total = pl.col("n"), pl.col("total")
    spread = n * pl.col("squares") - total * total  # n (n - 1) times the variance, exactly
    deviation = (spread.cast(pl.Float64) / (n * (n - 1)).cast(pl.Float64)).sqrt()
    separation = total.cast(pl.Float64) / n / deviation
    return (
        table.with_columns(
            run=pl.lit(run),
            probe=pl.lit(probe),
            accuracy=pl.col("right") / pl.col("n"),
            accuracy_low=pl.Series(low),
            accuracy_high=pl.Series(high),
            mean_difference=total.cast(pl.Float64) / UNITS_PER_NAT / n,
            separation=pl.when(spread > 0).then(separation),
            tie_rate=pl.col("ties") / pl.col("n"),
        )
        .sort("tokens", "place")
        .select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
    )


def _paradigms(scores: pl.LazyFrame) -> pl.DataFrame:
    """Sums of each checkpoint and uid; `total` and `squares` are of preferences in units."""
    preference, units = pl.col("preference"), in_units("preference")
    ties = (preference == 0).sum()
    return (
        scores.with_columns(pl.col("uid").fill_null(""))
        .group_by([*CHECKPOINT, "uid"])
        .agg(
            n=pl.len().cast(pl.Int64),
            finite=units.count().cast(pl.Int64),
            right=(preference > 0).sum() + 0.5 * ties,
            ties=ties,
            total=units.sum(),
            squares=(units * units).sum(),
        )
        .collect(engine="streaming")
    )


def _order(phenomena: Mapping[str, str]) -> pl.DataFrame:
    """The place of each row within a checkpoint; a phenomenon without a name has none."""
    rows = [(ALL, ALL)]
    for phenomenon in dict.fromkeys(phenomena.values()):
        rows += [(phenomenon, ALL)] * bool(phenomenon)
        rows += [(phenomenon, uid) for uid, of in phenomena.items() if of == phenomenon]
    order = pl.DataFrame(rows, schema={"phenomenon": pl.String, "uid": pl.String}, orient="row")
    return order.with_row_index("place")


def _check(paradigms: pl.DataFrame, phenomena: Mapping[str, str], run: str) -> None:
    """Raise ValueError unless every checkpoint has a score for the same pairs."""
    scored = set(paradigms["uid"])
    if missing := [uid for uid in phenomena if uid not in scored]:
        raise ValueError(
            f"run {run!r}: no scores of {len(missing)} paradigms, the first is {missing[0]!r}"
        )
    if unknown := sorted(scored - set(phenomena)):
        raise ValueError(
            f"run {run!r}: scores of {len(unknown)} paradigms that are not in the stimuli, "
            f"the first is {unknown[0]!r}"
        )
    require_same_counts(paradigms, "uid", run)
    undefined = paradigms.filter(pl.col("finite") < pl.col("n")).sort("tokens", "uid")
    for row in undefined.head(1).iter_rows(named=True):
        raise ValueError(
            f"run {run!r}, {row['checkpoint']}: no finite score for {row['n'] - row['finite']} "
            f"pairs of uid {row['uid']!r}"
        )
