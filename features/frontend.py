"""The front end: the one definition of every view's mathematics, over a few array operations.

The pipelines run these lines on NumPy arrays, training and serving run them as TensorFlow operations
(`features.operations`). Notation and defaults follow librosa (https://librosa.org/doc/0.11.0/):
`stft(center=False, window="hann")`, `filters.mel(norm="slaney")`, `power_to_db(top_db=None)`,
`feature.mfcc(dct_type=2, norm="ortho")`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from features import array_operations
from features.arithmetic import LN_10, cosine, exp, log
from features.mel import mel_filters
from features.micro import micro_tables
from features.operations import Array, Operations
from features.views import (
    FULL_SCALE,
    SAMPLE_RATE_HZ,
    BaseView,
    LogMel,
    MelView,
    Mfcc,
    Micro,
    Pcen,
    SpectralView,
    Spectrogram,
    View,
    Waveform,
)

Floats = npt.NDArray[np.float32]
Clips = npt.NDArray[np.int16]
Features = npt.NDArray[np.generic]
FrontEnd: TypeAlias = Callable[[Array], Array]

CLIPS_AT_ONCE: Final = 4
"""Clips in a batch at which NumPy is fastest: their frames and spectra stay in a core's own cache, which other
processes do not take from it."""
PCEN_SCALE: Final = float(1 << 31)
"""Full scale of the samples that PCEN counts in."""
RESAMPLING_TAPS: Final = 63
"""Length of the filter that halves the sample rate."""


def front_end(view: View, operations: Operations) -> FrontEnd:
    """The function that computes a view.

    Args:
        view: the definition of the features.
        operations: those of NumPy or of TensorFlow: `features.array_operations`, `features.tensor_operations`.

    Returns:
        A function of int16 clips, (batch, 16000), that gives the view's tensor, (batch, *view.shape), of its dtype.

    Raises:
        TypeError: there is no function for this kind of view.
    """
    kind = FRONT_ENDS.get(type(view))
    if kind is None:
        raise TypeError(f"no front end for {type(view).__name__}: add its function to features.frontend.FRONT_ENDS")
    return partial(kind, view=view, operations=operations)


def compute(view: View, clips: Clips) -> Features:
    """A view of some clips, with the same bytes on every processor and for every number of clips.

    Args:
        view: the definition of the features.
        clips: int16, (clips, 16000), at least one.

    Returns:
        (clips, *view.shape), of the view's dtype, in C order.
    """
    function = front_end(view, array_operations)
    if len(clips) == 0:
        return np.empty((0, *view.shape), view.dtype)
    batches = (clips[start : start + CLIPS_AT_ONCE] for start in range(0, len(clips), CLIPS_AT_ONCE))
    first, *others = (function(batch) for batch in batches)
    return np.concatenate((first, *others)) if others else np.ascontiguousarray(first)


def waveform(clips: Array, view: BaseView, operations: Operations) -> Array:
    """The part of clips that a view sees, at its rate.

    Args:
        clips: int16, (batch, 16000).
        view: the rate and the part.
        operations: of the library of arrays, as for all functions here.

    Returns:
        int16, (batch, view.samples).
    """
    seen = clips[:, : view.clip_ms * SAMPLE_RATE_HZ // 1000]
    if view.sample_rate_hz == SAMPLE_RATE_HZ:
        return seen
    return operations.filter_and_decimate(seen, half_band_filter())


def spectrogram(clips: Array, view: SpectralView, operations: Operations) -> Array:
    """Short-time Fourier transform, linear or logarithmic.

    Args:
        clips: int16, (batch, 16000).
        view: framing, magnitude or power, and the logarithm.
        operations: of the library of arrays.

    Returns:
        float32, (batch, frames, frequency_bins).
    """
    return scaled(linear_spectrogram(clips, view, operations), view, operations)


def log_mel(clips: Array, view: MelView, operations: Operations) -> Array:
    """Energy or magnitude in mel bands, linear or logarithmic.

    Args:
        clips: int16, (batch, 16000).
        view: framing, bands, their range and scale, and the logarithm.
        operations: of the library of arrays.

    Returns:
        float32, (batch, frames, mel_bands).
    """
    return scaled(linear_mel(clips, view, operations), view, operations)


def mfcc(clips: Array, view: Mfcc, operations: Operations) -> Array:
    """Mel-frequency cepstral coefficients (Davis and Mermelstein, 1980): DCT-II of the log-mel bands.

    Args:
        clips: int16, (batch, 16000).
        view: the log-mel bands, and the number of coefficients to keep.
        operations: of the library of arrays.

    Returns:
        float32, (batch, frames, coefficients).
    """
    coefficients = operations.dct(log_mel(clips, view, operations))[:, :, : view.coefficients]
    if view.dct == "orthonormal":
        return coefficients
    return coefficients * np.array([math.sqrt(2), *[1] * (view.coefficients - 1)], np.float32)


def pcen(clips: Array, view: Pcen, operations: Operations) -> Array:
    """Per-channel energy normalization (Wang et al., 2017): automatic gain and compression of each mel band.

    With its default numbers it is `librosa.pcen` of the bands times 2^31.

    Args:
        clips: int16, (batch, 16000).
        view: the mel bands, and the numbers of the normalization.
        operations: of the library of arrays.

    Returns:
        float32, (batch, frames, mel_bands).
    """
    bands = operations.cast(linear_mel(clips, view, operations), "float64") * PCEN_SCALE
    past = operations.smooth(bands, view.smoothing)
    gained = operations.exp(operations.log(past + view.epsilon) * -view.gain) * bands
    compressed = operations.exp(operations.log(gained + view.bias) * view.root)
    return operations.cast(compressed - _exp(float(log(np.array(view.bias))) * view.root), "float32")


def micro(clips: Array, view: Micro, operations: Operations) -> Array:
    """The front end of TensorFlow Lite Micro, in whole numbers (`features.micro`).

    Args:
        clips: int16, (batch, 16000).
        view: framing, mel bands, and what precedes the clips.
        operations: of the library of arrays.

    Returns:
        uint16, (batch, frames, mel_bands).
    """
    return operations.micro(waveform(clips, view, operations), micro_tables(view), view.steps)


FRONT_ENDS: Final[Mapping[type, Callable[..., Array]]] = {
    Waveform: waveform,
    Spectrogram: spectrogram,
    LogMel: log_mel,
    Mfcc: mfcc,
    Pcen: pcen,
    Micro: micro,
}
"""The function of each kind of view, by its exact type."""


def linear_spectrogram(clips: Array, view: SpectralView, operations: Operations) -> Array:
    """Magnitude or squared magnitude of the short-time Fourier transform.

    Args:
        clips: int16, (batch, 16000).
        view: framing, loudness, and magnitude or power.
        operations: of the library of arrays.

    Returns:
        float32, (batch, frames, frequency_bins); full scale or the clip's peak is 1.
    """
    window = hann_window(view.frame_length, symmetric=view.window == "symmetric_hann")
    samples = waveform(clips, view, operations)
    if view.loudness == "peak":
        samples = operations.divided_by_peak(samples)
    else:
        window = window / np.float32(FULL_SCALE)
    if view.centered:
        samples = operations.mirrored(samples, view.fft_length // 2)
        before = (view.fft_length - view.frame_length) // 2
        window = np.pad(window, (before, view.fft_length - view.frame_length - before))
    power = operations.power_spectra(samples, window, view.hop_length, view.frames, view.fft_length)
    return power if view.power == 2 else operations.sqrt(power)


def linear_mel(clips: Array, view: MelView, operations: Operations) -> Array:
    """Energy or magnitude in mel bands, linear; float32, (batch, frames, mel_bands)."""
    return operations.project(linear_spectrogram(clips, view, operations), mel_filters(view))


@lru_cache(maxsize=8)
def hann_window(samples: int, *, symmetric: bool) -> Floats:
    """The Hann window, float32, (samples,): periodic, or symmetric so that it ends as it begins."""
    period = samples - 1 if symmetric else samples
    window: Floats = (0.5 - 0.5 * cosine(np.arange(samples) / period)).astype(np.float32)
    return window


def scaled(values: Array, view: SpectralView, operations: Operations) -> Array:
    """Magnitudes or powers as the view stores them, in any shape.

    Args:
        values: float32; full scale is 0 dB for a value of 1.
        view: the logarithm, and whether the values are magnitudes or powers.
        operations: of the library of arrays.

    Returns:
        With a floor in dB 20 log10 of magnitudes or 10 log10 of powers, natural logarithms with the other two limits,
        the values themselves with none.
    """
    if view.log_floor is not None:
        return operations.scaled_log(values, view.log_floor, 1.0)
    if view.log_offset is not None:
        return operations.scaled_log(values + np.float32(view.log_offset), view.log_offset, 1.0)
    if view.floor_db is None:
        return values
    decibels_per_neper = 20.0 / view.power / LN_10
    return operations.scaled_log(values, _exp(view.floor_db / decibels_per_neper), decibels_per_neper)


@lru_cache(maxsize=8)
def _exp(value: float) -> float:
    return float(exp(np.array(value)))


@lru_cache(maxsize=1)
def half_band_filter() -> tuple[float, ...]:
    """Linear-phase low-pass at a quarter of the sample rate: sinc, Kaiser window (beta 8), gain 1.

    Returns:
        63 coefficients, all multiples of 2^-30, so that sums of their products with int16 samples are exact in float64.
    """
    side = RESAMPLING_TAPS // 2
    taps = [_half_band_sinc(place) * _kaiser(place / side, 8.0) for place in range(-side, side + 1)]
    gain = sum(taps)
    return tuple(round(tap / gain * 2**30) / 2**30 for tap in taps)


def _half_band_sinc(place: int) -> float:
    """sin(πx) / (πx) at x = place / 2, whose sine is 0, 1 or -1."""
    if place % 2 == 0:
        return float(place == 0)
    return (1 if place % 4 == 1 else -1) / (math.pi * place / 2)


def _kaiser(place: float, beta: float) -> float:
    """The Kaiser window over -1..1, without its constant factor: I0(beta √(1 - place²)), by the power series of I0."""
    quarter_square = beta * beta * (1 - place * place) / 4
    total = 0.0
    for term in reversed(range(40)):
        total = 1.0 + total * quarter_square / ((term + 1) * (term + 1))
    return total
