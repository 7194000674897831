"""Random changes of a batch of features in tf.data: a shift in time, SpecAugment's warping and masks, and mixup."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from base.errors import DataError
from features.views import View
from results.model import FEATURES, LENGTH
from training.config import Augment
from training.fitting.change import Change, Inputs, changing


def augmentation(
    numbers: Augment, view: View, mean: npt.NDArray[np.float64], *, shifts_features: bool = True
) -> Change:
    """The changes of a batch of features as one function; each clip of the batch is changed in its own way.

    Args:
        numbers: how far and how much.
        view: the view of the features.
        mean: (coefficients,): what a masked value becomes.
        shifts_features: whether clips are shifted here, and not before as waveforms.

    Raises:
        DataError: warping or masks are asked of features that are not two-dimensional, or may cover all of them.
    """
    changes: list[Change] = []
    if numbers.time_shift_ms and shifts_features:
        farthest = round(numbers.time_shift_ms / view.step_ms)
        changes.append(lambda inputs, seed: shift(inputs, shifts(seed, _clips(inputs), farthest)))
    if numbers.time_warp_frames:
        check_warp(numbers, view)
        changes.append(_warping(numbers.time_warp_frames))
    if numbers.time_masks or numbers.frequency_masks:
        check_masks(numbers, view)
        filling = mean.astype(np.float32)
        kinds = (
            (1, numbers.time_masks, numbers.time_mask_frames),
            (2, numbers.frequency_masks, numbers.frequency_mask_bins),
        )
        for axis, count, widest in kinds:
            changes += [_masking(axis, view.shape[axis - 1], widest, filling)] * count

    return changing(changes)


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


def warped(features: tf.Tensor, middles: tf.Tensor, later: tf.Tensor) -> tf.Tensor:
    """Move one frame of each clip in time, and stretch what is on both sides (SpecAugment's time warping).

    Args:
        features: float32, (clips, frames, coefficients).
        middles: the frame that moves, float32, (clips,), between the first and the last.
        later: by how many frames, float32, (clips,); it stays between the first and the last.

    Returns:
        The same shape; the first and the last frame stay, frames between two are interpolated.
    """
    last = features.shape[1] - 1
    places = tf.range(last + 1, dtype=tf.float32)[None, :]
    middle, target = middles[:, None], (middles + later)[:, None]
    before = places * middle / target
    after = middle + (places - target) * (last - middle) / (last - target)
    source = tf.where(places < target, before, after)
    below = tf.clip_by_value(tf.floor(source), 0.0, last - 1.0)
    share = (source - below)[:, :, None]
    first = tf.cast(below, tf.int32)
    left, right = (tf.gather(features, each, axis=1, batch_dims=1) for each in (first, first + 1))
    return tf.ensure_shape(left + (right - left) * share, features.shape)


def _warping(farthest: int) -> Change:
    def warp(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        features = inputs[FEATURES]
        draws = tf.random.stateless_uniform((2, tf.shape(features)[0]), seed)
        last = features.shape[1] - 1
        middles = farthest + 1 + draws[0] * (last - 2 * (farthest + 1))
        return {**inputs, FEATURES: warped(features, middles, (2 * draws[1] - 1) * farthest)}

    return warp


def check_warp(numbers: Augment, view: View) -> None:
    """Make sure that a frame of a view can move so far.

    Raises:
        DataError: the view is not two-dimensional, or too short.
    """
    shortest = 2 * numbers.time_warp_frames + 4
    if len(view.shape) != 2 or view.shape[0] < shortest:
        raise DataError(
            f"augment.time_warp_frames: got {numbers.time_warp_frames} for the view {view.kind} of shape {view.shape}, "
            f"expected two-dimensional features of at least {shortest} frames"
        )


def mixed_up(inputs: Inputs, targets: tf.Tensor, alpha: float, seed: tf.Tensor) -> tuple[Inputs, tf.Tensor]:
    """Each clip of a batch averaged with another one (mixup: Zhang et al., 2018, arXiv 1710.09412).

    Args:
        inputs: features, float32, (clips, ...), and perhaps lengths, of which the longer one counts.
        targets: shares of the classes, float32, (clips, classes).
        alpha: above 0; the weight of the other clip is from Beta(alpha, alpha), one for each clip.
        seed: int, (2,).

    Returns:
        Inputs and targets of the same shapes.
    """
    features = inputs[FEATURES]
    count = tf.shape(features)[0]
    gammas = tf.random.stateless_gamma((2, count), seed, alpha)
    weights = tf.math.divide_no_nan(gammas[1], gammas[0] + gammas[1])
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seed)

    def mixed(values: tf.Tensor) -> tf.Tensor:
        shares = tf.reshape(weights, tf.concat([[count], tf.ones(values.shape.rank - 1, tf.int32)], 0))
        return values + (tf.gather(values, order) - values) * shares

    both = {LENGTH: tf.maximum(inputs[LENGTH], tf.gather(inputs[LENGTH], order))} if LENGTH in inputs else {}
    return {FEATURES: mixed(features), **both}, mixed(targets)


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
