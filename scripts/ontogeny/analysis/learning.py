"""When a run came to prefer the order that its text prefers, item by item and by exposure.

The majority order of an item is the one that the run had seen more often at its end. Items that it
had seen equally often in both orders, or never, have none, and there is no telling what is right.
"""

import numpy as np
import polars as pl
from scipy import stats

from ontogeny.analysis.correlations import CONFIDENCE, wilson
from ontogeny.analysis.observations import Observations

ITEM_COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "binom": pl.String,
    "attested": pl.Int64,
    "attested_in_corpus": pl.Int64,
    "frequency": pl.Float64,
    "alpha_seen": pl.Int64,
    "nonalpha_seen": pl.Int64,
    "relative_exposure": pl.Float64,
    "log_ratio": pl.Float64,
    "majority": pl.String,
    "preference": pl.Float64,
    "prior": pl.Float64,
    "learned": pl.Int64,
    "settled_tokens": pl.Int64,
    "exposure_before": pl.Int64,
    "settled_exposure": pl.Int64,
    "censored": pl.Int64,
    "first_correct_tokens": pl.Int64,
    "first_correct_exposure": pl.Int64,
}
CURVE_COLUMNS = {
    "run": pl.String,
    "probe": pl.String,
    "exposure_low": pl.Int64,
    "exposure_high": pl.Int64,
    "mean_exposure": pl.Float64,
    "n": pl.Int64,
    "n_items": pl.Int64,
    "correct": pl.Float64,
    "correct_lo": pl.Float64,
    "correct_hi": pl.Float64,
    "preference": pl.Float64,
    "preference_lo": pl.Float64,
    "preference_hi": pl.Float64,
}
ORDERS = {1: "alpha", -1: "nonalpha", 0: None}


def majority(seen: Observations) -> np.ndarray:
    """Of each item, 1 if the run saw the alphabetical order more often, -1 the other, 0 neither."""
    return np.sign(seen.exposures.alpha[-1] - seen.exposures.nonalpha[-1]).astype(np.int64)


def correctness(seen: Observations, members: np.ndarray) -> np.ndarray:
    """1 where the preference of an item is for its majority order, 0 for the other, 0.5 for
    neither; shape (checkpoints, members)."""
    sides = np.sign(seen.preference[:, members]) * majority(seen)[members]
    return (sides + 1) / 2


def settled_at(correct: np.ndarray) -> np.ndarray:
    """The first checkpoint from which on each item is correct (1) to the end; their number where
    it is not even at the last. `correct` has the shape (checkpoints, items)."""
    wrong_from_end = (correct < 1)[::-1]
    since = np.where(wrong_from_end.any(axis=0), wrong_from_end.argmax(axis=0), len(correct))
    return len(correct) - since


def item_table(seen: Observations) -> pl.DataFrame:
    """One row for each item at the end of the run, in the columns of `ITEM_COLUMNS`; and `given`,
    the order of the items file, where there is an item that it has in the other one.

    Its preference settled between `exposure_before`, what the run had seen of it by the checkpoint
    before, and `settled_exposure`. An item that is not correct at the end is censored: all that is
    known is that what it needs is more than `exposure_before`.
    """
    exposures, everything = seen.exposures, np.arange(len(seen.items))
    order, correct = majority(seen), correctness(seen, everything)
    settled, total = settled_at(correct), exposures.total
    first = np.where((correct == 1).any(axis=0), (correct == 1).argmax(axis=0), len(correct))
    rows = []
    for i, item in enumerate(seen.items):
        row = {
            "run": seen.run,
            "probe": seen.probe,
            "binom": item.alpha,
            "attested": item.attested,
            "attested_in_corpus": total[-1, i] > 0,
            "frequency": item.frequency,
            "alpha_seen": exposures.alpha[-1, i],
            "nonalpha_seen": exposures.nonalpha[-1, i],
            "relative_exposure": exposures.relative[-1, i],
            "log_ratio": exposures.log_ratio[-1, i],
            "majority": ORDERS[int(order[i])],
            "preference": seen.preference[-1, i],
            "prior": None if seen.prior is None else seen.prior[i],
        }
        if order[i]:
            at = settled[i]
            learned = at < len(correct)
            row |= {
                "learned": learned,
                "censored": not learned,
                "exposure_before": total[at - 1, i] if at else 0,
                **_when(seen, "settled", at, i),
                **_when(seen, "first_correct", first[i], i),
            }
        rows.append(row)
    table = pl.DataFrame(rows, schema=list(ITEM_COLUMNS), strict=False, infer_schema_length=None)
    table = table.with_columns(
        pl.col(name).cast(dtype) for name, dtype in ITEM_COLUMNS.items()
    ).with_columns(pl.col("prior").fill_nan(None))
    if any(item.turned for item in seen.items):
        table = table.with_columns(given=pl.Series([item.given for item in seen.items]))
    return table


def learning_curve(seen: Observations) -> pl.DataFrame:
    """How often the majority order is preferred, by exposure so far, in `CURVE_COLUMNS`.

    Over all checkpoints and items that have a majority order, in bins of exposure 0, 1, 2-3, 4-7,
    8-15 ... (one bin with n = 0 if no item has one). `preference` is the mean preference for the
    majority order, nats. Rows of one item are not independent: intervals are by item, see
    `clustered_mean` and `clustered_share`.
    """
    members = np.flatnonzero(majority(seen))
    total = seen.exposures.total[:, members]
    correct = correctness(seen, members)
    preference = seen.preference[:, members] * majority(seen)[members]
    bins = np.frexp(total)[1]  # 0, 1, 2-3, 4-7: the exponent of the power of two above
    rows = []
    for number in np.unique(bins) if len(members) else [0]:
        inside = bins == number
        share, low, high = clustered_share(correct, inside)
        mean, mean_low, mean_high = clustered_mean(preference, inside)
        rows.append(
            {
                "run": seen.run,
                "probe": seen.probe,
                "exposure_low": 2 ** (number - 1) if number else 0,
                "exposure_high": 2**number - 1,
                "mean_exposure": total[inside].mean() if len(members) else None,
                "n": inside.sum(),
                "n_items": inside.any(axis=0).sum(),
                "correct": share,
                "correct_lo": low,
                "correct_hi": high,
                "preference": mean,
                "preference_lo": mean_low,
                "preference_hi": mean_high,
            }
        )
    return pl.DataFrame(rows, schema=CURVE_COLUMNS, strict=False)


def clustered_mean(values: np.ndarray, chosen: np.ndarray) -> tuple[float | None, ...]:
    """Mean of the chosen values with a 95 % interval: mean, low, high; shapes (rows, items). None
    if there are none.

    The error is that of a ratio of totals over items (Cochran 1977, Sampling techniques, 6.4), the
    interval by t with items - 1 degrees of freedom; None for one item.
    """
    if not chosen.any():
        return None, None, None
    mean, se, items = _ratio(values, chosen)
    if items < 2:
        return mean, None, None
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, items - 1) * se
    return mean, mean - half, mean + half


def clustered_share(values: np.ndarray, chosen: np.ndarray) -> tuple[float | None, ...]:
    """The same of values from 0 to 1, with an interval that stays there.

    Wilson's, for as many independent trials as would have the error of `clustered_mean`, fewer for
    its degrees of freedom (Korn and Graubard 1998, Survey Methodology 24), and no more than there
    are items: near 0 and 1, the error that a few items show is often far too small.
    """
    if not chosen.any():
        return None, None, None
    share, se, items = _ratio(values, chosen)
    trials = float(items)
    if items > 1 and se > 0:
        quantiles = stats.t.ppf(0.5 + CONFIDENCE / 2, [chosen.sum() - 1, items - 1])
        independent = share * (1 - share) / se**2 * (quantiles[0] / quantiles[1]) ** 2
        trials = min(trials, independent)
    low, high = wilson(share * trials, trials)
    return share, float(low), float(high)


def _ratio(values: np.ndarray, chosen: np.ndarray) -> tuple[float, float, int]:
    """Mean of the chosen values, its standard error with items as clusters, and their number."""
    counts = chosen.sum(axis=0)
    totals = np.where(chosen, values, 0.0).sum(axis=0)
    items = int((counts > 0).sum())
    mean = float(totals.sum() / counts.sum())
    spread = ((totals - mean * counts) ** 2).sum() * items / max(items - 1, 1)
    return mean, float(np.sqrt(spread) / counts.sum()), items


def _when(seen: Observations, what: str, at: int, item: int) -> dict[str, object]:
    """Tokens and exposure at checkpoint `at`; None where that is after the last."""
    known = at < len(seen.tokens)
    return {
        f"{what}_tokens": seen.tokens[at] if known else None,
        f"{what}_exposure": seen.exposures.total[at, item] if known else None,
    }
