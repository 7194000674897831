"""Logarithm, exponential and cosine out of +, −, × and ÷ alone: every processor gives the same bits.

IEEE 754 fixes the result of these four, of the square root and of scaling by powers of two to the last bit. It leaves
log, exp and cos open, and both NumPy and the C library choose among several versions of them by processor.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

LN_2: Final = 0.6931471805599453
LN_10: Final = 2.302585092994046

_LOG_TERMS: Final = 11
_EXP_TERMS: Final = 15
_COSINE_TERMS: Final = 13
_LN_2_HIGH, _LN_2_LOW = 0.6931471787393093, 1.8206359985041462e-09
"""Their sum is the logarithm of 2 to 80 bits; products of the first with exponents are exact."""

_ROOT_OF_HALF: Final = np.int64(0x3FE6A09E667F3BCD)
"""The bits of √½."""
_FRACTION_BITS: Final = np.int64(52)
_FRACTION: Final = np.int64((1 << 52) - 1)


def log(values: Doubles) -> Doubles:
    """Natural logarithm, to about three units in the last place.

    With m in [√½, √2) and x = m·2^e, log x = e·log 2 + 2·artanh((m − 1) / (m + 1)), the latter by its power series.

    Args:
        values: float64, any shape, positive, normal and finite.
    """
    bits = np.asarray(values).view(np.int64) - _ROOT_OF_HALF
    exponent = (bits >> _FRACTION_BITS).astype(np.float64)
    fraction = ((bits & _FRACTION) + _ROOT_OF_HALF).view(np.float64)
    ratio = (fraction - 1.0) / (fraction + 1.0)
    square = ratio * ratio
    first, *rest = (2 / (2 * term + 1) for term in reversed(range(_LOG_TERMS)))
    series = square * first
    for coefficient in rest[:-1]:
        series = (series + coefficient) * square
    result: Doubles = (series + rest[-1]) * ratio + exponent * LN_2
    return result


def exp(values: Doubles) -> Doubles:
    """e to some powers: 2^k times the power series of what is left, at most half the logarithm of 2.

    Args:
        values: float64, any shape, with a result that float64 can hold.
    """
    exponent = np.rint(values / LN_2)
    rest = (values - exponent * _LN_2_HIGH) - exponent * _LN_2_LOW
    series = np.zeros_like(rest)
    for term in reversed(range(_EXP_TERMS)):
        series = series * rest + 1 / math.factorial(term)
    result: Doubles = np.ldexp(series, exponent.astype(np.int32))
    return result


def cosine(turns: Doubles) -> Doubles:
    """Cosine of angles in turns (1 is a full circle), by its power series in the first quarter.

    Args:
        turns: float64, any shape.
    """
    within = np.abs(turns - np.rint(turns))
    beyond_quarter = within > 0.25
    quarter = np.where(beyond_quarter, 0.5 - within, within)
    angle = quarter * (2 * math.pi)
    square = angle * angle
    series = np.zeros_like(square)
    for term in reversed(range(_COSINE_TERMS)):
        series = series * square + (-1) ** term / math.factorial(2 * term)
    result: Doubles = np.where(beyond_quarter, -series, series)
    return result
