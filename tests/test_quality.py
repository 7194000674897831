"""What is measured of a clip equals a slow computation in whole numbers, and moves as the sound does."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from corpus_tools import Samples, voice
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.audio import apply_gain
from features.quality import FRAME_SAMPLES, Quality, measure

int16s = arrays.arrays(np.int16, st.integers(1, 100))


@st.composite
def sounds(draw: st.DrawFn, highest: int = 32_767) -> Samples:
    """Noise whose level changes every 20 ms or so, of any length up to a second."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    samples = draw(st.integers(1, 50)) * FRAME_SAMPLES + draw(st.sampled_from([0, 0, 1, 319]))
    exponents = generator.uniform(0, math.log2(highest), samples // FRAME_SAMPLES + 1)
    levels = np.repeat(2**exponents, FRAME_SAMPLES)[:samples]
    return np.asarray(np.clip(np.rint(generator.uniform(-1, 1, samples) * levels), -highest, highest), np.int16)


def power(frame: list[int]) -> Fraction:
    """The variance of a frame."""
    return Fraction(sum(value * value for value in frame), len(frame)) - Fraction(sum(frame), len(frame)) ** 2


def powers(samples: Samples) -> list[Fraction]:
    values = samples.tolist()
    return [power(values[place : place + 320]) for place in range(0, len(values) - 319, 320)]


def slowly(samples: Samples) -> tuple[float, bool, bool, float]:
    """The estimate, unrounded, the two edges and the share of silence."""
    of_frames = powers(samples)
    ordered = sorted(of_frames)
    noise, speech = (max(ordered[(len(ordered) - 1) * percent // 100], Fraction(1)) for percent in (15, 95))
    snr_db = 10 * math.log10(speech / noise)
    edges = of_frames[0], power(samples.tolist()[-320:])
    cut = (round(snr_db, 2) >= 10 and edge**2 > noise * speech for edge in edges)
    silent = sum(each < Fraction(32_768**2, 100_000) for each in of_frames)
    return snr_db, *cut, silent / len(of_frames)


@given(int16s)
def test_peak_and_rms_are_numpys(samples: Samples) -> None:
    values = samples / 32768.0
    found = measure(samples, spoken=True)
    assert found.peak == np.max(np.abs(values)) <= 1.0
    assert found.rms == pytest.approx(np.sqrt(np.mean(values**2)), rel=1e-12)


@given(int16s, st.floats(0, 40))
def test_clipped_samples_are_those_that_reach_full_scale(samples: Samples, gain_db: float) -> None:
    loud = apply_gain(samples, gain_db)
    assert measure(loud, spoken=False).clipped == sum(value in (-32768, 32767) for value in loud.tolist())


def test_of_no_samples_nothing_is_measured() -> None:
    assert measure(np.empty(0, np.int16), spoken=True) == Quality(0.0, 0.0, 0, None, None, None, None)


@given(sounds())
def test_noise_edges_and_silence_are_those_of_a_slow_computation_in_whole_numbers(samples: Samples) -> None:
    found = measure(samples, spoken=True)
    snr_db, cut_start, cut_end, silent_fraction = slowly(samples)
    assert found.silent_fraction == silent_fraction
    if samples.size < 3_200:
        assert (found.snr_db, found.cut_start, found.cut_end) == (None, None, None)
    else:
        assert found.snr_db == pytest.approx(snr_db, abs=0.005 + 1e-9)
        assert (found.cut_start, found.cut_end) == (cut_start, cut_end)


@given(sounds(highest=1_000), st.integers(2, 32))
def test_a_gain_changes_neither_the_estimate_nor_the_edges(samples: Samples, gain: int) -> None:
    if powers(samples) and min(powers(samples)) >= 1:
        quiet, loud = measure(samples, spoken=True), measure(samples * np.int16(gain), spoken=True)
        assert quiet[3:6] == loud[3:6]


@given(sounds(highest=16_000), st.integers(-16_000, 16_000))
def test_a_constant_offset_changes_neither_noise_nor_silence(samples: Samples, offset: int) -> None:
    assert measure(samples, spoken=True)[3:] == measure(samples + np.int16(offset), spoken=True)[3:]


@given(sounds())
def test_played_backward_the_two_edges_change_places(samples: Samples) -> None:
    samples = samples[samples.size % FRAME_SAMPLES :]
    found, backward = measure(samples, spoken=True), measure(samples[::-1], spoken=True)
    assert backward == found._replace(cut_start=found.cut_end, cut_end=found.cut_start)


@pytest.mark.parametrize("snr_db", [12, 20, 30, 40])
def test_the_estimate_finds_the_level_of_noise_that_was_added(snr_db: int) -> None:
    """A tone of 400 ms: its frames have the power of tone and noise, the others that of the noise."""
    tone = np.zeros(16_000)
    tone[4_800:11_200] = 8_000 * np.sin(2 * np.pi * 440 * np.arange(6_400) / 16_000)
    noise = np.random.default_rng(snr_db).normal(0, 8_000 / math.sqrt(2) / 10 ** (snr_db / 20), 16_000)
    found = measure(np.rint(tone + noise).astype(np.int16), spoken=True).snr_db
    assert found == pytest.approx(10 * math.log10(10 ** (snr_db / 10) + 1), abs=1.5)


def burst(start: int, end: int) -> Samples:
    """A loud tone between two samples of a second of faint noise."""
    noise = np.random.default_rng(0).normal(0, 20, 16_000)
    noise[start:end] += voice(1)[2_000:14_000][: end - start]
    return np.asarray(np.rint(noise), np.int16)


@pytest.mark.parametrize(
    ("start", "end", "cut"),
    [(4_000, 12_000, (False, False)), (0, 8_000, (True, False)), (9_000, 16_000, (False, True))],
)
def test_speech_is_cut_off_where_it_reaches_the_edge(start: int, end: int, cut: tuple[bool, bool]) -> None:
    assert measure(burst(start, end), spoken=True)[4:6] == cut


def test_in_even_noise_no_edge_is_cut_off() -> None:
    found = measure(np.random.default_rng(1).normal(0, 3_000, 16_000).astype(np.int16), spoken=True)
    assert found.snr_db is not None and found.snr_db < 3 and not found.cut_start and not found.cut_end


@pytest.mark.parametrize(("level_dbfs", "silent_fraction"), [(-50.5, 1.0), (-49.5, 0.0)])
def test_silence_ends_at_50_db_below_full_scale(level_dbfs: float, silent_fraction: float) -> None:
    steps = round(32_768 * 10 ** (level_dbfs / 20))
    square = np.tile(np.array([steps, -steps], np.int16), 8_000)
    assert measure(square, spoken=True).silent_fraction == silent_fraction


def test_the_estimate_reaches_from_nothing_to_what_int16_holds() -> None:
    loudest = np.tile(np.array([32_767, -32_768], np.int16), 8_000)
    zeros = np.zeros(16_000, np.int16)
    assert measure(zeros, spoken=True)[3:] == (0.0, False, False, 1.0)
    assert measure(np.r_[zeros[:8_000], loudest[:8_000]], spoken=True)[3:] == (90.31, False, True, 0.5)


def test_of_silence_neither_noise_nor_edges_are_told() -> None:
    found = measure(voice(3), spoken=False)
    assert found[3:6] == (None, None, None)
    assert found == measure(voice(3), spoken=True)._replace(snr_db=None, cut_start=None, cut_end=None)
