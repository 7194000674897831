"""Silence clips are pieces of their recording, and those of different splits never touch."""

from __future__ import annotations

import itertools

import numpy as np
from corpus_tools import noise
from hypothesis import given
from hypothesis import strategies as st

from features.splits import SPLITS
from features.stretches import SILENCE_GAP_SAMPLES, stretch_of
from features.views import CLIP_SAMPLES
from pipelines.ingest.config import Silence
from pipelines.ingest.silence import cut, gain

ratios = st.tuples(*[st.integers(1, 100)] * 3)
recordings = st.integers(0, 400_000)
gaps = st.integers(1, 5_000)


@given(recordings, ratios, gaps, st.integers(40, 20_000))
def test_windows_of_two_splits_neither_touch_nor_overlap(
    samples: int, ratio: tuple[int, int, int], gap: int, hop: int
) -> None:
    starts = range(0, samples - CLIP_SAMPLES + 1, hop)
    split_of = {start: stretch_of(start, samples, ratio, gap) for start in starts}
    for first, second in itertools.pairwise([start for start in starts if split_of[start]]):
        if split_of[first] != split_of[second]:
            assert second - (first + CLIP_SAMPLES) >= gap


@given(recordings, ratios, gaps, st.integers(0, 400_000))
def test_a_window_that_has_a_split_lies_inside_its_share_of_the_recording(
    samples: int, ratio: tuple[int, int, int], gap: int, start: int
) -> None:
    split = stretch_of(start, samples, ratio, gap)
    if split:
        place = SPLITS.index(split)
        assert samples * sum(ratio[:place]) // sum(ratio) <= start
        assert start + CLIP_SAMPLES <= samples * sum(ratio[: place + 1]) / sum(ratio)


def test_each_stretch_is_used_from_its_border_to_the_next() -> None:
    """100 s at 80:10:10 has borders at 80 s and 90 s; a stretch begins a tenth of a second after its border."""
    second = 16_000
    expected = {
        0: "train",
        79 * second: "train",
        79 * second + 1: None,
        80 * second + 1_599: None,
        80 * second + 1_600: "validation",
        89 * second: "validation",
        89 * second + 1: None,
        90 * second + 1_600: "test",
        99 * second: "test",
        99 * second + 1: None,
    }
    found = {start: stretch_of(start, 100 * second, (80, 10, 10), SILENCE_GAP_SAMPLES) for start in expected}
    assert found == expected


@given(st.integers(10, 3_000), st.integers(0, 80_000), st.sampled_from([999, 16_000, 70_000]))
def test_clips_are_whole_pieces_one_every_hop(hop_ms: int, samples: int, size: int) -> None:
    recording = np.resize(noise("hum"), samples)
    blocks = [recording[start : start + size] for start in range(0, samples, size)]
    clips = list(cut("hum", blocks, samples, Silence(hop_ms=hop_ms, gain_db=(0.0, 0.0)), seed=0))
    assert len(clips) == max(0, 1 + (samples - CLIP_SAMPLES) // (hop_ms * 16)) if samples >= CLIP_SAMPLES else not clips
    for number, clip in enumerate(clips):
        assert (clip.start, clip.recording, clip.recording_samples) == (number * hop_ms * 16, "hum", samples)
        assert clip.id == f"_silence_/hum_{clip.start:08d}"
        assert np.array_equal(clip.samples, recording[clip.start : clip.start + CLIP_SAMPLES])


def test_each_clip_is_scaled_by_the_gain_that_it_names() -> None:
    clips = list(cut("hum", [noise("hum")], noise("hum").size, Silence(hop_ms=100, gain_db=(-30.0, -10.0)), seed=5))
    for clip in clips:
        piece = noise("hum")[clip.start : clip.start + CLIP_SAMPLES]
        assert np.array_equal(clip.samples, np.rint(piece * 10 ** (clip.gain_db / 20)))
    gains = [clip.gain_db for clip in clips]
    assert min(gains) < -28 and max(gains) > -12 and len(set(gains)) > len(gains) // 2


@given(st.text(max_size=20), st.floats(-100, 0), st.floats(-100, 0), st.integers(0, 2**32 - 1))
def test_a_gain_lies_in_its_range_and_depends_on_name_and_seed(name: str, one: float, other: float, seed: int) -> None:
    low, high = sorted((round(one, 2), round(other, 2)))
    assert low <= gain(name, (low, high), seed) <= high
    assert gain(name, (low, high), seed) == gain(name, (low, high), seed)


def test_another_seed_gives_other_gains() -> None:
    assert gain("_silence_/hum_00000000", (-30.0, 0.0), 0) != gain("_silence_/hum_00000000", (-30.0, 0.0), 1)
