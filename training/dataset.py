"""From a store's shards to streamed batches of (features, label), each epoch drawn from a seed of its own."""

from __future__ import annotations

import functools
import math

import tensorflow as tf

from features.errors import DataError
from features.frontend import to_float
from features.store import Store
from params import Fit
from training.augment import augmentation

Batch = tuple[tf.Tensor, tf.Tensor]


def clips(store: Store, split: str) -> int:
    """Number of clips in a split, at least one.

    Raises:
        DataError: the split is missing or empty.
    """
    count = sum(shard.records for shard in store.shards(split))
    if count == 0:
        raise DataError(f"{store.path} has no clip in split {split!r}: choose another split or a larger corpus")
    return count


def steps(store: Store, split: str, batch_size: int) -> int:
    """Batches in one pass over a split; the last one may be smaller."""
    return math.ceil(clips(store, split) / batch_size)


def ordered(store: Store, split: str, batch_size: int) -> tf.data.Dataset:
    """Each clip of a split once, in the order of the shards.

    Args:
        store: a finished store of one view.
        split: "train", "validation" or "test".
        batch_size: clips a batch; the last one may be smaller.

    Returns:
        A dataset of (features float32, (batch, *view.shape); label int64, (batch,)); waveforms in -1..1.

    Raises:
        DataError: the split is missing or empty.
    """
    records = store.dataset(split, batch_size, columns=(store.tensor, "label"))
    counted = tf.data.experimental.assert_cardinality(steps(store, split, batch_size))
    return records.map(functools.partial(example, store.tensor)).apply(counted)


def training(store: Store, fit: Fit, first_epoch: int = 0) -> tf.data.Dataset:
    """The batches of all epochs from the first one wanted to the last, one after the other.

    What an epoch holds depends on its number and the seed alone, so that a run resumed at an epoch sees what it would
    have seen without interruption.

    Args:
        store: a finished store of one view.
        fit: batch size, shuffle buffer, augmentation, seed and number of epochs.
        first_epoch: 0 for a new run.

    Returns:
        A dataset like that of `ordered`, `steps` batches for each epoch.

    Raises:
        DataError: the split is missing or empty, or the augmentation does not fit the view.
    """
    epochs = [_epoch(store, fit, epoch) for epoch in range(first_epoch, fit.epochs)]
    batches = functools.reduce(lambda before, after: before.concatenate(after), epochs)
    total = len(epochs) * steps(store, "train", fit.batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(total)).prefetch(1)


def _epoch(store: Store, fit: Fit, epoch: int) -> tf.data.Dataset:
    """One epoch: shuffled, augmented clip by clip, batched."""
    seed = epoch_seed(fit.seed, epoch)
    tf.random.set_seed(seed)  # shuffling and the random ops traced below take their seeds from this one
    records = store.dataset(
        "train", fit.batch_size, shuffle=fit.shuffle_buffer, seed=seed, columns=(store.tensor, "label")
    )
    examples = records.map(functools.partial(example, store.tensor))
    change = augmentation(fit.augment, store)
    if change is None:
        return examples
    return examples.unbatch().map(lambda features, label: (change(features), label)).batch(fit.batch_size)


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed of its own for each epoch, in [0, 2**31): neighbouring seeds don't share epochs."""
    return (seed * 1_000_003 + epoch * 7_919) % 2**31


def example(tensor: str, record: dict[str, tf.Tensor]) -> Batch:
    """(features float32, label int64) of a batch of records; int16 audio is scaled to -1..1."""
    features = record[tensor]
    return (to_float(features) if features.dtype == tf.int16 else features), record["label"]
