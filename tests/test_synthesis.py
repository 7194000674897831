"""Claims about the synthetic corpus: the same bytes every time, the official layout, and sound that is as described."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import espeakng_loader
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from base.errors import DataError
from pipelines.corpus import acoustics, espeak, synthesis
from pipelines.layouts import speech_commands as layouts

ROOT = Path(__file__).parents[1]
DEFAULT = synthesis.Synthesis(speakers=120, noise_seconds=60, seed=0)
SMALL = synthesis.Synthesis(speakers=3, noise_seconds=2, seed=0)
FEW_WORDS = ("backward", "no", "six", "yes")
ENGINE = espeak.Engine(Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path()))
YES = espeak.Utterance(text="yes", rate_wpm=150, pitch=50, pitch_range=50)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthesis") / "small.tar.gz"
    synthesis.write_archive(path, SMALL, FEW_WORDS)
    return path


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def sounds(path: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(path).items() if name.endswith(".wav")}


def clips_only(path: Path) -> dict[str, bytes]:
    return {name: content for name, content in sounds(path).items() if layouts.BACKGROUND_FOLDER not in name}


def published_split(name: str) -> str:
    """The function `which_set` as the README of Speech Commands describes it."""
    speaker = re.sub(r"_nohash_.*$", "", Path(name).name)
    percentage = (int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27) * 100 / (2**27 - 1)
    return "validation" if percentage < 10 else "test" if percentage < 20 else "train"


def slope_per_octave(sound: npt.NDArray[np.float64]) -> float:
    """Fall of the power from 500 Hz to 4 kHz, in dB an octave."""
    frequencies, power = signal.welch(sound, acoustics.SAMPLE_RATE_HZ, nperseg=2048)
    band = (frequencies >= 500) & (frequencies <= 4000)
    return float(np.polyfit(np.log2(frequencies[band]), 10 * np.log10(power[band]), 1)[0])


def test_another_process_with_another_number_of_threads_writes_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tar.gz"
    code = (
        "import sys; from pathlib import Path; from pipelines.corpus import synthesis;"
        "small = synthesis.Synthesis(speakers=3, noise_seconds=2, seed=0);"
        "synthesis.write_archive(Path(sys.argv[1]), small, sys.argv[2:])"
    )
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code, str(other), *FEW_WORDS], env=threads, check=True, capture_output=True)

    assert other.read_bytes() == archive.read_bytes()


def test_a_speakers_clips_do_not_depend_on_who_spoke_before(archive: Path) -> None:
    written = clips_only(archive)
    for speaker in reversed(synthesis.cast(SMALL.speakers, SMALL.seed)):
        takes = synthesis.draw_takes(speaker, FEW_WORDS, SMALL.seed)
        for take, clip in synthesis.clips(takes, SMALL.seed):
            stored, _ = soundfile.read(io.BytesIO(written[f"./{take.name}"]), dtype="int16")
            np.testing.assert_array_equal(clip, stored)


def test_another_seed_gives_other_speakers_and_other_noise(archive: Path, tmp_path: Path) -> None:
    synthesis.write_archive(tmp_path / "other.tar.gz", replace(SMALL, seed=1, speakers=1), FEW_WORDS[:1])

    ours, theirs = sounds(archive), sounds(tmp_path / "other.tar.gz")

    assert ours.keys().isdisjoint(clips_only(tmp_path / "other.tar.gz"))
    assert all(ours[name] != theirs[name] for name in ours.keys() & theirs.keys() if "hum" not in name)


def test_every_member_has_a_role_in_the_official_layout(archive: Path) -> None:
    roles = Counter(type(layouts.LAYOUT.role(name)).__name__ for name in contents(archive))

    assert roles == {"Utterance": len(clips_only(archive)), "Background": 6, "ClipList": 2, "Other": 2}


def test_tar_lists_the_same_members_as_python_and_none_has_a_date_or_an_owner(archive: Path) -> None:
    listed = subprocess.run(["tar", "-tzf", str(archive)], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(archive) as opened:
        members = opened.getmembers()

    assert [name.rstrip("/") for name in listed] == [member.name for member in members]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}
    assert archive.read_bytes()[3:8] == bytes(5), "flags and date of the gzip header"


def test_all_sound_is_16_khz_mono_16_bit_and_no_clip_is_longer_than_a_second(archive: Path) -> None:
    for name, content in sounds(archive).items():
        info = soundfile.info(io.BytesIO(content))
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16"), name
        assert info.frames == 32_000 if layouts.BACKGROUND_FOLDER in name else 4_000 < info.frames <= 16_000, name


def test_every_clip_holds_a_loud_word(archive: Path) -> None:
    for name, content in clips_only(archive).items():
        samples, _ = soundfile.read(io.BytesIO(content))
        assert 0.1 < np.max(np.abs(samples)) <= 1, name


def test_the_lists_agree_with_the_published_function(archive: Path) -> None:
    names = [f"word/{speaker.id}_nohash_0.wav" for speaker in synthesis.cast(300, 0)]

    texts = synthesis.texts(names, SMALL)

    for file, split in {"testing_list.txt": "test", "validation_list.txt": "validation"}.items():
        assert texts[file].splitlines() == [name for name in names if published_split(name) == split]
        assert texts[file]
    small = sorted(name.removeprefix("./") for name in clips_only(archive))
    assert contents(archive)["./testing_list.txt"].decode() == synthesis.texts(small, SMALL)["testing_list.txt"]


def test_the_license_of_the_archive_names_itself_as_corpus_json_does(archive: Path) -> None:
    assert contents(archive)["./LICENSE"].decode().startswith(f"SPDX-License-Identifier: {synthesis.LICENSE_ID}\n")


def test_the_default_corpus_has_every_word_from_every_speaker_and_some_short_clips() -> None:
    speakers = synthesis.cast(DEFAULT.speakers, DEFAULT.seed)
    takes = [take for speaker in speakers for take in synthesis.draw_takes(speaker, synthesis.WORDS, DEFAULT.seed)]

    assert len({take.name for take in takes}) == len(takes) >= 3_500
    assert {(take.speaker.id, take.word) for take in takes} == {(s.id, w) for s in speakers for w in synthesis.WORDS}
    assert 0.08 < sum(take.short for take in takes) / len(takes) < 0.12
    assert len({speaker.voice for speaker in speakers}) == len(speakers)
    assert min(Counter(published_split(f"{speaker.id}_nohash_0.wav") for speaker in speakers).values()) >= 10


def test_a_thousand_speakers_are_distinct_and_the_first_ones_stay_when_more_are_asked_for() -> None:
    speakers = synthesis.cast(1_000, 0)

    assert len({speaker.id for speaker in speakers}) == 1_000
    assert all(re.fullmatch("[0-9a-f]{8}", speaker.id) for speaker in speakers)
    assert synthesis.cast(10, 0) == speakers[:10]


def test_a_word_that_is_too_long_is_said_faster_and_one_that_never_fits_is_refused() -> None:
    (speaker,) = synthesis.cast(1, 0)
    slow = synthesis.Take(speaker, "slow", 0, replace(YES, text="backward visual", rate_wpm=100), short=False)
    endless = replace(slow, utterance=replace(YES, text="one two three four five six seven eight nine ten " * 3))

    ((_, clip),) = synthesis.clips([slow], 0)

    assert len(clip) == 16_000
    with pytest.raises(ValueError, match="does not fit into a clip of 1 s"):
        list(synthesis.clips([endless], 0))


@given(word_samples=st.integers(1, 16_000), short=st.booleans(), seed=st.integers(0, 2**32))
def test_a_staging_never_cuts_the_word_or_exceeds_a_second(word_samples: int, short: bool, seed: int) -> None:
    staging = acoustics.draw_staging(np.random.default_rng(seed), word_samples, short)

    assert 0 <= staging.start <= staging.start + word_samples <= staging.samples <= 16_000
    assert staging.samples == 16_000 or short
    assert 0 < staging.peak < 1


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_recorded_clip_has_the_peak_and_the_noise_that_were_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    word = np.sin(np.arange(4_000) * 0.3)
    staging = acoustics.Staging(samples=16_000, start=6_000, peak=0.5, noise_ratio=0.02)

    clip = acoustics.record(word, acoustics.draw_place(rng), staging, rng) / 32_767

    loudest, noise = clip[6_000:10_000], clip[:6_000]
    assert np.max(np.abs(clip)) == pytest.approx(0.5, rel=0.15)
    assert np.sqrt(np.mean(noise**2) / np.mean(loudest**2)) == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize(
    ("name", "expected"), [("white_noise", 0), ("pink_noise", -3), ("brown_noise", -6)], ids=["white", "pink", "brown"]
)
def test_the_colored_noises_fall_as_their_names_say(name: str, expected: float) -> None:
    sound = acoustics.NOISES[name](np.random.default_rng(0), 160_000)

    assert slope_per_octave(sound) == pytest.approx(expected, abs=0.5)


def test_hum_lies_on_the_harmonics_of_the_mains() -> None:
    power = np.abs(np.fft.rfft(acoustics.hum(np.random.default_rng(0), 160_000))) ** 2
    near_harmonic = np.abs((np.arange(len(power)) / 10 + 25) % 50 - 25) <= 1

    assert power[near_harmonic].sum() > 0.99 * power.sum()


def test_clicks_are_short_and_babble_is_steady() -> None:
    rng = np.random.default_rng(0)
    clicks = acoustics.clicks(rng, 160_000)
    babble = acoustics.babble([rng.uniform(-1, 1, 9_000) for _ in range(8)], rng, 160_000)

    assert np.mean(np.abs(clicks) > 0.05 * np.max(np.abs(clicks))) < 0.05
    assert np.std([np.std(part) for part in np.split(babble, 10)]) < 0.1 * np.std(babble)


def test_a_voice_at_twice_the_rate_lasts_half_as_long_and_silence_is_refused() -> None:
    (pcm,) = espeak.speak(ENGINE, "en+m1", [YES])

    plain, small = (acoustics.voice(pcm, factor * espeak.SAMPLE_RATE_HZ) for factor in (1, 2))

    assert len(small) == pytest.approx(len(plain) / 2, abs=1)
    with pytest.raises(ValueError, match="no sound"):
        acoustics.voice(bytes(200), 22_050)


def test_speech_repeats_itself_and_voices_differ() -> None:
    assert espeak.speak(ENGINE, "en-us+f2", [YES, YES]) == espeak.speak(ENGINE, "en-us+f2", [YES, YES])
    assert espeak.speak(ENGINE, "en-us+f2", [YES]) != espeak.speak(ENGINE, "en-us+m1", [YES])


def test_the_library_works_from_a_folder_whose_path_is_longer_than_it_can_hold(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    (deep / "data").symlink_to(ENGINE.data)

    assert espeak.speak(espeak.Engine(ENGINE.library, deep / "data"), "en", [YES]) == espeak.speak(ENGINE, "en", [YES])


@pytest.mark.parametrize(
    ("engine", "voice", "complaint"),
    [
        (ENGINE, "martian", "no voice 'martian'"),
        (replace(ENGINE, library=Path("missing.so")), "en", "missing.so"),
        (replace(ENGINE, data=ROOT), "en", "phontab|sample rate"),
    ],
    ids=["voice", "library", "data"],
)
def test_a_synthesiser_that_does_not_work_says_why(engine: espeak.Engine, voice: str, complaint: str) -> None:
    with pytest.raises(espeak.SpeechError, match=complaint):
        espeak.speak(engine, voice, [YES])


def test_without_a_working_library_the_user_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: "missing.so")
    with pytest.raises(DataError, match=r"missing\.so.*install the package espeakng-loader again"):
        synthesis.write_archive(tmp_path / "none.tar.gz", SMALL, FEW_WORDS)
