"""Random changes of a batch of waveforms in tf.data, before a view is computed: speed, shift, noise and gain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from base.errors import DataError
from features.labels import SILENCE_CLASS
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from readers.store import Store
from results.model import FEATURES, LENGTH
from training.config import Augment
from training.fitting.change import Change, Inputs, changing

_MOST_NOISES: Final = 1024
"""Silence clips that are kept in memory, 32 kB each."""
_LIMITS: Final = (-32768.0, 32767.0)


def waveform_augmentation(numbers: Augment, store: Store, splits: Sequence[str]) -> Change:
    """The changes of a batch of waveforms as one function; each clip of the batch is changed in its own way.

    Args:
        numbers: how far and how much.
        store: of whole clips at 16 kHz; its silence clips are the noise.
        splits: those that are fitted.

    Raises:
        DataError: noise is asked for, and the splits have no silence clip that is not all zeros.
    """
    changes: list[Change] = []
    if numbers.time_shift_ms or numbers.speed != (1.0, 1.0):
        changes.append(_moving(numbers))
    if numbers.noise_probability:
        noises = silences(store, splits)
        changes.append(_adding_noise(numbers, tf.constant(noises)))
    if numbers.white_noise_probability:
        changes.append(_adding_white_noise(numbers))
    if numbers.gain_db != (0.0, 0.0):
        changes.append(_changing_gain(numbers))
    change = changing(changes)

    def rounded(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        if not changes:
            return inputs
        changed = change({**inputs, FEATURES: tf.cast(inputs[FEATURES], tf.float32)}, seed)
        samples = tf.round(tf.clip_by_value(changed[FEATURES], *_LIMITS))
        return {**changed, FEATURES: tf.cast(samples, tf.int16)}

    return rounded


def silences(store: Store, splits: Sequence[str]) -> npt.NDArray[np.int16]:
    """Silence clips of some splits that are not all zeros, the first ones in the order of the shards.

    Args:
        store: of whole clips at 16 kHz.
        splits: at least one.

    Returns:
        int16, (clips, 16000), at most 1,024 clips.

    Raises:
        DataError: there is none.
    """
    found: list[npt.NDArray[np.int16]] = []
    if SILENCE_CLASS in store.classes:
        label = store.classes.index(SILENCE_CLASS)
        for batch in store.dataset(splits, 256, columns=(store.tensor, "label")):
            clips = batch[store.tensor].numpy()[batch["label"].numpy() == label]
            found += [clip for clip in clips if clip.any()]
            if len(found) >= _MOST_NOISES:
                break
    if not found:
        raise DataError(
            f"{store.path} has no silence clip to add as noise: set noise_probability of the model to 0, or make the "
            "store of a task with silence from an archive with background recordings"
        )
    return np.stack(found[:_MOST_NOISES])


def moved(samples: tf.Tensor, factors: tf.Tensor, later: tf.Tensor) -> tf.Tensor:
    """Clips played faster around their middle, then moved in time, by linear interpolation between samples.

    Args:
        samples: float32, (clips, samples).
        factors: of speed, float32, (clips,).
        later: samples, float32, (clips,); negative ones move a clip to an earlier time.

    Returns:
        float32, (clips, samples); what is uncovered is zero.
    """
    size = samples.shape[1]
    middle = (size - 1) / 2
    places = (tf.range(size, dtype=tf.float32) - middle - later[:, None]) * factors[:, None] + middle
    below = tf.floor(places)
    share = places - below
    first = tf.cast(below, tf.int32) + 1  # counted in the padded clip
    padded = tf.pad(samples, [[0, 0], [1, 1]])
    left = tf.gather(padded, tf.clip_by_value(first, 0, size + 1), batch_dims=1)
    right = tf.gather(padded, tf.clip_by_value(first + 1, 0, size + 1), batch_dims=1)
    return tf.ensure_shape(left + (right - left) * share, samples.shape)


def with_noise(samples: tf.Tensor, noise: tf.Tensor, snr_db: tf.Tensor) -> tf.Tensor:
    """Clips with noise of a stated power added.

    Args:
        samples, noise: float32, (clips, samples).
        snr_db: ratio of a clip's power to that of its noise, float32, (clips,).

    Returns:
        float32, (clips, samples); a clip or noise that is all zeros leaves the clip as it is.
    """
    power, noise_power = (tf.reduce_mean(tf.square(each), axis=1) for each in (samples, noise))
    scale = tf.sqrt(tf.math.divide_no_nan(power, noise_power)) * _amplitude(-snr_db)
    return samples + noise * scale[:, None]


def _moving(numbers: Augment) -> Change:
    farthest = numbers.time_shift_ms * SAMPLE_RATE_HZ / 1000
    middle = (CLIP_SAMPLES - 1) / 2

    def move(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        count = tf.shape(inputs[FEATURES])[0]
        draws = tf.random.stateless_uniform((2, count), seed)
        factors = _between(draws[0], numbers.speed)
        later = tf.round(_between(draws[1], (-farthest, farthest)))
        changed = {FEATURES: moved(inputs[FEATURES], factors, later)}
        if LENGTH in inputs:
            ends = (tf.cast(inputs[LENGTH], tf.float32) - middle) / factors + middle + later
            changed[LENGTH] = tf.cast(tf.clip_by_value(tf.round(ends), 1, CLIP_SAMPLES), inputs[LENGTH].dtype)
        return changed

    return move


def _adding_noise(numbers: Augment, noises: tf.Tensor) -> Change:
    def add(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        clips = inputs[FEATURES]
        chosen = tf.random.stateless_uniform(tf.shape(clips)[:1], seed, 0, tf.shape(noises)[0], tf.int32)
        noise = tf.cast(tf.gather(noises, chosen), tf.float32)
        return _some(inputs, with_noise(clips, noise, _ratios(seed, clips, numbers)), seed, numbers.noise_probability)

    return add


def _adding_white_noise(numbers: Augment) -> Change:
    def add(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        clips = inputs[FEATURES]
        noise = tf.random.stateless_normal(tf.shape(clips), seed)
        mixed = with_noise(clips, noise, _ratios(seed, clips, numbers))
        return _some(inputs, mixed, seed, numbers.white_noise_probability)

    return add


def _changing_gain(numbers: Augment) -> Change:
    def change(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        clips = inputs[FEATURES]
        gains_db = _between(tf.random.stateless_uniform(tf.shape(clips)[:1], seed), numbers.gain_db)
        return {**inputs, FEATURES: clips * _amplitude(gains_db)[:, None]}

    return change


def _some(inputs: Inputs, changed: tf.Tensor, seed: tf.Tensor, probability: float) -> Inputs:
    """The changed clips for a share of the batch, the clips as they are for the rest."""
    draws = tf.random.stateless_uniform(tf.shape(changed)[:1], tf.random.experimental.stateless_fold_in(seed, 1))
    return {**inputs, FEATURES: tf.where((draws < probability)[:, None], changed, inputs[FEATURES])}


def _ratios(seed: tf.Tensor, clips: tf.Tensor, numbers: Augment) -> tf.Tensor:
    draws = tf.random.stateless_uniform(tf.shape(clips)[:1], tf.random.experimental.stateless_fold_in(seed, 2))
    return _between(draws, numbers.noise_snr_db)


def _between(draws: tf.Tensor, ends: tuple[float, float]) -> tf.Tensor:
    lowest, highest = ends
    return lowest + draws * (highest - lowest)


def _amplitude(decibels: tf.Tensor) -> tf.Tensor:
    return tf.pow(10.0, decibels / 20.0)
