"""A tf.data pipeline gives the same records in the same order however it reads and parses, and starts cheaply."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf
from letter_store import expected_ids, letter_store
from test_store import small_store

from readers import tf_dataset
from readers.store import Store
from stores.schema import Value

COUNTS = (130, 0, 64, 1, 128, 63)
"""Shards that end within a chunk of 64 records, at the end of one, and before the first."""

WAYS: dict[str, dict[str, Any]] = {
    "without functions": {},
    "parsed by a function": {"_parse_without_function": lambda shards, spec: False},
    "as a large split": {"_SMALL_BYTES": 0},
    "as part of another pipeline": {"_inside_function": lambda: True},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return letter_store(tmp_path_factory.mktemp("letters"), COUNTS)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to read and parse, whatever the size of the split."""
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(tf_dataset, name, value)


def reference(store: Store, repeats: int) -> tf.data.Dataset:
    """Batches of 60 records, not parsed, by TensorFlow's own reader of files."""
    paths = [f"{store.path}/{shard.file}" for shard in store.shards("train")]
    shuffled = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=7)
    return tf.data.TFRecordDataset(shuffled).shuffle(50, seed=7).repeat(repeats).batch(60)


def records_in(batches: tf.data.Dataset) -> list[list[dict[str, Any]]]:
    """The records of each batch of one pass."""
    return [
        [dict(zip(batch, row, strict=True)) for row in zip(*batch.values(), strict=True)]
        for batch in batches.as_numpy_iterator()
    ]


def decoded(store: Store, batches: tf.data.Dataset) -> list[list[dict[str, Value]]]:
    """The records of each batch of one pass, parsed without TensorFlow."""
    return [[store.record.decode(each) for each in batch] for batch in batches.as_numpy_iterator()]


def assert_same(found: list[list[dict[str, Any]]], expected: list[list[dict[str, Value]]]) -> None:
    assert [len(batch) for batch in found] == [len(batch) for batch in expected]
    for left, right in zip(chain.from_iterable(found), chain.from_iterable(expected), strict=True):
        assert left.keys() == right.keys()
        for name, value in right.items():
            np.testing.assert_array_equal(left[name], value.encode() if isinstance(value, str) else value)


@pytest.mark.usefixtures("way")
def test_each_epoch_has_the_order_of_shuffled_files_and_then_shuffled_records(store: Store) -> None:
    dataset, expected = store.dataset("train", 60, shuffle=50, seed=7), reference(store, 1)
    for _ in range(3):
        assert_same(records_in(dataset), decoded(store, expected))


@pytest.mark.usefixtures("way")
def test_a_repeated_dataset_shuffles_each_epoch_again_and_goes_on_without_a_border(store: Store) -> None:
    dataset, expected = store.dataset("train", 60, shuffle=50, seed=7, repeat=True), reference(store, 3)
    batches = 3 * sum(COUNTS) // 60
    assert_same(records_in(dataset.take(batches)), decoded(store, expected)[:batches])


@pytest.mark.usefixtures("way")
def test_without_shuffling_the_order_is_that_of_the_shards(store: Store) -> None:
    in_order = list(store.records("train"))
    expected = [in_order[at : at + 60] for at in range(0, len(in_order), 60)]
    dataset = store.dataset("train", 60)
    for _ in range(2):
        assert_same(records_in(dataset), expected)


@pytest.mark.usefixtures("way")
def test_an_epoch_that_is_left_early_leaves_the_next_ones_as_they_are(store: Store) -> None:
    left, whole = (store.dataset("train", 60, shuffle=50, seed=7, columns=("id",)) for _ in range(2))
    for _ in range(2):
        next(iter(left))
        records_in(whole)
    assert records_in(left) == records_in(whole)


@pytest.mark.usefixtures("way")
def test_several_iterators_of_a_dataset_go_side_by_side(store: Store) -> None:
    dataset = store.dataset("train", 60, shuffle=50, seed=7, columns=("id",))
    pairs = list(zip(dataset.as_numpy_iterator(), dataset.as_numpy_iterator(), strict=True))
    for side in zip(*pairs, strict=True):
        found = [name.decode() for batch in side for name in batch["id"]]
        assert sorted(found) == sorted(expected_ids(COUNTS))


@pytest.mark.usefixtures("way")
def test_batches_have_the_same_types_and_shapes_in_all_ways(store: Store) -> None:
    parsed = tf.function(store.record.parse).get_concrete_function(tf.TensorSpec((None,), tf.string))
    outputs = parsed.structured_outputs.items()
    expected = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in outputs}
    assert store.dataset("train", 60, shuffle=50).element_spec == expected


def functions_of(dataset: tf.data.Dataset) -> list[str]:
    """The functions that a new iterator instantiates."""
    graph = tf.raw_ops.DatasetToGraphV2(input_dataset=tf.data.experimental.to_variant(dataset))
    return [each.signature.name for each in tf.compat.v1.GraphDef.FromString(graph.numpy()).library.function]


@pytest.mark.parametrize("shuffle", [0, 50])
def test_a_small_split_calls_no_function(store: Store, shuffle: int) -> None:
    assert functions_of(store.dataset("train", 60, shuffle=shuffle, seed=7)) == []


@pytest.mark.parametrize("shuffle", [0, 50])
def test_a_split_of_audio_calls_a_function_that_parses_and_a_large_one_may_call_another_that_reads(
    store: Store, shuffle: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(functions_of(small_store(tmp_path, (3, 2)).dataset("train", 2, shuffle=shuffle))) == 1
    monkeypatch.setattr(tf_dataset, "_SMALL_BYTES", sum(shard.bytes for shard in store.shards("train")) - 1)
    assert len(functions_of(store.dataset("train", 60, shuffle=shuffle))) == (2 if shuffle else 1)


@pytest.mark.usefixtures("way")
def test_one_file_is_open_at_a_time(tmp_path: Path) -> None:
    store = letter_store(tmp_path, (64,) * 12)
    most, process = 0, psutil.Process()
    for _ in store.dataset("train", 1, shuffle=2, seed=7, columns=("id",)):
        most = max(most, sum(each.path.startswith(store.path) for each in process.open_files()))
    assert most == 1
