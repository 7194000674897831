"""The front end's operations as TensorFlow operations, for training and for models that take raw audio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from features.arithmetic import cosine
from features.micro import MicroTables
from features.views import FULL_SCALE


def power_spectra(samples: tf.Tensor, window: npt.NDArray[np.float32], hop: int, count: int, length: int) -> tf.Tensor:
    """See `operations.Operations`, as for all functions here."""
    spectrum = tf.signal.rfft(
        frames(tf.cast(samples, tf.float32), len(window), hop, count) * window, fft_length=[length]
    )
    return tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))


def frames(samples: tf.Tensor, length: int, hop: int, count: int) -> tf.Tensor:
    """The first frames of each clip, (batch, count, length): where a frame is made of whole hops, from these laid side
    by side, without a gather by index."""
    if length % hop:
        return tf.signal.frame(samples, length, hop)[:, :count]
    hops_per_frame = length // hop
    used = (count + hops_per_frame - 1) * hop
    hops = tf.reshape(samples[:, :used], (-1, count + hops_per_frame - 1, hop))
    return tf.concat([hops[:, first : first + count] for first in range(hops_per_frame)], axis=-1)


def divided_by_peak(samples: tf.Tensor) -> tf.Tensor:
    peaks = tf.cast(tf.reduce_max(samples, axis=1, keepdims=True), tf.float32)
    return tf.cast(samples, tf.float32) / tf.where(peaks > 0, peaks, np.float32(FULL_SCALE))


def mirrored(samples: tf.Tensor, side: int) -> tf.Tensor:
    return tf.pad(samples, ((0, 0), (side, side)), mode="REFLECT")


def sqrt(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(values)


def scaled_log(values: tf.Tensor, lowest: float, factor: float) -> tf.Tensor:
    return tf.math.log(tf.maximum(values, np.float32(lowest))) * np.float32(factor)


def project(values: tf.Tensor, matrix: npt.NDArray[np.float32]) -> tf.Tensor:
    """As one product of two matrices."""
    flat = tf.matmul(tf.reshape(values, (-1, matrix.shape[0])), matrix)
    return tf.reshape(flat, (-1, values.shape[1], matrix.shape[1]))


def dct(values: tf.Tensor) -> tf.Tensor:
    """As a product with its matrix."""
    size = values.shape[-1]
    band, order = np.arange(size)[:, None], np.arange(size)[None, :]
    matrix = cosine((band + 0.5) * order / (2.0 * size)) * np.sqrt(2.0 / size)
    matrix[:, 0] = np.sqrt(1.0 / size)
    return project(values, matrix.astype(np.float32))


def smooth(values: tf.Tensor, amount: float) -> tf.Tensor:
    """As a product with the powers of what a frame keeps."""
    kept, first = kept_shares(values.shape[1], amount)
    return tf.matmul(kept, values) + first


def kept_shares(frames: int, amount: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What a frame keeps of each frame, (frames, frames), and of the start, (frames, 1)."""
    ages = np.arange(frames)[:, None] - np.arange(frames)
    kept = np.where(ages >= 0, amount * (1 - amount) ** np.maximum(ages, 0), 0.0)
    first: npt.NDArray[np.float64] = ((1 - amount) ** np.arange(1, frames + 1))[:, None]
    return kept, first


def log(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(values)


def exp(values: tf.Tensor) -> tf.Tensor:
    return tf.math.exp(values)


def cast(values: tf.Tensor, dtype: str) -> tf.Tensor:
    return tf.cast(values, dtype)


def micro(clips: tf.Tensor, tables: MicroTables, count: int) -> tf.Tensor:
    from features import tensor_micro

    return tensor_micro.micro(clips, tables, count)


def filter_and_decimate(clips: tf.Tensor, taps: Sequence[float]) -> tf.Tensor:
    side = len(taps) // 2
    padded = tf.pad(tf.cast(clips, tf.float64), ((0, 0), (side, side)))
    kernel = tf.constant(taps, tf.float64)[:, None, None]
    sums = tf.nn.conv1d(padded[:, :, None], kernel, stride=2, padding="VALID")[:, :, 0]
    limits = tf.int16
    return tf.cast(tf.clip_by_value(tf.round(sums), limits.min, limits.max), tf.int16)
