"""A reader whose store is replaced while it reads gets the old one or a sentence, never records of both."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import training_store
from training_store import COUNTS, feature_store, pattern
from training_tools import MODEL

from base import files
from base.errors import DataError
from readers.store import Store, open_store
from stores.writing import replace
from training import dataset
from training.train import train

REPLACED = "was replaced or removed while it was read: run the command again"


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Path]:
    """A store, and the folder of another one: the same clips and shards of the same size, all values negated."""
    old = feature_store(tmp_path / "small")
    monkeypatch.setattr(training_store, "pattern", lambda *arguments: -pattern(*arguments))
    feature_store(tmp_path / "new")
    new = open_store(tmp_path / "new").manifest
    assert [(s.file, s.bytes) for s in old.manifest.shards] == [(s.file, s.bytes) for s in new.shards]
    assert all(one.sha256 != other.sha256 for one, other in zip(old.manifest.shards, new.shards, strict=True))
    return old, tmp_path / "new"


def values(store: Store) -> dict[str, np.ndarray]:
    return {str(record["id"]): np.asarray(record["mfcc"]) for record in store.records("train")}


def test_records_are_all_of_the_store_that_was_opened_or_reading_ends_with_a_sentence(
    stores: tuple[Store, Path],
) -> None:
    store, new = stores
    expected = values(store)
    reading = store.records("train")
    read = [next(reading) for _ in range(3)]
    replace(store.path, str(new))
    with pytest.raises(DataError, match=REPLACED):
        read += reading
    assert 3 < len(read) < COUNTS["train"]  # the shard that was open is read to its end
    assert all(np.array_equal(np.asarray(record["mfcc"]), expected[str(record["id"])]) for record in read)


@pytest.mark.parametrize("moved", [0, 1, 5])
def test_a_store_that_is_being_replaced_is_not_opened_and_not_read_on(moved: int, stores: tuple[Store, Path]) -> None:
    """Killed after some shards have taken their place."""
    store, new = stores
    os.unlink(f"{store.path}/manifest.json")
    for shard in store.manifest.shards[:moved]:
        os.replace(new / shard.file, f"{store.path}/{shard.file}")
    for read in (lambda: list(store.records("train")), lambda: store.numpy("train")[0], store.check_current):
        with pytest.raises(DataError, match=REPLACED):
            read()
    with pytest.raises(DataError, match="is not a finished store"):
        open_store(store.path)


def test_arrays_come_from_the_store_that_was_opened_or_not_at_all(stores: tuple[Store, Path]) -> None:
    store, new = stores
    expected = store.numpy("train").load()["mfcc"]
    arrays, of_first_shard = store.numpy("train"), store.shards("train")[0].records
    assert np.array_equal(arrays[0]["mfcc"], expected[0])
    replace(store.path, str(new))
    # mapped: the old file stays until it is let go
    assert np.array_equal(arrays[:of_first_shard]["mfcc"], expected[:of_first_shard])
    with pytest.raises(DataError, match=REPLACED):
        arrays[len(arrays) - 1]
    with pytest.raises(DataError, match=REPLACED):
        pickle.loads(pickle.dumps(arrays))[0]


def test_a_store_replaced_by_one_of_the_same_bytes_is_read_on(stores: tuple[Store, Path], tmp_path: Path) -> None:
    store, _ = stores
    shutil.copytree(store.path, tmp_path / "again")
    reading = store.records("train")
    next(reading)
    replace(store.path, str(tmp_path / "again"))
    assert len(list(reading)) == COUNTS["train"] - 1


def test_tensorflow_reads_on_but_the_end_of_the_block_says_so(stores: tuple[Store, Path]) -> None:
    store, new = stores
    batches = iter(store.dataset("train", 4))
    next(batches)
    with pytest.raises(DataError, match=REPLACED), dataset.told_of(store):
        replace(store.path, str(new))
        list(batches)


def test_what_tensorflow_can_not_read_is_a_sentence(stores: tuple[Store, Path]) -> None:
    store, _ = stores
    batches = store.dataset("train", 4)
    for shard in store.manifest.shards:
        files.remove(f"{store.path}/{shard.file}")
    with pytest.raises(DataError, match="can't be read"), dataset.told_of(store):
        list(batches)
    with pytest.raises(tf.errors.OpError):
        list(batches)


def test_no_epoch_of_a_store_that_was_replaced_is_kept(
    stores: tuple[Store, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, new = stores
    ordered = dataset.ordered

    def replacing(*arguments: object) -> tf.data.Dataset:
        """The validation clips are asked for before the first epoch."""
        made = ordered(*arguments)  # type: ignore[arg-type]
        replace(store.path, str(new))
        return made

    monkeypatch.setattr(dataset, "ordered", replacing)
    with pytest.raises(DataError, match=REPLACED):
        train(MODEL, store, tmp_path / "models", tmp_path)
    assert not (tmp_path / "models" / "model.json").exists()
    assert not (tmp_path / "models" / "checkpoint" / "state.json").exists()
