"""An export holds what the store holds, by the judgment of the tools that it is for, and can be broken off."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import webdataset
from command_tools import RegistryCommand
from corpus_tools import contents, environment
from export_tools import VIEWS, export_somehow, export_to, known, make_stores, same
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from training_store import clip_store

from base.errors import DataError
from readers.store import Store, open_store
from registry.export import clip_files
from registry.export.folder import EXPORT_FILE
from registry.export.plan import FORMAT_NAMES, FormatName, make_plan
from registry.export.webdataset import key
from stores.framing import RecordWriter
from stores.manifest import CATALOG_FILE, MANIFEST_FILE, Shard, shard_file

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def stores(finished: Path) -> dict[str, Store]:
    return make_stores(finished)


# NumPy


@pytest.mark.parametrize("name", [*VIEWS, "clips"])
def test_numpy_maps_arrays_that_equal_the_records_in_order(name: str, stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "numpy")
    for split in store.splits:
        records = list(store.records(split))
        tensors = np.load(folder / split / f"{store.tensor}.npy", mmap_mode="r")
        assert isinstance(tensors, np.memmap)
        assert same(tensors, np.stack([record[store.tensor] for record in records]))
        for column in {"id", "label", "length"} & records[0].keys():
            values = np.load(folder / split / f"{column}.npy", mmap_mode="r")
            assert values.tolist() == [record[column] for record in records]
    has_classes = (folder / "classes.txt").exists() and (folder / "train" / "label.npy").exists()
    assert has_classes == bool(store.classes)
    if has_classes:
        assert tuple((folder / "classes.txt").read_text().splitlines()) == store.classes


# CSV and PNG


def folder_of(store: Store, record: dict[str, Any]) -> str:
    """Where the only file of a clip is expected below its split: class/name or class/word_name."""
    word, _, name = record["id"].partition("/")
    label = store.classes[record["label"]] if store.classes else word
    return f"{label}/{name}" if label == word else f"{label}/{word}_{name}"


@pytest.mark.parametrize("name", ["mfcc", "waveform_8khz", "clips"])
def test_csv_reads_back_to_the_same_numbers(name: str, stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores[name]
    split = store.splits[-1]
    folder = export_to(tmp_path / "out", store, "csv", split)
    records = known(store, split)
    assert len(list(folder.rglob("*.csv"))) == len(records)
    for record in records.values():
        expected = record[store.tensor]
        path = folder / split / f"{folder_of(store, record)}.csv"
        assert same(np.loadtxt(path, delimiter=",", dtype=expected.dtype), expected)


@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_every_float32_survives_its_text(tensor: np.ndarray[Any, Any]) -> None:
    assert same(np.loadtxt(io.StringIO(clip_files.table(tensor)), delimiter=",", dtype=np.float32), tensor)


@pytest.mark.parametrize("name", ["mfcc", "spectrogram"])
def test_png_shows_each_value_as_the_gray_that_export_json_explains(
    name: str, stores: dict[str, Store], tmp_path: Path
) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "png")
    said = json.loads((folder / EXPORT_FILE).read_text())["settings"]
    train = np.stack([record[store.tensor] for record in store.records("train")])
    axes = (0, 1) if name == "mfcc" else None
    low, high = (np.broadcast_to(each(train, axis=axes), train.shape[2]) for each in (np.min, np.max))
    assert (said["low"], said["high"]) == (low.tolist(), high.tolist())
    for split in SPLITS:
        for record in known(store, split).values():
            with Image.open(folder / split / f"{folder_of(store, record)}.png") as picture:
                assert picture.mode == "L"
                gray = np.asarray(picture, np.float64)
            value = low + np.flipud(gray).T / 255 * (high - low)
            expected = np.clip(record[store.tensor].astype(np.float64), low, high)
            rounding = np.spacing(np.maximum(np.abs(low), np.abs(high)))  # of the range, in single precision
            assert np.all(np.abs(value - expected) <= (high - low) / 255 / 2 + rounding)


def test_two_clips_of_one_name_are_not_one_file(stores: dict[str, Store], tmp_path: Path) -> None:
    ids = ["a_b/c_nohash_0", "a/b_c_nohash_0"]
    store = stores["mfcc"]
    record = next(store.records("train"))
    name_of_shard = shard_file(store.name, "train", 0, 1)
    with (tmp_path / name_of_shard).open("wb") as file:
        writer = RecordWriter(file)
        for name in ids:
            writer.write(store.record.encode({**record, "id": name, "label": store.classes.index("_unknown_")}))
    rows = {"id": ids, "word": ["a_b", "a"], "speaker": ["c", "b_c"], "split": ["train"] * 2, "shard": [0, 0]}
    pq.write_table(pa.table(rows), tmp_path / CATALOG_FILE)
    shard = Shard(name_of_shard, "train", writer.records, writer.bytes, writer.sha256)
    manifest = dataclasses.replace(store.manifest, shards=(shard,))
    (tmp_path / MANIFEST_FILE).write_text(manifest.to_json())
    alike = Store(str(tmp_path), manifest)
    with pytest.raises(DataError, match=r"two clips would be train/_unknown_/a_b_c_nohash_0\.csv: choose a format"):
        export_to(tmp_path / "csv", alike, "csv")
    samples = webdataset_samples(export_to(tmp_path / "tar", alike, "webdataset"), "train")
    assert [sample["json"]["id"] for sample in samples] == ids


def test_a_rising_tone_rises_in_its_picture() -> None:
    frames, bins = 50, 30
    tensor = np.full((frames, bins), -80.0, np.float32)
    tensor[np.arange(frames), np.arange(frames) * bins // frames] = 0.0
    picture = clip_files.gray_levels(tensor, (-80.0,) * bins, (0.0,) * bins)
    assert picture.shape == (bins, frames)
    assert picture[-1, 0] == 255 and picture[0, -1] == 255
    assert picture[0, 0] == 0 and picture[-1, -1] == 0


def test_a_constant_store_is_drawn_black_without_complaint() -> None:
    assert not clip_files.gray_levels(np.zeros((3, 2), np.float32), (0.0, 0.0), (0.0, 0.0)).any()


@pytest.mark.parametrize("name", ["waveform_8khz", "clips"])
def test_samples_are_refused_as_pictures(name: str, stores: dict[str, Store]) -> None:
    with pytest.raises(DataError, match="holds samples: export a spectrogram view"):
        make_plan(stores[name], "png")


# WebDataset


def webdataset_samples(folder: Path, split: str) -> list[dict[str, Any]]:
    """The samples of a split as the library `webdataset` reads them."""
    tars = sorted(str(path) for path in folder.glob(f"{split}-*.tar"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"unclosed file .*\.tar", ResourceWarning)  # the library leaves the last open
        samples = list(webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).decode())
        gc.collect()
    return samples


@pytest.mark.parametrize("name", ["mfcc", "waveform_8khz", "clips"])
@pytest.mark.parametrize("audio", ["wav", "flac"])
def test_webdataset_groups_the_files_of_each_clip(
    name: str, audio: str, stores: dict[str, Store], tmp_path: Path
) -> None:
    store = stores[name]
    options = {"audio": audio} if store.tensor == "audio" else {}
    folder = export_to(tmp_path / "out", store, "webdataset", **options)
    for split in store.splits:
        records = known(store, split)
        samples = webdataset_samples(folder, split)
        assert [sample["json"]["id"] for sample in samples] == list(records)
        for sample, record in zip(samples, records.values(), strict=True):
            assert sample["__key__"] == record["id"]
            assert {column: sample["json"][column] for column in ("word", "speaker", "length")} == {
                column: record[column] for column in ("word", "speaker", "length")
            }
            assert same(webdataset_tensor(sample, audio), record[store.tensor])
            assert ("cls" in sample) == ("class" in sample["json"]) == bool(store.classes)
            if store.classes:
                assert sample["cls"] == record["label"]
                assert sample["json"]["class"] == store.classes[record["label"]]


def webdataset_tensor(sample: dict[str, Any], audio: str) -> np.ndarray[Any, Any]:
    if "npy" in sample:
        return np.asarray(sample["npy"])
    read: np.ndarray[Any, Any] = soundfile.read(io.BytesIO(sample[audio]), dtype="int16")[0]
    return read


@given(st.lists(st.text(st.sampled_from("a./%2E"), min_size=1), unique=True))
def test_keys_have_no_dots_and_stay_apart(ids: list[str]) -> None:
    keys = [key(name) for name in ids]
    assert not any("." in each for each in keys)
    assert len(set(keys)) == len(ids)


# One folder, whatever the format


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_the_same_export_twice_gives_the_same_bytes(
    format_name: FormatName, stores: dict[str, Store], tmp_path: Path
) -> None:
    once, again = (export_somehow(tmp_path / name, stores, format_name) for name in ("once", "again"))
    assert contents(once) == contents(again)


@pytest.mark.parametrize("format_name", FORMAT_NAMES)
def test_what_is_missing_is_made_again_and_what_is_finished_stays(
    format_name: FormatName, stores: dict[str, Store], tmp_path: Path
) -> None:
    folder = export_somehow(tmp_path / "out", stores, format_name)
    whole = contents(folder)
    lost = sorted(folder.rglob(LAST.get(format_name, f"*.{format_name}")))[0]
    written_with_it = {path for path in folder.rglob("*") if path.parent == lost.parent or lost in path.parents}
    lose(lost)
    siblings = written_with_it if format_name in ("numpy", "lhotse", "micro-wake-word") else {lost}
    before = times(folder)
    export_somehow(folder, stores, format_name)
    assert contents(folder) == whole
    kept = {path for path in before.keys() - siblings if ".part" not in str(path)}
    assert kept and {path: when for path, when in times(folder).items() if path in kept} == {
        path: before[path] for path in kept
    }
    before = times(folder)
    export_somehow(folder, stores, format_name)
    assert times(folder) == before


LAST: dict[FormatName, str] = {
    "numpy": "mfcc.npy",
    "webdataset": "*.tar",
    "array-record": "*.array_record-*",
    "lhotse": "cuts.jsonl",
    "micro-wake-word": "*_mmap",
}
"""What a format names last: where it has its name, what it stands for is whole."""


def lose(path: Path) -> None:
    """Remove a file or folder, and leave what a kill in its writing would leave."""
    part = path.with_name(f".{path.name}.part")
    if path.is_dir():
        shutil.rmtree(path)
        part.mkdir()
        part = part / "cut off"
    else:
        path.unlink()
    part.write_bytes(b"cut off")


def times(folder: Path) -> dict[Path, int]:
    """When each file of an export but export.json was written."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != EXPORT_FILE)
    return {path: path.stat().st_mtime_ns for path in files}


def test_a_killed_export_goes_on_where_it_was(tmp_path: Path) -> None:
    store, folder = clip_store(tmp_path / "store", {"train": 200}), tmp_path / "out"
    arguments = [sys.executable, "-m", "registry", "export", store.path, "--format", "csv", str(folder)]
    killed = subprocess.Popen(arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(list(folder.rglob("*.csv"))) >= 3, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    finished = {path: path.stat().st_mtime_ns for path in folder.rglob("*.csv") if not path.name.startswith(".")}
    assert 3 <= len(finished) < sum(store.counts.values()), "it was not killed in the middle"
    assert json.loads((folder / EXPORT_FILE).read_text())["written"] is None
    done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert contents(folder) == contents(export_to(tmp_path / "whole", store, "csv"))


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while not reached():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.0005)


def test_export_json_says_what_the_folder_holds(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    folder = export_to(tmp_path / "out", store, "webdataset", "test", "validation")
    said = json.loads((folder / EXPORT_FILE).read_text())
    others = [path for path in folder.iterdir() if path.name != EXPORT_FILE]
    assert (said["store"], said["version"], said["format"]) == (store.name, store.version, "webdataset")
    assert said["manifest_sha256"] == hashlib.sha256(Path(store.path, MANIFEST_FILE).read_bytes()).hexdigest()
    assert said["splits"] == ["validation", "test"] == list(said["written"]["clips"])
    assert said["written"]["files"] == len(others)
    assert said["written"]["bytes"] == sum(path.stat().st_size for path in others)


def test_a_folder_of_something_else_is_refused_and_left_alone(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"mine is not empty and has no export\.json, expected a new folder"):
        export_to(tmp_path / "mine", store, "csv")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(DataError, match="is a file, expected a folder"):
        export_to(tmp_path / "mine" / "thesis.txt", store, "csv")


OTHERS: dict[str, tuple[str, FormatName, tuple[str, ...], dict[str, Any]]] = {
    "splits": ("waveform_8khz", "webdataset", ("test",), {}),
    "format": ("waveform_8khz", "numpy", (), {}),
    "settings": ("waveform_8khz", "webdataset", (), {"audio": "flac"}),
    "store": ("clips", "webdataset", (), {}),
}


@pytest.mark.parametrize("difference", OTHERS)
def test_a_folder_of_another_export_is_refused(difference: str, stores: dict[str, Store], tmp_path: Path) -> None:
    folder = export_to(tmp_path / "out", stores["waveform_8khz"], "webdataset")
    before = contents(folder)
    name, format_name, splits, options = OTHERS[difference]
    with pytest.raises(DataError, match=rf"holds another export \(.*{difference} .* expected .*: export into a new"):
        export_to(folder, stores[name], format_name, *splits, **options)
    assert contents(folder) == before


def test_a_damaged_export_json_is_refused(stores: dict[str, Store], tmp_path: Path) -> None:
    folder = export_to(tmp_path / "out", stores["mfcc"], "numpy", "test")
    (folder / EXPORT_FILE).write_text("[")
    with pytest.raises(DataError, match=r"export\.json is damaged .* export into a new folder"):
        export_to(folder, stores["mfcc"], "numpy", "test")


def test_a_damaged_shard_ends_the_export_before_its_file_has_its_name(
    finished: Path, tmp_path: Path, stores: dict[str, Store]
) -> None:
    store = copied(stores["mfcc"], tmp_path / "store")
    shard = next(shard for shard in store.shards("test") if shard.records)
    content = bytearray(Path(store.path, shard.file).read_bytes())
    content[len(content) // 2] ^= 1
    Path(store.path, shard.file).write_bytes(content)
    with pytest.raises(DataError, match=f"{shard.file} is damaged"):
        export_to(tmp_path / "out", store, "parquet", "test")
    number = shard.file.partition("tfrecord-")[2]
    assert not (tmp_path / "out" / "data" / f"test-{number}.parquet").exists()
    assert not (tmp_path / "out" / "README.md").exists()


def test_a_clip_that_the_catalog_does_not_know_is_named(stores: dict[str, Store], tmp_path: Path) -> None:
    store = copied(stores["mfcc"], tmp_path / "store")
    table = store.catalog()
    first = next(iter(known(store, "test")))
    rows = [number for number, name in enumerate(table["id"].to_pylist()) if name != first]
    pq.write_table(table.take(rows), Path(store.path, CATALOG_FILE))
    with pytest.raises(DataError, match=f"the catalog has no row of '{first}': make the store again"):
        export_to(tmp_path / "out", store, "webdataset", "test")


def copied(store: Store, folder: Path) -> Store:
    folder.mkdir()
    for path in Path(store.path).iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return open_store(folder)


USELESS: dict[str, tuple[str, FormatName, dict[str, Any], str]] = {
    "audio of features": (
        "mfcc",
        "parquet",
        {"audio": "flac"},
        r"--audio flac encodes the samples of waveforms .* got parquet of mfcc",
    ),
    "audio of arrays": ("clips", "numpy", {"audio": "wav"}, r"--audio wav .* got numpy of audio"),
    "a date without a description": (
        "mfcc",
        "csv",
        {"published": "2026-01-01"},
        "--published goes into the descriptions of parquet, got csv",
    ),
    "no such split": ("mfcc", "csv", {"splits": ("dev",)}, "has no split 'dev'; it has train, validation, test"),
}


@pytest.mark.parametrize("name", USELESS)
def test_options_that_do_nothing_are_refused(name: str, stores: dict[str, Store]) -> None:
    store, format_name, options, message = USELESS[name]
    with pytest.raises(DataError, match=message):
        make_plan(stores[store], format_name, **options)


# The command line


def test_the_command_says_what_it_wrote(stores: dict[str, Store], tmp_path: Path, run: RegistryCommand) -> None:
    store, folder = stores["mfcc"], tmp_path / "out"
    clips = store.counts["test"]
    arguments = ("export", store.path, folder, "--format", "numpy", "--split", "test")
    shown = run(*arguments)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != EXPORT_FILE]
    said = f"{folder}: numpy, {len(sizes)} files, {clips} clips, {sum(sizes):,} bytes"
    assert (shown.code, shown.stdout.splitlines()[-1]) == (0, said)
    assert f"export mfcc: {clips} of {clips} clip" in shown.stderr
    printed = run(*arguments, "--json").json
    assert (printed["files"], printed["bytes"], printed["clips"]) == (len(sizes), sum(sizes), {"test": clips})
    assert (printed["folder"], printed["format"], printed["store"]) == (str(folder), "numpy", "mfcc")


def test_a_mistake_is_one_line(stores: dict[str, Store], tmp_path: Path, run: RegistryCommand) -> None:
    done = run("export", stores["clips"].path, tmp_path / "out", "--format", "png")
    assert done.code == 1 and done.stderr.startswith("error: png draws features over time")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_name", ["webdataset", "array-record", "lhotse"])
def test_memory_does_not_grow_with_the_store(format_name: FormatName, tmp_path: Path) -> None:
    peaks = []
    for clips in (0, 30, 600):
        store = clip_store(tmp_path / f"store {clips}", {"train": clips})
        tracemalloc.start()
        export_to(tmp_path / f"out {clips}", store, format_name)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 32_000, "less than one clip more"
