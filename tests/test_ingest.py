"""The stage `ingest`, by its command line: every clip arrives unchanged, whatever happens on the way."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from conftest import ONE_WORKER, Call
from corpus_tools import (
    NOISES,
    WORDS,
    assert_refused,
    clips_of,
    contents,
    corpus_clips,
    corpus_files,
    environment,
    kill_at,
    noise,
    prepare,
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

from base import files
from features.quality import measure
from readers.store import open_store


def padded(samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.pad(samples[:16_000], (0, max(0, 16_000 - samples.size)))


def test_every_clip_of_the_archive_is_in_the_store_padded_or_trimmed(finished: Path) -> None:
    found = clips_of(finished / "clips")
    expected = corpus_clips()
    assert {name for name in found if not name.startswith("_silence_/")} == set(expected)
    for name, data in corpus_files():
        if name.endswith(".wav") and "_background_" not in name:
            samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
            record = found[name.removeprefix("./").removesuffix(".wav")]
            assert np.array_equal(record["audio"], padded(samples))
            assert record["length"] == min(samples.size, 16_000)
            assert (record["word"], record["speaker"]) == (name.split("/")[1], name.split("/")[2].split("_")[0])


def test_silence_is_cut_from_the_recordings_with_the_gain_of_the_catalog(finished: Path) -> None:
    found = clips_of(finished / "clips")
    rows = [row for row in table(finished / "clips" / "catalog.parquet") if row["word"] == "_silence_"]
    starts = {name: range(0, noise(name).size - 16_000 + 1, 4_000) for name in NOISES}
    assert {row["id"] for row in rows} == {f"_silence_/{name}_{s:08d}" for name in NOISES for s in starts[name]}
    for row in rows:
        piece = noise(row["recording"])[row["start"] : row["start"] + 16_000]
        expected = np.rint(piece * 10 ** (np.float64(round(row["gain_db"], 2)) / 20))
        assert -30 <= row["gain_db"] <= 0 and row["recording_samples"] == noise(row["recording"]).size
        assert np.array_equal(found[row["id"]]["audio"], expected)
        assert (row["split"], row["speaker"], found[row["id"]]["speaker"]) == (None, None, "")


def test_the_catalog_describes_each_clip_and_where_it_is(finished: Path) -> None:
    store = open_store(str(finished / "clips"))
    shards = store.shards("unsplit")
    places: dict[str, tuple[int, int, dict[str, Any]]] = {}
    for number, shard in enumerate(shards):
        one = type(store)(store.path, store.manifest.with_shards((shard,)))
        places |= {str(r["id"]): (number, place, r) for place, r in enumerate(one.records("unsplit"))}
    rows, samples = table(finished / "clips" / "catalog.parquet"), corpus_clips()
    assert [row["id"] for row in rows] == list(places)
    for row in rows:
        index, place, record = places[row["id"]]
        real = record["audio"][: record["length"]].astype(np.float64) / 32768
        assert (row["shard"], row["position"], row["length"]) == (index, place, record["length"])
        assert (row["rate"], row["archive"], row["word"]) == (16_000, "small.tar.gz", record["word"])
        assert row["peak"] == pytest.approx(np.abs(real).max(), rel=1e-6)
        assert row["clipped"] == np.isin(real * 32768, (-32768, 32767)).sum()
        assert row["rms"] == pytest.approx(np.sqrt(np.mean(real**2)), rel=1e-6)
        assert row["audio_sha256"] == hashlib.sha256(record["audio"].tobytes()).hexdigest()
        quality = measure(record["audio"][: record["length"]], spoken=row["word"] != "_silence_")
        for name, value in quality._asdict().items():
            assert row[name] == (np.float32(value) if isinstance(value, float) else value)
        if row["word"] != "_silence_":
            assert (row["start"], row["recording_samples"]) == (0, samples[row["id"]].size)
            assert row["split"] == which_set(row["id"])


@pytest.mark.parametrize("second", ["loudest", "center"])
def test_the_second_that_is_kept_is_the_one_asked_for_and_the_catalog_says_where_it_begins(
    second: str, tmp_path: Path, call: Call
) -> None:
    pause = np.full(20_000, 3, np.int16)
    long = {
        "yes/0a_nohash_0": np.r_[pause, voice(1)],
        "yes/0b_nohash_0": np.r_[pause[:5], voice(2), pause],
        "yes/0c_nohash_0": voice(3, 9_000),
    }
    files = [(f"{name}.wav", wav(samples)) for name, samples in long.items()]
    prepare(tmp_path, [*files, ("_background_noise_/hum.wav", wav(noise("hum")))], ingest__second=second)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    rows = {row["id"]: row for row in table(tmp_path / "clips" / "catalog.parquet")}
    starts = {"loudest": (20_000, 5), "center": (10_000, 10_002)}[second]
    assert tuple(rows[name]["start"] for name in list(long)[:2]) == starts
    for name, record in clips_of(tmp_path / "clips").items():
        row = rows[name]
        if name in long:
            assert np.array_equal(record["audio"], padded(long[name][row["start"] :]))
            assert row["recording_samples"] == long[name].size and row["recording"] is None
        else:
            assert name == f"_silence_/hum_{row['start']:08d}" and row["recording_samples"] == noise("hum").size
    parameters = json.loads((tmp_path / "clips" / "manifest.json").read_text())["clip_parameters"]
    assert parameters["second"] == second


def test_a_clip_is_in_the_shard_and_at_the_place_of_its_hash(finished: Path) -> None:
    rows = table(finished / "clips" / "catalog.parquet")
    digests = [hashlib.blake2b(row["id"].encode(), digest_size=16).digest() for row in rows]
    assert [row["shard"] for row in rows] == [int.from_bytes(digest[:8], "big") % 3 for digest in digests]
    assert digests == sorted(digests, key=lambda digest: (int.from_bytes(digest[:8], "big") % 3, digest))


def test_the_manifest_names_the_bytes_of_each_shard_and_the_archives(finished: Path) -> None:
    manifest = json.loads((finished / "clips" / "manifest.json").read_text())
    for shard in manifest["shards"]:
        content = (finished / "clips" / shard["file"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    raw = (finished / "raw" / "small.tar.gz").read_bytes()
    assert manifest["archives"][0]["sha256"] == hashlib.sha256(raw).hexdigest()
    expected = {shard["file"] for shard in manifest["shards"]} | {"manifest.json", "features.json", "dataset_info.json"}
    assert set(contents(finished / "clips")) == expected | {"catalog.parquet", "rejects.parquet", "SHA256SUMS"}


def test_two_workers_threads_and_another_runner_write_the_same_bytes(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    assert run_stage(tmp_path, "ingest", "raw", "two", "--direct_num_workers=2").code == 0
    threads = ("--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=2")
    assert call(tmp_path, "ingest", "raw", "threads", *threads).code == 0
    assert contents(tmp_path / "two") == contents(tmp_path / "threads") == contents(finished / "clips")


def test_the_order_of_the_archive_does_not_matter(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, corpus_files())
    prepare(tmp_path / "other", corpus_files()[::-1])
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert call(tmp_path / "other", "ingest", "raw", "clips").code == 0
    one, other = (contents(folder / "clips") for folder in (tmp_path, tmp_path / "other"))
    own = ("manifest.json", "SHA256SUMS")
    assert {n: v for n, v in one.items() if n not in own} == {n: v for n, v in other.items() if n not in own}


def test_an_interrupted_run_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, corpus_files(), ingest__shards=40)
    assert call(tmp_path, "ingest", "raw", "whole").code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.ingest", "raw", "clips", ONE_WORKER],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    work = tmp_path / "clips" / "_work"
    kill_at(process, work, "*/seal-*.json")
    sealed = [json.loads(path.read_text())["shard"]["file"] for path in work.glob("*/seal-*.json")]
    assert 0 < len(sealed) < 40 and not (tmp_path / "clips" / "manifest.json").exists()
    (staged,) = work.glob("*/output")
    before = {name: (staged / name).stat().st_mtime_ns for name in sealed}
    (staged / ".clips-unsplit.tfrecord-00000-of-00040.0f.part").write_bytes(b"of a killed attempt")
    gone = sealed.pop()
    (staged / gone).unlink()
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert {name: (tmp_path / "clips" / name).stat().st_mtime_ns for name in sealed} == {n: before[n] for n in sealed}
    assert contents(tmp_path / "clips") == contents(tmp_path / "whole")


def test_other_parameters_leave_no_file_of_the_run_before(finished: Path, tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, corpus_files(), ingest__shards=5)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    (tmp_path / "clips" / "_work" / "0123456789abcdef").mkdir(parents=True)
    (tmp_path / "clips" / "_work" / "0123456789abcdef" / "seal-00000.json").write_text("{}")
    (tmp_path / "clips" / "mine.txt").write_text("of the user")
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"small.tar.gz": (finished / "raw" / "small.tar.gz").read_bytes()})
    (tmp_path / "raw" / "archive0.tar.gz").unlink()
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    (tmp_path / "clips" / "mine.txt").unlink()
    assert contents(tmp_path / "clips") == contents(finished / "clips")


def test_more_shards_than_clips_are_a_valid_store(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, [("yes/0a_nohash_0.wav", wav(voice(1)))], ingest__shards=6)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert list(clips_of(tmp_path / "clips")) == ["yes/0a_nohash_0"]
    assert pq.ParquetFile(tmp_path / "clips" / "catalog.parquet").num_row_groups == 6


def test_without_lists_the_split_is_that_of_the_official_function_and_with_lists_theirs(
    tmp_path: Path, call: Call
) -> None:
    clips = [(f"yes/{who}_nohash_0.wav", wav(voice(n))) for n, who in enumerate(speakers())]
    for name, lists, expected in (
        ("without", [], {path[:-4]: which_set(path) for path, _ in clips}),
        (
            "with",
            [
                ("validation_list.txt", b"\xef\xbb\xbf" + clips[0][0].encode() + b"\r\n"),
                ("testing_list.txt", clips[1][0].encode()),
            ],
            {path[:-4]: {0: "validation", 1: "test"}.get(n, "train") for n, (path, _) in enumerate(clips)},
        ),
    ):
        prepare(tmp_path / name, lists + clips)
        assert call(tmp_path / name, "ingest", "raw", "clips").code == 0
        rows = table(tmp_path / name / "clips" / "catalog.parquet")
        assert {row["id"]: row["split"] for row in rows} == expected


def damaged_files() -> dict[str, tuple[bytes, str]]:
    """Unusable files: path → (content, the reason expected)."""
    return {
        "yes/0b_nohash_0.wav": (b"", "empty"),
        "yes/0c_nohash_0.wav": (b"no sound", "not_wave"),
        "yes/0d_nohash_0.wav": (wav(voice(1))[:-1], "truncated"),
        "yes/0e_nohash_0.wav": (wav(np.full(99, np.nan), subtype="FLOAT"), "not_finite"),
        "yes/0f_nohash_0.wav": (wav(voice(1), 1_000), "sample_rate"),
        "yes/10_nohash_0.wav": (wav(np.empty(0, np.int16)), "no_samples"),
        "yes/11.wav": (wav(voice(1)), "unexpected_name"),
        "../12_nohash_0.wav": (wav(voice(1)), "unexpected_name"),
        "_background_noise_/short.wav": (wav(voice(1, 15_999)), "too_short"),
        "_background_noise_/broken.wav": (b"RIFF", "not_wave"),
    }


def test_unusable_files_are_rejected_with_their_reason_and_the_others_kept(tmp_path: Path, call: Call) -> None:
    good = [("yes/0a_nohash_0.wav", wav(voice(1))), ("yes/01_nohash_0.wav", wav(voice(2, 8_000), 8_000, "PCM_24"))]
    bad = damaged_files()
    prepare(tmp_path, [*good, *((path, data) for path, (data, _) in bad.items())], ingest__max_reject_fraction=10 / 12)
    outcome = call(tmp_path, "ingest", "raw", "clips")
    assert outcome.code == 0, outcome.stderr
    assert set(clips_of(tmp_path / "clips")) == {"yes/0a_nohash_0", "yes/01_nohash_0"}
    rejects = table(tmp_path / "clips" / "rejects.parquet")
    assert {row["path"]: row["reason"] for row in rejects} == {path: reason for path, (_, reason) in bad.items()}
    assert {row["archive"] for row in rejects} == {"archive0.tar.gz"} and all(row["detail"] for row in rejects)
    rates = {row["id"]: row["rate"] for row in table(tmp_path / "clips" / "catalog.parquet")}
    assert rates == {"yes/0a_nohash_0": 16_000, "yes/01_nohash_0": 8_000}


def test_two_runs_over_a_file_that_no_decoder_takes_write_the_same_bytes(tmp_path: Path) -> None:
    """In processes of their own: a message with a memory address would differ."""
    seven_bits = bytearray(wav(voice(1)))
    seven_bits[34:36] = (77).to_bytes(2, "little")
    files = [("yes/0a_nohash_0.wav", wav(voice(1))), ("yes/0b_nohash_0.wav", bytes(seven_bits))]
    prepare(tmp_path, files, ingest__max_reject_fraction=0.5)
    for name in ("one", "other"):
        assert run_stage(tmp_path, "ingest", "raw", name, ONE_WORKER).code == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    (reject,) = table(tmp_path / "one" / "rejects.parquet")
    assert reject["reason"] == "undecodable" and "0x" not in reject["detail"] and reject["detail"].startswith("libsnd")


def test_a_runner_that_does_not_exist_leaves_a_finished_store_as_it_is(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path, ingest__shards=5)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    shutil.copytree(finished / "clips", tmp_path / "clips")
    assert_refused(call(tmp_path, "ingest", "raw", "clips", "--runner=Nonsense"), "Beam has no such runner here")
    assert contents(tmp_path / "clips") == contents(finished / "clips")


def test_a_run_that_fails_leaves_a_finished_store_as_it_is(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path, ingest__shards=5)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive[:-9]})
    shutil.copytree(finished / "clips", tmp_path / "clips")
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), "small.tar.gz is damaged or cut short")
    kept = {name: digest for name, digest in contents(tmp_path / "clips").items() if not name.startswith("_work/")}
    assert kept == contents(finished / "clips")
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    write_parameters(tmp_path)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert contents(tmp_path / "clips") == contents(finished / "clips")


def test_an_output_with_the_characters_of_a_pattern_touches_no_other(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    (tmp_path / "run1").mkdir()
    shutil.copytree(finished / "clips", tmp_path / "run1" / "clips")
    shutil.copyfile(finished / "selection.parquet", tmp_path / "run1" / "selection.parquet")
    before = contents(tmp_path / "run1")
    assert call(tmp_path, "ingest", "raw", "run[1]/clips").code == 0
    assert call(tmp_path, "select", "run[1]/clips", "run?/selection.parquet").code == 0
    assert contents(tmp_path / "run1") == before
    assert contents(tmp_path / "run[1]" / "clips") == contents(finished / "clips")


def test_an_output_may_be_a_link_to_an_empty_folder(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "clips").symlink_to(tmp_path / "elsewhere")
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert contents(tmp_path / "elsewhere") == contents(finished / "clips")


def test_the_chain_writes_the_same_bytes_to_object_storage(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    """fsspec's memory file system stands for one: folders exist only by what they hold, and nothing is renamed."""
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    root = f"memory://{tmp_path.name}"
    files.write_text(f"{root}/clips/_work/0123456789abcdef/seal-00000.json", "of an older plan")
    assert call(tmp_path, "ingest", "raw", f"{root}/clips").code == 0
    assert call(tmp_path, "select", f"{root}/clips", f"{root}/selection.parquet").code == 0
    assert call(tmp_path, "extract", f"{root}/clips", f"{root}/selection.parquet", f"{root}/mfcc").code == 0
    mfcc = store_folder(finished / "features" / "mfcc")
    for folder, here in ((f"{root}/clips", finished / "clips"), (f"{root}/mfcc/{mfcc.name}", mfcc)):
        assert {name: files.sha256(f"{folder}/{name}") for name in files.names(folder)} == contents(here)
    assert files.sha256(f"{root}/selection.parquet") == files.sha256(str(finished / "selection.parquet"))
    assert files.names(root) == ["clips", "mfcc", "selection.parquet"]


def test_one_unusable_file_more_than_allowed_fails_the_stage(tmp_path: Path, call: Call) -> None:
    """Silence that is cut here does not dilute the share: it counts files."""
    good = [(f"yes/{who}_nohash_0.wav", wav(voice(n))) for n, who in enumerate(speakers()[:7])]
    files = [*good, ("yes/0b_nohash_0.wav", b"x"), ("_background_noise_/hum.wav", wav(noise("hum")))]
    prepare(tmp_path, files, ingest__max_reject_fraction=0.124)
    assert_refused(
        call(tmp_path, "ingest", "raw", "clips"),
        "1 of 8 files can't be used, more than max_reject_fraction 0.124",
        "output/rejects.parquet",
        "yes/0b_nohash_0.wav: not_wave",
    )
    assert not (tmp_path / "clips" / "manifest.json").exists()
    (rejects,) = (tmp_path / "clips" / "_work").glob("*/output/rejects.parquet")
    assert [row["path"] for row in table(rejects)] == ["yes/0b_nohash_0.wav"]
    write_parameters(tmp_path, ingest__max_reject_fraction=0.125)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0


def test_links_named_as_clips_are_rejected_and_names_that_are_not_utf_8_survive(tmp_path: Path, call: Call) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name, kind in (
            ("yes/0a_nohash_0.wav", tarfile.REGTYPE),
            ("yes/\udcff_nohash_0.wav", tarfile.REGTYPE),
            ("yes/0b_nohash_0.wav", tarfile.SYMTYPE),
            ("yes/0c_nohash_0.wav", tarfile.LNKTYPE),
        ):
            data = wav(voice(1)) if kind == tarfile.REGTYPE else b""
            header = tarfile.TarInfo(name)
            header.size, header.type, header.linkname = len(data), kind, "yes/0a_nohash_0.wav"
            archive.addfile(header, io.BytesIO(data))
    write_parameters(tmp_path, ingest__max_reject_fraction=0.5)
    write_raw(tmp_path / "raw", {"a.tar.gz": packed.getvalue()})
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert set(clips_of(tmp_path / "clips")) == {"yes/0a_nohash_0", "yes/\ufffd_nohash_0"}
    rejects = table(tmp_path / "clips" / "rejects.parquet")
    assert sorted((row["path"], row["reason"]) for row in rejects) == [
        ("yes/0b_nohash_0.wav", "not_a_file"),
        ("yes/0c_nohash_0.wav", "not_a_file"),
    ]


def test_the_official_test_archive_beside_the_main_one_adds_its_silence_and_unknowns(
    tmp_path: Path, call: Call
) -> None:
    test_speakers = [who for who in speakers() if which_set(who) == "test"]
    repeated = [(f"./yes/{who}_nohash_0.wav", wav(corpus_clips()[f"yes/{who}_nohash_0"])) for who in test_speakers]
    changed = ("./no/" + test_speakers[0] + "_nohash_0.wav", wav(voice(500)))
    silence = [(f"./_silence_/{number}.wav", wav(voice(number) // 90)) for number in (1024, 7)]
    unknown = [(f"./_unknown_/cat_{who}_nohash_0.wav.wav", wav(voice(n))) for n, who in enumerate(test_speakers)]
    prepare(tmp_path, corpus_files(), [*repeated, changed, *silence, *unknown], ingest__max_reject_fraction=0.1)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    rows = table(tmp_path / "clips" / "catalog.parquet")
    brought = {
        row["id"]: (row["word"], row["speaker"], row["split"]) for row in rows if row["archive"] == "archive1.tar.gz"
    }
    assert brought == {
        "_silence_/1024": ("_silence_", None, "test"),
        "_silence_/7": ("_silence_", None, "test"),
        **{f"_unknown_/cat_{who}_nohash_0": ("cat", who, "test") for who in test_speakers},
    }
    rejects = {row["path"]: row["reason"] for row in table(tmp_path / "clips" / "rejects.parquet")}
    assert rejects == {
        **{f"yes/{who}_nohash_0.wav": "repeated" for who in test_speakers},
        f"no/{test_speakers[0]}_nohash_0.wav": "id_taken",
    }
    found = clips_of(tmp_path / "clips")
    assert all(np.array_equal(found[name]["audio"], padded(samples)) for name, samples in corpus_clips().items())
    assert call(tmp_path, "select", "clips", "selection.parquet").code == 0
    test_ids = {row["id"] for row in table(tmp_path / "selection.parquet") if row["split"] == "test"}
    assert {name for name in test_ids if name[0] == "_"} == set(brought)
    assert {name for name in test_ids if name[0] != "_"} == {
        f"{w}/{who}_nohash_0" for w in WORDS[:2] for who in test_speakers
    }


ARCHIVE_MISTAKES: dict[str, tuple[Any, str]] = {
    "not gzip": (lambda good: b"PK\3\4" + good, "archive.tar.gz is not a gzip file: it begins with b'PK'"),
    "empty": (lambda good: b"", "archive.tar.gz is not a gzip file"),
    "cut in half": (lambda good: good[: len(good) // 2], "archive.tar.gz is damaged or cut short"),
    "one bit flipped": (
        lambda good: good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 4]) + good[len(good) // 2 + 1 :],
        "archive.tar.gz is damaged or cut short",
    ),
    "no clip": (
        lambda good: tar_gz([("README.md", b"x"), ("a/b.flac", b"y")]),
        "archive.tar.gz has no clip named word/",
    ),
    "no file": (lambda good: tar_gz([]), "it begins with: nothing"),
}


@pytest.mark.parametrize("mistake", ARCHIVE_MISTAKES)
def test_an_archive_that_can_not_be_read_is_one_clear_sentence(
    mistake: str, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    change, message = ARCHIVE_MISTAKES[mistake]
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"archive.tar.gz": change(small_archive)})
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), message)
    assert not [name for name in contents(tmp_path / "clips") if not name.startswith("_work/")]


def test_a_wrong_checksum_ends_the_process_with_one_line_and_code_1(tmp_path: Path, small_archive: bytes) -> None:
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"archive.tar.gz": small_archive}, sha256="0" * 64)
    outcome = run_stage(tmp_path, "ingest", "raw", "clips", ONE_WORKER)
    assert_refused(
        outcome, f"has SHA-256 {hashlib.sha256(small_archive).hexdigest()}, expected {'0' * 64}; get it again"
    )
    assert not (tmp_path / "clips" / "manifest.json").exists()


def test_after_a_failure_a_good_archive_gives_the_same_bytes(
    finished: Path, tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive[:-9]})
    assert call(tmp_path, "ingest", "raw", "clips").code == 1
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert contents(tmp_path / "clips") == contents(finished / "clips")


def test_one_bad_archive_of_two_leaves_nothing_that_a_later_run_takes_for_finished(
    tmp_path: Path, small_archive: bytes, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the failure of the second archive, before it has cleared its work."""
    from pipelines.ingest import ingest

    write_parameters(tmp_path)
    extra = tar_gz([("_unknown_/cat_0a_nohash_0.wav", wav(voice(1)))])
    write_raw(tmp_path / "raw", {"main.tar.gz": small_archive, "test.tar.gz": extra})
    (tmp_path / "raw" / "test.tar.gz").write_bytes(extra[:-9])
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "finish", lambda *_: sys.exit(9))
        assert call(tmp_path, "ingest", "raw", "clips").code == 9
    (tmp_path / "raw" / "test.tar.gz").write_bytes(extra)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert "_unknown_/cat_0a_nohash_0" in clips_of(tmp_path / "clips")


RAW_MISTAKES: dict[str, tuple[str | None, str]] = {
    "no corpus.json": (None, "raw/corpus.json is missing: run `python -m pipelines.corpus raw` first"),
    "not JSON": ("{", "raw/corpus.json does not describe archives"),
    "no archives": ('{"archives": []}', "raw/corpus.json describes no archive"),
    "other keys": ('{"archives": [{"name": "a"}]}', "raw/corpus.json does not describe archives"),
    "no object": ("[1]", "raw/corpus.json does not describe archives"),
}


@pytest.mark.parametrize("mistake", RAW_MISTAKES)
def test_a_raw_folder_that_corpus_did_not_write_is_refused(mistake: str, tmp_path: Path, call: Call) -> None:
    content, message = RAW_MISTAKES[mistake]
    write_parameters(tmp_path)
    (tmp_path / "raw").mkdir()
    if content is not None:
        (tmp_path / "raw" / "corpus.json").write_text(content)
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), message)


def test_a_missing_archive_is_named_and_the_store_before_is_kept(finished: Path, tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, [("yes/0a_nohash_0.wav", wav(voice(1)))])
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    before = contents(tmp_path / "clips")
    (tmp_path / "raw" / "archive0.tar.gz").unlink()
    assert_refused(
        call(tmp_path, "ingest", "raw", "clips"), "raw/archive0.tar.gz is missing: run `python -m pipelines.corpus"
    )
    assert contents(tmp_path / "clips") == before


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ingest__shards", "four", "params.yaml: ingest.shards"),
        ("ingest__shard", 4, "params.yaml: ingest.shard is not a known key"),
    ],
)
def test_a_mistake_in_the_parameters_is_one_line(
    key: str, value: Any, message: str, tmp_path: Path, call: Call
) -> None:
    prepare(tmp_path, corpus_files()[:3], **{key: value})
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), message)


def test_a_folder_named_by_mistake_loses_nothing(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, corpus_files())
    before = contents(tmp_path / "raw")
    assert call(tmp_path, "ingest", "raw", "raw").code == 0
    assert before.items() <= contents(tmp_path / "raw").items()


def test_real_clips_arrive_unchanged(real_archive: Path, tmp_path: Path, call: Call) -> None:
    with tarfile.open(real_archive) as archive:
        some = [
            m for m in archive.getmembers() if m.isfile() and ("/go/" in m.name or m.name.endswith(("tap.wav", ".txt")))
        ]
        files = [(m.name, archive.extractfile(m).read()) for m in some]  # type: ignore[union-attr]
    prepare(tmp_path, files)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    found = clips_of(tmp_path / "clips")
    spoken = [(name, data) for name, data in files if "/go/" in name]
    assert len(spoken) > 100
    for name, data in spoken:
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
        assert np.array_equal(found[name[2:-4]]["audio"], padded(samples))
