"""From a store's records to batches of (inputs, label) that a network can read."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TypeAlias

import keras
import tensorflow as tf

from base.errors import DataError
from features.views import View
from readers.store import Store
from training.inputs import FEATURES, LENGTH

Batch: TypeAlias = tuple[tf.Tensor | tuple[tf.Tensor, ...], tf.Tensor]
"""(inputs, labels): the features alone, or a tuple of all inputs in the order of the network's; labels int64."""


def view_of(store: Store) -> View:
    """The view of a store of features.

    Raises:
        DataError: the store holds clips.
    """
    if store.view is None:
        raise DataError(f"{store.path} holds clips, not the features of a view: give a store that `extract` made")
    return store.view


def input_names(network: keras.Model) -> tuple[str, ...]:
    """The names of a network's inputs, in order: "features", and "length" where it reads that as well."""
    return tuple(each.name for each in network.inputs)


def clips(store: Store, split: str) -> int:
    """Number of clips in a split, at least one.

    Raises:
        DataError: the split is missing or empty.
    """
    count = sum(shard.records for shard in store.shards(split))
    if count == 0:
        raise DataError(f"{store.path} has no clip in split {split!r}: choose another split or a larger corpus")
    return count


def steps(store: Store, splits: Sequence[str], batch_size: int) -> int:
    """Batches in one pass over some splits together; the last one may be smaller."""
    return math.ceil(sum(clips(store, split) for split in splits) / batch_size)


def columns(store: Store, names: Sequence[str]) -> tuple[str, ...]:
    """The fields of a record that batches with such inputs need."""
    return (store.tensor, "label", *(("length",) if LENGTH in names else ()))


def example(view: View, names: Sequence[str], record: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The inputs by name, and the labels, of a batch of records.

    Args:
        view: the view of the store.
        names: the inputs wanted.
        record: the fields `columns` of a batch.

    Returns:
        ({"features": float32, (batch, *view.shape), whole numbers times the view's scale; "length": int32, (batch,)},
        labels, int64, (batch,)).
    """
    features = record[view.tensor_name]
    scaled = features if features.dtype == tf.float32 else tf.cast(features, tf.float32) * view.scale
    inputs = {FEATURES: scaled}
    if LENGTH in names:
        inputs[LENGTH] = tf.cast(view.real_steps(record["length"]), tf.int32)
    return inputs, record["label"]


def arranged(names: Sequence[str], inputs: dict[str, tf.Tensor], labels: tf.Tensor) -> Batch:
    """Inputs by name in the form that a network takes."""
    values = tuple(inputs[name] for name in names)
    return (values[0] if len(values) == 1 else values), labels


def ordered(store: Store, split: str, batch_size: int, names: Sequence[str] = (FEATURES,)) -> tf.data.Dataset:
    """Each clip of a split once, in the order of the shards.

    Args:
        store: a finished store of one view.
        split: "train", "validation" or "test".
        batch_size: clips a batch; the last one may be smaller.
        names: the inputs wanted.

    Returns:
        A dataset of batches.

    Raises:
        DataError: the split is missing or empty.
    """
    read = functools.partial(example, view_of(store), names)
    arrange = functools.partial(arranged, names)
    counted = tf.data.experimental.assert_cardinality(steps(store, (split,), batch_size))
    records = store.dataset(split, batch_size, columns=columns(store, names))
    return records.map(lambda record: arrange(*read(record))).apply(counted)
