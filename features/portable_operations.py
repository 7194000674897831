"""The front end's operations as TensorFlow operations that every engine has: for models exported to other formats.

They are those of `features.tensor_operations`, with a Fourier transform as two products of matrices, since few engines
have one of any length, and in float32 throughout, since few have float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from features import tensor_operations
from features.arithmetic import cosine
from features.tensor_operations import dct as dct
from features.tensor_operations import divided_by_peak as divided_by_peak
from features.tensor_operations import exp as exp
from features.tensor_operations import log as log
from features.tensor_operations import micro as micro
from features.tensor_operations import mirrored as mirrored
from features.tensor_operations import project as project
from features.tensor_operations import scaled_log as scaled_log
from features.tensor_operations import sqrt as sqrt

Floats = npt.NDArray[np.float32]


def power_spectra(samples: tf.Tensor, window: Floats, hop: int, count: int, length: int) -> tf.Tensor:
    """See `operations.Operations`, as for all functions here; the window is a factor of the matrices."""
    frames = tensor_operations.frames(tf.cast(samples, tf.float32), len(window), hop, count)
    real, imaginary = (project(frames, each * window[:, None]) for each in _transform(len(window), length))
    return tf.square(real) + tf.square(imaginary)


@lru_cache(maxsize=4)
def _transform(samples: int, length: int) -> tuple[Floats, Floats]:
    """Real and imaginary part of a Fourier transform of a stated length: float32, (samples, length // 2 + 1)."""
    turns = np.arange(samples)[:, None] * np.arange(length // 2 + 1) % length / length
    return cosine(turns).astype(np.float32), cosine(turns - 0.25).astype(np.float32)


def smooth(values: tf.Tensor, amount: float) -> tf.Tensor:
    kept, first = tensor_operations.kept_shares(values.shape[1], amount)
    return tf.matmul(kept.astype(np.float32), values) + first.astype(np.float32)


def cast(values: tf.Tensor, dtype: str) -> tf.Tensor:
    return tf.cast(values, "float32" if dtype == "float64" else dtype)


def filter_and_decimate(clips: tf.Tensor, taps: Sequence[float]) -> tf.Tensor:
    side = len(taps) // 2
    padded = tf.pad(tf.cast(clips, tf.float32), ((0, 0), (side, side)))
    kernel = tf.constant(taps, tf.float32)[:, None, None]
    sums = tf.nn.conv1d(padded[:, :, None], kernel, stride=2, padding="VALID")[:, :, 0]
    limits = tf.int16
    return tf.clip_by_value(tf.round(sums), limits.min, limits.max)
