"""The batches of all epochs of a run as one tf.data pipeline; an epoch follows from its number and the seed alone."""

from __future__ import annotations

import os
from typing import Final

import tensorflow as tf

from features.statistics import Statistics
from results.model import FEATURES
from training import dataset
from training.config import Augment, Fit
from training.dataset import Source
from training.fitting.augment import augmentation, mixed_up
from training.fitting.teacher import Teacher
from training.fitting.waveforms import waveform_augmentation

_BATCHES_AHEAD: Final = 2
_PARALLEL_CHANGES: Final = min(8, os.cpu_count() or 1)
_WAVEFORM_SEED, _FEATURE_SEED, _MIXUP_SEED = range(3)


def epochs(
    source: Source,
    fit: Fit,
    augment: Augment,
    statistics: Statistics,
    names: tuple[str, ...],
    first_epoch: int = 0,
    teacher: Teacher | None = None,
) -> tf.data.Dataset:
    """The batches of all epochs from the first one wanted to the last, one after the other.

    Every epoch holds each clip once: shards shuffled, clips shuffled within the buffer, each changed in its own way.
    What an epoch holds depends on its number and the seed alone, so that a run resumed at an epoch sees what it would
    have seen without interruption. The pipeline is traced once, whatever the number of epochs.

    Args:
        source: the store, and what the network reads of it.
        fit: splits, batch size, shuffle buffer, seed and number of epochs.
        augment: the changes.
        statistics: of the view over the splits; masks are filled with their mean.
        names: the inputs wanted.
        first_epoch: 0 for a new run.
        teacher: what its probabilities come from, for distillation.

    Returns:
        A dataset of batches as `dataset.ordered` has them, `dataset.steps` for each epoch; labels are shares of the
        classes, float32, (batch, classes), where clips are mixed or a teacher says them.

    Raises:
        DataError: a split is missing or empty, or the augmentation does not fit the view.
    """
    store = source.store
    change_waveforms = waveform_augmentation(augment, store, fit.splits) if source.computes else None
    change = augmentation(augment, source.view, statistics.mean, shifts_features=not source.computes)

    def batch(seed: tf.Tensor, number: tf.Tensor, record: dict[str, tf.Tensor]) -> dataset.Batch:
        own = tf.random.experimental.stateless_fold_in(seed, number)
        stored = source.stored(names, record)
        targets = record["label"]
        if change_waveforms is not None:
            stored = change_waveforms(stored, tf.random.experimental.stateless_fold_in(own, _WAVEFORM_SEED))
        inputs = source.inputs(stored)
        if teacher is not None or augment.mixup:
            targets = tf.one_hot(targets, len(store.classes))
        if teacher is not None:
            targets = teacher.targets(stored[FEATURES], targets)
        inputs = change(inputs, tf.random.experimental.stateless_fold_in(own, _FEATURE_SEED))
        if augment.mixup:
            mixup_seed = tf.random.experimental.stateless_fold_in(own, _MIXUP_SEED)
            inputs, targets = mixed_up(inputs, targets, augment.mixup, mixup_seed)
        return dataset.arranged(names, inputs), targets

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        tf.compat.v1.set_random_seed(1)  # of this function's graph, whose shuffles depend on it and on the seed given
        seed = tf.stack([tf.constant(fit.seed, tf.int64), number])
        order = tf.random.stateless_uniform((), seed, 1, 2**31 - 1, tf.int64)
        columns = source.columns(names)
        records = store.dataset(fit.splits, fit.batch_size, shuffle=fit.shuffle_buffer, seed=order, columns=columns)
        return records.enumerate().map(lambda index, record: batch(seed, index, record), _PARALLEL_CHANGES)

    options = tf.data.Options()
    options.autotune.enabled = False
    total = (fit.epochs - first_epoch) * dataset.steps(store, fit.splits, fit.batch_size)
    batches = tf.data.Dataset.range(first_epoch, fit.epochs).flat_map(tf.autograph.experimental.do_not_convert(epoch))
    return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(_BATCHES_AHEAD).with_options(options)
