"""The tables of the micro front end of microcontrollers: window, twiddle factors, mel weights, gains and logarithms.

The front end is that of TensorFlow Lite Micro
(https://github.com/tensorflow/tflite-micro/tree/main/tensorflow/lite/experimental/microfrontend/lib), with the real
Fourier transform of KISS FFT in 16 bits (https://github.com/mborgerding/kissfft). It computes in whole numbers alone;
these are its constants, with which `features.micro_loops` and `features.tensor_micro` compute.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.arithmetic import LN_2, cosine, exp, log
from features.views.micro import FFT_SAMPLES, Micro

Shorts = npt.NDArray[np.int16]
Whole = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

POINTS: Final = FFT_SAMPLES // 2
"""Of the complex transform that gives the real one of twice as many samples."""
WINDOW_BITS: Final = 12
WEIGHT_BITS: Final = 12
"""Fractional bits of the window and of the mel weights."""

SMOOTHING_BITS: Final = 14
"""Fractional bits of the three numbers that follow."""
EVEN_SMOOTHING: Final = int(0.025 * (1 << SMOOTHING_BITS))
ODD_SMOOTHING: Final = int(0.06 * (1 << SMOOTHING_BITS))
"""What a frame adds to the noise estimate of an even and of an odd band."""
LEAST_REMAINING: Final = int(0.05 * (1 << SMOOTHING_BITS))
"""The part of a band that noise reduction leaves at least."""
ESTIMATE_BITS: Final = 10
"""Fractional bits of the noise estimate."""

GAIN_STRENGTH: Final = 0.95
GAIN_OFFSET: Final = 80.0
GAIN_BITS: Final = 21
CORRECTION_BITS: Final = FFT_SAMPLES.bit_length() - 1 - WEIGHT_BITS // 2
"""By which bands are too small for what the transform and the weights did to them."""
RATIO_BITS: Final = 12
RATIO_SHIFT: Final = GAIN_BITS - CORRECTION_BITS - RATIO_BITS
OUTPUT_BITS: Final = 6
"""Fractional bits of the ratio of signal to noise, and of what automatic gain makes of it."""

LOG_BITS: Final = 16
LOG_SEGMENT_BITS: Final = 7
LOG_SCALE_BITS: Final = 6
LN_2_SCALED: Final = round(LN_2 * (1 << LOG_BITS))


class MicroTables(NamedTuple):
    """The constants of a view.

    Attributes:
        context: what precedes a clip, int16, (samples,).
        context_frames: frames that begin in it.
        hop: samples from one frame to the next.
        window: int16, (frame samples,), 12 fractional bits.
        order: places of the input of the transform, int64, (256,).
        twiddles: real and imaginary parts of the transform's factors, int16, (2, 256).
        real_twiddles: those of the step to the real transform, int16, (2, 129), the first unused.
        interval: of each bin, int64, (257,): between the centers of the bands interval - 1 and interval; -1 outside.
        falling: the part of each bin that belongs to the band before it, int64, (257,), 12 fractional bits.
        rising: the part that belongs to the band after it, likewise.
        gains: of PCAN, a parabola for estimates of each number of bits, int64, (33, 3).
        logs: what a logarithm to the base of 2 has beyond a straight line, int64, (129,).
    """

    context: Shorts
    context_frames: int
    hop: int
    window: Shorts
    order: Whole
    twiddles: Shorts
    real_twiddles: Shorts
    interval: Whole
    falling: Whole
    rising: Whole
    gains: Whole
    logs: Whole


@lru_cache(maxsize=8)
def micro_tables(view: Micro) -> MicroTables:
    """The constants of a view.

    Raises:
        DataError: a band is so narrow that no frequency bin lies in it.
    """
    interval, falling, rising = _mel_weights(view)
    return MicroTables(
        context=_context(view),
        context_frames=view.context_ms // view.hop_ms,
        hop=view.hop_length,
        window=_window(view.frame_length),
        order=_order(),
        twiddles=_circle(np.arange(POINTS) / POINTS),
        real_twiddles=_circle(np.arange(POINTS // 2 + 1) / FFT_SAMPLES + 0.25),
        interval=interval,
        falling=falling,
        rising=rising,
        gains=_gains(),
        logs=_logs(),
    )


def _context(view: Micro) -> Shorts:
    """Zeros, or the bytes of SHAKE-128 of nothing as samples of -128 to 127; int16, (samples,)."""
    samples = view.context_ms * view.sample_rate_hz // 1000
    if view.context == "noise":
        return np.frombuffer(hashlib.shake_128().digest(samples), np.int8).astype(np.int16)
    return np.zeros(samples, np.int16)


def _window(samples: int) -> Shorts:
    turns = (np.arange(samples) + 0.5) / samples
    return _rounded((0.5 - 0.5 * cosine(turns)).astype(np.float32), WINDOW_BITS).astype(np.int16)


def _rounded(values: Singles | Doubles, bits: int) -> Whole:
    whole: Whole = np.floor(values.astype(np.float64) * (1 << bits) + 0.5).astype(np.int64)
    return whole


def _order() -> Whole:
    """Places whose four digits to the base of 4 are turned round."""
    digits = np.arange(POINTS).reshape(4, 4, 4, 4)
    return digits.transpose(3, 2, 1, 0).ravel().astype(np.int64)


def _circle(turns: Doubles) -> Shorts:
    """Cosine and sine of angles against the clock, int16, (2, angles)."""
    parts = np.stack([cosine(turns), cosine(turns + 0.25)])
    whole: Shorts = np.floor(0.5 + 32767 * parts).astype(np.int16)
    return whole


def _mel_weights(view: Micro) -> tuple[Whole, Whole, Whole]:
    """Bands whose sides are straight over mel, in single precision, each bin shared by two neighbors."""
    low, high = (_mel(np.array(hz)) for hz in (view.mel_low_hz, view.mel_high_hz))
    spacing = np.float32((high - low) / np.float32(view.mel_bands + 1))
    centers = low + spacing * np.arange(1, view.mel_bands + 2, dtype=np.float32)
    bin_hz = view.sample_rate_hz / FFT_SAMPLES
    first = int(1.5 + view.mel_low_hz / bin_hz)
    bins = _mel(np.arange(POINTS + 1) * bin_hz)
    interval = np.searchsorted(centers, bins, side="left")
    interval[:first] = -1
    interval[interval == len(centers)] = -1
    inside = interval >= 0
    counts = np.bincount(interval[inside], minlength=len(centers))
    empty = int((counts[:-1] + counts[1:] == 0).sum())
    if empty:
        raise DataError(
            f"{empty} of {view.mel_bands} mel bands between {view.mel_low_hz} and {view.mel_high_hz} Hz hold none of "
            f"the {len(bins)} frequency bins: take fewer bands or a wider range"
        )
    edges = np.concatenate([low[None], centers])
    shares = (edges[interval + 1] - bins) / (edges[interval + 1] - edges[interval])
    falling = np.where(inside, _rounded(shares, WEIGHT_BITS), 0)
    rising = np.where(inside, _rounded(1.0 - shares.astype(np.float64), WEIGHT_BITS), 0)
    return interval.astype(np.int64), falling, rising


def _mel(hz: Doubles) -> Singles:
    result: Singles = (1127.0 * log(1.0 + hz / 700.0)).astype(np.float32)
    return result


def _gains() -> Whole:
    """For estimates of n bits, in row n: the gain at 2^(n-1) and two differences of a parabola through three gains.

    Estimates of 0, 1 and 2 are looked up: their gains stand in rows 0 and 1, and at the head of row 2.
    """
    table = np.zeros((33, 3), np.int64)
    table[:2, 0] = _gain(np.array([0.0, 1.0]))
    starts: Doubles = np.ldexp(1.0, np.arange(1, 32))
    ends: Doubles = 2 * starts
    ends[-1] -= 1
    first, middle, last = (_gain(estimates) for estimates in (starts, 1.5 * starts, ends))
    slope = 4 * (middle - first) - (last - first)
    table[2:] = np.stack([first, slope, last - first - slope], axis=1)
    return table


def _gain(estimates: Doubles) -> Whole:
    """2^21 (estimate + offset)^-strength with 7 fractional bits of the estimate, at most what int16 holds."""
    values = estimates / (1 << (ESTIMATE_BITS - CORRECTION_BITS)) + GAIN_OFFSET
    gains = (np.ldexp(1.0, GAIN_BITS) * exp(-GAIN_STRENGTH * log(values))).astype(np.float32)
    whole = np.floor(gains + np.float32(0.5)).astype(np.int64)
    limited: Whole = np.minimum(whole, np.iinfo(np.int16).max)
    return limited


def _logs() -> Whole:
    segments = np.arange((1 << LOG_SEGMENT_BITS) + 1) / (1 << LOG_SEGMENT_BITS)
    whole: Whole = np.rint((log(1.0 + segments) / LN_2 - segments) * (1 << LOG_BITS)).astype(np.int64)
    return whole
