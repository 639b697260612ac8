"""Where a model gets stuck: what becomes of each paradigm of minimal pairs over training.

A paradigm is right, wrong or undecided at a checkpoint; its fate is told from these states. An
untrained model can have a state too (of two sentences it prefers the one with fewer tokens), so
the checkpoint at 0 tokens has no part in fates, onsets and what follows from them. Where
checkpoints are counted (two in a row, the last five), of two at nearly one place one counts: see
`ontogeny.analysis.apart`.
"""

from collections.abc import Iterable

import numpy as np
import polars as pl

from ontogeny.analysis.apart import apart
from ontogeny.analysis.correlations import wilson
from ontogeny.analysis.states import RIGHT, UNDECIDED, WRONG
from ontogeny.study.schedule import EARLY

UNSTABLE = "unstable"
HELD = 2  # consecutive checkpoints that make a state more than an accident
PERSISTENT = 0.9
CLOSING = 5  # last checkpoints by which a paradigm fails or not
THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8)
FATES = (
    "always right", "learned", "recovered", "changing", "undecided", "lost", "wrong", "entrenched",
)  # fmt: skip
PARADIGMS = {
    "run": pl.String,
    "probe": pl.String,
    "phenomenon": pl.String,
    "uid": pl.String,
    "n": pl.Int64,
    "checkpoints": pl.Int64,
    "fate": pl.String,
    "end_accuracy": pl.Float64,
    "end_accuracy_low": pl.Float64,
    "end_accuracy_high": pl.Float64,
    "end_state": pl.String,
    "closing_state": pl.String,
    "closing_accuracy": pl.Float64,
    "onset_tokens": pl.Int64,
    "onset_share": pl.Float64,
    "persistence": pl.Float64,
    "recovery_tokens": pl.Int64,
    "entrenched": pl.Boolean,
    "depth": pl.Float64,
    "depth_low": pl.Float64,
    "depth_high": pl.Float64,
    "depth_tokens": pl.Int64,
    "burden": pl.Float64,
}
FAILING = {
    "run": pl.String,
    "probe": pl.String,
    "threshold": pl.Float64,
    "checkpoints": pl.Int64,
    "n": pl.Int64,
    "failing": pl.Int64,
    "share": pl.Float64,
    "share_low": pl.Float64,
    "share_high": pl.Float64,
    "wrong": pl.Int64,
    "undecided": pl.Int64,
    "unstable": pl.Int64,
    "below": pl.Int64,
}


def paradigm_fates(states: pl.DataFrame) -> pl.DataFrame:
    """What becomes of each paradigm, in the columns of `PARADIGMS`; the order is that of `states`.

    A state is *held* from the first of two consecutive checkpoints that have it (of one, where a
    run has only one). The *onset* of an error is where wrong is first held; *recovery*, where right
    is first held after it. *Persistence* is the share of log tokens from the onset to the end at
    which the state is wrong, and *burden* the integral of max(0, .5 - accuracy) over log10 tokens,
    both by the trapezoidal rule. *Depth* is the lowest separation.

    Fates; the first that fits is taken:
        entrenched: onset within the first 10 % of tokens, persistence of at least .9, and wrong at
            the last checkpoint.
        changing: the states at the last two differ.
        always right: right at every checkpoint.
        learned, recovered: right at the last two; without and with an onset before.
        lost: undecided or wrong at the last two, having held right before.
        undecided, wrong: so at the last two, never having held right.

    Args:
        states: columns `states.COLUMNS`, the rows of a paradigm in the order of tokens.
    """
    trained = pl.col("tokens") > 0
    nowhere = trained.not_().all().over("run", "probe")
    kept = states.filter(trained | nowhere)
    rows = [
        _fate(part)
        for _, part in kept.group_by("run", "probe", "phenomenon", "uid", maintain_order=True)
    ]
    return pl.DataFrame(rows, schema=PARADIGMS)


def _fate(part: pl.DataFrame) -> dict:
    """The row of one paradigm, from its states at the checkpoints of training."""
    last = part.row(-1, named=True)
    tokens, state = part["tokens"].to_numpy(), part["state"].to_numpy()
    counted = apart(tokens)
    closing = part[counted].tail(CLOSING)
    onset = _held_from(state == WRONG, counted)
    recovery = share = persistence = None
    if onset is not None:
        recovery = _held_from(state == RIGHT, counted, onset)
        share = tokens[onset] / tokens[-1] if tokens[-1] > 0 else None
        after = tokens[onset:]
        if decades := _integral(np.ones(len(after)), after):
            persistence = _integral(state[onset:] == WRONG, after) / decades
    early = share is not None and share <= EARLY
    lasting = persistence is not None and persistence >= PERSISTENT
    entrenched = early and lasting and state[-1] == WRONG
    deepest = part.drop_nulls("separation").sort("separation", maintain_order=True).head(1)
    return {
        **{key: last[key] for key in ("run", "probe", "phenomenon", "uid", "n")},
        "checkpoints": len(counted),
        "fate": "entrenched" if entrenched else _other_fate(state, counted, onset),
        **{f"end_{key}": last[key] for key in ("accuracy", "accuracy_low", "accuracy_high")},
        "end_state": last["state"],
        "closing_state": _common(closing["state"]) or UNSTABLE,
        "closing_accuracy": closing["accuracy"].min(),
        "onset_tokens": None if onset is None else tokens[onset],
        "onset_share": share,
        "persistence": persistence,
        "recovery_tokens": None if recovery is None else tokens[recovery],
        "entrenched": entrenched,
        **{f"depth{end}": _only(deepest[f"separation{end}"]) for end in ("", "_low", "_high")},
        "depth_tokens": _only(deepest["tokens"]),
        "burden": _integral(np.maximum(0, 0.5 - part["accuracy"].to_numpy()), tokens),
    }


def _other_fate(state: np.ndarray, counted: np.ndarray, onset: int | None) -> str:
    end = _common(state[counted[-HELD:]])
    if end is None:
        return "changing"
    if end == RIGHT:
        if (state == RIGHT).all():
            return "always right"
        return "learned" if onset is None else "recovered"
    return end if _held_from(state == RIGHT, counted) is None else "lost"


def _held_from(flags: np.ndarray, counted: np.ndarray, start: int = 0) -> int | None:
    """The first of the checkpoints `counted`, from `start` on, at which a state that `flags` tells
    of begins to be held."""
    flags = flags[counted]
    held = np.lib.stride_tricks.sliding_window_view(flags, min(HELD, len(flags))).all(axis=1)
    found = counted[: len(held)][held]
    found = found[found >= start]
    return int(found[0]) if len(found) else None


def _common(states: Iterable[str]) -> str | None:
    """The one state that all are, None where they differ."""
    distinct = set(states)
    return distinct.pop() if len(distinct) == 1 else None


def _only(values: pl.Series) -> float | None:
    return values.item() if len(values) else None


def _integral(values: np.ndarray, tokens: np.ndarray) -> float | None:
    """Over log10 `tokens` (ascending) by the trapezoidal rule; None at one checkpoint only."""
    if len(tokens) < 2 or tokens[0] <= 0:
        return None
    return float(np.trapezoid(values.astype(np.float64), np.log10(tokens)))


def failing_shares(paradigms: pl.DataFrame) -> pl.DataFrame:
    """How many paradigms fail at each threshold of accuracy, in the columns of `FAILING`.

    A paradigm passes if it is right in all of the last five checkpoints, and its accuracy reaches
    the threshold in each of them. One that fails is `wrong` or `undecided` in all of them, right
    but `below` the threshold in some, or else `unstable`. The interval is Wilson's over paradigms.

    Args:
        paradigms: columns `PARADIGMS`.
    """
    state = pl.col("closing_state")
    low = (state == RIGHT) & (pl.col("closing_accuracy") < pl.col("threshold"))
    table = (
        paradigms.join(pl.DataFrame({"threshold": THRESHOLDS}), how="cross")
        .group_by("run", "probe", "threshold", maintain_order=True)
        .agg(
            pl.col("checkpoints").max().clip(upper_bound=CLOSING),
            n=pl.len(),
            failing=((state != RIGHT) | low).sum(),
            **{name: (state == name).sum() for name in (WRONG, UNDECIDED, UNSTABLE)},
            below=low.sum(),
        )
        .with_columns(share=pl.col("failing") / pl.col("n"))
    )
    ends = wilson(table["failing"].to_numpy(), table["n"].to_numpy())
    table = table.with_columns(share_low=pl.Series(ends[0]), share_high=pl.Series(ends[1]))
    return table.select(pl.col(name).cast(dtype) for name, dtype in FAILING.items())
