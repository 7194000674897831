"""A finished store reads the same through NumPy, tf.data and TensorFlow Datasets; an unfinished one not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow_datasets as tfds
from corpus_tools import ROOT, store_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from training_store import task_of

from base.errors import DataError
from features.views import Waveform, definition, version
from readers.store import Store, open_store
from stores.manifest import CATALOG_FILE, LABELS_FILE, MANIFEST_FILE, STATISTICS_FILE, Manifest
from stores.records import view_record
from stores.writing import commit, open_shard

SPLITS = ("train", "validation", "test")
WAVEFORM = Waveform(kind="waveform", sample_rate_hz=8_000)


def copy(store: Path, folder: Path) -> Path:
    return Path(shutil.copytree(store, folder / store.name))


def ids(store: Store, **options: Any) -> list[str]:
    """The ids of one pass over the train split, in the order in which they come."""
    batches = store.dataset("train", 5, shuffle=100, columns=("id",), **options)
    return [name.decode() for batch in batches.as_numpy_iterator() for name in batch["id"]]


def tensorflow_datasets(folder: Path, split: str) -> list[dict[str, Any]]:
    """The records of a split in the order of the shards, by TensorFlow Datasets."""
    builder = tfds.builder_from_directory(str(folder))
    config = tfds.ReadConfig(interleave_cycle_length=1)
    return list(builder.as_dataset(split=split, read_config=config).as_numpy_iterator())


def assert_same_records(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected) > 0
    for left, right in zip(found, expected, strict=True):
        assert left.keys() == right.keys()
        for name, value in right.items():
            assert np.array_equal(left[name], value.encode() if isinstance(value, str) else value), name
            if isinstance(value, np.ndarray):
                assert left[name].dtype == value.dtype


def small_store(folder: Path, records: tuple[int, ...]) -> Store:
    """A store of waveforms with these numbers of records in the shards of its train split."""
    shards, spec, generator = [], view_record(WAVEFORM), np.random.default_rng(0)
    for number, count in enumerate(records):
        with open_shard(str(folder), "small", "train", number, len(records)) as writer:
            for place in range(count):
                audio = generator.integers(-9, 9, 8_000).astype(np.int16)
                record: dict[str, Any] = {"id": f"{number}/{place}", "label": place % 2, "length": 7, "audio": audio}
                writer.write(spec.encode(record))
        shards.append(writer.shard())
    manifest = Manifest(
        name="small",
        version=version(WAVEFORM),
        definition=definition(WAVEFORM),
        archives=(),
        clip_parameters={},
        task=task_of(("a", "b"), {"train": sum(records)}),
        shards=tuple(shards),
    )
    return Store(str(folder), commit(str(folder), manifest, ()))


def test_a_folder_without_a_manifest_is_no_store(finished: Path, tmp_path: Path) -> None:
    folder = copy(store_folder(finished / "features" / "mfcc"), tmp_path)
    (folder / MANIFEST_FILE).unlink()
    with pytest.raises(DataError, match=r"is not a finished store: it has no manifest\.json; run the stage"):
        open_store(str(folder))
    with pytest.raises(DataError, match="is not a finished store"):
        open_store(str(tmp_path / "absent"))


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda _: [],
    "a key is missing": lambda content: {name: value for name, value in content.items() if name != "shards"},
    "another format": lambda content: {**content, "format": "other/2"},
    "a shard without a name": lambda content: {**content, "shards": [{"split": "train"}]},
    "an unknown view": lambda content: {**content, "definition": {"kind": "plp"}},
    "a view with a key too many": lambda content: {**content, "definition": {**content["definition"], "extra": 1}},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_manifest_that_is_not_valid_is_refused(damage: str, finished: Path, tmp_path: Path) -> None:
    content = json.loads((store_folder(finished / "features" / "mfcc") / MANIFEST_FILE).read_text())
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(DAMAGES[damage](content)))
    with pytest.raises(DataError, match=r"(?s)manifest\.json.*make the store again"):
        open_store(str(tmp_path))


def test_a_cut_manifest_is_refused(finished: Path, tmp_path: Path) -> None:
    text = (store_folder(finished / "features" / "mfcc") / MANIFEST_FILE).read_text()
    for length in range(0, len(text) - 2, 97):
        (tmp_path / MANIFEST_FILE).write_text(text[:length])
        with pytest.raises(DataError, match="make the store again"):
            open_store(str(tmp_path))


def test_a_manifest_survives_its_file(finished: Path) -> None:
    text = (store_folder(finished / "features" / "mfcc") / MANIFEST_FILE).read_text()
    assert Manifest.from_json(text, "place").to_json() == text


def test_a_missing_cut_or_damaged_shard_is_found(finished: Path, tmp_path: Path) -> None:
    folder = copy(store_folder(finished / "features" / "mfcc"), tmp_path)
    store = open_store(str(folder))
    shard = store.shards("train")[1]
    content = (folder / shard.file).read_bytes()
    half = len(content) // shard.records
    (folder / shard.file).write_bytes(content[:half])
    for read in (lambda: list(store.records("train")), lambda: store.dataset("train", 5)):
        with pytest.raises(DataError, match=f"{shard.file} has {half} bytes, expected {shard.bytes}"):
            read()
    damaged = bytearray(content)
    damaged[half] ^= 1
    (folder / shard.file).write_bytes(bytes(damaged))
    with pytest.raises(DataError, match=f"{shard.file} is damaged"):
        list(store.records("train"))
    (folder / shard.file).unlink()
    with pytest.raises(DataError, match=f"{shard.file} is missing"):
        list(store.records("train"))
    assert list(store.records("validation"))


def test_an_absent_split_or_field_is_named(finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    with pytest.raises(DataError, match="has no split 'dev'; it has train, validation, test"):
        store.dataset("dev", 5)
    with pytest.raises(DataError, match="has no field audio"):
        store.dataset("train", 5, columns=("id", "audio"))


def test_counts_and_splits_are_those_of_the_records(finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    assert store.splits == SPLITS
    assert store.counts == {split: len(list(store.records(split))) for split in SPLITS}


@pytest.mark.parametrize("split", SPLITS)
def test_tf_data_gives_the_records_in_order(split: str, finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    batches = list(store.dataset(split, 4).as_numpy_iterator())
    assert {len(batch["id"]) for batch in batches[:-1]} <= {4}
    found = [{name: batch[name][n] for name in batch} for batch in batches for n in range(len(batch["id"]))]
    assert_same_records(found, list(store.records(split)))


@pytest.mark.parametrize("seed", [0, 1, None])
def test_each_epoch_has_every_record_once_in_an_order_of_its_own(seed: int | None, finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    in_order = sorted(str(record["id"]) for record in store.records("train"))
    dataset = store.dataset("train", 5, shuffle=100, seed=seed, columns=("id",))
    epochs = [[name for batch in dataset.as_numpy_iterator() for name in batch["id"]] for _ in range(3)]
    assert [sorted(name.decode() for name in epoch) for epoch in epochs] == [in_order] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_seed_repeats_the_order_and_another_changes_it(finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    assert ids(store, seed=0) == ids(store, seed=0)
    assert ids(store, seed=0) != ids(store, seed=1)


def test_a_repeated_dataset_goes_on_without_end_and_without_loss(finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    count = store.counts["train"]
    batches = store.dataset("train", count, shuffle=10, seed=0, repeat=True, columns=("id",)).take(3)
    epochs = [sorted(batch["id"]) for batch in batches.as_numpy_iterator()]
    assert len(epochs) == 3 and epochs[0] == epochs[1] == epochs[2] and len(set(epochs[0])) == count


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(1, 5))
def test_shards_of_any_size_give_each_record_once(tmp_path: Path, counts: list[int], batch_size: int) -> None:
    store = small_store(tmp_path, tuple(counts))
    batches = store.dataset("train", batch_size, shuffle=3, seed=1, columns=("id",)).as_numpy_iterator()
    expected = [f"{shard}/{place}" for shard, count in enumerate(counts) for place in range(count)]
    assert sorted(name.decode() for batch in batches for name in batch["id"]) == expected
    assert [record["id"] for record in store.records("train")] == expected


@pytest.mark.parametrize("split", SPLITS)
def test_tensorflow_datasets_gives_the_same_features(split: str, finished: Path) -> None:
    folder = store_folder(finished / "features" / "mfcc")
    assert_same_records(tensorflow_datasets(folder, split), list(open_store(str(folder)).records(split)))


def test_tensorflow_datasets_loads_a_store_by_its_name(finished: Path) -> None:
    store = open_store(finished / "features" / "mfcc")
    splits, info = tfds.load("mfcc", data_dir=finished / "features", with_info=True)
    assert str(info.version) == store.version
    assert {split: len(list(dataset)) for split, dataset in splits.items()} == store.counts


def test_a_folder_with_one_version_opens_as_that_version_and_one_with_two_is_refused(
    finished: Path, tmp_path: Path
) -> None:
    folder = store_folder(finished / "features" / "mfcc")
    shutil.copytree(folder, tmp_path / "1.2.3")
    (tmp_path / "2.0.0").mkdir()
    assert open_store(tmp_path).path == f"{tmp_path}/1.2.3"
    shutil.copytree(folder, tmp_path / "2.0.0", dirs_exist_ok=True)
    with pytest.raises(DataError, match=r"holds the versions 1\.2\.3, 2\.0\.0: name the folder of one"):
        open_store(tmp_path)
    assert open_store(tmp_path / "2.0.0").counts == open_store(folder).counts


def test_a_missing_or_damaged_table_beside_the_shards_is_one_clear_sentence(finished: Path, tmp_path: Path) -> None:
    store = open_store(copy(store_folder(finished / "features" / "mfcc"), tmp_path))
    for content in ('{"train": {}}', "[]", "{"):
        (Path(store.path) / STATISTICS_FILE).write_text(content)
        with pytest.raises(DataError, match=r"statistics\.json is not the file that the manifest names"):
            store.statistics()
    (Path(store.path) / STATISTICS_FILE).unlink()
    with pytest.raises(DataError, match=r"statistics\.json is missing or damaged"):
        store.statistics()
    catalog = Path(store.path) / CATALOG_FILE
    catalog.write_bytes(catalog.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"catalog\.parquet is not the Parquet file expected or damaged"):
        store.catalog()
    catalog.unlink()
    with pytest.raises(DataError, match=r"catalog\.parquet is missing"):
        store.catalog(("id",))


def test_the_catalog_gives_the_columns_that_are_asked_for_and_names_those_it_lacks(finished: Path) -> None:
    store = open_store(finished / "features" / "mfcc")
    whole = pq.read_table(Path(store.path) / CATALOG_FILE)
    assert store.catalog().equals(whole)
    assert store.catalog(("speaker", "id")).to_pydict() == whole.select(["speaker", "id"]).to_pydict()
    with pytest.raises(DataError, match=r"catalog\.parquet has no column loudness"):
        store.catalog(("id", "loudness"))


def test_a_process_that_has_read_a_catalog_ends_in_peace(finished: Path) -> None:
    code = f"from readers import open_store; open_store({str(finished / 'features' / 'mfcc')!r}).catalog()"
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_tensorflow_datasets_gives_the_same_clips(finished: Path) -> None:
    store = open_store(str(finished / "clips"))
    assert store.splits == ("unsplit",)
    assert_same_records(tensorflow_datasets(finished / "clips", "unsplit"), list(store.records("unsplit")))


def test_tensorflow_datasets_knows_the_classes_the_license_and_what_is_learned(finished: Path) -> None:
    folder = store_folder(finished / "features" / "mfcc")
    info = tfds.builder_from_directory(str(folder)).info
    assert info.name == "mfcc"
    assert (
        tuple(info.features["label"].names)
        == open_store(str(folder)).classes
        == ("_silence_", "_unknown_", "yes", "no")
    )
    assert (folder / LABELS_FILE).read_text() == "_silence_\n_unknown_\nyes\nno\n"
    assert info.supervised_keys == ("mfcc", "label")
    assert info.redistribution_info.license == "CC BY 4.0"
    assert {name: split.num_examples for name, split in info.splits.items()} == open_store(str(folder)).counts


def test_tensorflow_datasets_opens_a_store_of_waveforms_with_an_empty_shard(tmp_path: Path) -> None:
    for number, counts in enumerate([(2, 0, 3), (0, 2), (2, 0)]):
        store = small_store(tmp_path / str(number), counts)
        audio = tfds.builder_from_directory(store.path).info.features["audio"]
        assert (audio.sample_rate, audio.shape, audio.dtype) == (8_000, (8_000,), np.int16)
        assert_same_records(tensorflow_datasets(Path(store.path), "train"), list(store.records("train")))


def test_a_store_has_every_field_that_its_readers_promise(finished: Path) -> None:
    store = open_store(str(finished / "clips"))
    (batch, *_) = store.dataset("unsplit", 3).as_numpy_iterator()
    assert batch.keys() == {"audio", "id", "length", "speaker", "word"}
    assert (batch["audio"].shape, batch["audio"].dtype) == ((3, 16_000), np.int16)
