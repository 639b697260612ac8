"""Runs that differ in size, corpus and seed: how much of their completion probes each gets right.

At the last checkpoint, which nobody has chosen, and at the best one, which is chosen by the very
items that it is then judged on, and so flatters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ontogeny.analysis.completions import ALL
from ontogeny.analysis.correlations import wilson
from ontogeny.analysis.scores import CHECKPOINT, require_same_counts
from ontogeny.analysis.seeds import half_width

LOSS_SHARE = 100  # a checkpoint's training loss is the mean of at most a hundredth of the steps
SETTINGS = {
    "family": pl.String,
    "architecture": pl.String,
    "corpus": pl.String,
    "weight_decay": pl.Float64,
    "parameters": pl.Int64,
}
LABELS = {"run": pl.String, **SETTINGS, "seed": pl.Int64}
SET = {"probe": pl.String, "class": pl.String, "n": pl.Int64}
CAPACITY = {
    **LABELS,
    **SET,
    "n_checkpoints": pl.Int64,
    "end_step": pl.Int64,
    "end_tokens": pl.Int64,
    "end_accuracy": pl.Float64,
    "end_accuracy_low": pl.Float64,
    "end_accuracy_high": pl.Float64,
    "best_step": pl.Int64,
    "best_tokens": pl.Int64,
    "best_accuracy": pl.Float64,
    "n_perfect": pl.Int64,
    "first_perfect_step": pl.Int64,
    "first_perfect_tokens": pl.Int64,
    "last_perfect_step": pl.Int64,
    "last_perfect_tokens": pl.Int64,
    "end_loss": pl.Float64,
}
SUMMARY = {
    **SETTINGS,
    **SET,
    "statistic": pl.String,
    "n_seeds": pl.Int64,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "min": pl.Float64,
    "max": pl.Float64,
}
CURVES = {
    **LABELS,
    "checkpoint": pl.String,
    "step": pl.Int64,
    "tokens": pl.Int64,
    **SET,
    "statistic": pl.String,
    "value": pl.Float64,
}
# What the summary is of, and the most that it can be; the least is 0.
OF_SETS = {"end_accuracy": 1.0, "best_accuracy": 1.0, "n_perfect": None, "first_perfect_step": None}
LOSS = "end_loss"


@dataclass(frozen=True)
class Run:
    """A run that was trained here.

    `labels`: its row of `LABELS`; `completions`: in the columns of `completions.COLUMNS`; `losses`:
    the columns `step` and `loss`, a row for each step.
    """

    labels: Mapping[str, str | int | float]
    completions: pl.DataFrame
    losses: pl.DataFrame

    @property
    def name(self) -> str:
        return str(self.labels["run"])


def capacity(run: Run) -> pl.DataFrame:
    """A row for each set of items of a run, in the columns of `CAPACITY`.

    Sets are those of the run's completions; each class together with the classes whose names begin
    with its own and a space, called `CLASS (all)`; and all items of all probes where there are
    several, with `all` as probe and class. The interval at the end is Wilson's with n trials.

    The best checkpoint is the one of the run at which most items of all its probes are right, the
    first of equal ones; an item counts by the share of its samples that are right. Perfect are the
    checkpoints at which each sample of each item of the set is right.

    Raises:
        ValueError: a checkpoint lacks items, or a probe is named `all`.
    """
    sets = _sets(run)
    step, tokens, right, n = (pl.col(name) for name in ("step", "tokens", "right", "n"))
    best, perfect = step == _best_step(sets), right == n
    rows = (
        sets.group_by("place", "probe", "class")
        .agg(
            n.last(),
            n_checkpoints=pl.len(),
            end_step=step.last(),
            end_tokens=tokens.last(),
            end_right=right.last(),
            best_step=step.filter(best).first(),
            best_tokens=tokens.filter(best).first(),
            best_accuracy=(right / n).filter(best).first(),
            n_perfect=perfect.sum(),
            first_perfect_step=step.filter(perfect).first(),
            first_perfect_tokens=tokens.filter(perfect).first(),
            last_perfect_step=step.filter(perfect).last(),
            last_perfect_tokens=tokens.filter(perfect).last(),
        )
        .sort("place")
    )
    low, high = wilson(rows["end_right"].to_numpy(), rows["n"].to_numpy())
    table = rows.with_columns(
        _labels(run),
        end_accuracy=pl.col("end_right") / n,
        end_accuracy_low=pl.Series(low),
        end_accuracy_high=pl.Series(high),
        end_loss=pl.lit(_losses(run)["value"].last(), pl.Float64),
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in CAPACITY.items())


def summary(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Mean and spread over runs that differ in their seed only, in the columns of `SUMMARY`.

    Of each set of items `end_accuracy`, `best_accuracy`, `n_perfect` and `first_perfect_step`, and
    of the runs `end_loss`, with no probe. Seeds in which one is undefined (no checkpoint was
    perfect) are not counted in it. `low` and `high` are the 95 % t interval of the mean over seeds,
    cut to what the statistic can be; null, as `sd` is, for less than two seeds.

    `tables`: of the runs, as `capacity` makes them.
    """
    table = pl.concat(tables)
    runs = table.unique("run", maintain_order=True)
    runs = runs.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in SET.items())
    parts = [_spread(table, statistic, most) for statistic, most in OF_SETS.items()]
    return pl.concat([*parts, _spread(runs, LOSS, None)])


def curves(run: Run) -> pl.DataFrame:
    """A run's trajectories, in the columns of `CURVES`.

    `accuracy` at each checkpoint of each set of items of its completions; and, with no probe, the
    training `loss`: its mean over the steps since the checkpoint before, but at most over the last
    hundredth of the run's steps, in nats. There is none at step 0.
    """
    accuracy = run.completions.with_columns(statistic=pl.lit("accuracy"), value="accuracy")
    losses = _losses(run).with_columns(statistic=pl.lit("loss"))
    table = pl.concat([accuracy, losses], how="diagonal").with_columns(_labels(run))
    table = table.sort("tokens", maintain_order=True)
    return table.select(pl.col(name).cast(dtype) for name, dtype in CURVES.items())


def _sets(run: Run) -> pl.DataFrame:
    """`n` items and how many are `right`, of each set of items at each checkpoint; sorted by
    `place`, the order of the sets, and tokens."""
    n, samples = pl.col("n"), pl.col("samples")
    # a share times its number is whole but for rounding
    right = (pl.col("accuracy") * n * samples).round() / samples
    table = run.completions.with_columns(right=right)
    key = pl.format("{}: {}", "probe", "class").alias("items")
    require_same_counts(table.select(*CHECKPOINT, key, "n"), "items", run.name)
    schema = ["place", "probe", "class", "of_probe", "of_class"]
    members = pl.DataFrame(_members(table, run.name), schema=schema, orient="row")
    return (
        members.join(table, left_on=schema[3:], right_on=["probe", "class"], maintain_order="left")
        .group_by("place", "probe", "class", "step", "tokens", maintain_order=True)
        .agg(pl.col("n", "right").sum())
        .sort("place", "tokens")
    )


def _members(table: pl.DataFrame, run: str) -> list[tuple[int, str, str, str, str]]:
    """Place, probe and class of each set of items, and probe and class of one of its parts."""
    probes = table["probe"].unique(maintain_order=True).to_list()
    if ALL in probes:
        raise ValueError(f"run {run!r}: {ALL!r} stands for all probes and can't name one")
    sets = [(ALL, ALL, [(probe, ALL) for probe in probes])] if len(probes) > 1 else []
    for probe in probes:
        of_probe = table.filter(pl.col("probe") == probe)
        classes = of_probe["class"].unique(maintain_order=True).to_list()
        for name in classes:
            within = [other for other in classes if other.startswith(f"{name} ")]
            if within:
                sets.append((probe, f"{name} ({ALL})", [(probe, one) for one in (name, *within)]))
            sets.append((probe, name, [(probe, name)]))
    return [
        (place, probe, name, *part)
        for place, (probe, name, parts) in enumerate(sets)
        for part in parts
    ]


def _best_step(sets: pl.DataFrame) -> int:
    """The checkpoint at which most items of all probes are right, the first of equal ones."""
    whole = sets.filter(pl.col("class") == ALL).group_by("step").agg(pl.col("right").sum().round(9))
    return whole.filter(pl.col("right") == pl.col("right").max())["step"].min()


def _losses(run: Run) -> pl.DataFrame:
    """The training loss (`value`, nats) at each checkpoint but that at step 0; see `curves`."""
    checkpoints = run.completions.select(CHECKPOINT).unique().sort("step")
    steps = checkpoints["step"].to_numpy()
    window = max(1, steps[-1] // LOSS_SHARE)
    losses = run.losses.filter(pl.col("step") <= steps[-1])
    following = steps[np.searchsorted(steps, losses["step"].to_numpy())]
    means = (
        losses.select("loss", checkpoint_step=pl.Series(following), before="step")
        .filter(pl.col("checkpoint_step") - pl.col("before") < window)
        .group_by("checkpoint_step")
        .agg(value=pl.col("loss").mean())
    )
    return checkpoints.filter(pl.col("step") > 0).join(
        means, left_on="step", right_on="checkpoint_step", how="left", maintain_order="left"
    )


def _labels(run: Run) -> list[pl.Expr]:
    return [pl.lit(run.labels[name], dtype).alias(name) for name, dtype in LABELS.items()]


def _spread(table: pl.DataFrame, statistic: str, most: float | None) -> pl.DataFrame:
    """Mean and spread over the runs of one statistic, a row for each set of items."""
    value = pl.col(statistic).cast(pl.Float64)
    table = table.group_by([*SETTINGS, *SET], maintain_order=True).agg(
        n_seeds=value.count().cast(pl.Int64),
        mean=value.mean(),
        sd=value.std(),
        min=value.min(),
        max=value.max(),
    )
    half = half_width(table["sd"], table["n_seeds"])
    table = table.with_columns(
        statistic=pl.lit(statistic),
        low=(pl.col("mean") - half).clip(0.0, most),
        high=(pl.col("mean") + half).clip(0.0, most),
    )
    return table.select(pl.col(name).cast(dtype) for name, dtype in SUMMARY.items())
