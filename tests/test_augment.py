"""The stage `augment`, by its command line: copies of the train clips alone, each next to its original, in any run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from command_tools import RegistryCommand
from conftest import ONE_WORKER, Call, run_here
from corpus_tools import (
    Outcome,
    assert_refused,
    clips_of,
    contents,
    environment,
    kill_at,
    run_stage,
    store_folder,
    table,
    wav,
    write_parameters,
)
from PIL import Image
from registry_tools import Content, content, forge
from shard_hashes import COPIES

from features import clip_id
from pipelines.augment.copies import impulse_response, in_room
from readers.copies import copy_counts
from readers.store import Store, open_store
from registry.drift.profile import profile
from registry.verify.checks import verify
from registry.verify.findings import Problem

ARGUMENTS = ("clips", "selection.parquet", "augmented/all")
EACH_CLIP = 8 + 5
"""Copies of a clip by the recipe `all`."""


def prepare(finished: Path, folder: Path, **changes: Any) -> Path:
    """A folder with params.yaml, a finished store of clips and its selection."""
    write_parameters(folder, **{"augment__recipes__all": COPIES, **changes})
    shutil.copytree(finished / "clips", folder / "clips")
    shutil.copy(finished / "selection.parquet", folder)
    return folder


@pytest.fixture(scope="module")
def made(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which augment and extract have run; not to be changed."""
    folder = prepare(finished, tmp_path_factory.mktemp("augmented"))
    with pytest.MonkeyPatch.context() as patch:
        assert run_here(patch, folder, "augment", *ARGUMENTS) == 0
        inputs = ("augmented/all/clips", "augmented/all/selection.parquet")
        assert run_here(patch, folder, "extract", *inputs, "features/mfcc_small") == 0
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return prepare(finished, tmp_path)


@pytest.fixture
def held(made: Path) -> Content:
    """What the store of features with copies holds, to be changed and written again."""
    return content(open_store(made / "features" / "mfcc_small"))


def catalog(made: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in table(made / "augmented" / "all" / "clips" / "catalog.parquet")}


def test_the_train_clips_of_the_selection_and_no_others_have_their_copies(made: Path, finished: Path) -> None:
    chosen = table(finished / "selection.parquet")
    train = {row["id"] for row in chosen if row["split"] == "train"}
    copies = [row for row in catalog(made).values() if row["parent"]]
    assert Counter(row["parent"] for row in copies) == dict.fromkeys(train, EACH_CLIP)
    after = {row["id"]: (row["label"], row["split"]) for row in table(made / "augmented" / "all" / "selection.parquet")}
    expected = {row["id"]: (row["label"], row["split"]) for row in chosen}
    assert after == expected | {row["id"]: expected[row["parent"]] for row in copies}
    assert all(row["id"] in after for row in copies)


def test_originals_are_as_they_were_and_copies_stand_next_to_them(made: Path, finished: Path) -> None:
    before, after = clips_of(finished / "clips"), clips_of(made / "augmented" / "all" / "clips")
    kept = {name: record for name, record in after.items() if clip_id.parse(name).parent is None}
    assert list(kept) == list(before)
    for name, record in before.items():
        assert all(np.array_equal(record[key], kept[name][key]) for key in record)
    of_clips = {row["id"]: row for row in table(finished / "clips" / "catalog.parquet")}
    before_it = None
    for name, row in catalog(made).items():
        if row["parent"] is None:
            before_it = name
            assert {**row, "position": 0} == {**of_clips[name], "position": 0}
        assert before_it == (row["parent"] or name)


def test_a_copy_has_word_speaker_and_label_of_its_parent_and_says_how_it_was_made(made: Path) -> None:
    of_clips, kinds = catalog(made), Counter[str]()
    for row in of_clips.values():
        if row["parent"]:
            parent, how = of_clips[row["parent"]], json.loads(row["augmentation"])
            kinds[how["kind"]] += 1
            for name in ("word", "speaker", "split", "rate", "recording", "start", "archive", "shard"):
                assert row[name] == parent[name], name
            assert clip_id.parse(row["id"]).parent == row["parent"] and f"~{how['kind']}_" in row["id"]
    assert kinds == {each["kind"]: 36 * each.get("copies", 8) for each in COPIES}


def test_a_copys_parameters_in_the_catalog_are_those_of_its_audio(made: Path) -> None:
    records = clips_of(made / "augmented" / "all" / "clips")
    measured = Counter[str]()
    for row in catalog(made).values():
        if not row["parent"] or row["word"] == "_silence_":
            continue
        how, copy, parent = json.loads(row["augmentation"]), records[row["id"]], records[row["parent"]]
        real = parent["audio"][: parent["length"]].astype(float)
        match how["kind"]:
            case "ninefold":
                assert copy["length"] == min(round(parent["length"] / how["rate"]), 16_000)
            case "speed":
                assert copy["length"] == min(round(parent["length"] / how["factor"]), 16_000)
            case "gain":
                expected = np.clip(np.rint(real * 10 ** (how["gain_db"] / 20)), -32_768, 32_767)
                assert np.array_equal(copy["audio"][: parent["length"]], expected)
            case "noise" if row["clipped"] == 0:
                noise = catalog(made)[how["noise"]]
                assert noise["start"] + 16_000 <= noise["recording_samples"] // 2  # the ratio is 2 : 1 : 1
                added = copy["audio"] - parent["audio"].astype(float)
                snr_db = 10 * np.log10((real**2).mean() / (added**2).mean())
                assert snr_db == pytest.approx(how["snr_db"], abs=0.1)
                assert copy["length"] == 16_000
            case "shift":
                shift = how["shift_ms"] * 16
                assert copy["length"] == min(parent["length"] + shift, 16_000)
                assert not copy["audio"][: max(shift, 0)].any()
            case "room":
                level = np.sqrt((copy["audio"][: parent["length"]].astype(float) ** 2).mean() / (real**2).mean())
                assert row["clipped"] or level == pytest.approx(1, rel=0.01)
        measured[how["kind"]] += 1
    assert measured.keys() == {each["kind"] for each in COPIES}


def test_verify_passes_both_stores_and_counts_a_copys_speaker_with_its_parents(
    made: Path, finished: Path, run: RegistryCommand
) -> None:
    for store in ("augmented/all/clips", "features/mfcc_small"):
        printed = run("verify", made / store, "--json")
        assert printed.code == 0, printed.stdout
    checks = {check["name"]: check["looked_at"] for check in printed.json["checks"]}
    without = verify(open_store(finished / "features" / "mfcc"), lambda _: None)
    assert checks["speakers"] == without.check("speakers").looked_at
    assert checks["copies"] == 60 + 36 * EACH_CLIP


@pytest.mark.slow
def test_three_workers_write_the_same_bytes(made: Path, folder: Path) -> None:
    outcome = run_stage(folder, "augment", *ARGUMENTS, "--direct_num_workers=3")
    assert outcome.code == 0, outcome.stderr
    assert contents(folder / "augmented") == contents(made / "augmented")


def test_an_interrupted_run_goes_on_where_it_was_and_ends_with_the_same_bytes(
    made: Path, folder: Path, call: Call
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.augment", *ARGUMENTS, ONE_WORKER],
        cwd=folder,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    kill_at(process, folder, "augmented/all/clips/_work/*/multiply-*.json")
    assert not (folder / "augmented" / "all" / "clips" / "manifest.json").exists()
    (report,) = (folder / "augmented").glob("all/clips/_work/*/multiply-*.json")
    shard = json.loads(report.read_text())["shard"]["file"]
    before = (report.parent / "output" / shard).stat().st_mtime_ns
    outcome = call(folder, "augment", *ARGUMENTS)
    assert outcome.code == 0 and "468 of them copies" in outcome.stderr
    assert (folder / "augmented" / "all" / "clips" / shard).stat().st_mtime_ns == before
    assert contents(folder / "augmented") == contents(made / "augmented")


def test_given_impulse_responses_are_taken_from_their_direct_sound_on(
    finished: Path, tmp_path: Path, call: Call
) -> None:
    recipe = [{"kind": "room", "copies": 2, "impulse_responses": "rooms"}]
    prepare(finished, tmp_path, augment__recipes__rooms=recipe)
    (tmp_path / "rooms").mkdir()
    responses = {}
    for name, decay_ms in (("hall.wav", 400), ("kitchen.wav", 150)):
        samples = np.rint(impulse_response(decay_ms, 0.0, decay_ms) * -30_000).astype(np.int16)
        (tmp_path / "rooms" / name).write_bytes(wav(np.concatenate([np.zeros(80, np.int16), samples])))
        responses[name] = samples / float(samples[0])
    assert call(tmp_path, "augment", "clips", "selection.parquet", "augmented/rooms").code == 0
    records, drawn = clips_of(tmp_path / "augmented" / "rooms" / "clips"), Counter[str]()
    for row in table(tmp_path / "augmented" / "rooms" / "clips" / "catalog.parquet"):
        if row["parent"]:
            name, parent = json.loads(row["augmentation"])["impulse_response"], records[row["parent"]]
            drawn[name] += 1
            expected = in_room(parent["audio"][: parent["length"]], responses[name])[:16_000]
            assert np.array_equal(records[row["id"]]["audio"][: expected.size], expected)
    assert drawn.keys() == responses.keys()
    made = open_store(tmp_path / "augmented" / "rooms" / "clips").manifest.clip_parameters["augment"]
    assert made["impulse_responses"].keys() == responses.keys()


@pytest.mark.parametrize("damage", ["missing", "no audio", "silent"])
def test_unusable_impulse_responses_are_one_clear_sentence(
    damage: str, finished: Path, tmp_path: Path, call: Call
) -> None:
    prepare(finished, tmp_path, augment__recipes__rooms=[{"kind": "room", "copies": 1, "impulse_responses": "rooms"}])
    if damage != "missing":
        (tmp_path / "rooms").mkdir()
        (tmp_path / "rooms" / "a.wav").write_bytes(wav(np.zeros(99, np.int16)) if damage == "silent" else b"RIFF")
    refused = call(tmp_path, "augment", "clips", "selection.parquet", "augmented/rooms")
    assert_refused(refused, "rooms holds no .wav file" if damage == "missing" else "rooms/a.wav")


def assert_nothing_came(folder: Path, outcome: Outcome, *parts: str) -> None:
    assert_refused(outcome, *parts)
    assert not list((folder / "augmented").rglob("manifest.json"))


def test_a_recipe_that_is_not_declared_is_refused_with_those_that_are(folder: Path, call: Call) -> None:
    refused = call(folder, "augment", "clips", "selection.parquet", "augmented/tenfold")
    assert_nothing_came(
        folder, refused, "augmented/tenfold: no such recipe", "augment.recipes declares all, ninefold, varied"
    )


def test_noise_without_background_recordings_is_refused(folder: Path, call: Call) -> None:
    held = content(open_store(folder / "clips"))
    for clip in held.clips:
        clip.row["recording"] = None
    shutil.rmtree(folder / "clips")
    forge(folder / "clips", held)
    assert call(folder, "select", "clips", "selection.parquet").code == 0
    assert_nothing_came(folder, call(folder, "augment", *ARGUMENTS), "clips has no silence clip in the train part")


@pytest.mark.parametrize("damage", ["a bit", "missing", "other clips", "no selection"])
def test_damaged_inputs_are_one_clear_sentence_and_leave_no_store(damage: str, folder: Path, call: Call) -> None:
    shard = folder / "clips" / open_store(folder / "clips").manifest.shards[1].file
    expected = f"clips/{shard.name}"
    match damage:
        case "a bit":
            data = bytearray(shard.read_bytes())
            data[len(data) // 2] ^= 1
            shard.write_bytes(data)
        case "missing":
            shard.unlink()
        case "other clips":
            manifest = json.loads((folder / "clips" / "manifest.json").read_text())
            (folder / "clips" / "manifest.json").write_text(json.dumps({**manifest, "code_version": "0"}))
            expected = "selection.parquet was made from other clips than clips"
        case _:
            (folder / "selection.parquet").unlink()
            expected = "selection.parquet is missing"
    assert_nothing_came(folder, call(folder, "augment", *ARGUMENTS), expected)


def test_neither_select_nor_augment_takes_clips_that_hold_copies(made: Path, folder: Path, call: Call) -> None:
    shutil.copytree(made / "augmented", folder / "made")
    refused = call(folder, "select", "made/all/clips", "again.parquet")
    assert_refused(refused, "made/all/clips holds copies of clips that `augment` made")
    refused = call(folder, "augment", "made/all/clips", "made/all/selection.parquet", "augmented/all")
    assert_nothing_came(folder, refused, "made/all/clips holds copies already")


def problems(store: Store) -> dict[str, list[Problem]]:
    report = verify(store, lambda _: None)
    return {check.name: list(check.problems) for check in report.checks if check.problems}


def forged(held: Content, tmp_path: Path) -> list[Problem]:
    return problems(forge(tmp_path / held.manifest.version, held)).get("copies", [])


def test_a_rewritten_store_with_copies_passes(held: Content, tmp_path: Path) -> None:
    assert problems(forge(tmp_path / held.manifest.version, held)) == {}


def test_verify_names_a_copy_in_test_at_its_record(held: Content, tmp_path: Path) -> None:
    moved = next(clip for clip in held.of("train", "yes") if clip.row["parent"])
    moved.split = "test"
    (problem,) = forged(held, tmp_path)
    assert problem.place.id == moved.id and problem.place.file.startswith("mfcc_small-test")
    assert problem.message == "a copy in test, expected copies in train alone"


def test_verify_names_each_copy_of_a_clip_that_is_missing_or_in_another_split(held: Content, tmp_path: Path) -> None:
    first, second = [clip for clip in held.of("train", "yes") if not clip.row["parent"]][:2]
    held.clips.remove(first)
    second.split = "validation"
    found = forged(held, tmp_path)
    of_first = {each.place.id for each in found if each.message == f"a copy of {first.id}, which is not in the store"}
    of_second = {
        each.place.id
        for each in found
        if each.message == f"a copy of {second.id}, which is in validation, expected train"
    }
    assert len(found) == 2 * EACH_CLIP and len(of_first) == len(of_second) == EACH_CLIP


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("speaker", "somebody", "speaker 'somebody', its parent PARENT has"),
        ("parent", None, "parent None, but the id says 'PARENT'"),
        ("parent", "yes/other_nohash_0", "parent 'yes/other_nohash_0', but the id says 'PARENT'"),
    ],
)
def test_verify_names_a_copy_whose_row_denies_its_parent(
    column: str, value: str | None, message: str, held: Content, tmp_path: Path
) -> None:
    copy = next(clip for clip in held.of("train", "yes") if clip.row["parent"])
    expected = message.replace("PARENT", copy.row["parent"])
    copy.row[column] = value
    found = forged(held, tmp_path)
    assert found[0].place.id == copy.id and found[0].message.startswith(expected)


def test_sample_shows_a_clip_and_its_copies_in_one_picture_and_writes_each_as_wav(
    made: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    clips, chosen = made / "augmented" / "all" / "clips", made / "features" / "mfcc_small"
    done = run("sample", clips, "--word", "yes", "--seed", "4", "--copies", "--json")
    records = clips_of(clips)
    parent = done.json[0]["id"]
    copies = {row["id"] for row in catalog(made).values() if row["parent"] == parent}
    assert len(copies) == EACH_CLIP and {each["id"] for each in done.json[1:]} == copies
    for each in done.json:
        assert np.array_equal(soundfile.read(each["audio"], dtype="int16")[0], records[each["id"]]["audio"])
    (picture,) = {each["picture"] for each in done.json}
    with Image.open(tmp_path / picture) as image:
        assert image.width > 1000 and image.height > 600
    refused = run("sample", chosen, "--word", "yes", "--split", "test", "--copies")
    assert refused.code == 1 and "leave --copies out" in refused.stderr


def test_the_clips_of_an_augmented_store_are_found_in_the_data_folder(
    made: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    data = tmp_path / "data"
    (data / "augmented").mkdir(parents=True)
    (data / "augmented" / "all").symlink_to(made / "augmented" / "all")
    shutil.copytree(made / "features", data / "features")
    assert run("sample", "data/features/mfcc_small", "--word", "yes", "--json").json[0]["audio"]


def test_describe_and_the_card_count_copies_apart(made: Path, tmp_path: Path, run: RegistryCommand) -> None:
    expected = {"train": {each["kind"]: 36 * each.get("copies", 8) for each in COPIES}}
    store = made / "features" / "mfcc_small"
    clips = made / "augmented" / "all" / "clips"
    assert copy_counts(open_store(store)) == expected == run("describe", store, "--json").json["copies"]
    assert copy_counts(open_store(clips)) == {"unsplit": expected["train"]}
    assert copy_counts(open_store(made / "clips")) == {}
    assert "made by augmentation" in run("describe", store).stdout
    assert run("card", store, clips, tmp_path / "card.md").code == 0
    text = (tmp_path / "card.md").read_text()
    assert "| of which copies | 468 | 0 | 0 | 468 |" in text and "288 by ninefold" in text


def test_validate_compares_originals_and_takes_coefficients_from_all(made: Path, finished: Path) -> None:
    found = profile(open_store(made / "features" / "mfcc_small")).splits
    without = profile(open_store(finished / "features" / "mfcc")).splits
    for split, of_split in found.items():
        for name in ("clips", "classes", "spoken", "padded", "clipped", "loudness_dbfs", "loudness_clips"):
            assert getattr(of_split, name) == getattr(without[split], name), (split, name)
    assert found["train"].mean == tuple(open_store(made / "features" / "mfcc_small").statistics("train").mean)


def test_the_manifest_says_how_copies_were_made_and_of_what(made: Path) -> None:
    view = open_store(store_folder(made / "features" / "mfcc_small")).manifest
    clips = open_store(made / "augmented" / "all" / "clips").manifest
    source = open_store(made / "clips").manifest
    assert view.task and view.task.clips_manifest_sha256 == clips.sha256
    assert view.task.counts["train"] == dict.fromkeys(view.classes, 9 * (1 + EACH_CLIP))
    assert clips.holds_copies and not source.holds_copies
    made_by = clips.clip_parameters["augment"]
    assert made_by["recipe"] == "all" and made_by["clips_manifest_sha256"] == source.sha256
    assert made_by["noise"] == {"kind": "noise", "copies": 1, "snr_db": [-5.0, 20.0]}
    assert {**clips.clip_parameters, "augment": None} == {**source.clip_parameters, "augment": None}
