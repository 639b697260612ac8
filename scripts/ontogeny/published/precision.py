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

    `values`: [rows x 3], two log-probabilities and their difference. Each is rounded to the
    format, or to fp32 where it is finer, and in print to half of `multiple_of`.
    """
    bits = HALF_PRECISION.get(precision.name, 24)
    printed = 1.5 * precision.multiple_of if precision.name == FINER else 0.0
    return np.abs(values).sum(axis=1) * 2.0**-bits + printed


def _is_whole(mantissa: np.ndarray, bits: int) -> bool:
    scaled = np.ldexp(mantissa, bits)
    return bool((scaled == np.rint(scaled)).all())
