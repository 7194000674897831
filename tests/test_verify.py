"""Verify passes whole stores and names every planted damage, forgery and leak: the check, the file and the place."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_tools import RegistryCommand
from corpus_tools import ROOT, environment, store_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_tools import Content, commit, content, flip, forge, record_bytes

from base.remote import write_bytes
from features.views import Waveform, definition, version
from readers.store import open_store
from registry.verify.checks import CHECKS, verify
from registry.verify.findings import Location, Problem, Report
from stores.framing import RecordWriter, read_records
from stores.lineage import SplitRule
from stores.manifest import CATALOG_FILE, DATASET_INFO_FILE, MANIFEST_FILE, STATISTICS_FILE, SUMS_FILE
from stores.schema import Field, RecordSpec


@pytest.fixture
def store(finished: Path, tmp_path: Path) -> Path:
    """A copy of the small store of features, to be damaged."""
    original = store_folder(finished / "features" / "mfcc")
    return Path(shutil.copytree(original, tmp_path / original.name))


@pytest.fixture
def held(finished: Path) -> Content:
    """What the small store of features holds, to be changed and written again."""
    return content(open_store(finished / "features" / "mfcc"))


def report_of(folder: Path | str) -> Report:
    return verify(open_store(folder), lambda _: None)


def problems(report: Report) -> dict[str, list[Problem]]:
    """The problems of each check that has some."""
    return {check.name: list(check.problems) for check in report.checks if check.problems}


def forged(held: Content, tmp_path: Path) -> dict[str, list[Problem]]:
    """What verify finds in a store forged to fit itself."""
    return problems(report_of(forge(tmp_path / held.manifest.version, held).path))


def shard_file(split: str, number: int) -> str:
    return f"mfcc-{split}.tfrecord-{number:05d}-of-00003"


def edit_json(path: Path, edit: Any) -> None:
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found, indent=1))


def test_whole_stores_pass_every_check(finished: Path, run: RegistryCommand) -> None:
    for folder, checks in ((finished / "features" / "mfcc", 18), (finished / "clips", 14)):
        printed = run("verify", folder)
        assert printed.code == 0, printed.stdout
        assert "everything holds" in printed.stdout and "not checked" not in printed.stdout
        found = json.loads(run("verify", folder, "--json").stdout)
        assert len(found["checks"]) == checks
        assert all(check["ok"] and check["looked_at"] > 0 for check in found["checks"])


def test_a_rewritten_store_passes_as_the_original_does(held: Content, finished: Path, tmp_path: Path) -> None:
    assert forged(held, tmp_path) == {}
    original = open_store(finished / "features" / "mfcc").manifest
    again = open_store(tmp_path / original.version).manifest
    assert again.shards == original.shards and again.task == original.task
    clips = content(open_store(finished / "clips"))
    assert problems(report_of(forge(tmp_path / "clips", clips).path)) == {}


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_flipped_byte_in_a_record_is_named_by_file_record_and_byte(number: int, store: Path) -> None:
    file = open_store(store).shards("train")[1].file
    places = record_bytes(store / file)
    record = number % len(places)
    flip(store / file, places[record] + 200)
    found = problems(report_of(store))
    assert found.keys() == {"hashes", "checksums"}
    assert [each.place for each in found["hashes"]] == [Location(file)]
    (problem,) = found["checksums"]
    assert problem.place == Location(file, record=record, byte=places[record])
    assert problem.message == "the data does not match its checksum"


def test_a_flipped_byte_in_a_length_costs_the_rest_of_the_shard_only(store: Path) -> None:
    file = open_store(store).shards("train")[0].file
    places = record_bytes(store / file)
    flip(store / file, places[2])
    report = report_of(store)
    found = problems(report)
    assert found.keys() == {"hashes", "checksums"}
    (problem,) = found["checksums"]
    assert problem.place == Location(file, record=2, byte=places[2])
    assert f"{len(places) - 3} more records of the shard can't be reached" in problem.message
    assert report.check("records").looked_at == report.records - (len(places) - 2)
    assert report.check("statistics").remarks == (
        f"train not compared: {len(places) - 2} of its records can't be read or are not finite",
    )


def test_damage_in_two_places_is_found_in_both(store: Path) -> None:
    files = [open_store(store).shards(split)[0].file for split in ("train", "test")]
    expected = []
    for file in files:
        for record in (0, 1):
            byte = record_bytes(store / file)[record]
            flip(store / file, byte + 99)
            expected.append(Location(file, record=record, byte=byte))
    assert [each.place for each in problems(report_of(store))["checksums"]] == expected


def test_a_flipped_byte_in_a_table_is_named(store: Path) -> None:
    ids = pq.read_metadata(store / CATALOG_FILE).row_group(0).column(0)
    end_of_page = (ids.dictionary_page_offset or ids.data_page_offset) + ids.total_compressed_size
    flip(store / CATALOG_FILE, end_of_page - 5)
    text = (store / STATISTICS_FILE).read_text()
    place = text.index("-", text.index('"mean"'))
    flip(store / STATISTICS_FILE, place + 1)
    report = report_of(store)
    found = problems(report)
    assert [each.place.file for each in found["hashes"]] == [CATALOG_FILE, STATISTICS_FILE]
    assert found["statistics"][0].place == Location(STATISTICS_FILE, key="train.mean[0]")
    assert "page checksum" in found["catalog"][0].message.lower() or "crc" in found["catalog"][0].message.lower()
    assert report.check("duplicates").remarks and report.check("speakers").looked_at == 14


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.integers(0, 99), byte=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_any_changed_byte_in_any_file_but_the_manifest_is_a_problem_of_that_file(
    finished: Path, tmp_path: Path, file: int, byte: int, bits: int
) -> None:
    store = store_folder(finished / "features" / "mfcc")
    copy = tmp_path / store.name
    shutil.copytree(store, copy, dirs_exist_ok=True)
    names = sorted(path.name for path in store.iterdir() if path.name != MANIFEST_FILE and path.stat().st_size)
    name = names[file % len(names)]
    flip(copy / name, byte % (copy / name).stat().st_size, bits)
    same = name.endswith((".json", ".txt")) and _same_content(copy / name, store / name)
    assert same or name in {each.place.file for each in report_of(copy).problems}


def _same_content(left: Path, right: Path) -> bool:
    """Whether a changed byte of a text file is one of its blanks."""
    try:
        return left.read_text().split() == right.read_text().split() or json.loads(left.read_text()) == json.loads(
            right.read_text()
        )
    except ValueError:
        return False


def exchange(store: Path) -> list[str]:
    """Exchange the contents of two shards of the train split."""
    files = [shard.file for shard in open_store(store).shards("train")[:2]]
    contents = [(store / file).read_bytes() for file in files]
    for file, data in zip(files, reversed(contents), strict=True):
        (store / file).write_bytes(data)
    return files


def test_two_exchanged_shards_are_each_recognized_as_the_other(store: Path) -> None:
    first, second = exchange(store)
    found = problems(report_of(store))["hashes"]
    assert [each.place for each in found] == [Location(first), Location(second)]
    assert f"the content of {second}" in found[0].message and f"the content of {first}" in found[1].message


def test_two_exchanged_shards_are_found_where_the_manifest_is_forged_to_match(store: Path) -> None:
    manifest = open_store(store).manifest
    first, second = exchange(store)
    one, two = (shard for shard in manifest.shards if shard.file in (first, second))
    swapped = {
        first: dataclasses.replace(one, records=two.records, bytes=two.bytes),
        second: dataclasses.replace(two, records=one.records, bytes=one.bytes),
    }
    shards = tuple(swapped.get(shard.file, shard) for shard in manifest.shards)
    commit(store, dataclasses.replace(manifest, shards=shards))
    found = problems(report_of(store))
    assert found.keys() == {"catalog"}
    at_home = [each for each in found["catalog"] if "the catalog has" in each.message]
    assert {each.place.file for each in at_home} == {first, second}
    moved = next(each for each in at_home if each.place.file == first)
    assert moved.place.record == 0 and moved.message.endswith("; it has this id as record 0 in shard 1 of train")


def test_an_edited_count_in_the_manifest_is_named(store: Path) -> None:
    edit_json(store / MANIFEST_FILE, lambda found: found["shards"][1].update(records=99))
    found = problems(report_of(store))
    (problem,) = found["counts"]
    assert problem.place == Location(MANIFEST_FILE, key="shards[1].records")
    assert problem.message.startswith("99, but mfcc-train.tfrecord-00001-of-00003 has ")
    assert found.keys() == {"counts", "hashes"}
    assert [each.place for each in found["hashes"]] == [Location(MANIFEST_FILE), Location(SUMS_FILE)]


def test_an_edited_count_in_dataset_info_is_named(store: Path) -> None:
    count = open_store(store).shards("validation")[2].records
    edit_json(store / DATASET_INFO_FILE, lambda found: found["splits"][1]["shardLengths"].__setitem__(2, "7777"))
    assert problems(report_of(store)) == {
        "counts": [Problem(Location(DATASET_INFO_FILE, key="splits[1].shardLengths[2]"), f"'7777', expected '{count}'")]
    }


def test_an_edited_count_in_the_statistics_is_named_with_and_without_its_hash(store: Path) -> None:
    edit_json(store / STATISTICS_FILE, lambda found: found["test"].update(clips=1))
    assert problems(report_of(store)).keys() == {"hashes", "counts"}
    found = problems(report_of(commit(store, open_store(store).manifest).path))
    assert [each.place for each in found.pop("counts")] == [Location(STATISTICS_FILE, key="test.clips")]
    assert not found


@pytest.mark.parametrize("name", ["mean", "std", "min", "max"])
def test_a_statistic_that_is_not_that_of_the_records_is_named(name: str, store: Path) -> None:
    edit_json(store / STATISTICS_FILE, lambda found: found["validation"][name].__setitem__(5, 1.5))
    found = problems(report_of(commit(store, open_store(store).manifest).path))
    assert [each.place for each in found.pop("statistics")] == [Location(STATISTICS_FILE, key=f"validation.{name}[5]")]
    assert not found


def test_a_speaker_in_two_splits_is_found_though_everything_else_is_forged(held: Content, tmp_path: Path) -> None:
    clip = held.of("train", "yes")[0]
    clip.split = "test"
    found = forged(held, tmp_path)
    (problem,) = found.pop("speakers")
    assert not found
    assert problem.place.file == shard_file("test", clip.shard) and problem.place.id == clip.id
    assert problem.message.startswith(f"speaker {clip.row['speaker']} is in train (")
    assert problem.message.endswith(f"and test (1 clip, such as {clip.id})")


def test_a_speaker_in_two_splits_is_no_fault_where_the_task_divides_clips(held: Content, tmp_path: Path) -> None:
    held.of("train", "yes")[0].split = "test"
    assert held.manifest.task
    task = dataclasses.replace(held.manifest.task, split=SplitRule(method="random", ratio=(2, 1, 1), salt=""))
    by_clip = Content(dataclasses.replace(held.manifest, task=task), held.clips)
    report = report_of(forge(tmp_path / held.manifest.version, by_clip).path)
    assert not problems(report)
    assert report.check("speakers").remarks == (
        "not compared: split.method random divides clips, so a speaker is in several splits",
    )


def test_a_speaker_in_two_splits_is_found_where_the_catalog_or_the_id_denies_it(
    held: Content, finished: Path, tmp_path: Path
) -> None:
    other = held.of("test", "yes")[0].row["speaker"]
    clip = held.of("train", "yes")[0]
    clip.split, clip.row["speaker"] = "test", other
    (problem,) = forged(held, tmp_path / "catalog")["speakers"]
    assert problem.place.id == clip.id
    clip.row["speaker"] = clip.id.partition("/")[2].partition("_")[0]
    clip.row["id"] = clip.record["id"] = f"yes/{other}_nohash_77"
    (problem,) = forged(held, tmp_path / "id")["speakers"]
    assert problem.place.id == f"yes/{other}_nohash_77" and clip.row["speaker"] in problem.message


def test_equal_audio_in_two_splits_is_found(held: Content, tmp_path: Path) -> None:
    first, second = held.of("train", "no")[0], held.of("validation", "no")[0]
    second.row["audio_sha256"] = first.row["audio_sha256"]
    found = forged(held, tmp_path)
    (problem,) = found.pop("duplicates")
    assert not found
    assert problem.place.id == second.id and problem.place.file == shard_file("validation", second.shard)
    assert first.row["audio_sha256"] in problem.message and first.id in problem.message


def test_a_clip_in_two_splits_is_found(held: Content, tmp_path: Path) -> None:
    clip = held.of("train", "no")[0]
    held.clips.append(dataclasses.replace(clip, split="test"))
    found = forged(held, tmp_path)
    assert found.keys() == {"ids", "speakers", "duplicates"}
    assert [each.message.partition(" is in")[0] for each in found["duplicates"]] == [
        f"clip {clip.id}",
        f"audio of SHA-256 {clip.row['audio_sha256']}",
    ]


def test_overlapping_stretches_of_noise_in_two_splits_are_found(held: Content, tmp_path: Path) -> None:
    silences = held.of("train", "_silence_")
    clip, neighbor = next(
        (one, two)
        for one in silences
        for two in silences
        if one.row["recording"] == two.row["recording"] and 0 < abs(one.row["start"] - two.row["start"]) < 16_000
    )
    clip.split = "test"
    found = forged(held, tmp_path)
    (problem,) = found.pop("silence")
    assert not found
    assert problem.place.id == clip.id and problem.place.file == shard_file("test", clip.shard)
    start = clip.row["start"]
    assert f"samples {start} to {start + 16_000} of the recording {clip.row['recording']}, in test" in problem.message
    clip.row |= {"recording": None, "start": None}
    assert [each.place.id for each in forged(held, tmp_path / "denied")["silence"]] == [clip.id]
    assert neighbor.split == "train"


def test_stretches_of_noise_that_touch_do_not_overlap(held: Content, tmp_path: Path) -> None:
    clips = [held.of("train", "_silence_")[0], held.of("test", "_silence_")[0]]
    for clip, start in zip(clips, (0, 16_000), strict=True):
        clip.row["id"] = clip.record["id"] = f"_silence_/wind_{start:08d}"
        clip.row |= {"recording": "wind", "start": start}
    assert forged(held, tmp_path / "touching") == {}
    clips[1].row["id"] = clips[1].record["id"] = "_silence_/wind_00015999"
    clips[1].row["start"] = 15_999
    assert forged(held, tmp_path / "overlapping").keys() == {"silence"}


def test_a_repeated_id_is_named_at_its_second_place(held: Content, tmp_path: Path) -> None:
    clip = held.of("train", "_unknown_")[0]
    held.clips.append(dataclasses.replace(clip))
    found = forged(held, tmp_path)
    assert found.keys() == {"ids"}
    record, row = found["ids"]
    assert (record.place.file, record.place.id) == (shard_file("train", clip.shard), clip.id)
    last = sum(each.split == "train" and each.shard == clip.shard for each in held.clips) - 1
    assert record.place.record == last and row.place == Location(CATALOG_FILE, id=clip.id)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(value: float, held: Content, tmp_path: Path) -> None:
    clip = held.of("validation")[2]
    tensor = clip.record["mfcc"].copy()
    tensor[7, 3] = value
    clip.record["mfcc"] = tensor
    with np.errstate(invalid="ignore"):
        found = forged(held, tmp_path)
    (problem,) = found.pop("values")
    assert not found and problem.place.id == clip.id
    assert problem.message == f"value {value} at [7, 3], 1 of 3920 values are not finite"


def test_a_label_that_is_not_that_of_the_word_is_named(held: Content, tmp_path: Path) -> None:
    clip = held.of("train", "yes")[1]
    clip.row["label"] = clip.record["label"] = 3
    found = forged(held, tmp_path)
    record, row = found.pop("classes")
    assert not found
    assert record.place.id == clip.id and row.place == Location(CATALOG_FILE, id=clip.id)
    assert record.message == row.message == "label 3 (no), but the word 'yes' has 2 (yes)"


@pytest.mark.parametrize(("field", "value"), [("label", 1), ("length", 15)])
def test_a_record_that_is_not_that_of_its_row_is_named(field: str, value: int, held: Content, tmp_path: Path) -> None:
    clip = held.of("train", "yes")[1]
    clip.record[field] = value
    found = forged(held, tmp_path)
    (problem,) = found["catalog"]
    assert problem.place.id == clip.id
    assert problem.message == f"{field} {value}, the catalog has {clip.row[field]}"


@pytest.mark.parametrize(("field", "value"), [("label", 4), ("label", -1), ("length", 16_001), ("length", -1)])
def test_a_label_or_length_out_of_range_is_named(field: str, value: int, held: Content, tmp_path: Path) -> None:
    clip = held.of("test")[1]
    clip.row[field] = clip.record[field] = value
    (problem,) = forged(held, tmp_path)["ranges"]
    assert problem.place.id == clip.id and problem.message.startswith(f"{field} {value}, expected 0 to ")


def test_a_class_with_another_number_of_clips_than_selected_is_named(held: Content, tmp_path: Path) -> None:
    clip = held.of("train", "no")[0]
    held.clips.remove(clip)
    store = forge(tmp_path / held.manifest.version, held)
    commit(Path(store.path), dataclasses.replace(store.manifest, task=held.manifest.task))
    number = len(held.of("train", "no"))
    assert problems(report_of(store.path)) == {
        "balance": [
            Problem(
                Location(MANIFEST_FILE, key="task.counts.train.no"),
                f"{number + 1} were selected, but {number} records have this class",
            )
        ]
    }


def test_a_record_of_another_shape_is_named(store: Path) -> None:
    opened = open_store(store)
    shard = opened.shards("train")[0]
    with (store / shard.file).open("rb") as file:
        records = list(read_records(file, shard.file))
    fields = [Field("mfcc", "float32", (98, 39)) if each.name == "mfcc" else each for each in opened.record.fields]
    values = opened.record.decode(records[1])
    records[1] = RecordSpec(tuple(fields)).encode({**values, "mfcc": np.zeros((98, 39), np.float32)})
    with (store / shard.file).open("wb") as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)
    shards = tuple(
        dataclasses.replace(each, bytes=writer.bytes) if each == shard else each for each in opened.manifest.shards
    )
    commit(store, dataclasses.replace(opened.manifest, shards=shards))
    (problem,) = problems(report_of(store)).pop("records")
    assert problem.place == Location(shard.file, record=1, byte=record_bytes(store / shard.file)[1])
    assert problem.message.startswith("field mfcc: ") and "(98, 40)" in problem.message
    assert problems(report_of(store)).keys() == {"records"}


def test_a_row_without_a_record_and_a_record_without_a_row_are_named(held: Content, tmp_path: Path) -> None:
    clip = next(each for each in held.of("train") if each.shard == 0)
    store = forge(tmp_path / held.manifest.version, held)
    rows = [row for row in store.catalog().to_pylist() if row["id"] != clip.id]
    table = store.catalog().slice(0, 0).from_pylist([*rows, {**rows[0], "id": "yes/new_nohash_0", "position": 999}])
    import pyarrow.parquet as pq

    pq.write_table(table.cast(store.catalog().schema), Path(store.path) / CATALOG_FILE)
    found = problems(report_of(commit(Path(store.path), store.manifest).path))
    without_row, without_record = found["catalog"]
    assert without_row.place.id == clip.id
    assert without_row.message == "the catalog has no row for this place; it has no row for this id at all"
    assert without_record.place == Location(CATALOG_FILE, id="yes/new_nohash_0")


def test_missing_cut_and_stray_shards_are_named(store: Path) -> None:
    one, two, three = (shard.file for shard in open_store(store).shards("train"))
    (store / one).unlink()
    begin = record_bytes(store / two)[1]
    cut = begin + 30
    os.truncate(store / two, cut)
    stray = shard_file("train", 7)
    shutil.copy(store / three, store / stray)
    found = problems(report_of(store))
    assert [each.place for each in found["files"]] == [Location(one), Location(two), Location(stray)]
    assert [each.message.partition(",")[0] for each in found["files"][:2]] == ["it is missing", f"it has {cut} bytes"]
    (problem,) = found["checksums"]
    assert problem.place == Location(two, record=1, byte=begin)
    assert problem.message.startswith("the file ends inside the record; ")


def test_a_shard_cut_between_two_records_is_named_by_its_counts(store: Path) -> None:
    opened = open_store(store)
    shard = opened.shards("train")[1]
    os.truncate(store / shard.file, record_bytes(store / shard.file)[-1])
    found = problems(report_of(store))
    assert [each.place for each in found["files"]] == [each.place for each in found["hashes"]] == [Location(shard.file)]
    assert "checksums" not in found and "statistics" not in found
    assert [each.place for each in found["counts"]] == [
        Location(MANIFEST_FILE, key="shards[1].records"),
        Location(CATALOG_FILE),
        Location(STATISTICS_FILE, key="train.clips"),
    ]
    (problem,) = found["catalog"]
    assert problem.message == f"no record for 1 of the rows in {shard.file}, this one first"


def test_metadata_and_versions_that_do_not_follow_from_the_manifest_are_named(store: Path) -> None:
    edit_json(store / "features.json", lambda found: found["featuresDict"]["features"].pop("length"))
    (store / "label.labels.txt").write_text("_silence_\nyes\n_unknown_\nno\n")
    edit_json(store / MANIFEST_FILE, lambda found: found["definition"].update(hop_ms=10, floor_db=-70.0))
    found = problems(report_of(store))
    assert [str(each.place) for each in found["metadata"]] == [
        "features.json, featuresDict.features.length",
        "label.labels.txt, [1]",
        "label.labels.txt, [2]",
    ]
    assert [each.place.key for each in found["version"]] == ["version"]


def waveform(held: Content, clips: Content) -> Content:
    """A store of 16 kHz waveforms of the same clips."""
    view = Waveform(kind="waveform", sample_rate_hz=16_000)
    audio = {clip.id: clip.record["audio"] for clip in clips.clips}
    for clip in held.clips:
        clip.record = {name: clip.record[name] for name in ("id", "label", "length")} | {"audio": audio[clip.id]}
    manifest = dataclasses.replace(held.manifest, definition=definition(view), version=version(view))
    return Content(manifest, held.clips)


def test_audio_that_is_not_that_of_the_catalog_is_named(held: Content, finished: Path, tmp_path: Path) -> None:
    clips = content(open_store(finished / "clips"))
    for number, changed in enumerate((clips, waveform(held, clips))):
        assert forged(changed, tmp_path / f"whole{number}") == {}
        clip = next(each for each in changed.clips if each.record["length"] == 16_000)
        clip.record["audio"] = np.roll(clip.record["audio"], 1)
        found = forged(changed, tmp_path / f"changed{number}")
        (problem,) = found.pop("audio")
        assert not found and problem.place.id == clip.id


@pytest.mark.parametrize(
    ("column", "value"),
    [("peak", 0.5), ("rms", 0.5), ("clipped", 7), ("snr_db", 3.0), ("snr_db", None), ("silent_fraction", 0.25)],
)
def test_a_row_that_says_other_than_its_audio_is_named(
    column: str, value: Any, held: Content, finished: Path, tmp_path: Path
) -> None:
    clips = content(open_store(finished / "clips"))
    for number, changed in enumerate((clips, waveform(held, clips))):
        clip = next(each for each in changed.clips if each.row["speaker"])
        true, clip.row[column] = clip.row[column], value
        found = forged(changed, tmp_path / f"changed{number}")
        (problem,) = found.pop("quality")
        assert not found and problem.place.id == clip.id
        assert problem.message == f"{column} {true!r}, the catalog has {value!r}"


def test_a_row_of_silence_that_tells_of_speech_is_named(finished: Path, tmp_path: Path) -> None:
    clips = content(open_store(finished / "clips"))
    clip = next(each for each in clips.clips if each.row["word"] == "_silence_")
    clip.row["cut_end"] = False
    (problem,) = forged(clips, tmp_path / "changed")["quality"]
    assert (problem.place.id, problem.message) == (clip.id, "cut_end None, the catalog has False")


def test_a_sample_after_the_real_length_is_named(held: Content, finished: Path, tmp_path: Path) -> None:
    changed = waveform(held, content(open_store(finished / "clips")))
    clip = next(each for each in changed.clips if each.record["length"] < 16_000)
    audio = clip.record["audio"].copy()
    audio[-1] = 1
    clip.record["audio"] = audio
    found = forged(changed, tmp_path)
    assert found.keys() == {"values", "audio"} and found["values"][0].place.id == clip.id


def test_equal_audio_of_waveforms_is_found_where_the_catalog_denies_it(
    held: Content, finished: Path, tmp_path: Path
) -> None:
    changed = waveform(held, content(open_store(finished / "clips")))
    first, second = (next(c for c in changed.of(split) if c.record["length"] == 16_000) for split in ("train", "test"))
    second.record["audio"] = first.record["audio"]
    found = forged(changed, tmp_path)
    assert [each.place.id for each in found["duplicates"]] == [second.id]


def test_progress_counts_every_record_once_whatever_is_damaged(store: Path) -> None:
    files = [shard.file for shard in open_store(store).shards("train")]
    (store / files[0]).unlink()
    flip(store / files[1], record_bytes(store / files[1])[2])
    flip(store / files[2], record_bytes(store / files[2])[2] + 50)
    opened = open_store(store)
    done: list[int] = []
    verify(opened, done.append)
    assert sum(done) == sum(opened.counts.values())


def test_many_problems_are_cut_on_the_terminal_and_whole_in_json(store: Path, run: RegistryCommand) -> None:
    shards = open_store(store).shards("train")
    for shard in shards:
        for byte in record_bytes(store / shard.file):
            flip(store / shard.file, byte + 77)
    number = sum(shard.records for shard in shards)
    printed = run("verify", store)
    assert printed.code == 1
    assert f"and {number - 10} more; --json has them all" in printed.stdout
    assert printed.stdout.count("the data does not match its checksum") == 10
    found = run("verify", store, "--json")
    (check,) = (each for each in json.loads(found.stdout)["checks"] if each["name"] == "checksums")
    assert found.code == 1 and not check["ok"] and len(check["problems"]) == number
    assert check["problems"][0]["place"] == {"file": shards[0].file, "record": 0, "byte": 0, "id": None, "key": None}


def test_a_folder_that_is_no_store_is_one_line(store: Path, run: RegistryCommand, tmp_path: Path) -> None:
    not_text = Path(shutil.copytree(store, tmp_path / "not_text"))
    flip(store / MANIFEST_FILE, 0)
    flip(not_text / MANIFEST_FILE, 9, 0x80)
    for folder, message in (
        (store, "is not a valid manifest"),
        (not_text, "is not a valid manifest"),
        (tmp_path / "none", "is not a finished store"),
    ):
        printed = run("verify", folder)
        assert printed.code == 1 and printed.stdout == ""
        assert printed.stderr.startswith("error: ") and printed.stderr.count("\n") == 1 and message in printed.stderr


def test_unfinished_work_and_files_of_the_user_next_to_a_store_are_no_problem(store: Path) -> None:
    (store / "_work" / "0123").mkdir(parents=True)
    (store / "_work" / "0123" / "plan.json").write_text("{}")
    (store / f".{shard_file('train', 0)}.part").write_bytes(b"of a killed attempt")
    (store / "notes.txt").write_text("mine")
    assert problems(report_of(store)) == {}


def test_a_missing_catalog_costs_the_checks_that_need_it_and_no_other(store: Path) -> None:
    (store / CATALOG_FILE).unlink()
    report = report_of(store)
    found = problems(report)
    assert {name: [each.message for each in of_check] for name, of_check in found.items()} == {
        "hashes": ["it is missing"],
        "catalog": ["it is missing"],
    }
    assert report.check("statistics").looked_at == 3 and report.check("classes").looked_at == report.records


def test_each_check_has_a_name_of_its_own_and_a_function_of_its_own() -> None:
    assert len({check.name for check in CHECKS}) == len({check.look for check in CHECKS}) == len(CHECKS) == 20
    assert all(check.look.__doc__ and check.look.__name__ == f"check_{check.name}" for check in CHECKS)


def test_the_command_line_ends_with_one_where_a_store_is_damaged(store: Path) -> None:
    flip(store / CATALOG_FILE, 100)
    done = subprocess.run(
        [sys.executable, "-m", "registry", "verify", str(store)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert CATALOG_FILE in done.stdout and "1 problem" in done.stdout


def test_a_store_elsewhere_is_verified_where_it_is(finished: Path) -> None:
    for path in (finished / "clips").iterdir():
        write_bytes(f"memory://verified/clips/{path.name}", path.read_bytes())
    report = verify(open_store("memory://verified/clips"), lambda _: None)
    assert not report.problems and report.records == verify(open_store(finished / "clips"), lambda _: None).records
