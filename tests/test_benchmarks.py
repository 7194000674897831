"""Claims about the benchmarks: an enlarged archive is what it says, measuring sees all processes, no row is missing."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_tools import exit_code
from serving_tools import MFCC, tiny_export, tiny_network

from base import params
from base.errors import DataError
from benchmarks.enlarge import enlarge, new_speaker, plan_copies, shift_and_mix, speaker_of
from benchmarks.measure import Measurement, measure
from benchmarks.pipelines import FEWEST_SHARDS, PROJECT, parameters
from benchmarks.report import ALL_COMMANDS, HEADERS, Row, render, total
from features.audio import Samples, encode_audio
from features.audio_file import decode
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, View
from pipelines.ingest.archive import Member, read_members
from pipelines.ingest.config import Ingest
from pipelines.select.config import Classes, Select
from serving.predict_archive.predict_archive import main as predict_archive

WORDS = ("yes", "no", "up")
SPEAKERS = 40
OFFICIAL_NAME = re.compile(r"(?P<word>[a-z]+)/(?P<speaker>[0-9a-f]{8})_nohash_\d+\.wav")
MEGABYTE = 1_000_000


def wav(samples: Samples) -> bytes:
    return encode_audio(samples, SAMPLE_RATE_HZ, "wav")


def tone(samples: int, seed: int) -> np.ndarray:
    """A noisy tone, int16, (samples,)."""
    generator = np.random.default_rng(seed)
    wave = np.sin(np.arange(samples) * 0.05 * (1 + seed % 7)) * 8000 + generator.normal(0, 300, samples)
    return wave.astype(np.int16)


def tiny_clips() -> dict[str, bytes]:
    """Clips of three words by forty speakers, every seventh shorter than a second."""
    speakers = [hashlib.sha256(bytes([number])).hexdigest()[:8] for number in range(SPEAKERS)]
    pairs = [(word, speaker) for word in WORDS for speaker in speakers]
    return {
        f"./{word}/{speaker}_nohash_{number % 3}.wav": wav(tone(CLIP_SAMPLES - 2000 * (number % 7 == 0), number))
        for number, (word, speaker) in enumerate(pairs)
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("raw") / "tiny.tar.gz"
    others = {
        "./README.md": b"a tiny corpus",
        "./validation_list.txt": b"yes/x_nohash_0.wav\n",
        "./yes/damaged_nohash_0.wav": b"RIFF",
        "./_background_noise_/hum.wav": wav(tone(3 * CLIP_SAMPLES, 1)),
    }
    with tarfile.open(place, "w:gz") as files:
        for name, data in {**others, **tiny_clips()}.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            files.addfile(header, io.BytesIO(data))
    return place


def members(place: Path) -> list[Member]:
    with place.open("rb") as file:
        return list(read_members(file, place.name))


@pytest.mark.parametrize("clips", [7, 120, 500])
def test_an_enlarged_archive_has_exactly_so_many_clips_with_official_names_of_their_own(
    archive: Path, tmp_path: Path, clips: int
) -> None:
    enlarge(archive, tmp_path / "more.tar.gz", clips)
    names = [each.name for each in members(tmp_path / "more.tar.gz") if OFFICIAL_NAME.fullmatch(each.name)]
    assert len(names) == len(set(names)) == clips


def test_an_enlarged_archive_keeps_noise_and_documents_and_drops_lists_and_damaged_clips(
    archive: Path, tmp_path: Path
) -> None:
    enlarge(archive, tmp_path / "more.tar.gz", 150)
    others = {each.name: each.data for each in members(tmp_path / "more.tar.gz") if "_nohash_" not in each.name}
    given = {each.name: each.data for each in members(archive)}
    assert others == {name: given[name] for name in ("./README.md", "./_background_noise_/hum.wav")}


def test_every_clip_of_an_enlarged_archive_is_at_most_one_second_long(archive: Path, tmp_path: Path) -> None:
    enlarge(archive, tmp_path / "more.tar.gz", 300)
    clips = [each for each in members(tmp_path / "more.tar.gz") if "_nohash_" in each.name]
    lengths = {decode(each.data).samples.size for each in clips}
    assert lengths == {CLIP_SAMPLES, CLIP_SAMPLES - 2000}


def test_an_archive_enlarged_twice_has_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one.tar.gz", "two.tar.gz"):
        enlarge(archive, tmp_path / name, 200)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_an_enlarged_archive_begins_with_the_clips_that_were_given(archive: Path, tmp_path: Path) -> None:
    enlarge(archive, tmp_path / "more.tar.gz", 240)
    found = {f"./{each.name}": each.data for each in members(tmp_path / "more.tar.gz")}
    assert tiny_clips().items() <= found.items()


def test_an_archive_without_a_clip_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "empty.tar.gz"
    with tarfile.open(place, "w:gz") as files:
        files.addfile(tarfile.TarInfo("README.md"))
    with pytest.raises(DataError, match="has no clip named"):
        enlarge(place, tmp_path / "more.tar.gz", 10)


def test_clips_are_copied_as_often_as_each_other_or_once_more() -> None:
    plan = plan_copies([f"yes/{number:08x}_nohash_0" for number in range(10)], 37)
    assert sorted(plan.copies.values()) == [3] * 3 + [4] * 7


def test_new_speakers_are_named_apart_from_each_other_and_from_those_given() -> None:
    first = plan_copies(["yes/00000001_nohash_0"], 5)
    clashing = [new_speaker(first, "00000001", copy) for copy in range(1, 4)]
    ids = [f"yes/{speaker}_nohash_0" for speaker in ("00000001", *clashing)]
    plan = plan_copies(ids, 4_000)
    names = [new_speaker(plan, speaker, copy) for speaker in plan.speakers for copy in range(1, 1001)]
    assert len(set(names)) == len(names) == 4_000
    assert not set(names) & {speaker_of(clip_id) for clip_id in ids}


def test_a_copy_is_its_clip_shifted_by_at_most_100_ms_with_a_little_of_another() -> None:
    clip, silence = tone(CLIP_SAMPLES, 3), np.zeros(CLIP_SAMPLES, np.int16)
    shifted = shift_and_mix(clip, silence, 0x1234_5678_9ABC_DEF0)
    shifts = [shift for shift in range(-1600, 1601) if np.array_equal(np.roll(clip, shift), shifted)]
    assert len(shifts) == 1
    other = tone(9000, 5)
    added = shift_and_mix(clip, other, 0x1234_5678_9ABC_DEF0).astype(float) - shifted
    assert 0.02 <= np.abs(added).max() / np.abs(other.astype(float)).max() <= 0.11
    assert not added[9000:].any()


def test_measuring_counts_the_memory_and_the_time_of_child_processes(tmp_path: Path) -> None:
    child = "import time; data = bytearray(b'x' * 80_000_000); time.sleep(1.5)"
    start = f"subprocess.run([sys.executable, '-c', {child!r}])"
    parent = f"import subprocess, sys; data = bytearray(b'x' * 80_000_000); {start}"
    took = measure([sys.executable, "-c", parent], tmp_path, {})
    assert 160 * MEGABYTE < took.peak_rss_bytes < 400 * MEGABYTE
    assert 1.5 < took.seconds < 20
    assert took.cpu_seconds < took.seconds * 2


def test_a_command_that_fails_is_named_with_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ended with exit code 3"):
        measure([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, {})


def test_all_commands_together_take_the_sum_of_the_times_and_the_largest_peak() -> None:
    rows = [
        Row("one", 100, Measurement(2.0, 3.0, 50, 40), 1000),
        Row("two", 120, Measurement(6.0, 8.0, 70, None), 3000),
    ]
    assert total("both", rows, 80) == Row("both", 80, Measurement(8.0, 11.0, 70, 40), 4000)
    assert total("both", rows, 80).clips_per_second == 10.0


def test_a_rate_leaves_out_the_start_up_that_is_told() -> None:
    assert Row("loop", 90, Measurement(4.0, 4.0, 1, 1), 1, start_up_seconds=1.0).clips_per_second == 30.0


def test_the_table_has_a_line_for_each_row() -> None:
    packages = {"numpy": "1"}
    machine = {
        "cores": 2,
        "cpu": "C",
        "memory_bytes": 1,
        "load_before": 0,
        "system": "S",
        "python": "3",
        "packages": packages,
    }
    row = Row("ingest", 1000, Measurement(2.0, 3.0, 5_000_000, None), 32_000_000)
    table = render([row], [], {"archive": "a.tar.gz", "clips": 900, "machine": machine})
    (line,) = [line for line in table.splitlines() if line.startswith("ingest")]
    assert line.split() == ["ingest", "1,000", "2.0", "3.0", "500", "5", "32,000"]
    assert all(header in table for header in HEADERS)


@pytest.mark.parametrize(("clips", "shards"), [(10, FEWEST_SHARDS), (100_000, 67), (100_000_000, 4096)])
def test_the_benchmark_changes_the_projects_parameters_into_valid_ones(clips: int, shards: int) -> None:
    content = parameters(params.read_yaml(PROJECT / params.PARAMS_FILE), clips)
    select = params.check(content["select"], "select", Select)
    assert params.check(content["ingest"], "ingest", Ingest).shards == shards
    assert select.classes == Classes(words="all", silence=True, unknown=False)


def run_benchmark(archive: Path, folder: Path, *options: str) -> tuple[str, dict[str, dict[str, float]]]:
    """What it printed, and its rows by stage."""
    result = folder / "result.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.pipelines",
        str(archive),
        "--work",
        str(folder),
        "--output",
        str(result),
    ]
    done = subprocess.run([*command, *options], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, {row["stage"]: row for row in json.loads(result.read_text())["rows"]}


def test_the_benchmark_measures_each_command_and_all_together(archive: Path, tmp_path: Path) -> None:
    table, rows = run_benchmark(archive, tmp_path, "--clips=150", "--views=mfcc", "--baselines=", "--workers=1")
    assert list(rows) == ["ingest", "select", "extract mfcc", ALL_COMMANDS]
    assert all(stage in table for stage in rows)
    assert rows["ingest"]["clips"] == 150 + 21
    assert rows[ALL_COMMANDS]["clips"] == 150
    assert rows["ingest"]["bytes_per_clip"] > 32_000
    assert rows["extract mfcc"]["bytes_per_clip"] > 98 * 40 * 4
    assert all(row["peak_rss_bytes"] > 50 * MEGABYTE for row in rows.values())


@pytest.mark.slow
def test_the_benchmark_puts_what_users_do_today_next_to_the_commands(archive: Path, tmp_path: Path) -> None:
    table, rows = run_benchmark(archive, tmp_path, "--clips=120", "--sample=30")
    assert rows["extract mfcc + spectrogram"]["clips"] > 120
    assert rows["extract mfcc + spectrogram"]["bytes_per_clip"] > (98 * 40 + 99 * 161) * 4
    for stage in ("librosa loop → one .npz a clip", "Beam elements → librosa → WriteToTFRecord"):
        assert stage in table
        assert rows[stage]["clips"] == 30
        assert rows[stage]["bytes_per_clip"] > (98 * 40 + 99 * 161) * 4


@pytest.mark.slow
def test_the_benchmark_measures_another_checkout_and_the_limits_in_the_same_run(archive: Path, tmp_path: Path) -> None:
    options = ("--clips=120", "--baselines=", f"--before={PROJECT}", "--limits")
    table, rows = run_benchmark(archive, tmp_path, *options)
    assert rows[f"before: {ALL_COMMANDS}"]["clips"] == rows[ALL_COMMANDS]["clips"] == 120
    assert rows["before: extract mfcc"]["clips"] == rows["extract mfcc + spectrogram"]["clips"]
    limits = json.loads((tmp_path / "result.json").read_text())["limits"]
    assert len(limits) == 6 and all(each["seconds"] > 0 and each["name"] in table for each in limits)


@pytest.mark.slow
def test_the_baselines_compute_the_same_features(archive: Path, tmp_path: Path) -> None:
    from benchmarks.baselines import loop
    from features.frontend import compute

    enlarge(archive, tmp_path / "whole.tar.gz", 120)
    views: dict[str, View] = params.load("extract.views", dict[str, View], PROJECT / params.PARAMS_FILE)
    chosen = {name: views[name] for name in ("mfcc", "logmel", "spectrogram")}
    loop(str(tmp_path / "whole.tar.gz"), tmp_path, 5, chosen)
    name, data = next(iter(tiny_clips().items()))
    samples = np.zeros((1, CLIP_SAMPLES), np.int16)
    clip = decode(data).samples
    samples[0, : clip.size] = clip
    with np.load(tmp_path / f"{name.removeprefix('./').removesuffix('.wav')}.npz") as features:
        for view_name, view in chosen.items():
            ours = compute(view, samples)[0]
            assert features[view_name].shape == ours.shape
            assert np.abs(features[view_name] - ours).max() < 1e-4 * np.abs(ours).max()


def test_the_keras_loop_says_of_each_clip_what_the_pipeline_over_archives_says(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import keras_loop

    enlarge(archive, tmp_path / "whole.tar.gz", 120)
    classes = ("yes", "no", "up")
    trained = SimpleNamespace(feature_view=MFCC, classes=classes)
    monkeypatch.setattr(keras_loop, "read_description", lambda folder: trained)
    monkeypatch.setattr(keras_loop, "read_network", lambda folder: tiny_network(MFCC, classes, 3))
    export = tiny_export(tmp_path / "export", classes, seed=3)
    assert exit_code(keras_loop.main, tmp_path / "whole.tar.gz", "model", tmp_path / "loop", "--clips=120") == 0
    arguments = (export, tmp_path / "whole.tar.gz", tmp_path / "labels.csv", "--direct_num_workers=1")
    assert exit_code(predict_archive, *arguments) == 0
    loop, pipeline = (
        dict(line.split(",") for line in path.read_text().splitlines())
        for path in (tmp_path / "loop/labels.csv", tmp_path / "labels.csv")
    )
    assert len(loop) == 121 and len(set(loop.values())) > 2 and loop.items() <= pipeline.items()
