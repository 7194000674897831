"""Copies have the length, pitch, level and decay that they are said to have, measured or next to librosa's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from corpus_tools import voice
from hypothesis import assume, given
from hypothesis import strategies as st

from features.views import CLIP_SAMPLES
from pipelines.augment import vocoder
from pipelines.augment.config import Gain, Kind, Ninefold, Noise, Room, Shift, Speed
from pipelines.augment.copies import (
    Draw,
    Samples,
    at_speed,
    copies_of,
    impulse_response,
    in_room,
    later,
    with_noise,
)
from pipelines.augment.materials import Materials

HALF_STEP = 2 ** (1 / 12)
NOISE = {f"_silence_/hum_{n:08d}": voice(n) for n in (100, 200)}
MATERIALS = Materials(NOISE, {})
KINDS: list[Kind] = [
    Ninefold(kind="ninefold"),
    Noise(kind="noise", copies=3, snr_db=(0.0, 20.0)),
    Speed(kind="speed", copies=3, factor=(0.85, 1.15)),
    Gain(kind="gain", copies=3, gain_db=(-12.0, 6.0)),
    Shift(kind="shift", copies=3, shift_ms=(-100, 100)),
    Room(kind="room", copies=3, decay_ms=(200, 600), direct_to_reverberant_db=(0.0, 12.0)),
]


def tone(hz: float, samples: int = CLIP_SAMPLES) -> Samples:
    return np.asarray(np.rint(8000 * np.sin(2 * np.pi * hz * np.arange(samples) / 16_000)), np.int16)


def pitch_hz(samples: npt.NDArray[Any]) -> float:
    """The strongest frequency of the middle of a tone, between the bins of its spectrum by a parabola."""
    middle = samples[samples.size // 4 : -samples.size // 4].astype(float)
    levels = np.log(np.abs(np.fft.rfft(middle * np.hanning(middle.size), 1 << 16)) + 1e-9)
    peak = int(np.argmax(levels))
    left, top, right = levels[peak - 1 : peak + 2]
    return float((peak + 0.5 * (left - right) / (left - 2 * top + right)) * 16_000 / (1 << 16))


def power(samples: npt.NDArray[Any]) -> float:
    return float((samples.astype(float) ** 2).mean())


def agreement_db(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Power of what is expected over that of the difference."""
    assert found.shape == expected.shape
    return 10 * float(np.log10(power(expected) / max(power(found.astype(float) - expected), 1e-20)))


@pytest.mark.parametrize("samples", [CLIP_SAMPLES, 12_345, 2_100])
def test_stretching_and_shifting_are_librosas(samples: int) -> None:
    import librosa

    sound = voice(samples, samples).astype(np.float32)
    spectrum = vocoder.spectrum(sound)
    for rate in (0.7, 1.3):
        expected = librosa.effects.time_stretch(sound, rate=rate)
        assert agreement_db(vocoder.stretched(spectrum, rate), expected) > 60
    for half_steps in (-1, 1):
        expected = librosa.effects.pitch_shift(sound, sr=16_000, n_steps=half_steps)
        assert agreement_db(vocoder.shifted(spectrum, half_steps), expected) > 60


def test_the_ninefold_is_librosas_loop() -> None:
    """Next to librosa, which also passes rate 1 and half-step 0 through its vocoder."""
    import librosa

    sound = voice(3, 14_000)
    for copy in copies_of("yes/a_nohash_0", sound, KINDS[0], 0, MATERIALS):
        slowed = librosa.effects.time_stretch(sound.astype(np.float32), rate=copy.parameters["rate"])
        expected = librosa.effects.pitch_shift(slowed, sr=16_000, n_steps=copy.parameters["half_steps"])
        kept = expected[:CLIP_SAMPLES]
        assert copy.length == kept.size and not copy.samples[copy.length :].any()
        assert agreement_db(copy.samples[: copy.length], kept) > 40


@pytest.mark.parametrize("hz", [220.0, 523.25, 1000.0, 3000.0])
def test_rates_change_length_alone_and_half_steps_pitch_alone(hz: float) -> None:
    for copy in copies_of("yes/a_nohash_0", tone(hz, 10_000), KINDS[0], 0, MATERIALS):
        rate, half_steps = copy.parameters["rate"], copy.parameters["half_steps"]
        assert copy.length == round(10_000 / rate)
        measured = pitch_hz(copy.samples[: copy.length]) / pitch_hz(tone(hz, 10_000))
        assert measured == pytest.approx(HALF_STEP**half_steps, rel=1e-3)  # a fiftieth of a half-step


def test_the_nine_are_the_original_and_eight_others_and_what_is_too_long_is_cut() -> None:
    copies = list(copies_of("yes/a_nohash_0", voice(1), KINDS[0], 0, MATERIALS))
    variants = [(copy.parameters["rate"], copy.parameters["half_steps"]) for copy in copies]
    assert {*variants, (1.0, 0)} == {(rate, step) for rate in (0.7, 1.0, 1.3) for step in (-1, 0, 1)}
    assert len(copies) == 8 and [copy.number for copy in copies] == list(range(8))
    assert {copy.parameters["rate"]: copy.length for copy in copies} == {0.7: 16_000, 1.0: 16_000, 1.3: 12_308}


@pytest.mark.parametrize("samples", [1, 2, 100, 1023, 1025])
def test_the_shortest_clips_have_copies_too(samples: int) -> None:
    for kind in KINDS:
        for copy in copies_of("yes/a_nohash_0", tone(1000, samples), kind, 0, MATERIALS):
            assert copy.samples.shape == (CLIP_SAMPLES,) and 1 <= copy.length <= CLIP_SAMPLES


@given(st.floats(-10, 30), st.integers(1, CLIP_SAMPLES), st.integers(0, 30))
def test_the_noise_has_its_ratio_to_the_clip(snr_db: float, samples: int, seed: int) -> None:
    sound, noise = voice(seed, samples) // 4, voice(99)
    mixed = with_noise(sound, noise, snr_db)
    assume(samples > 1000 and np.abs(mixed).max() < 32_767)
    added = mixed.astype(float)
    added[:samples] -= sound
    assert 10 * np.log10(power(sound) / power(added)) == pytest.approx(snr_db, abs=0.1)
    assert np.corrcoef(added, noise)[0, 1] > 0.99


def test_a_silent_clip_gets_no_noise() -> None:
    assert not with_noise(np.zeros(5_000, np.int16), voice(1), 10.0).any()


@pytest.mark.parametrize("factor", [0.85, 0.97, 1.0, 1.15])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    played = at_speed(tone(800, 9_999), factor)
    assert played.size == round(9_999 / factor)
    assert pitch_hz(played) / pitch_hz(tone(800, 9_999)) == pytest.approx(factor, rel=1e-3)


@given(st.integers(-900, 900), st.integers(1, CLIP_SAMPLES))
def test_a_shift_moves_samples_and_zeros_come_before(shift_ms: int, samples: int) -> None:
    sound = np.arange(1, samples + 1).astype(np.int16)
    (copy,) = copies_of("x", sound, Shift(kind="shift", copies=1, shift_ms=(shift_ms, shift_ms)), 0, MATERIALS)
    shift = shift_ms * 16
    if -shift < samples:
        expected = np.zeros(3 * CLIP_SAMPLES, np.int16)
        expected[CLIP_SAMPLES + shift :][:samples] = sound
        assert np.array_equal(copy.samples, expected[CLIP_SAMPLES : 2 * CLIP_SAMPLES])
        assert copy.length == min(samples + shift, CLIP_SAMPLES)
    else:
        assert copy.length == 1 and copy.samples[0] == sound[-1]


@given(st.integers(20, 1500), st.floats(-10, 20), st.integers(0, 2**64 - 1))
def test_reverberation_decays_by_60_db_in_its_time_and_has_its_ratio(decay_ms: int, ratio_db: float, seed: int) -> None:
    response = impulse_response(decay_ms, ratio_db, seed)
    assert response.size == decay_ms * 16 and response[0] == 1
    energy = response[1:] ** 2
    assert -10 * np.log10(energy.sum()) == pytest.approx(ratio_db, abs=0.01)
    levels_db = 10 * np.log10(energy[::-1].cumsum()[::-1])  # Schroeder's backward integral
    fifth, half = energy.size // 5, energy.size // 2
    slope = (levels_db[half] - levels_db[fifth]) / (half - fifth)
    assert slope * response.size == pytest.approx(-60, rel=0.25 if decay_ms < 100 else 0.1)


def test_a_room_is_the_convolution_at_the_clips_own_loudness() -> None:
    sound, response = voice(5, 6_000), impulse_response(300, 3.0, 7)
    heard = in_room(sound, response)
    expected = np.convolve(sound.astype(float), response)
    expected *= np.sqrt(power(sound) / power(expected[: sound.size]))
    assert heard.size == sound.size + response.size - 1
    assert np.abs(heard - expected).max() < 1.01
    assert power(heard[: sound.size]) == pytest.approx(power(sound), rel=1e-3)
    assert power(heard[-100:]) < power(heard[6_000:6_100]) / 1000


@given(st.text(max_size=20), st.integers(0, 2**32 - 1), st.integers(0, 99), st.floats(-90, 90), st.floats(-90, 90))
def test_a_draw_lies_in_its_range_and_is_that_of_its_names(
    parent: str, seed: int, number: int, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    drawn = Draw(seed, "gain", parent, number).between("gain_db", low, high)
    assert low <= drawn <= high and drawn == Draw(seed, "gain", parent, number).between("gain_db", low, high)
    bounds = round(low), round(high)
    assert bounds[0] <= Draw(seed, "shift", parent, number).integer("shift_ms", *bounds) <= bounds[1]


def test_draws_fill_their_range_and_differ_by_seed_kind_parent_number_and_name() -> None:
    drawn = [Draw(0, "gain", f"yes/{number}_nohash_0", 0).between("gain_db", -10, 10) for number in range(500)]
    assert min(drawn) < -9.8 and max(drawn) > 9.8 and abs(np.mean(drawn)) < 1
    whole = {Draw(0, "shift", str(number), 0).integer("shift_ms", -2, 2) for number in range(100)}
    assert whole == {-2, -1, 0, 1, 2}
    names = [(0, "gain", "a", 0, "x"), (1, "gain", "a", 0, "x"), (0, "noise", "a", 0, "x"), (0, "gain", "b", 0, "x")]
    names += [(0, "gain", "a", 1, "x"), (0, "gain", "a", 0, "y")]
    assert len({Draw(*of).bits(name) for *of, name in names}) == len(names)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_clips_copies_are_a_function_of_the_clip_alone(kind: Kind) -> None:
    sound = voice(2, 9_000)
    first = list(copies_of("yes/a_nohash_0", sound, kind, 0, MATERIALS))
    for each in copies_of("yes/b_nohash_0", voice(8), kind, 0, MATERIALS):
        assert each.samples.any()
    again = list(copies_of("yes/a_nohash_0", sound, kind, 0, MATERIALS))
    for one, other in zip(first, again, strict=True):
        assert one.parameters == other.parameters and np.array_equal(one.samples, other.samples)
    if kind.kind != "ninefold":
        elsewhere = list(copies_of("yes/a_nohash_0", sound, kind, 1, MATERIALS))
        assert len({str(copy.parameters) for copy in first + elsewhere}) == len(first) + len(elsewhere)


def test_later_keeps_one_sample_at_least() -> None:
    assert later(tone(500, 10), -900).size == 1
