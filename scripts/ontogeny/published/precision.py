"""How coarse published numbers are: sums in half precision look like any others in a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

# Bits of the significand, the leading one included.
HALF_PRECISION = {"bf16": 8, "fp16": 11}
FINER = "finer"
DOUBLE_BITS = 53


@dataclass(frozen=True)
class Precision:
    """How coarse log-probabilities are, in nats.

    `name`: `fp16` or `bf16` where all are exactly numbers of that format, or `finer`.
    `multiple_of`: the largest power of two, or of ten, that all are multiples of; 0 if all are 0.
    `rounding`: most that rounding to that format may have changed one; 0 where it is finer.
    """

    name: str
    multiple_of: float
    rounding: float


def precision_of(texts: Iterable[str]) -> Precision:
    """The precision of finite numbers as they are written in a file (`-24.15625`)."""
    texts = list(texts)
    values = np.array(texts, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return Precision(FINER, 0.0, 0.0)
    mantissa, exponent = np.frexp(values)  # value = mantissa x 2^exponent, 0.5 <= |mantissa| < 1
    name = next((n for n, bits in HALF_PRECISION.items() if _is_whole(mantissa, bits)), FINER)
    whole = np.ldexp(mantissa, DOUBLE_BITS).astype(np.int64)
    lowest_bit = np.log2((whole & -whole).astype(np.float64)) + exponent - DOUBLE_BITS
    decimals = max(0, *(-Decimal(text).as_tuple().exponent for text in texts))
    rounding = 0.0
    if name != FINER:
        rounding = 2.0 ** (int(exponent.max()) - HALF_PRECISION[name] - 1)
    return Precision(name, float(max(2.0 ** lowest_bit.min(), 10.0**-decimals)), rounding)


def difference_slack(values: np.ndarray, precision: Precision) -> np.ndarray:
    """Most (nats) by which a published difference may miss that of the published numbers.

    `values`: [rows x 3], two log-probabilities and their difference. A number x of a format with
    p bits is rounded to it by at most |x| 2^-p. In half precision it is printed exactly. In fp32
    (p = 24), taken for what is finer, it is printed in the fewest digits that are nearer to it than
    to its neighbours, which moves it by as much again: |x| 2^-23 in all. Where fewer digits than
    that are printed, by half of `multiple_of`.
    """
    if precision.name in HALF_PRECISION:
        return np.abs(values).sum(axis=1) * 2.0 ** -HALF_PRECISION[precision.name]
    return np.abs(values).sum(axis=1) * 2.0**-23 + 1.5 * precision.multiple_of


def _is_whole(mantissa: np.ndarray, bits: int) -> bool:
    scaled = np.ldexp(mantissa, bits)
    return bool((scaled == np.rint(scaled)).all())
