"""From a store's records to batches of (inputs, label) that a network can read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import keras
import tensorflow as tf

from base.errors import DataError
from features import tensor_operations
from features.frontend import front_end
from features.views import WHOLE_CLIPS, View
from readers.store import Store
from readers.tf_remote import last_fault
from results.model import FEATURES, LENGTH

Batch: TypeAlias = tuple[tf.Tensor | tuple[tf.Tensor, ...], tf.Tensor]
"""(inputs, labels): the features alone, or a tuple of all inputs in the order of the network's; labels int64, or
float32 (batch, classes) where a clip has a share in several."""

_UNREADABLE: Final = (tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.PermissionDeniedError)


@dataclass(frozen=True)
class Source:
    """A store and the view that is wanted of it: the one that it holds, or one that is computed from its waveforms.

    Attributes:
        store: finished; it holds the view, or whole clips at 16 kHz.
        view: what a network reads.
    """

    store: Store
    view: View

    @property
    def computes(self) -> bool:
        """Whether the view is computed from waveforms as they are read."""
        return self.store.view != self.view

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """The fields of a record that batches with such inputs need."""
        return (self.store.tensor, "label", *(("length",) if LENGTH in names else ()))

    def features(self, stored: tf.Tensor) -> tf.Tensor:
        """What a network reads of a batch.

        Args:
            stored: the tensor of the store's records, (batch, ...); of waveforms int16, (batch, 16000).

        Returns:
            float32, (batch, *view.shape); whole numbers times the view's scale.
        """
        values = front_end(self.view, tensor_operations)(stored) if self.computes else stored
        return values if values.dtype == tf.float32 else tf.cast(values, tf.float32) * self.view.scale

    def stored(self, names: Sequence[str], record: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the store has for the inputs wanted, by their names.

        Args:
            names: the inputs wanted.
            record: the fields `columns` of a batch of records.

        Returns:
            "features", the tensor of the records, (batch, ...), and where it is wanted "length", int64, (batch,).
        """
        found = {FEATURES: record[self.store.tensor]}
        return found | ({LENGTH: record["length"]} if LENGTH in names else {})

    def inputs(self, stored: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What a network reads.

        Args:
            stored: what `stored` gives, waveforms perhaps changed.

        Returns:
            "features", float32, (batch, *view.shape), and where it is wanted "length", steps, int32, (batch,).
        """
        found = {FEATURES: self.features(stored[FEATURES])}
        if LENGTH in stored:
            own = self.view.real_length(stored[LENGTH]) if self.computes else stored[LENGTH]
            found[LENGTH] = tf.cast(self.view.real_steps(own), tf.int32)
        return found


def source(store: Store, view: View | None = None) -> Source:
    """A store to read a view from.

    Args:
        store: a finished store of features.
        view: what a network reads, by default the view of the store.

    Raises:
        DataError: the store holds clips, or neither the view nor whole clips at 16 kHz.
    """
    if store.view is None:
        raise DataError(f"{store.path} holds clips, not the features of a view: give a store that `extract` made")
    if view not in (None, store.view) and store.view != WHOLE_CLIPS:
        raise DataError(
            f"{store.path} holds the view {store.name}, but a {view.kind} of another definition is wanted: give a "
            "store of that view, or of waveforms at 16 kHz"
        )
    return Source(store, view or store.view)


@contextmanager
def told_of(store: Store) -> Iterator[None]:
    """Read a store with TensorFlow in the block, so that all that is read is of the store that was opened.

    Raises:
        DataError: at the end of the block, the store was replaced; in it, a shard can't be read.
    """
    try:
        yield
    except _UNREADABLE as error:
        store.check_current()
        raise DataError(f"{store.path} can't be read ({error.message}): make the store again") from error
    except tf.errors.UnknownError as error:
        fault = last_fault()  # of reading a remote store
        if fault is None:
            raise
        raise fault from error
    store.check_current()


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


def arranged(names: Sequence[str], inputs: dict[str, tf.Tensor]) -> tf.Tensor | tuple[tf.Tensor, ...]:
    """Inputs by name in the form that a network takes."""
    values = tuple(inputs[name] for name in names)
    return values[0] if len(values) == 1 else values


def ordered(source: Source, split: str, batch_size: int, names: Sequence[str] = (FEATURES,)) -> tf.data.Dataset:
    """Each clip of a split once, in the order of the shards.

    Args:
        source: where the records come from, and what a network reads of them.
        split: "train", "validation" or "test".
        batch_size: clips a batch; the last one may be smaller.
        names: the inputs wanted.

    Returns:
        A dataset of batches.

    Raises:
        DataError: the split is missing or empty.
    """

    def batch(record: dict[str, tf.Tensor]) -> Batch:
        return arranged(names, source.inputs(source.stored(names, record))), record["label"]

    counted = tf.data.experimental.assert_cardinality(steps(source.store, (split,), batch_size))
    return source.store.dataset(split, batch_size, columns=source.columns(names)).map(batch).apply(counted)
