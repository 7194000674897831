"""Random changes of a batch of clips in tf.data: a shift in time and SpecAugment's masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from base.errors import DataError
from features.views import View
from training.config import Augment
from training.inputs import FEATURES, LENGTH

Inputs: TypeAlias = dict[str, tf.Tensor]
Change: TypeAlias = Callable[[Inputs, tf.Tensor], Inputs]
"""From inputs by name and a seed, int, (2,), to inputs of the same shapes; the same seed makes the same change."""


def augmentation(numbers: Augment, view: View, mean: npt.NDArray[np.float64]) -> Change:
    """The changes of a batch of clips as one function; each clip of the batch is changed in its own way.

    Args:
        numbers: how far and how much.
        view: the view of the features.
        mean: (coefficients,): what a masked value becomes.

    Raises:
        DataError: masks are asked of features that are not two-dimensional, or may cover all of them.
    """
    changes: list[Change] = []
    if numbers.time_shift_ms:
        farthest = round(numbers.time_shift_ms / view.step_ms)
        changes.append(lambda inputs, seed: shift(inputs, shifts(seed, _clips(inputs), farthest)))
    if numbers.time_masks or numbers.frequency_masks:
        check_masks(numbers, view)
        filling = mean.astype(np.float32)
        kinds = (
            (1, numbers.time_masks, numbers.time_mask_frames),
            (2, numbers.frequency_masks, numbers.frequency_mask_bins),
        )
        for axis, count, widest in kinds:
            changes += [_masking(axis, view.shape[axis - 1], widest, filling)] * count

    def change(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        for number, each in enumerate(changes):
            inputs = each(inputs, tf.random.experimental.stateless_fold_in(seed, number))
        return inputs

    return change


def _masking(axis: int, size: int, widest: int, filling: npt.NDArray[np.float32]) -> Change:
    def mask(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        starts, widths = masks(seed, _clips(inputs), size, widest)
        return {**inputs, FEATURES: cover(inputs[FEATURES], axis, starts, widths, filling)}

    return mask


def _clips(inputs: Inputs) -> tf.Tensor:
    return tf.shape(inputs[FEATURES])[0]


def shifts(seed: tf.Tensor, clips: tf.Tensor, farthest: int) -> tf.Tensor:
    """For each clip how many steps later it begins, uniform in -farthest..farthest; int32, (clips,)."""
    return tf.random.stateless_uniform((clips,), seed, -farthest, farthest + 1, tf.int32)


def shift(inputs: Inputs, later: tf.Tensor) -> Inputs:
    """Move clips in time, and the ends of their real part with them.

    Args:
        inputs: features, float32, (clips, steps) or (clips, steps, coefficients), and perhaps lengths in steps.
        later: steps, int32, (clips,); negative ones move a clip to an earlier time.

    Returns:
        The same shapes; what is uncovered repeats the edge's frame, or is zero in a waveform. A length stays in
        1..steps.
    """
    features = inputs[FEATURES]
    size = features.shape[1]
    moved = _moved_frames(features, later) if features.shape.rank == 3 else _moved_samples(features, later)
    ends = {LENGTH: tf.clip_by_value(inputs[LENGTH] + later, 1, size)} if LENGTH in inputs else {}
    return {FEATURES: moved, **ends}


def _moved_frames(features: tf.Tensor, later: tf.Tensor) -> tf.Tensor:
    size = features.shape[1]
    source = tf.clip_by_value(tf.range(size) - later[:, None], 0, size - 1)
    return tf.gather(features, source, axis=1, batch_dims=1)


def _moved_samples(samples: tf.Tensor, later: tf.Tensor) -> tf.Tensor:
    size, farthest = samples.shape[1], tf.reduce_max(tf.abs(later))
    padded = tf.pad(samples, [[0, 0], [farthest, farthest]])

    def moved(clip: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return tf.slice(clip[0], [farthest - clip[1]], [size])  # one copy; gathering single samples takes longer

    return tf.ensure_shape(tf.map_fn(moved, (padded, later), fn_output_signature=tf.float32), samples.shape)


def masks(seed: tf.Tensor, clips: tf.Tensor, size: int, widest: int) -> tuple[tf.Tensor, tf.Tensor]:
    """For each clip where a mask begins and how wide it is.

    Args:
        seed: int, (2,).
        clips: how many.
        size: of the axis that is masked.
        widest: widths are uniform in 0..widest, starts uniform where the mask lies within the axis.

    Returns:
        (starts, widths), both int32, (clips,).
    """
    draws = tf.random.stateless_uniform((2, clips), seed)
    widths = tf.cast(draws[0] * (widest + 1), tf.int32)
    starts = tf.cast(draws[1] * tf.cast(size - widths + 1, tf.float32), tf.int32)
    return starts, widths


def cover(
    features: tf.Tensor, axis: int, starts: tf.Tensor, widths: tf.Tensor, filling: npt.NDArray[np.float32]
) -> tf.Tensor:
    """Put the mean in the place of a stretch of each clip (SpecAugment: Park et al., 2019).

    Args:
        features: float32, (clips, frames, coefficients).
        axis: 1 for time, 2 for coefficients.
        starts, widths: of the stretches, int32, (clips,).
        filling: float32, (coefficients,).

    Returns:
        The same shape.
    """
    places = tf.range(features.shape[axis])
    covered = (places >= starts[:, None]) & (places < (starts + widths)[:, None])
    return tf.where(tf.expand_dims(covered, 3 - axis), filling, features)


def check_masks(numbers: Augment, view: View) -> None:
    """Make sure that masks of such widths fit a view.

    Raises:
        DataError: the view is not two-dimensional, or a mask may cover all of it.
    """
    if len(view.shape) != 2:
        raise DataError(
            f"augment: masks need two-dimensional features, but the view {view.kind} has shape {view.shape}: set "
            "time_masks and frequency_masks of the model to 0"
        )
    for key, width, size in (
        ("time_mask_frames", numbers.time_mask_frames, view.shape[0]),
        ("frequency_mask_bins", numbers.frequency_mask_bins, view.shape[1]),
    ):
        if width >= size:
            raise DataError(f"augment.{key}: got {width}, expected less than {size}, the size of {view.kind}")
