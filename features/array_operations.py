"""The front end's operations on NumPy arrays: the same bytes on every processor, in any batch and with any threads.

Each is made of what IEEE 754 fixes, in an order that does not depend on the processor: SciPy's Fourier transforms are
compiled for all processors alike, `features.fourier` has their bits, and the loops of `features.loops` add in a fixed
order, where a BLAS chooses its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from features import fourier, loops
from features.arithmetic import exp as exp
from features.arithmetic import log as log
from features.lanes import LANES
from features.micro import MicroTables
from features.views import FULL_SCALE

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


def power_spectra(samples: Samples, window: Floats, hop: int, count: int, length: int) -> Floats:
    """See `operations.Operations`, as for all functions here."""
    plan = fourier.plan(length)
    if plan and count >= LANES:
        power = np.empty((len(samples), count, length // 2 + 1), np.float32)
        fourier.power_spectra(samples.astype(np.float32), window, hop, length, *plan, power)
        return power
    frames = np.empty((len(samples), count, length), np.float32)
    frames[:, :, len(window) :] = 0
    loops.window_frames(samples.astype(np.float32), window, hop, frames)
    spectra = scipy.fft.rfft(frames)
    power = np.empty(spectra.shape, np.float32)
    bins = spectra.shape[-1]
    loops.squared_magnitudes(spectra.reshape(-1, bins).view(np.float32), power.reshape(-1, bins))
    return power


def divided_by_peak(samples: Samples) -> Floats:
    peaks = samples.max(axis=1, keepdims=True).astype(np.float32)
    result: Floats = samples / np.where(peaks > 0, peaks, np.float32(FULL_SCALE))
    return result


def mirrored(samples: Array, side: int) -> Array:
    return np.pad(samples, ((0, 0), (side, side)), mode="reflect")


def sqrt(values: Floats) -> Floats:
    result: Floats = np.sqrt(values)
    return result


def scaled_log(values: Floats, lowest: float, factor: float) -> Floats:
    logs = np.empty(values.shape, np.float32)
    loops.scaled_log(values.reshape(-1), np.float32(lowest), np.float32(factor), logs.reshape(-1))
    return logs


def project(values: Floats, matrix: Floats) -> Floats:
    """Sums in order of n, from the first place that is not zero to the last."""
    batch, count, depth = values.shape
    starts, stops, weights = _bands(matrix.tobytes(), matrix.shape)
    sums = np.empty((batch, count, len(starts)), np.float32)
    loops.project_bands(values.reshape(-1, depth), starts, stops, weights, sums.reshape(-1, len(starts)))
    return sums


@lru_cache(maxsize=8)
def _bands(matrix: bytes, shape: tuple[int, int]) -> tuple[Places, Places, Floats]:
    """The columns of a float32 matrix without the zeros around them: where each starts and stops, and its weights."""
    columns = np.frombuffer(matrix, np.float32).reshape(shape).T
    filled = columns != 0
    starts = filled.argmax(axis=1)
    stops = np.where(filled.any(axis=1), shape[0] - filled[:, ::-1].argmax(axis=1), 0)
    ranges = zip(columns, starts, stops, strict=True)
    return starts, stops, np.concatenate([column[start:stop] for column, start, stop in ranges])


def dct(values: Floats) -> Floats:
    result: Floats = scipy.fft.dct(values, norm="ortho")
    return result


def smooth(values: Doubles, amount: float) -> Doubles:
    smoothed = np.empty(values.shape)
    last = np.ones_like(smoothed[:, 0])
    for frame in range(values.shape[1]):
        last = (1 - amount) * last + amount * values[:, frame]
        smoothed[:, frame] = last
    return smoothed


def cast(values: Array, dtype: str) -> Array:
    return values.astype(dtype)


def micro(clips: Samples, tables: MicroTables, count: int) -> Array:
    from features import micro_loops  # which takes a while, and which no other view needs

    return micro_loops.micro(clips, tables, count)


def filter_and_decimate(clips: Samples, taps: Sequence[float]) -> Samples:
    side, samples = len(taps) // 2, clips.shape[1]
    padded = np.pad(clips.astype(np.float64), ((0, 0), (side, side)))
    sums = np.zeros((len(clips), samples // 2))
    for place, tap in enumerate(taps):
        if tap:
            sums += padded[:, place : place + samples : 2] * tap
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(sums), limits.min, limits.max).astype(np.int16)
