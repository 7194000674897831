"""The front end: the one definition of spectrograms, log-mel bands and MFCCs, in TensorFlow operations.

`extract` calls it in batches; it is made of TensorFlow operations so that an exported model can contain it.
Notation and defaults follow librosa (https://librosa.org/doc/0.11.0/): `stft(center=False, window="hann")`,
`filters.mel(norm="slaney")`, `power_to_db(top_db=None)`, `feature.mfcc(dct_type=2, norm="ortho")`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from features.mel import mel_filters
from features.views import (
    CLIP_SAMPLES,
    FULL_SCALE,
    SAMPLE_RATE_HZ,
    BaseView,
    LogMel,
    MelView,
    Mfcc,
    SpectralView,
    Spectrogram,
    View,
    Waveform,
)

Floats = npt.NDArray[np.float32]
Clips = npt.NDArray[np.int16]
Features = npt.NDArray[np.generic]
FrontEnd: TypeAlias = Callable[[tf.Tensor], tf.Tensor]

BATCH_CLIPS: Final = 32
"""Clips in a batch at which the front end is fastest: what fits the processor's cache."""
RESAMPLING_TAPS: Final = 63
"""Length of the filter that halves the sample rate."""


def front_end(view: View) -> FrontEnd:
    """The function that computes a view.

    Args:
        view: the definition of the features.

    Returns:
        A function of int16 clips, (batch, 16000), that gives the view's tensor, (batch, *view.shape), of its dtype.

    Raises:
        TypeError: there is no function for this kind of view.
    """
    compute = FRONT_ENDS.get(type(view))
    if compute is None:
        raise TypeError(f"no front end for {type(view).__name__}: add its function to features.frontend.FRONT_ENDS")
    return partial(compute, view=view)


def array_front_end(view: View) -> Callable[[Clips], Features]:
    """The front end for NumPy arrays, in batches of a fixed size, so that no clip's features depend on the others.

    Args:
        view: the definition of the features.

    Returns:
        A function of int16 clips, (clips, 16000), at least one, that gives (clips, *view.shape) of the view's dtype.
    """
    function = tf.function(front_end(view), input_signature=[tf.TensorSpec((None, CLIP_SAMPLES), tf.int16)])

    def compute_batch(batch: Clips) -> Features:
        padding = BATCH_CLIPS - len(batch)
        padded = np.pad(batch, ((0, padding), (0, 0))) if padding else batch
        features: Features = function(padded).numpy()
        return features[: len(batch)]

    def compute_all(clips: Clips) -> Features:
        starts = range(0, len(clips), BATCH_CLIPS)
        return np.concatenate([compute_batch(clips[start : start + BATCH_CLIPS]) for start in starts])

    return compute_all


def compute(view: View, clips: Clips) -> Features:
    """A view of some clips: `array_front_end(view)` for one call."""
    return array_front_end(view)(clips)


def waveform(clips: tf.Tensor, view: BaseView) -> tf.Tensor:
    """The part of clips that a view sees, at its rate.

    Args:
        clips: int16, (batch, 16000).
        view: the rate and the part.

    Returns:
        int16, (batch, view.samples).
    """
    seen = clips[:, : view.clip_ms * SAMPLE_RATE_HZ // 1000]
    return seen if view.sample_rate_hz == SAMPLE_RATE_HZ else halve_rate(seen)


def spectrogram(clips: tf.Tensor, view: SpectralView) -> tf.Tensor:
    """Short-time Fourier transform, in dB where the view has a floor.

    Args:
        clips: int16, (batch, 16000).
        view: framing, magnitude or power, and the floor.

    Returns:
        float32, (batch, frames, frequency_bins).
    """
    return scaled(linear_spectrogram(clips, view), view)


def log_mel(clips: tf.Tensor, view: MelView) -> tf.Tensor:
    """Energy in mel bands, in dB where the view has a floor.

    Args:
        clips: int16, (batch, 16000).
        view: framing, bands, their range and scale, and the floor.

    Returns:
        float32, (batch, frames, mel_bands).
    """
    return scaled(_project(linear_spectrogram(clips, view), mel_filters(view)), view)


def mfcc(clips: tf.Tensor, view: Mfcc) -> tf.Tensor:
    """Mel-frequency cepstral coefficients (Davis and Mermelstein, 1980): orthonormal DCT-II of the log-mel bands.

    Args:
        clips: int16, (batch, 16000).
        view: the log-mel bands, and the number of coefficients to keep.

    Returns:
        float32, (batch, frames, coefficients).
    """
    return _project(log_mel(clips, view), dct_matrix(view.mel_bands, view.coefficients))


FRONT_ENDS: Final[Mapping[type, Callable[..., tf.Tensor]]] = {
    Waveform: waveform,
    Spectrogram: spectrogram,
    LogMel: log_mel,
    Mfcc: mfcc,
}
"""The function of each kind of view, by its exact type."""


def linear_spectrogram(clips: tf.Tensor, view: SpectralView) -> tf.Tensor:
    """Magnitude or squared magnitude of the short-time Fourier transform, without centering.

    Args:
        clips: int16, (batch, 16000).
        view: framing, and magnitude or power.

    Returns:
        float32, (batch, frames, frequency_bins); full scale is 1.
    """
    window = hann_window(view.frame_length, symmetric=view.window == "symmetric_hann")
    frames = _frame(to_float(waveform(clips, view)), view)
    spectrum = tf.signal.rfft(frames * window, fft_length=[view.fft_length])
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    return power if view.power == 2 else tf.sqrt(power)


def to_float(samples: tf.Tensor) -> tf.Tensor:
    """int16 samples as float32 in -1..1, any shape."""
    return tf.cast(samples, tf.float32) * (1.0 / FULL_SCALE)


def _frame(samples: tf.Tensor, view: SpectralView) -> tf.Tensor:
    """Overlapping frames, (batch, frames, frame_length), from whole hops laid side by side: no gather by index."""
    hop, frames = view.hop_length, view.frames
    if view.frame_length % hop:
        return tf.signal.frame(samples, view.frame_length, hop)
    hops_per_frame = view.frame_length // hop
    used = (frames + hops_per_frame - 1) * hop
    hops = tf.reshape(samples[:, :used], (-1, frames + hops_per_frame - 1, hop))
    return tf.concat([hops[:, first : first + frames] for first in range(hops_per_frame)], axis=-1)


def hann_window(samples: int, *, symmetric: bool) -> Floats:
    """The Hann window, float32, (samples,): periodic, or symmetric so that it ends as it begins."""
    period = samples - 1 if symmetric else samples
    window: Floats = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(samples) / period)).astype(np.float32)
    return window


def scaled(values: tf.Tensor, view: SpectralView) -> tf.Tensor:
    """Magnitudes or powers as the view stores them, in any shape.

    Args:
        values: float32; full scale is 0 dB for a value of 1.
        view: the floor, and whether the values are magnitudes or powers.

    Returns:
        20 log10 of magnitudes, 10 log10 of powers, not below the floor; the values themselves where there is no floor.
    """
    if view.floor_db is None:
        return values
    decibels_per_decade = 20.0 / view.power
    lowest = np.float32(10.0 ** (view.floor_db / decibels_per_decade))
    return np.float32(decibels_per_decade / np.log(10.0)) * tf.math.log(tf.maximum(values, lowest))


def _project(tensor: tf.Tensor, matrix: Floats) -> tf.Tensor:
    """(batch, frames, n) times (n, m), as one product of two matrices."""
    flat = tf.matmul(tf.reshape(tensor, (-1, matrix.shape[0])), matrix)
    return tf.reshape(flat, (-1, tensor.shape[1], matrix.shape[1]))


@lru_cache(maxsize=8)
def dct_matrix(bands: int, coefficients: int) -> Floats:
    """The orthonormal DCT-II as a matrix, float32, (bands, coefficients)."""
    band, order = np.arange(bands)[:, None], np.arange(coefficients)[None, :]
    matrix = np.cos(np.pi / bands * (band + 0.5) * order) * np.sqrt(2.0 / bands)
    matrix[:, 0] /= np.sqrt(2.0)
    single: Floats = matrix.astype(np.float32)
    return single


def halve_rate(clips: tf.Tensor) -> tf.Tensor:
    """Clips at 8 kHz: low-passed below 4 kHz, then every second sample.

    Args:
        clips: int16 at 16 kHz, (batch, samples).

    Returns:
        int16, (batch, samples // 2), samples even; rounded, clipped at full scale.
    """
    side = RESAMPLING_TAPS // 2
    padded = tf.pad(tf.cast(clips, tf.float32), ((0, 0), (side, side)))
    filtered = tf.nn.conv1d(padded[:, :, None], half_band_filter()[:, None, None], stride=2, padding="VALID")
    return tf.cast(tf.clip_by_value(tf.round(filtered[:, :, 0]), -FULL_SCALE, FULL_SCALE - 1), tf.int16)


@lru_cache(maxsize=1)
def half_band_filter() -> Floats:
    """Linear-phase low-pass at a quarter of the sample rate: sinc, Kaiser window (beta 8), gain 1; float32, (63,)."""
    side = RESAMPLING_TAPS // 2
    taps = np.sinc(np.arange(-side, side + 1) / 2.0) * np.kaiser(RESAMPLING_TAPS, 8.0)
    single: Floats = (taps / taps.sum()).astype(np.float32)
    return single
