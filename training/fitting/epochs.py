"""The batches of all epochs of a run as one tf.data pipeline; an epoch follows from its number and the seed alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import tensorflow as tf

from features.statistics import Statistics
from readers.store import Store
from training import dataset
from training.config import Augment, Fit
from training.fitting.augment import augmentation

_BATCHES_AHEAD = 2


def epochs(
    store: Store, fit: Fit, augment: Augment, statistics: Statistics, names: Sequence[str], first_epoch: int = 0
) -> tf.data.Dataset:
    """The batches of all epochs from the first one wanted to the last, one after the other.

    Every epoch holds each clip once: shards shuffled, clips shuffled within the buffer, each changed in its own way.
    What an epoch holds depends on its number and the seed alone, so that a run resumed at an epoch sees what it would
    have seen without interruption. The pipeline is traced once, whatever the number of epochs.

    Args:
        store: a finished store of one view.
        fit: splits, batch size, shuffle buffer, seed and number of epochs.
        augment: the changes.
        statistics: of the splits; masks are filled with their mean.
        names: the inputs wanted.
        first_epoch: 0 for a new run.

    Returns:
        A dataset of batches as `dataset.ordered` has them, `dataset.steps` for each epoch.

    Raises:
        DataError: a split is missing or empty, or the augmentation does not fit the view.
    """
    view = dataset.view_of(store)
    change = augmentation(augment, view, statistics.mean)
    read = functools.partial(dataset.example, view, names)
    columns = dataset.columns(store, names)

    def batch(seed: tf.Tensor, number: tf.Tensor, record: dict[str, tf.Tensor]) -> dataset.Batch:
        inputs, labels = read(record)
        changed = change(inputs, tf.random.experimental.stateless_fold_in(seed, number))
        return dataset.arranged(names, changed, labels)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        tf.compat.v1.set_random_seed(1)  # of this function's graph, whose shuffles depend on it and on the seed given
        seed = tf.stack([tf.constant(fit.seed, tf.int64), number])
        order = tf.random.stateless_uniform((), seed, 1, 2**31 - 1, tf.int64)
        records = store.dataset(fit.splits, fit.batch_size, shuffle=fit.shuffle_buffer, seed=order, columns=columns)
        return records.enumerate().map(functools.partial(batch, seed))

    options = tf.data.Options()
    options.autotune.enabled = False
    total = (fit.epochs - first_epoch) * dataset.steps(store, fit.splits, fit.batch_size)
    batches = tf.data.Dataset.range(first_epoch, fit.epochs).flat_map(tf.autograph.experimental.do_not_convert(epoch))
    return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(_BATCHES_AHEAD).with_options(options)
