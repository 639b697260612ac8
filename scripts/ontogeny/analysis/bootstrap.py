"""Intervals of what is read off a trajectory of correlations, by resampling its items.

All checkpoints, references and runs are resampled alike: draw b takes the same items everywhere, so
that what checkpoints or runs share is not taken for noise. Everything here is in Pearson's r.
"""

from functools import lru_cache

import numpy as np

from ontogeny.analysis.correlations import Z

RESAMPLES = 1000
SEED = 0
FEWEST = 10  # items: no intervals below, where a resample often holds but a few different ones
TAILS = (0.025, 0.975)
EXACT = 53  # bits of a whole number that float64 holds


def resampled_r(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """r of each row of `x` [rows, n] with `y` [n], in resamples of the n pairs: [draws, rows].

    NaN in all rows of a draw in which one of them, or `y`, is constant. No draws where these are
    more than a tenth, or n is below `FEWEST`.

    Values enter as whole numbers of about 21 bits, of which all sums are exact: they are the same
    on every machine and with any number of threads. That moves an r by less than 0.00001.
    """
    n = len(y)
    if n < FEWEST or not len(x):
        return np.empty((0, len(x)))
    weights = _weights(n)
    x, y = _whole_numbers(x), _whole_numbers(y)
    x_sums, y_sums = weights @ x.T, (weights @ y)[:, None]
    x_spread = n * (weights @ (x * x).T) - x_sums**2
    y_spread = n * (weights @ (y * y))[:, None] - y_sums**2
    together = n * (weights @ (x * y).T) - x_sums * y_sums
    kept = (x_spread > 0).all(axis=1) & (y_spread > 0).ravel()
    if kept.mean() < 0.9:
        return np.empty((0, len(x)))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = together / (np.sqrt(x_spread) * np.sqrt(y_spread))
    return np.where(kept[:, None], np.clip(r, -1.0, 1.0), np.nan)


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """The percentile interval [low, high] of resampled values [draws]; NaN where there are none.

    Those that are NaN are left out; infinity (never) is a value.
    """
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return np.nan, np.nan
    low, high = np.quantile(draws, TAILS, method="inverted_cdf")
    return float(low), float(high)


def highest(values: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """An interval [low, high] of the highest of the true values behind `values` [rows].

    The highest of noisy values is above the highest true one, and more so in resamples, so that the
    percentile interval of the maximum is far too high. A true maximum is as high as any true value
    and so no lower than the highest limit of a lower confidence band for all rows at once (sup-t;
    Montiel Olea and Plagborg-Møller 2019, doi:10.1002/jae.2656). It is one of the true values, and
    so below the highest of their own upper limits. Low errs in 2.5 % of samples (in up to 5 % of
    small ones), high in less.

    Args:
        values: estimates.
        draws: the same in resamples [draws, rows]; none gives NaN.
    """
    if not draws.size:
        return np.nan, np.nan
    draws = draws[~np.isnan(draws[:, 0])]
    deviation, error = draws - values, draws.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        largest = np.where(error > 0, deviation / error, 0.0).max(axis=1)
    critical = np.quantile(largest, TAILS[1])
    return float((values - critical * error).max()), float((values + Z * error).max())


@lru_cache(maxsize=32)
def _weights(n: int) -> np.ndarray:
    """How often each of n items is in each of the resamples [draws, n]."""
    rng = np.random.default_rng(SEED)
    return rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(np.float64)


def _whole_numbers(values: np.ndarray) -> np.ndarray:
    """Rows less their mean and scaled to whole numbers, the sum of whose n squares is exact."""
    values = values - values.mean(axis=-1, keepdims=True)
    largest = np.abs(values).max(axis=-1, keepdims=True)
    most = 2.0 ** ((EXACT - values.shape[-1].bit_length()) // 2)
    return np.rint(np.divide(values, largest, out=np.zeros_like(values), where=largest > 0) * most)
