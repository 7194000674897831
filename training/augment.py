"""Random changes of one clip's features in tf.data: a shift in time and SpecAugment's masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from features.errors import DataError
from features.store import Store
from features.views import View
from params import Augment

Change: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


def augmentation(numbers: Augment, store: Store) -> Change | None:
    """The changes of a training clip as one function, or None where all are turned off.

    Each call draws anew, with TensorFlow's random ops; what they draw follows from `tf.random.set_seed` before tracing.

    Args:
        numbers: how far and how much.
        store: a store of one view; masks are filled with its mean.

    Returns:
        A function of one clip's features, float32, `view.shape`, that gives the same shape.

    Raises:
        DataError: the store has no view, or masks are asked of one that is not two-dimensional, or are wider than it.
    """
    view = store.view
    if view is None:
        raise DataError(f"{store.path} holds clips, not the features of a view: give a store that `extract` made")
    changes: list[Change] = []
    if numbers.time_shift_ms:
        farthest = shift_steps(numbers.time_shift_ms, view)
        changes.append(lambda features: time_shift(features, farthest))
    if numbers.time_masks or numbers.frequency_masks:
        check_masks(numbers, view)
        mean = store.statistics().mean.astype(np.float32)
        changes.append(lambda features: masks(features, numbers, mean))
    return _chain(changes) if changes else None


def _chain(changes: list[Change]) -> Change:
    def change(features: tf.Tensor) -> tf.Tensor:
        for each in changes:
            features = each(features)
        return features

    return change


def shift_steps(time_ms: int, view: View) -> int:
    """A time as a number of steps along the first axis of a view: frames, or samples of a waveform."""
    if view.kind == "waveform":
        return time_ms * view.sample_rate_hz // 1000
    return round(time_ms / view.hop_ms)


def time_shift(features: tf.Tensor, farthest: int) -> tf.Tensor:
    """Move a clip earlier or later by a random number of steps.

    Args:
        features: float32, (steps,) or (steps, coefficients).
        farthest: the shift is uniform in -farthest..farthest.

    Returns:
        The same shape; what is uncovered repeats the edge's frame, or is zero in a waveform.
    """
    size = features.shape[0]
    source = tf.range(size) + tf.random.uniform((), -farthest, farthest + 1, tf.int32)
    shifted = tf.gather(features, tf.clip_by_value(source, 0, size - 1))
    if features.shape.rank > 1:
        return shifted
    return tf.where((source >= 0) & (source < size), shifted, tf.zeros_like(shifted))


def masks(features: tf.Tensor, numbers: Augment, mean: npt.NDArray[np.float32]) -> tf.Tensor:
    """Cover random stretches of time and bands of coefficients with the mean (SpecAugment: Park et al., 2019).

    Args:
        features: float32, (frames, coefficients).
        numbers: how many masks of each kind; each is 0 up to the given number of frames or bins wide.
        mean: float32, (coefficients,): what a masked value becomes.

    Returns:
        The same shape.
    """
    import tensorflow_io as tfio  # slow to import and needed here only

    centred = features - mean
    for _ in range(numbers.time_masks):
        centred = tfio.audio.time_mask(centred, param=numbers.time_mask_frames + 1)
    for _ in range(numbers.frequency_masks):
        centred = tfio.audio.freq_mask(centred, param=numbers.frequency_mask_bins + 1)
    return tf.ensure_shape(centred + mean, features.shape)


def check_masks(numbers: Augment, view: View) -> None:
    """Whether masks of such widths fit a view.

    Raises:
        DataError: the view is not two-dimensional, or a mask may cover all of it.
    """
    if len(view.shape) != 2:
        raise DataError(
            f"train.fit.augment: masks need two-dimensional features, not the view {view.kind}: set masks to 0"
        )
    for key, width, size in (
        ("time_mask_frames", numbers.time_mask_frames, view.shape[0]),
        ("frequency_mask_bins", numbers.frequency_mask_bins, view.shape[1]),
    ):
        if width >= size:
            raise DataError(f"train.fit.augment.{key}: got {width}, expected less than {size}, the size of {view.kind}")
