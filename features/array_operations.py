"""The front end's operations on NumPy arrays: the same bytes on every processor, in any batch and with any threads.

Each is made of what IEEE 754 fixes, in an order that does not depend on the processor: SciPy's Fourier transforms and
sparse products are compiled for all processors alike, where a BLAS chooses its order of summation by processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.sparse
from numpy.lib.stride_tricks import sliding_window_view

from features import arithmetic

Floats = npt.NDArray[np.float32]
Samples = npt.NDArray[np.int16]


def to_float(samples: Samples) -> Floats:
    """See `operations.Operations`, as for all functions here."""
    return samples.astype(np.float32)


def frames(samples: Floats, length: int, hop: int, count: int) -> Floats:
    """A view of the samples; nothing is copied."""
    return sliding_window_view(samples, length, axis=1)[:, : count * hop : hop]


def power_spectrum(frames: Floats, length: int) -> Floats:
    parts = scipy.fft.rfft(frames, length).view(np.float32)
    parts *= parts  # real and imaginary part in turn
    power: Floats = parts[..., ::2] + parts[..., 1::2]
    return power


def sqrt(values: Floats) -> Floats:
    result: Floats = np.sqrt(values)
    return result


def log(values: Floats) -> Floats:
    return arithmetic.log(values)


def at_least(values: Floats, lowest: float) -> Floats:
    return np.maximum(values, np.float32(lowest))


def project(values: Floats, matrix: Floats) -> Floats:
    """Sums in order of n, over the places that are not zero."""
    batch, count, depth = values.shape
    columns = np.ascontiguousarray(values.reshape(-1, depth).T)
    sums: Floats = _rows(matrix.tobytes(), matrix.shape) @ columns
    return sums.T.reshape(batch, count, -1)


@lru_cache(maxsize=8)
def _rows(matrix: bytes, shape: tuple[int, int]) -> Any:
    """The transpose of a float32 matrix, stored by its places that are not zero."""
    return scipy.sparse.csr_array(np.frombuffer(matrix, np.float32).reshape(shape).T)


def dct(values: Floats) -> Floats:
    result: Floats = scipy.fft.dct(values, norm="ortho")
    return result


def filter_and_decimate(clips: Samples, taps: Sequence[float]) -> Samples:
    side, samples = len(taps) // 2, clips.shape[1]
    padded = np.pad(clips.astype(np.float64), ((0, 0), (side, side)))
    sums = np.zeros((len(clips), samples // 2))
    for place, tap in enumerate(taps):
        if tap:
            sums += padded[:, place : place + samples : 2] * tap
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(sums), limits.min, limits.max).astype(np.int16)
