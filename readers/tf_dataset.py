"""The records of shards as a tf.data pipeline whose iterators start without instantiating functions where they can.

Each new iterator of tf.data instantiates and optimizes every function that its pipeline calls, some 5 ms each, at each
epoch. Reading needs none, and small splits are parsed without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import tensorflow as tf

from base import files
from readers.tf_remote import records as remote_records
from stores.manifest import Shard
from stores.schema import RecordSpec

_PARALLEL_PARSES: Final = 2
_BATCHES_AHEAD: Final = 2
_READ_BYTES: Final = 256 << 10
"""Bytes that one read of a file asks for, as in `tf.data.TFRecordDataset`."""

_CHUNK_RECORDS: Final = 64
"""Records of a shard that one choice reads, where the shards are chosen in shuffled order."""

_MOST_SHARDS: Final = 256
"""Above this number of shards a pipeline with one dataset for each takes longer to make than it saves."""

_SMALL_BYTES: Final = 32 << 20
"""Below this size of a split the functions that read and parse take longer to instantiate than they gain."""

_RECORD: Final = tf.TensorSpec((), tf.string)
_TYPES: Final = {"text": tf.string, "integer": tf.int64, "label": tf.int64, "float32": tf.float32}
"""Kind of a field → type of its tensor, for the fields that TensorFlow parses without decoding bytes."""


def parsed_batches(
    folder: str,
    shards: Sequence[Shard],
    spec: RecordSpec,
    batch: int,
    *,
    shuffle: int,
    seed: int | tf.Tensor | None,
    repeat: bool,
) -> tf.data.Dataset:
    """Stream the records of some shards; `Store.dataset` says what comes.

    The order follows from the seed alone, not from how the records are read and parsed.

    Args:
        folder: that of the shards.
        shards: at least one.
        spec: the fields to keep.
        batch, shuffle, seed, repeat: as `Store.dataset` has them.
    """
    if files.is_remote(folder):
        order = tf.data.Dataset.range(len(shards))
        records = remote_records(folder, shards, order.shuffle(len(shards), seed=seed) if shuffle else order)
        records = records.shuffle(shuffle, seed=seed) if shuffle else records
    else:
        paths = [f"{folder}/{shard.file}" for shard in shards]
        records = _shuffled(paths, shards, shuffle, seed) if shuffle else _in_order(paths)
    if repeat:
        records = records.repeat()
    batches = records.batch(batch)
    if not repeat and _parse_without_function(shards, spec):
        examples = _parsed(batches, spec)
    else:
        examples = batches.map(spec.parse, num_parallel_calls=_PARALLEL_PARSES)
    options = tf.data.Options()
    options.autotune.enabled = False  # measured: reading is faster without it, benchmarks/reading.py
    return examples.prefetch(_BATCHES_AHEAD).with_options(options)


def _in_order(paths: Sequence[str]) -> tf.data.Dataset:
    return tf.data.experimental.from_variant(_reader(paths), _RECORD)


def _shuffled(
    paths: Sequence[str], shards: Sequence[Shard], buffer: int, seed: int | tf.Tensor | None
) -> tf.data.Dataset:
    if _inside_function() or len(paths) > _MOST_SHARDS or not _is_small(shards):
        order = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=seed)
        records = tf.data.TFRecordDataset(order)
    else:
        records = _in_shuffled_order(paths, max(shard.records for shard in shards), seed)
    return records.shuffle(buffer, seed=seed)


def _inside_function() -> bool:
    """Whether this pipeline is part of another one, which instantiates the functions of both once for all epochs."""
    return not tf.executing_eagerly()


def _in_shuffled_order(paths: Sequence[str], most_records: int, seed: int | None) -> tf.data.Dataset:
    """The records of shards one after the other, the shards in an order that each iteration shuffles again.

    A dataset of numbers chooses the shard of each chunk of records. Every shard's number stands in it as often as it
    takes to read the largest shard to its end, where its file is closed; the numbers of a shard that has ended are
    passed over.
    """
    choices = np.repeat(np.arange(len(paths))[:, None], most_records // _CHUNK_RECORDS + 1, axis=1)
    order = tf.data.Dataset.from_tensor_slices(choices).shuffle(len(paths), seed=seed)
    chosen = tf.raw_ops.DirectedInterleaveDataset(
        selector_input_dataset=_unbatched(tf.data.experimental.to_variant(order), tf.int64),
        data_input_datasets=_chunked(paths),
        output_types=[tf.string],
        output_shapes=[(None,)],
    )
    return tf.data.experimental.from_variant(_unbatched(chosen, tf.string), _RECORD)


def _chunked(paths: Sequence[str]) -> list[tf.Tensor]:
    """For each file a dataset, as a variant, of its records in chunks."""

    def chunks(path: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.BatchDatasetV2(
            input_dataset=_reader(path),
            batch_size=_CHUNK_RECORDS,
            drop_remainder=False,
            output_types=[tf.string],
            output_shapes=[(None,)],
        )

    # in one pipeline for all files: from Python it takes a millisecond for each
    made = tf.data.Dataset.from_tensor_slices(paths).map(tf.autograph.experimental.do_not_convert(chunks))
    return list(tf.unstack(made.batch(len(paths)).get_single_element(), len(paths)))


def _unbatched(batches: tf.Tensor, kind: tf.DType) -> tf.Tensor:
    """A dataset of scalars, as a variant, from one of vectors; `tf.data.Dataset.unbatch` calls a function."""
    return tf.raw_ops.UnbatchDataset(input_dataset=batches, output_types=[kind], output_shapes=[()])


def _reader(paths: Sequence[str] | tf.Tensor) -> tf.Tensor:
    """A dataset, as a variant, of the records of a file, or of files one after the other."""
    return tf.raw_ops.TFRecordDataset(filenames=paths, compression_type="", buffer_size=_READ_BYTES)


def _parse_without_function(shards: Sequence[Shard], spec: RecordSpec) -> bool:
    return _is_small(shards) and not _inside_function() and all(field.kind in _TYPES for field in spec.fields)


def _is_small(shards: Sequence[Shard]) -> bool:
    return sum(shard.bytes for shard in shards) <= _SMALL_BYTES


def _parsed(batches: tf.data.Dataset, spec: RecordSpec) -> tf.data.Dataset:
    """What `spec.parse` makes of batches of records, by one operation that copies each record once more."""
    types = [_TYPES[field.kind] for field in spec.fields]
    examples = tf.raw_ops.ParseExampleDatasetV2(
        input_dataset=tf.data.experimental.to_variant(batches),
        num_parallel_calls=_PARALLEL_PARSES,
        dense_defaults=[tf.constant([], each) for each in types],  # empty: a record must have the field
        sparse_keys=[],
        dense_keys=[field.name for field in spec.fields],
        sparse_types=[],
        dense_shapes=[field.shape for field in spec.fields],
        output_types=types,
        output_shapes=[(None, *field.shape) for field in spec.fields],
    )
    tensors = {
        field.name: tf.TensorSpec((None, *field.shape), each) for field, each in zip(spec.fields, types, strict=True)
    }
    return tf.data.experimental.from_variant(examples, tensors)
