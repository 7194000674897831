"""Stretches speech in time and moves its pitch as librosa does, with the same bytes on every processor.

librosa (`librosa.effects.time_stretch` and `pitch_shift`, version 0.11) adds up differences of angles and takes their
cosine and sine. The same phases are products of complex numbers of magnitude 1, so +, −, ×, ÷ and √ are enough here.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft
import soxr
from numpy.lib.stride_tricks import sliding_window_view

from features import arithmetic
from features.views import SAMPLE_RATE_HZ

Floats = npt.NDArray[np.float32]

FRAME_SAMPLES: Final = 2048
HOP_SAMPLES: Final = FRAME_SAMPLES // 4
HALF_STEPS_IN_OCTAVE: Final = 12

_SMALLEST: Final = float(np.finfo(np.float32).tiny)
"""Below it a sum of squared windows counts as zero."""


class Spectrum(NamedTuple):
    """The Fourier transforms of a signal's frames, centered `HOP_SAMPLES` apart, the first on the first sample.

    Attributes:
        magnitude: float32, (frames + 2, bins); zeros follow the last frame, so that each has a successor.
        real, imaginary: of the same numbers at magnitude 1, which is 1 + 0i where the magnitude is 0; the same shape.
        samples: length of the signal.
    """

    magnitude: Floats
    real: Floats
    imaginary: Floats
    samples: int


def spectrum(samples: Floats) -> Spectrum:
    """The spectrum of a signal.

    Args:
        samples: float32, (samples,), at least one.
    """
    padded = np.pad(samples, FRAME_SAMPLES // 2)
    frames = sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES] * _window()
    transformed = scipy.fft.rfft(frames)
    shape = (len(frames) + 2, transformed.shape[1])
    magnitude, real, imaginary = np.zeros(shape, np.float32), np.ones(shape, np.float32), np.zeros(shape, np.float32)
    magnitude[:-2] = np.sqrt(transformed.real * transformed.real + transformed.imag * transformed.imag)
    sounds = magnitude[:-2] > 0
    np.divide(transformed.real, magnitude[:-2], out=real[:-2], where=sounds)
    np.divide(transformed.imag, magnitude[:-2], out=imaginary[:-2], where=sounds)
    return Spectrum(magnitude, real, imaginary, samples.size)


def stretched(source: Spectrum, rate: float) -> Floats:
    """A signal at another speed and at its own pitch.

    Args:
        source: the signal's spectrum.
        rate: of time, positive; 2 makes it half as long.

    Returns:
        float32, (round(samples / rate),).
    """
    samples = round(source.samples / rate)
    places = np.arange(0, len(source.magnitude) - 2, rate)
    places = places[: -(-(samples + FRAME_SAMPLES) // HOP_SAMPLES)]
    before = places.astype(np.int64)
    weight = (places - before).astype(np.float32)[:, None]
    magnitude = (1 - weight) * source.magnitude[before] + weight * source.magnitude[before + 1]
    real, imaginary = _phases(source, before)
    transformed = np.empty(magnitude.shape, np.complex64)
    np.multiply(real, magnitude, out=transformed.real)
    np.multiply(imaginary, magnitude, out=transformed.imag)
    return _overlapped(scipy.fft.irfft(transformed, FRAME_SAMPLES), samples)


def shifted(source: Spectrum, half_steps: float) -> Floats:
    """A signal at another pitch and at its own speed: stretched, then resampled to its own length.

    Args:
        source: the signal's spectrum.
        half_steps: of the equal-tempered scale, upwards.

    Returns:
        float32, (samples,).
    """
    rate = float(arithmetic.exp(np.array(-half_steps * arithmetic.LN_2 / HALF_STEPS_IN_OCTAVE)))
    moved = faster(stretched(source, rate), 1 / rate)[: source.samples]
    return np.pad(moved, (0, source.samples - moved.size))


def faster(samples: Floats, factor: float) -> Floats:
    """A signal played at another speed, which moves its pitch as well.

    Args:
        samples: float32, (samples,).
        factor: of the speed, positive.

    Returns:
        float32, about samples / factor of them.
    """
    played: Floats = soxr.resample(samples, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ, quality="HQ")
    return played


def _phases(source: Spectrum, before: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The phase of each frame to make, as numbers of magnitude 1: the first frame's, turned on by each step's turn.

    Args:
        source: the signal's spectrum.
        before: for each frame to make, the frame of the source at or before its place.

    Returns:
        Real and imaginary parts, float32, (frames, bins).
    """
    real, imaginary = source.real, source.imaginary
    from_real, from_imaginary = real[before], imaginary[before]
    to_real, to_imaginary = real[before + 1], imaginary[before + 1]
    turn_real = to_real * from_real + to_imaginary * from_imaginary
    turn_imaginary = to_imaginary * from_real - to_real * from_imaginary
    phase_real, phase_imaginary = np.empty_like(turn_real), np.empty_like(turn_real)
    phase_real[0], phase_imaginary[0] = real[0], imaginary[0]
    for frame in range(1, len(before)):
        a, b, c, d = phase_real[frame - 1], phase_imaginary[frame - 1], turn_real[frame - 1], turn_imaginary[frame - 1]
        phase_real[frame] = a * c - b * d
        phase_imaginary[frame] = a * d + b * c
    return phase_real, phase_imaginary


def _overlapped(frames: Floats, samples: int) -> Floats:
    """The signal that windowed frames add up to, less half a frame at its beginning.

    Args:
        frames: float32, (frames, FRAME_SAMPLES).
        samples: length of the signal.
    """
    window = _window()
    added = _added(frames * window)
    weight = _added(np.broadcast_to(window * window, frames.shape))
    np.divide(added, weight, out=added, where=weight > _SMALLEST)
    start = FRAME_SAMPLES // 2
    cut = added[start : start + samples]
    return np.pad(cut, (0, samples - cut.size))


def _added(frames: Floats) -> Floats:
    """The sum of frames, each a hop after the one before."""
    hops = FRAME_SAMPLES // HOP_SAMPLES
    total = np.zeros((len(frames) + hops - 1, HOP_SAMPLES), np.float32)
    parts = frames.reshape(len(frames), hops, HOP_SAMPLES)
    for hop in range(hops):
        total[hop : hop + len(frames)] += parts[:, hop]
    return total.reshape(-1)


@cache
def _window() -> Floats:
    """The periodic Hann window of a frame."""
    turns = np.arange(FRAME_SAMPLES) / FRAME_SAMPLES
    return np.asarray(0.5 - 0.5 * arithmetic.cosine(turns), np.float32)
