"""The front end's operations as TensorFlow operations, for training and for models that take raw audio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from features.arithmetic import cosine


def to_float(samples: tf.Tensor) -> tf.Tensor:
    """See `operations.Operations`, as for all functions here."""
    return tf.cast(samples, tf.float32)


def frames(samples: tf.Tensor, length: int, hop: int, count: int) -> tf.Tensor:
    """From whole hops laid side by side where a frame is made of them: no gather by index."""
    if length % hop:
        return tf.signal.frame(samples, length, hop)[:, :count]
    hops_per_frame = length // hop
    used = (count + hops_per_frame - 1) * hop
    hops = tf.reshape(samples[:, :used], (-1, count + hops_per_frame - 1, hop))
    return tf.concat([hops[:, first : first + count] for first in range(hops_per_frame)], axis=-1)


def power_spectrum(frames: tf.Tensor, length: int) -> tf.Tensor:
    spectrum = tf.signal.rfft(frames, fft_length=[length])
    return tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))


def sqrt(values: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(values)


def log(values: tf.Tensor) -> tf.Tensor:
    return tf.math.log(values)


def at_least(values: tf.Tensor, lowest: float) -> tf.Tensor:
    return tf.maximum(values, np.float32(lowest))


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


def filter_and_decimate(clips: tf.Tensor, taps: Sequence[float]) -> tf.Tensor:
    side = len(taps) // 2
    padded = tf.pad(tf.cast(clips, tf.float64), ((0, 0), (side, side)))
    kernel = tf.constant(taps, tf.float64)[:, None, None]
    sums = tf.nn.conv1d(padded[:, :, None], kernel, stride=2, padding="VALID")[:, :, 0]
    limits = tf.int16
    return tf.cast(tf.clip_by_value(tf.round(sums), limits.min, limits.max), tf.int16)
