"""An export as ArrayRecord is read at any place by Grain and by `tfds.data_source`, which need no TensorFlow for it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from export_tools import export_to, same
from training_store import clip_store, feature_store

from readers.store import Store

tfds = pytest.importorskip("tensorflow_datasets", reason="TensorFlow Datasets is not installed here")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    folder = tmp_path_factory.mktemp("stores")
    return {
        "small": feature_store(folder / "small"),
        "clips": clip_store(folder / "clips", {"unsplit": 40}),
    }


@pytest.fixture(scope="module")
def exports(stores: dict[str, Store], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the export of each store in a folder of its name."""
    folder = tmp_path_factory.mktemp("exports")
    for name, store in stores.items():
        export_to(folder / name, store, "array-record")
    return folder


def assert_equal(found: dict[str, Any], record: dict[str, Any]) -> None:
    """A clip as TensorFlow Datasets decodes it, text as bytes, is the store's record."""
    assert found.keys() == record.keys()
    for name, value in record.items():
        if isinstance(value, str):
            assert found[name].decode() == value
        elif isinstance(value, int):
            assert found[name] == value
        else:
            assert same(found[name], value)


def shuffled_places(sequence: Sequence[Any]) -> list[int]:
    return random.Random(0).sample(range(len(sequence)), len(sequence))


@pytest.mark.parametrize("name", ["small", "clips"])
def test_tfds_opens_every_clip_at_its_place(name: str, stores: dict[str, Store], exports: Path) -> None:
    store = stores[name]
    sources = tfds.data_source(name, data_dir=exports / name)
    assert {split: len(source) for split, source in sources.items()} == store.counts
    for split, source in sources.items():
        records = list(store.records(split))
        for place in shuffled_places(records):
            assert_equal(source[place], records[place])


def test_tfds_knows_classes_license_and_sizes(stores: dict[str, Store], exports: Path) -> None:
    info = tfds.builder_from_directory(exports / "small" / "small" / stores["small"].version).info
    assert tuple(info.features["label"].names) == stores["small"].classes
    assert info.supervised_keys == ("mfcc", "label")
    folder = exports / "small" / "small" / stores["small"].version
    for split in stores["small"].splits:
        files = [path for path in folder.iterdir() if f"-{split}." in path.name]
        assert info.splits[split].num_bytes == sum(path.stat().st_size for path in files)
        assert sorted(info.splits[split].filenames) == sorted(path.name for path in files)


def test_a_split_alone_is_a_data_set_of_one_split(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["small"]
    folder = export_to(tmp_path / "out", store, "array-record", "test")
    sources = tfds.data_source("small", data_dir=folder)
    assert {split: len(source) for split, source in sources.items()} == {"test": store.counts["test"]}


def test_an_empty_shard_is_an_empty_file(tmp_path: Path) -> None:
    store = clip_store(tmp_path / "store", {"unsplit": 2})
    assert 0 in {shard.records for shard in store.manifest.shards}
    source = tfds.data_source("clips", data_dir=export_to(tmp_path / "out", store, "array-record"))["unsplit"]
    assert [source[place]["id"].decode() for place in range(2)] == [record["id"] for record in store.records("unsplit")]


# Grain


@pytest.fixture
def grain() -> Any:
    return pytest.importorskip("grain", reason="Grain is not installed here: run `make test-formats`")


def files_of(folder: Path, split: str) -> list[str]:
    return sorted(str(path) for path in folder.rglob(f"*-{split}.array_record-*"))


@pytest.mark.parametrize("name", ["small", "clips"])
def test_grain_reads_the_stores_own_bytes_at_any_place(
    name: str, stores: dict[str, Store], exports: Path, grain: Any
) -> None:
    store = stores[name]
    for split in store.splits:
        source = grain.sources.ArrayRecordDataSource(files_of(exports / name, split))
        records = list(store.records(split))
        assert len(source) == len(records)
        for place in shuffled_places(records):
            decoded = store.record.decode(source[place])
            assert decoded["id"] == records[place]["id"]
            assert same(decoded[store.tensor], records[place][store.tensor])


def test_grain_shuffles_and_batches_every_clip_once(stores: dict[str, Store], exports: Path, grain: Any) -> None:
    store = stores["small"]
    source = tfds.data_source("small", data_dir=exports / "small")["train"]
    batches = grain.MapDataset.source(source).shuffle(seed=1).batch(8)
    ids = [name.decode() for place in range(len(batches)) for name in batches[place]["id"]]
    expected = [record["id"] for record in store.records("train")]
    assert ids != expected and sorted(ids) == sorted(expected)
    assert batches[0]["mfcc"].shape == (8, *store.shapes["mfcc"])


def test_neither_reader_imports_tensorflow(exports: Path, grain: Any) -> None:
    code = f"""
import sys, grain, tensorflow_datasets as tfds
for name in ("small", "clips"):
    for source in tfds.data_source(name, data_dir={str(exports)!r} + "/" + name).values():
        grain.MapDataset.source(source)[0]
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
