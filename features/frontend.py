"""The front end: waveform to log-spectrogram, log-mel and MFCC in TensorFlow ops, the one definition of these features.

Beam calls it in batches, training calls it for waveform models, and serving bakes it into the exported model.
Notation and defaults follow librosa (https://librosa.org/doc/0.11.0/): `stft(center=False, window="hann")`,
`filters.mel(norm="slaney")`, `power_to_db(top_db=None)`, `feature.mfcc(dct_type=2, norm="ortho")`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from features.mel import mel_filters
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, LogMel, Mfcc, Spectrogram, View, Waveform

Floats = npt.NDArray[np.float32]
Clips = npt.NDArray[np.int16]
Features = npt.NDArray[np.generic]
FrontEnd: TypeAlias = Callable[[tf.Tensor], tf.Tensor]

BATCH_CLIPS: Final = 32
"""Clips a batch at which the front end is fastest: what fits the processor's cache."""

_FULL_SCALE: Final = 32768.0
_DECIBEL: Final = 10.0 / np.log(10.0)


def front_end(view: View) -> FrontEnd:
    """The function that computes a view.

    Args:
        view: the definition of the features.

    Returns:
        A function of int16 clips, (batch, 16000), that gives the view's tensor, (batch, *view.shape), of its dtype.
    """
    match view:
        case Mfcc():
            return lambda clips: mfcc(log_mel(power_spectrogram(to_float(clips), view), view), view)
        case LogMel():
            return lambda clips: log_mel(power_spectrogram(to_float(clips), view), view)
        case Spectrogram():
            return lambda clips: decibels(power_spectrogram(to_float(clips), view), view.floor_db)
        case Waveform():
            return lambda clips: resample(clips, view)


def compiled(view: View) -> FrontEnd:
    """`front_end(view)` as one TensorFlow graph that takes batches of any size."""
    signature = [tf.TensorSpec((None, CLIP_SAMPLES), tf.int16)]
    function: FrontEnd = tf.function(front_end(view), input_signature=signature)
    return function


def array_front_end(view: View) -> Callable[[Clips], Features]:
    """The front end for NumPy arrays, in batches of a fixed size, so that no clip's features depend on the others.

    Args:
        view: the definition of the features.

    Returns:
        A function of int16 clips, (clips, 16000), at least one, that gives (clips, *view.shape) of the view's dtype.
    """
    function = compiled(view)

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


def to_float(clips: tf.Tensor) -> tf.Tensor:
    """int16 samples as float32 in -1..1, any shape."""
    return tf.cast(clips, tf.float32) * (1.0 / _FULL_SCALE)


def power_spectrogram(waveforms: tf.Tensor, view: Spectrogram) -> tf.Tensor:
    """Squared magnitude of the short-time Fourier transform, without centring.

    Args:
        waveforms: float32 in -1..1, (batch, 16000).
        view: frame and hop.

    Returns:
        float32, (batch, frames, frame_samples // 2 + 1).
    """
    frames = _frame(waveforms, view) * hann_window(view.frame_samples)
    spectrum = tf.signal.rfft(frames)
    return tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))


def _frame(waveforms: tf.Tensor, view: Spectrogram) -> tf.Tensor:
    """Overlapping frames, (batch, frames, frame_samples), from whole hops laid side by side: no gather by index."""
    hop, frames = view.hop_samples, view.frames
    if view.frame_samples % hop:
        return tf.signal.frame(waveforms, view.frame_samples, hop)
    hops_per_frame = view.frame_samples // hop
    used = (frames + hops_per_frame - 1) * hop
    hops = tf.reshape(waveforms[:, :used], (-1, frames + hops_per_frame - 1, hop))
    return tf.concat([hops[:, first : first + frames] for first in range(hops_per_frame)], axis=-1)


def hann_window(samples: int) -> Floats:
    """The periodic Hann window, float32, (samples,)."""
    window: Floats = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(samples) / samples)).astype(np.float32)
    return window


def decibels(power: tf.Tensor, floor_db: float) -> tf.Tensor:
    """10 log10 of power, not below the floor; the same shape. Full scale is 0 dB for a power of one."""
    return np.float32(_DECIBEL) * tf.math.log(tf.maximum(power, np.float32(10.0 ** (floor_db / 10.0))))


def log_mel(power: tf.Tensor, view: LogMel) -> tf.Tensor:
    """Power in mel bands, in dB.

    Args:
        power: float32, (batch, frames, frequency_bins).
        view: bands, their range and scale, and the floor.

    Returns:
        float32, (batch, frames, mel_bands).
    """
    return decibels(_project(power, mel_filters(view)), view.floor_db)


def mfcc(log_mel_db: tf.Tensor, view: Mfcc) -> tf.Tensor:
    """Mel-frequency cepstral coefficients (Davis and Mermelstein, 1980): orthonormal DCT-II of the log-mel bands.

    Args:
        log_mel_db: float32, (batch, frames, mel_bands), in dB.
        view: the number of coefficients to keep.

    Returns:
        float32, (batch, frames, coefficients).
    """
    return _project(log_mel_db, dct_matrix(view.mel_bands, view.coefficients))


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


RESAMPLING_TAPS: Final = 63


def resample(clips: tf.Tensor, view: Waveform) -> tf.Tensor:
    """Clips at the view's rate: unchanged at 16 kHz; at 8 kHz low-passed below 4 kHz, then every second sample.

    Args:
        clips: int16, (batch, 16000).
        view: the rate.

    Returns:
        int16, (batch, samples); rounded, clipped at full scale.
    """
    step = SAMPLE_RATE_HZ // view.sample_rate_hz
    if step == 1:
        return tf.identity(clips)
    side = RESAMPLING_TAPS // 2
    padded = tf.pad(tf.cast(clips, tf.float32), ((0, 0), (side, side)))
    filtered = tf.nn.conv1d(padded[:, :, None], half_band_filter()[:, None, None], stride=step, padding="VALID")
    return tf.cast(tf.clip_by_value(tf.round(filtered[:, :, 0]), -_FULL_SCALE, _FULL_SCALE - 1), tf.int16)


@lru_cache(maxsize=1)
def half_band_filter() -> Floats:
    """Linear-phase low-pass at a quarter of the sample rate: sinc, Kaiser window (beta 8), gain 1; float32, (63,)."""
    side = RESAMPLING_TAPS // 2
    taps = np.sinc(np.arange(-side, side + 1) / 2.0) * np.kaiser(RESAMPLING_TAPS, 8.0)
    single: Floats = (taps / taps.sum()).astype(np.float32)
    return single
