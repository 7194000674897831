"""An export as Parquet is what `datasets`, pandas, DuckDB and mlcroissant expect, with the store's values in it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from command_tools import RegistryCommand
from export_tools import VIEWS, export_to, known, make_stores, same
from huggingface_hub import DatasetCard
from training_store import clip_store

from readers.store import Store
from registry.export import dataset_card
from registry.export.plan import make_plan
from registry.export.summary import ExportSummary
from stores.lineage import Archive

SPLITS = ("train", "validation", "test")
RDFLIB = "ignore:ConjunctiveGraph is deprecated:DeprecationWarning"
"""mlcroissant's reader of JSON-LD warns of itself."""


@pytest.fixture(scope="module")
def stores(finished: Path) -> dict[str, Store]:
    return make_stores(finished)


@pytest.fixture
def plain_lists() -> Iterator[None]:
    """As in a process without `datasets`: once that is imported, pandas 3 fails on any column of its type Array2D."""
    try:
        pa.unregister_extension_type("datasets.features.features.Array2DExtensionType")
    except pa.ArrowKeyError:
        yield
        return
    yield
    kind = importlib.import_module("datasets.features.features").Array2DExtensionType
    pa.register_extension_type(kind((1, 2), "int64"))


@pytest.fixture(scope="module")
def datasets() -> Iterator[Any]:
    """The library `datasets`, without network and without progress bars."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
            patch.setenv(name, "1")
        yield importlib.import_module("datasets")


def parquet_rows(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of a split by pyarrow, in order of the files."""
    return [row for path in sorted(folder.glob(f"data/{split}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_parquet_has_one_file_for_each_shard(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    folder = export_to(tmp_path / "out", store, "parquet")
    files = {path.name: pq.read_metadata(path).num_rows for path in (folder / "data").iterdir()}
    shards = store.manifest.shards
    assert files == {f"{shard.split}-{shard.file.partition('tfrecord-')[2]}.parquet": shard.records for shard in shards}


@pytest.mark.usefixtures("plain_lists")
def test_pandas_and_duckdb_read_the_same_features(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    folder = export_to(tmp_path / "out", store, "parquet")
    for split in SPLITS:
        records = known(store, split)
        frame = pd.concat(pd.read_parquet(path) for path in sorted(folder.glob(f"data/{split}-*.parquet")))
        assert list(frame["id"]) == list(records)
        query = f"select id, label, word, speaker, length, mfcc from '{folder}/data/{split}-*.parquet'"
        rows = {row[0]: row[1:] for row in duckdb.connect().execute(query).fetchall()}
        assert rows.keys() == records.keys()
        for given_, record in zip(frame.itertuples(), records.values(), strict=True):
            names = ("label", "word", "speaker", "length")
            expected = tuple(record[name] for name in names)
            assert tuple(getattr(given_, name) for name in names) == expected == rows[record["id"]][:4]
            assert same(np.asarray(list(given_.mfcc), np.float32), record["mfcc"])
            assert same(np.asarray(rows[record["id"]][4], np.float32), record["mfcc"])


@pytest.mark.parametrize("audio", ["wav", "flac"])
@pytest.mark.parametrize("name", ["waveform_8khz", "clips"])
def test_sounds_in_parquet_are_the_samples_with_their_rate(
    name: str, audio: Any, stores: dict[str, Store], tmp_path: Path
) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "parquet", audio=audio)
    rate_hz = 8_000 if name == "waveform_8khz" else 16_000
    for split in store.splits:
        records = known(store, split)
        rows = parquet_rows(folder, split)
        assert [row["id"] for row in rows] == list(records)
        for row, record in zip(rows, records.values(), strict=True):
            with soundfile.SoundFile(io.BytesIO(row["audio"]["bytes"])) as sound:
                assert (sound.format, sound.subtype, sound.samplerate) == (audio.upper(), "PCM_16", rate_hz)
                samples = sound.read(dtype="int16")
            assert same(samples, record["audio"])
            assert rate_hz == 8_000 or not samples[row["length"] :].any()  # resampling rings on into the padding
            assert row["audio"]["path"] == f"{record['id']}.{audio}"
            assert {column: row[column] for column in row.keys() - {"audio"}} == {
                column: record[column] for column in record.keys() - {"audio"}
            }


# The library `datasets`


@pytest.mark.parametrize("name", ["mfcc", "spectrogram"])
def test_datasets_reads_the_folder_with_its_splits_classes_and_shapes(
    name: str, stores: dict[str, Store], datasets: Any, tmp_path: Path
) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "parquet")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == store.counts
    shape = next(field.shape for field in store.record.fields if field.name == name)
    for split in SPLITS:
        features = loaded[split].features
        assert features["label"].names == list(store.classes)
        assert features[name] == datasets.Array2D(shape, "float32")
        records = known(store, split)
        rows = list(loaded[split].with_format("numpy"))
        assert [row["id"] for row in rows] == list(records)
        for row, record in zip(rows, records.values(), strict=True):
            assert row.keys() == record.keys()
            assert same(row[name], record[name])
            assert all(row[column] == record[column] for column in row.keys() - {name})


@pytest.mark.parametrize("name", ["waveform_8khz", "clips"])
def test_datasets_reads_sounds_at_their_own_rate(
    name: str, stores: dict[str, Store], datasets: Any, tmp_path: Path
) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "parquet", audio="flac")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == store.counts
    rate_hz = 8_000 if name == "waveform_8khz" else 16_000
    for split in store.splits:
        assert loaded[split].features["audio"] == datasets.Audio(sampling_rate=rate_hz)
        for row in loaded[split].cast_column("audio", datasets.Audio(decode=False)):
            samples, found_hz = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
            assert found_hz == rate_hz
            assert same(samples, known(store, split)[row["id"]]["audio"])
            break


@pytest.mark.parametrize("name", [*VIEWS, "clips"])
def test_the_files_alone_and_the_card_alone_name_the_same_features(
    name: str, stores: dict[str, Store], datasets: Any, tmp_path: Path
) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "parquet")
    schema = pq.read_schema(sorted(folder.glob("data/*.parquet"))[0])
    embedded = datasets.Features.from_arrow_schema(schema)
    info = DatasetCard.load(folder / "README.md").data.dataset_info
    assert embedded == datasets.DatasetInfo._from_yaml_dict(info).features
    assert list(embedded) == [
        column
        for column in ("id", "label", "word", "speaker", "length", store.tensor)
        if column != "label" or store.classes
    ]


@pytest.mark.parametrize("name", ["mfcc", "waveform_8khz", "clips"])
def test_the_program_on_the_card_reads_a_clip_without_torchcodec(
    name: str, stores: dict[str, Store], tmp_path: Path, run: RegistryCommand
) -> None:
    store, folder = stores[name], tmp_path / "out"
    assert run("export", store.path, folder, "--format", "hub").code == 0
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)[0]
    code = code.replace("PATH OF THIS FOLDER", str(folder))
    show = "import sys; print((first if 'first' in vars() else samples).tolist(), 'torchcodec' in sys.modules)"
    variables = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = next(store.records(store.splits[0]))[store.tensor]
    assert done.stdout.splitlines()[-1] == f"{np.asarray(expected).tolist()} False"


def test_an_empty_shard_is_an_empty_table(datasets: Any, tmp_path: Path) -> None:
    store = clip_store(tmp_path / "store", {"train": 2})
    assert 0 in {shard.records for shard in store.manifest.shards}
    folder = export_to(tmp_path / "out", store, "parquet")
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="unsplit")
    ids = loaded.remove_columns("audio")["id"]
    assert list(ids) == [record["id"] for record in store.records("unsplit")]


# The card


def test_the_card_says_what_is_in_the_folder(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    folder = export_to(tmp_path / "out", store, "parquet", "train", "test")
    card = DatasetCard.load(folder / "README.md")
    assert (card.data.license, card.data.language) == ("cc-by-4.0", None)
    assert card.data.task_categories == ["audio-classification"]
    files = sorted((folder / "data").iterdir())
    (config,) = card.data.configs
    found = {each["split"]: sorted(folder.glob(each["path"])) for each in config["data_files"]}
    assert found == {split: [path for path in files if path.name.startswith(split)] for split in ("train", "test")}
    info = card.data.dataset_info
    assert info["download_size"] == sum(path.stat().st_size for path in files)
    assert {each["name"]: each["num_examples"] for each in info["splits"]} == {
        split: store.counts[split] for split in ("train", "test")
    }
    for lineage in (hashes_of(store), ["The splits are those of the corpus itself", "CC BY 4.0", store.version]):
        assert all(text in card.text for text in lineage)
    for split in ("train", "test"):
        counts = store.manifest.task.counts[split]
        cells = [split, str(store.counts[split]), *(str(counts[name]) for name in store.classes)]
        assert f"| {' | '.join(cells)} |" in card.text


def hashes_of(store: Store) -> list[str]:
    """SHA-256 of the archives, the clips' manifest and the store's own."""
    assert store.manifest.task
    archives = [archive.sha256 for archive in store.manifest.archives]
    own = hashlib.sha256(Path(store.path, "manifest.json").read_bytes()).hexdigest()
    return [*archives, store.manifest.task.clips_manifest_sha256, own]


def archive(source: str, license_name: str | None) -> Archive:
    return Archive("a.tar.gz", "main", 1, "0" * 64, source, license_name)


CC_BY = ("cc-by-4.0", "https://creativecommons.org/licenses/by/4.0/")
LEGAL: dict[str, tuple[list[Archive], tuple[str, str], str | None]] = {
    "official": ([archive("speech_commands_v0.02", "CC BY 4.0")], CC_BY, "en"),
    "a local file of a known license": ([archive("local", "CC BY 4.0")], CC_BY, None),
    "unknown": ([archive("local", None)], ("unknown", "unknown"), None),
    "two licenses": (
        [archive("synthetic", "CC0-1.0"), archive("speech_commands_test_set_v0.02", "CC BY 4.0")],
        ("other", "CC BY 4.0, CC0-1.0"),
        "en",
    ),
    "no archive": ([], ("unknown", "unknown"), None),
}


@pytest.mark.parametrize("case", LEGAL)
def test_license_and_language_are_named_only_where_they_are_known(case: str, tmp_path: Path) -> None:
    archives, license_names, language = LEGAL[case]
    store = clip_store(tmp_path, {"train": 2})
    manifest = dataclasses.replace(store.manifest, archives=tuple(archives))
    summary = ExportSummary(make_plan(Store(store.path, manifest), "parquet"), (), ())
    assert ((summary.license_id, summary.license_url), summary.language) == (license_names, language)


def test_the_card_says_which_condition_the_clips_meet(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    assert store.manifest.task
    assert "Spoken clips" not in (export_to(tmp_path / "all", store, "parquet") / "README.md").read_text()
    manifest = dataclasses.replace(
        store.manifest, task=dataclasses.replace(store.manifest.task, where="snr_db > 10", left_out={})
    )
    card = dataset_card.render(ExportSummary(make_plan(Store(store.path, manifest), "parquet"), (), ()))
    assert "Spoken clips are those for which `snr_db > 10`." in card


# Croissant


@pytest.mark.filterwarnings(RDFLIB)
@pytest.mark.parametrize("published", ["2026-01-31", None])
def test_mlcroissant_finds_no_fault_but_an_unknown_date(
    published: str | None, stores: dict[str, Store], tmp_path: Path
) -> None:
    import mlcroissant

    for name in ("mfcc", "clips"):
        folder = export_to(tmp_path / name, stores[name], "parquet", published=published)
        issues = mlcroissant.Dataset(folder / "croissant.json").metadata.ctx.issues
        assert not issues.errors
        assert len(issues.warnings) == (0 if published else 1)
        assert all("datePublished" in warning for warning in issues.warnings)


@pytest.mark.usefixtures("plain_lists")
@pytest.mark.filterwarnings(RDFLIB)
@pytest.mark.parametrize("name", ["mfcc", "clips"])
def test_mlcroissant_reads_every_clip(name: str, stores: dict[str, Store], tmp_path: Path) -> None:
    import mlcroissant

    store = stores[name]
    folder = export_to(tmp_path / "out", store, "parquet")
    description = mlcroissant.Dataset(folder / "croissant.json")
    rows = list(description.records("splits"))
    assert {row["splits/name"]: row["splits/clips"] for row in rows} == store.counts
    if store.classes:
        rows = list(description.records("classes"))
        assert [(row["classes/label"], row["classes/name"]) for row in rows] == list(enumerate(store.classes))
    for split in store.splits:
        filtered = mlcroissant.Dataset(folder / "croissant.json").records("clips", {"clips/split": split})
        found = {row["clips/id"].decode(): row for row in filtered}
        records = known(store, split)
        assert found.keys() == records.keys()
        for clip, record in records.items():
            row = found[clip]
            assert row["clips/split"].decode() == split
            assert (row["clips/word"].decode(), row["clips/length"]) == (record["word"], record["length"])
            assert row.get("clips/label") == record.get("label")
            assert same(croissant_tensor(row, store.tensor), record[store.tensor])


def croissant_tensor(row: dict[str, Any], tensor: str) -> np.ndarray[Any, Any]:
    value = row[f"clips/{tensor}"]
    if tensor != "audio":
        return np.asarray(value, np.float32)
    samples: np.ndarray[Any, Any] = soundfile.read(io.BytesIO(value), dtype="int16")[0]
    return samples


@pytest.mark.filterwarnings(RDFLIB)
def test_croissant_names_every_file_with_its_sha256(stores: dict[str, Store], tmp_path: Path) -> None:
    import mlcroissant

    folder = export_to(tmp_path / "out", stores["mfcc"], "parquet")
    objects = mlcroissant.Dataset(folder / "croissant.json").metadata.file_objects
    assert {each.content_url: each.sha256 for each in objects} == {
        f"data/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "data").iterdir()
    }
