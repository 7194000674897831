"""The stage `extract`, by its command line: each chosen clip's features once, in the split that was chosen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ONE_WORKER, Call
from corpus_tools import (
    assert_refused,
    clips_of,
    contents,
    environment,
    parameters,
    run_stage,
    speakers,
    store_folder,
    table,
    tar_gz,
    voice,
    wav,
    which_set,
    write_parameters,
    write_raw,
)

from base import params
from base.errors import DataError
from features import frontend
from features.views import version
from pipelines.extract.extract import Extract
from readers.store import open_store
from stores.framing import read_records
from stores.manifest import Manifest

SPLITS = ("train", "validation", "test")
ARGUMENTS = ("clips", "selection.parquet", "features/mfcc")


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A folder with params.yaml, a finished clip store and its selection."""
    write_parameters(tmp_path)
    shutil.copytree(finished / "clips", tmp_path / "clips")
    shutil.copy(finished / "selection.parquet", tmp_path)
    return tmp_path


def views(folder: Path) -> Extract:
    return params.load("extract", Extract, folder / "params.yaml")


def test_the_store_holds_each_chosen_clip_once_with_its_label_and_split(finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    found = {(r["id"], r["label"], split) for split in SPLITS for r in store.records(split)}
    chosen = {(row["id"], row["label"], row["split"]) for row in table(finished / "selection.parquet")}
    assert found == chosen and sum(store.counts.values()) == len(chosen)


@pytest.mark.parametrize("name", ["mfcc", "logmel", "spectrogram", "waveform", "waveform_8khz"])
def test_each_view_is_the_front_ends_output_for_the_clip(name: str, finished: Path, folder: Path, call: Call) -> None:
    clips = clips_of(finished / "clips")
    view = views(folder).views[name]
    assert call(folder, "extract", "clips", "selection.parquet", f"features/{name}").code == 0
    store = open_store(str(folder / "features" / name))
    assert store.view == view and store.manifest.name == name
    for split in SPLITS:
        for record in store.records(split):
            clip = clips[str(record["id"])]
            tensor = record[store.tensor]
            assert isinstance(tensor, np.ndarray)
            assert np.array_equal(tensor, frontend.compute(view, clip["audio"][None])[0])
            assert record["length"] == view.real_length(clip["length"])
    if name == "mfcc":
        assert contents(folder / "features" / name) == contents(finished / "features" / name)


def test_two_workers_write_the_same_bytes(finished: Path, folder: Path) -> None:
    outcome = run_stage(folder, "extract", *ARGUMENTS, "--direct_num_workers=2")
    assert outcome.code == 0, outcome.stderr
    assert contents(folder / "features" / "mfcc") == contents(finished / "features" / "mfcc")


def test_several_views_in_one_command_have_the_bytes_of_each_by_itself(
    finished: Path, folder: Path, call: Call
) -> None:
    assert call(folder, "extract", *ARGUMENTS, "features/waveform_8khz", "features/spectrogram").code == 0
    assert contents(folder / "features" / "mfcc") == contents(finished / "features" / "mfcc")
    together = contents(folder / "features" / "spectrogram")
    shutil.rmtree(folder / "features" / "spectrogram")
    assert call(folder, "extract", "clips", "selection.parquet", "features/spectrogram").code == 0
    assert contents(folder / "features" / "spectrogram") == together


def test_the_catalog_has_each_clip_where_its_record_is_with_what_ingest_knew_of_it(finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    rows = store.catalog().to_pylist()
    places = {(row["split"], row["shard"], row["position"]): row for row in rows}
    assert len(places) == len(rows) == sum(store.counts.values())
    for split in SPLITS:
        for number, shard in enumerate(store.shards(split)):
            with (store_folder(finished / "features" / "mfcc") / shard.file).open("rb") as file:
                for position, record in enumerate(read_records(file, shard.file)):
                    found, row = store.record.decode(record), places[split, number, position]
                    assert (found["id"], found["label"], found["length"]) == (row["id"], row["label"], row["length"])
    of_clips = {row["id"]: row for row in table(finished / "clips" / "catalog.parquet")}
    for row in rows:
        of_clip = of_clips[row["id"]]
        for name in of_clip.keys() - {"split", "shard", "position"}:
            assert row[name] == of_clip[name], name


@pytest.mark.parametrize("split", SPLITS)
def test_the_statistics_are_numpys(split: str, finished: Path) -> None:
    store = open_store(str(finished / "features" / "mfcc"))
    values = np.concatenate([np.asarray(record["mfcc"], np.float64) for record in store.records(split)])
    found = store.statistics(split)
    assert (found.clips, found.values) == (store.counts[split], len(values))
    assert np.allclose(found.mean, values.mean(axis=0), rtol=1e-9, atol=1e-9)
    assert np.allclose(found.std, values.std(axis=0), rtol=1e-6)
    assert np.array_equal(found.min, values.min(axis=0))
    assert np.array_equal(found.max, values.max(axis=0))


def test_the_manifest_says_what_the_store_was_made_from(finished: Path) -> None:
    manifest = open_store(str(finished / "features" / "mfcc")).manifest
    view = views(finished).views["mfcc"]
    archive = (finished / "raw" / "small.tar.gz").read_bytes()
    clips = (finished / "clips" / "manifest.json").read_bytes()
    assert manifest.version == version(view) == store_folder(finished / "features" / "mfcc").name
    assert manifest.definition == parameters()["extract"]["views"]["mfcc"]
    assert manifest.archives[0].sha256 == hashlib.sha256(archive).hexdigest()
    assert manifest.task and manifest.task.clips_manifest_sha256 == hashlib.sha256(clips).hexdigest()
    assert manifest.classes == ("_silence_", "_unknown_", "yes", "no")
    assert manifest.tables.keys() == {"catalog.parquet", "statistics.json"}
    for name, sha256 in manifest.tables.items():
        content = (store_folder(finished / "features" / "mfcc") / name).read_bytes()
        assert sha256 == hashlib.sha256(content).hexdigest()
    for shard in manifest.shards:
        content = (store_folder(finished / "features" / "mfcc") / shard.file).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_clip_shard_of_which_nothing_was_chosen_makes_empty_shards(folder: Path, call: Call) -> None:
    """With more shards than clips some are empty, and TensorFlow Datasets reads the store all the same."""
    import tensorflow_datasets as tfds

    write_parameters(folder, ingest__shards=64)
    one_of_each_split = {which_set(who): who for who in speakers()}.values()
    files = [(f"{word}/{who}_nohash_0.wav", wav(voice(1))) for who in one_of_each_split for word in ("yes", "no")]
    write_raw(folder / "raw", {"a.tar.gz": tar_gz(files)})
    for stage, *arguments in (
        ("ingest", "raw", "clips"),
        ("select", "clips", "selection.parquet"),
        ("extract", *ARGUMENTS),
    ):
        outcome = call(folder, stage, *arguments)
        assert outcome.code == 0, outcome.stderr
    store = open_store(str(folder / "features" / "mfcc"))
    assert len(store.shards("train")) == 64 and store.counts == {"train": 2, "validation": 2, "test": 2}
    info = tfds.builder_from_directory(store.path).info
    assert {name: split.num_examples for name, split in info.splits.items()} == store.counts


def test_an_interrupted_run_goes_on_where_it_was_and_ends_with_the_same_bytes(
    finished: Path, folder: Path, call: Call
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.extract", *ARGUMENTS, ONE_WORKER],
        cwd=folder,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    while not list((folder / "features").glob("mfcc/*/_work/*/featurize-*.json")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    output = store_folder(folder / "features" / "mfcc")
    reports = sorted((output / "_work").glob("*/featurize-*.json"))
    done = [shard["file"] for path in reports for shard in json.loads(path.read_text())["shards"]]
    assert done and not (output / "manifest.json").exists()
    with pytest.raises(DataError, match="is not a finished store"):
        open_store(str(output))
    (staged,) = (output / "_work").glob("*/output")
    before = {name: (staged / name).stat().st_mtime_ns for name in done}
    (staged / ".mfcc-train.tfrecord-00000-of-00003.0f.part").write_bytes(b"of a killed attempt")
    assert call(folder, "extract", *ARGUMENTS).code == 0
    assert {name: (output / name).stat().st_mtime_ns for name in done} == before
    assert contents(output) == contents(store_folder(finished / "features" / "mfcc"))


def test_another_definition_replaces_the_store(finished: Path, folder: Path, call: Call) -> None:
    shutil.copytree(finished / "features" / "mfcc", folder / "features" / "mfcc")
    write_parameters(folder, extract__views__mfcc__coefficients=13)
    before = store_folder(folder / "features" / "mfcc")
    assert call(folder, "extract", *ARGUMENTS).code == 0
    assert not before.exists()
    store = open_store(str(folder / "features" / "mfcc"))
    assert store.view is not None and store.view.shape == (98, 13)
    assert {np.shape(r["mfcc"]) for split in SPLITS for r in store.records(split)} == {(98, 13)}


def test_a_selection_of_other_clips_is_refused_and_the_store_before_kept(
    finished: Path, folder: Path, call: Call
) -> None:
    shutil.copytree(finished / "features" / "mfcc", folder / "features" / "mfcc")
    manifest = Manifest.from_json((folder / "clips" / "manifest.json").read_text(), "clips")
    (folder / "clips" / "manifest.json").write_text(dataclasses.replace(manifest, code_version="other").to_json())
    outcome = call(folder, "extract", *ARGUMENTS)
    assert_refused(
        outcome, "selection.parquet was made from other clips than clips: run `python -m pipelines.select` again"
    )
    assert contents(folder / "features" / "mfcc") == contents(finished / "features" / "mfcc")


@pytest.mark.parametrize("damage", ["a bit", "cut at a record", "missing"])
def test_a_damaged_clip_shard_is_one_clear_sentence_and_leaves_no_store(damage: str, folder: Path, call: Call) -> None:
    shard = open_store(str(folder / "clips")).manifest.shards[1]
    path = folder / "clips" / shard.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    match damage:
        case "a bit":
            path.write_bytes(content)
        case "cut at a record":
            path.write_bytes(content[: len(content) // shard.records])
        case _:
            path.unlink()
    outcome = call(folder, "extract", *ARGUMENTS)
    assert_refused(outcome, f"clips/{shard.file}")
    assert [path.name for path in store_folder(folder / "features" / "mfcc").iterdir()] == ["_work"]


@pytest.mark.slow
def test_a_damaged_clip_shard_ends_the_process_with_one_line_and_code_1(folder: Path) -> None:
    shard = open_store(str(folder / "clips")).manifest.shards[0]
    path = folder / "clips" / shard.file
    path.write_bytes(path.read_bytes()[:-7])
    outcome = run_stage(folder, "extract", *ARGUMENTS, ONE_WORKER)
    assert_refused(outcome, f"clips/{shard.file} is damaged at byte ", "the file ends inside the record")


@pytest.mark.parametrize("damage", ["missing", "cut", "no selection", "a flipped bit"])
def test_a_damaged_selection_is_one_clear_sentence(damage: str, folder: Path, call: Call) -> None:
    path = folder / "selection.parquet"
    content = bytearray(path.read_bytes())
    match damage:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(content[:-50])
        case "no selection":
            shutil.copy(folder / "clips" / "catalog.parquet", path)
        case _:
            content[60] ^= 1
            path.write_bytes(content)
    assert_refused(call(folder, "extract", *ARGUMENTS), "selection.parquet")
    assert not list((folder / "features").rglob("manifest.json"))


def test_a_view_that_is_not_declared_is_refused_with_those_that_are(folder: Path, call: Call) -> None:
    assert_refused(
        call(folder, "extract", "clips", "selection.parquet", "features/plp"),
        "features/plp: no such view in params.yaml; extract.views declares digits_logmel, digits_waveform, kws",
    )


def test_clips_that_are_not_finished_are_refused(folder: Path, call: Call) -> None:
    (folder / "clips" / "manifest.json").unlink()
    assert_refused(call(folder, "extract", *ARGUMENTS), "clips is not a finished store: it has no manifest.json")
