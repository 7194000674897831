"""Inner loops over samples and features, compiled by Numba: one pass over the data where NumPy would need many.

LLVM compiles them for the processor at hand, yet without leave to reorder or to fuse operations on floating-point
numbers (https://numba.readthedocs.io/en/stable/user/performance-tips.html#fastmath), so that IEEE 754 alone decides
each bit. What is compiled is kept on disk for the next process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

from features.arithmetic import LN_2

Loop = TypeVar("Loop", bound=Callable[..., None])
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Wholes = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]

_ROOT_OF_HALF: Final = np.int32(0x3F3504F3)
"""The bits of √½."""
_FRACTION_BITS: Final = np.int32(23)
_FRACTION: Final = np.int32((1 << 23) - 1)
_ONE, _LN_2 = np.float32(1), np.float32(LN_2)
_LOG_1, _LOG_3, _LOG_5, _LOG_7, _LOG_9 = (np.float32(2 / odd) for odd in (1, 3, 5, 7, 9))
"""Coefficients of the power series of 2·artanh."""


def compiled(signature: str) -> Callable[[Loop], Loop]:
    """Compile a loop when it is imported; where its code can't be kept on disk, each process compiles it."""

    def decorate(loop: Loop) -> Loop:
        options: dict[str, Any] = {"error_model": "numpy"}
        try:
            compiled = njit(signature, cache=True, **options)(loop)
        except (OSError, RuntimeError):
            compiled = njit(signature, **options)(loop)
        return cast(Loop, compiled)

    return decorate


@compiled("void(float32[:, ::1], float32[::1], int64, float32[:, :, ::1])")
def window_frames(samples: Floats, window: Floats, hop: int, frames: Floats) -> None:
    """Multiply the frames of some clips by a window.

    Args:
        samples: (clips, samples).
        window: (window samples,).
        hop: samples from a frame to the next.
        frames: receives the products, (clips, frames, at least window samples); what follows them stays.
    """
    for clip in range(frames.shape[0]):
        for place in range(frames.shape[1]):
            row = frames[clip, place]
            frame = samples[clip, place * hop : place * hop + len(window)]
            for sample in range(len(window)):
                row[sample] = frame[sample] * window[sample]


@compiled("void(float32[:, ::1], float32[:, ::1])")
def squared_magnitudes(parts: Floats, power: Floats) -> None:
    """Squared magnitudes of complex numbers.

    Args:
        parts: real and imaginary parts in turn, (rows, 2 × bins).
        power: receives the squares, (rows, bins).
    """
    for row in range(power.shape[0]):
        pairs, squares = parts[row], power[row]
        for column in range(len(squares)):
            real, imaginary = pairs[2 * column], pairs[2 * column + 1]
            squares[column] = real * real + imaginary * imaginary


@compiled("void(float32[:, ::1], int64[::1], int64[::1], float32[::1], float32[:, ::1])")
def project_bands(values: Floats, starts: Wholes, stops: Wholes, weights: Floats, sums: Floats) -> None:
    """Weighted sums of ranges of columns, each in order of its columns.

    Args:
        values: (rows, columns).
        starts: first column of each band, (bands,).
        stops: the column after each band, (bands,).
        weights: those of all bands, one band after the other.
        sums: receives the sums, (rows, bands).
    """
    rows = values.shape[0]
    for row in range(0, rows - 3, 4):  # four sums at once, since an addition has to wait for the one before it
        row_0, row_1, row_2, row_3 = values[row], values[row + 1], values[row + 2], values[row + 3]
        used = 0
        for band in range(len(starts)):
            start, width = starts[band], stops[band] - starts[band]
            of_0, of_1 = row_0[start : start + width], row_1[start : start + width]
            of_2, of_3 = row_2[start : start + width], row_3[start : start + width]
            of_band = weights[used : used + width]
            sum_0 = sum_1 = sum_2 = sum_3 = np.float32(0)
            for column in range(width):
                weight = of_band[column]
                sum_0 += of_0[column] * weight
                sum_1 += of_1[column] * weight
                sum_2 += of_2[column] * weight
                sum_3 += of_3[column] * weight
            sums[row, band], sums[row + 1, band], sums[row + 2, band], sums[row + 3, band] = sum_0, sum_1, sum_2, sum_3
            used += width
    for row in range(rows - rows % 4, rows):
        used = 0
        for band in range(len(starts)):
            total = np.float32(0)
            for column in range(starts[band], stops[band]):
                total += values[row, column] * weights[used]
                used += 1
            sums[row, band] = total


@compiled("void(float32[::1], float32, float32, float32[::1])")
def scaled_log(values: Floats, lowest: np.float32, factor: np.float32, logs: Floats) -> None:
    """A multiple of the natural logarithm of values, or of a limit where they are below it.

    With m in [√½, √2) and x = m·2^e, log x = e·log 2 + 2·artanh((m − 1) / (m + 1)), the latter by its power series, to
    about three units in the last place.

    Args:
        values: (values,), not negative, finite.
        lowest: the limit, positive and normal.
        factor: what the logarithms are multiplied by.
        logs: receives the results, (values,).
    """
    for place in range(len(values)):
        value = values[place]
        limited = value if value > lowest else lowest
        bits = np.int32(np.float32(limited).view(np.int32) - _ROOT_OF_HALF)
        exponent = np.float32(np.int32(bits >> _FRACTION_BITS))
        fraction = np.int32((bits & _FRACTION) + _ROOT_OF_HALF).view(np.float32)
        ratio = (fraction - _ONE) / (fraction + _ONE)
        square = ratio * ratio
        series = square * _LOG_9
        series = (series + _LOG_7) * square
        series = (series + _LOG_5) * square
        series = (series + _LOG_3) * square
        series = (series + _LOG_1) * ratio
        logs[place] = (series + exponent * _LN_2) * factor


@compiled("void(float32[:, ::1], float64[::1], float64[::1], float32[::1], float32[::1])")
def add_to_totals(values: Floats, sums: Doubles, squares: Doubles, lowest: Floats, highest: Floats) -> None:
    """Add rows to the totals of their columns.

    Args:
        values: (rows, columns), finite.
        sums: grows by the sum of each column, (columns,).
        squares: grows by the sum of its squares, (columns,).
        lowest: becomes its smallest value where that is smaller, (columns,).
        highest: becomes its largest value where that is larger, (columns,).
    """
    for row in range(values.shape[0]):
        of_row = values[row]
        for column in range(len(of_row)):
            value = of_row[column]
            wide = np.float64(value)
            sums[column] += wide
            squares[column] += wide * wide
            lowest[column] = value if value < lowest[column] else lowest[column]
            highest[column] = value if value > highest[column] else highest[column]


@compiled("void(Array(int16, 1, 'C', readonly=True), int64, int64[::1], int64[::1], int64[::1])")
def frame_totals(samples: Samples, width: int, sums: Wholes, squares: Wholes, extremes: Wholes) -> None:
    """Totals of frames that follow each other, the last of which may be shorter.

    Args:
        samples: (samples,), at least one.
        width: samples of a frame.
        sums: receives the sum of each frame, (frames,).
        squares: receives the sum of its squares, (frames,).
        extremes: receives the least and the greatest sample of all, (2,).
    """
    least = greatest = samples[0]
    for frame in range(len(sums)):
        of_frame = samples[frame * width : (frame + 1) * width]
        total, of_squares = np.int64(0), np.int64(0)
        for place in range(len(of_frame)):
            value = of_frame[place]
            wide = np.int64(value)
            total += wide
            of_squares += wide * wide
            least = min(least, value)
            greatest = max(greatest, value)
        sums[frame], squares[frame] = total, of_squares
    extremes[0], extremes[1] = least, greatest
