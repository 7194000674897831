"""The NumPy reader gives what is in the shards, at any place and in any order, and needs no TensorFlow."""

from __future__ import annotations

import dataclasses
import pickle
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from corpus_tools import environment, store_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from letter_store import expected_ids, letter_store, record_of

from base.errors import DataError
from readers.arrays import MOST_MAPPED_SHARDS, ArrayReader, Columns
from readers.store import Store, open_store
from stores.manifest import MANIFEST_FILE

COUNTS = (5, 0, 1, 7, 0)
SPLITS = ("train", "validation", "test")
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return letter_store(tmp_path_factory.mktemp("letters"), COUNTS)


@pytest.fixture(scope="module")
def reader(store: Store) -> ArrayReader:
    return store.numpy("train")


def assert_equal(found: Columns, expected: Columns) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name
        assert np.asarray(found[name]).dtype == np.asarray(values).dtype


def all_columns() -> Columns:
    """All records of the store, column by column, without reading it."""
    records = [record_of(shard, place) for shard, count in enumerate(COUNTS) for place in range(count)]
    columns = {name: np.array([record[name] for record in records]) for name in records[0]}
    return {**columns, "id": columns["id"].astype(object)}


places = st.integers(-sum(COUNTS), sum(COUNTS) - 1)
index = st.one_of(st.slices(sum(COUNTS)), st.lists(places, max_size=20), st.lists(places).map(np.array))


@ONE_FOLDER
@given(index)
def test_an_index_takes_what_numpy_would_take(reader: ArrayReader, index: slice | list[int]) -> None:
    chosen = index if isinstance(index, slice) else np.asarray(index, np.int64)
    assert_equal(reader[index], {name: values[chosen] for name, values in all_columns().items()})


@ONE_FOLDER
@given(places)
def test_a_number_takes_one_record(reader: ArrayReader, place: int) -> None:
    assert_equal(reader[place], {name: values[place] for name, values in all_columns().items()})
    assert isinstance(reader[np.int64(place)]["id"], str)


@pytest.mark.parametrize("wrong", [13, -14, [0, 13], np.array([-14]), [0.0], [True], [[0]], "id", None])
def test_an_index_of_no_record_is_an_index_error(reader: ArrayReader, wrong: object) -> None:
    assert len(reader) == 13
    with pytest.raises(IndexError, match=r"there is no record -?1\d|expected a number, a slice or integers"):
        reader[wrong]  # type: ignore[index]


def test_iteration_ends_after_the_last_record(reader: ArrayReader) -> None:
    assert [record["id"] for record in reader] == expected_ids(COUNTS)  # type: ignore[attr-defined]


@ONE_FOLDER
@given(st.integers(1, 15))
def test_batches_in_order_are_the_whole_split(reader: ArrayReader, batch: int) -> None:
    batches = list(reader.batches(batch))
    assert {len(each["id"]) for each in batches[:-1]} <= {batch}
    assert_equal({name: np.concatenate([each[name] for each in batches]) for name in batches[0]}, all_columns())


@ONE_FOLDER
@given(st.integers(1, 15), st.integers(0, 2**32), st.integers(0, 1000))
def test_a_shuffled_epoch_has_each_record_once_in_an_order_of_seed_and_epoch(
    reader: ArrayReader, batch: int, seed: int, epoch: int
) -> None:
    def order(size: int, epoch: int) -> list[str]:
        return [name for each in reader.batches(size, shuffle=True, seed=seed, epoch=epoch) for name in each["id"]]

    assert sorted(order(batch, epoch)) == sorted(expected_ids(COUNTS))
    assert order(batch, epoch) == order(4, epoch) != order(4, epoch + 1)


def test_shuffling_brings_any_record_to_any_place(store: Store) -> None:
    reader = store.numpy("train", columns=("id",))
    orders = [next(reader.batches(13, shuffle=True, epoch=epoch))["id"] for epoch in range(400)]
    seen = {(name, place) for order in orders for place, name in enumerate(order)}
    assert len(seen) == 13 * 13


def test_loading_gives_the_whole_split(reader: ArrayReader) -> None:
    assert_equal(reader.load(), all_columns())


@pytest.mark.parametrize("split", SPLITS)
def test_a_real_split_is_what_tf_data_reads(split: str, finished: Path) -> None:
    store = open_store(finished / "features" / "mfcc")
    columns = ("id", "label", store.tensor)
    (expected,) = store.dataset(split, 1000, columns=columns).as_numpy_iterator()
    found = store.numpy(split, columns).load()
    assert [name.encode() for name in found.pop("id")] == expected.pop("id").tolist()
    assert_equal(found, expected)


def test_clips_are_read_too(finished: Path) -> None:
    store = open_store(finished / "clips")
    reader = store.numpy("unsplit")
    records = list(store.records("unsplit"))
    assert len(reader) == len(records)
    for place in (0, len(records) // 2, -1):
        assert_equal(reader[place], {name: np.asarray(value)[()] for name, value in records[place].items()})


def test_a_split_of_empty_shards_has_no_records(tmp_path: Path) -> None:
    reader = letter_store(tmp_path, (0, 0)).numpy("train")
    assert len(reader) == 0 and list(reader.batches(3)) == []
    assert {name: values.shape for name, values in reader.load().items()}["mfcc"] == (0, 25, 12)


def test_damage_is_named_by_file_and_byte_where_it_is_read_and_nowhere_else(tmp_path: Path) -> None:
    store = letter_store(tmp_path, (2, 3))
    name = store.shards("train")[1].file
    content = bytearray((tmp_path / name).read_bytes())
    size = len(content) // 3
    content[size + 100] ^= 1
    (tmp_path / name).write_bytes(content)
    reader = store.numpy("train")
    assert reader[[0, 1, 2, 4]]["id"].tolist() == ["0/0", "0/1", "1/0", "1/2"]
    for read in (lambda: reader[3], lambda: list(reader.batches(2)), reader.load):
        with pytest.raises(DataError, match=f"{name} is damaged at byte {size}: the data does not match"):
            read()


def test_a_shard_with_other_records_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    store = letter_store(tmp_path, (5,))
    (shard, *others) = store.manifest.shards
    wrong = store.manifest.with_shards((dataclasses.replace(shard, records=4), *others))
    (tmp_path / MANIFEST_FILE).write_text(wrong.to_json())
    reader = Store(store.path, wrong).numpy(shard.split)
    with pytest.raises(DataError, match=f"{shard.file} has 5 records, expected 4"):
        reader[0]


def test_a_shard_that_was_cut_is_refused_at_once(tmp_path: Path) -> None:
    store = letter_store(tmp_path, (3,))
    place = tmp_path / store.shards("train")[0].file
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"bytes, expected \d+"):
        store.numpy("train")


def test_what_cannot_be_read_is_refused_with_advice(store: Store) -> None:
    with pytest.raises(DataError, match="has no split 'dev'"):
        store.numpy("dev")
    with pytest.raises(DataError, match="has no field audio; it has id, label, length, mfcc"):
        store.numpy("train", columns=("audio",))
    with pytest.raises(DataError, match="a batch of 0 records"):
        store.numpy("train").batches(0)


def test_a_reader_that_has_read_goes_to_another_process(reader: ArrayReader) -> None:
    reader[0]
    assert_equal(pickle.loads(pickle.dumps(reader)).load(), all_columns())


def test_more_shards_than_a_process_may_have_open_are_read(tmp_path: Path) -> None:
    shards = 3 * MOST_MAPPED_SHARDS
    reader = letter_store(tmp_path, [1] * shards).numpy("train", columns=("id",))
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * MOST_MAPPED_SHARDS, most))
    try:
        found = [name for batch in reader.batches(100, shuffle=True) for name in batch["id"]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
    assert sorted(found) == sorted(expected_ids([1] * shards))


def test_batches_take_the_memory_of_a_batch(tmp_path: Path) -> None:
    reader = letter_store(tmp_path, [500] * 4).numpy("train")
    tracemalloc.start()
    try:
        records = sum(len(batch["id"]) for batch in reader.batches(10, shuffle=True))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert records == 2000
    assert peak_bytes < 2000 * 25 * 12 * 4 / 4


IMPORTS = """
import sys
from readers.store import open_store
store = open_store(sys.argv[1])
reader = store.numpy("train")
next(reader.batches(4, shuffle=True)), reader[-1], reader.load(), next(store.records("test")), store.statistics()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"tensorflow", "apache_beam", "pyarrow", "torch"}))
"""


def test_reading_with_numpy_imports_neither_tensorflow_nor_beam_nor_pyarrow(finished: Path) -> None:
    folder = store_folder(finished / "features" / "mfcc")
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, str(folder)], env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
