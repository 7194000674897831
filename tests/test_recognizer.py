"""A stream: what is heard does not depend on how it was cut, windows are clips, thresholds and pauses hold."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from corpus_tools import parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from base.errors import DataError
from features.frontend import compute
from features.views import View, from_definition
from serving.recognizer import Heard, Listening, Recognizer, Step
from serving.windows import is_framewise, windows

CLASSES = ("_silence_", "_unknown_", "low", "high")
VIEWS: dict[str, View] = {
    name: from_definition(content) for name, content in parameters()["extract"]["views"].items() if name != "micro_20ms"
}
FAST = Listening(step_ms=40, average_ms=120, refractory_ms=500)


def tone(hertz: float, seconds: float, level: float = 3000) -> np.ndarray[Any, Any]:
    """A tone at 16 kHz with a little noise, int16."""
    times = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(int(hertz)).normal(0, 3, len(times))
    return (level * np.sin(2 * np.pi * hertz * times) + noise).astype(np.int16)


def network(features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Tells a low tone, a high one and neither apart by the energy of log-mel bands in the last fifth of a window."""
    late = features[-20:].mean(axis=0) + 45
    logits = np.array([0, 0, late[:10].max() / 3, late[-14:].max() / 3], np.float32)
    exponentials = np.exp(logits - logits.max())
    return (exponentials / exponentials.sum()).astype(np.float32)


def recognizer(listening: Listening = FAST, threshold: float = 0.8) -> Recognizer:
    cut = windows(VIEWS["logmel"], listening.step_ms)
    return Recognizer(cut, network, CLASSES, {"low": threshold, "high": threshold}, listening)


def steps_of(samples: np.ndarray[Any, Any], cuts: list[int]) -> list[Step]:
    found = recognizer()
    edges = [0, *sorted(cuts), len(samples)]
    return [step for a, b in itertools.pairwise(edges) for step in found.feed(samples[a:b])]


STREAM = np.concatenate([tone(300, 1.3, 0), tone(300, 0.35), tone(300, 1.0, 0), tone(6000, 0.35), tone(300, 0.9, 0)])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_what_is_heard_does_not_depend_on_how_the_stream_was_cut(cuts: list[int]) -> None:
    whole, pieces = steps_of(STREAM, []), steps_of(STREAM, cuts)
    assert [(step.time_s, step.heard) for step in pieces] == [(step.time_s, step.heard) for step in whole]
    np.testing.assert_array_equal([step.probabilities for step in pieces], [step.probabilities for step in whole])


def test_words_are_heard_once_each_soon_after_they_begin() -> None:
    heard = [step.heard for step in steps_of(STREAM, []) if step.heard]
    assert [each.word for each in heard] == ["low", "high"]
    assert 1.3 < heard[0].time_s < 2.0 and 2.65 < heard[1].time_s < 3.35


def test_a_word_may_follow_itself() -> None:
    twice = np.concatenate([tone(300, 1.2, 0), tone(300, 0.4), tone(300, 0.5, 0), tone(300, 0.4), tone(300, 0.5, 0)])
    heard = [step.heard.word for step in recognizer().feed(twice) if step.heard]
    assert heard == ["low", "low"]


def test_no_word_is_heard_within_the_pause_after_one() -> None:
    long = np.concatenate([tone(300, 1.2, 0), tone(300, 3.0)])
    times = [step.heard.time_s for step in recognizer().feed(long) if step.heard]
    assert len(times) >= 4
    assert np.diff(times).min() >= 0.5 - 1e-9
    assert np.diff(times).max() <= 0.54 + 1e-9  # it is heard again at the first window after the pause


def test_a_word_below_its_threshold_or_without_one_is_not_heard() -> None:
    assert not [step for step in recognizer(threshold=1.1).feed(STREAM) if step.heard]
    cut = windows(VIEWS["logmel"], 40)
    only_high = Recognizer(cut, network, CLASSES, {"high": 0.8}, FAST)
    assert [step.heard.word for step in only_high.feed(STREAM) if step.heard] == ["high"]


def test_a_score_is_the_mean_of_the_last_windows_by_hand() -> None:
    samples = tone(300, 1.3)
    raw = [network(compute(VIEWS["logmel"], samples[None, start : start + 16_000])[0]) for start in (0, 640, 1280)]
    steps = list(recognizer().feed(samples))
    np.testing.assert_allclose(steps[2].probabilities, np.mean(raw, axis=0), atol=1e-6)
    assert steps[1].heard is None  # too few windows for a mean
    assert steps[2].heard == Heard("low", pytest.approx(1.08), pytest.approx(float(np.mean(raw, axis=0)[2]), abs=1e-6))


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_window_has_the_features_of_its_second_as_a_clip(name: str) -> None:
    view = VIEWS[name]
    step_ms = 160 if name == "reference_spectrogram" else 46 if name == "digits_logmel" else 60
    samples = np.concatenate([tone(400, 0.8), tone(900, 0.9, 9000)])
    cut = windows(view, step_ms)
    found = [each for start in range(0, len(samples), 777) for each in cut.feed(samples[start : start + 777])]
    starts = list(range(0, len(samples) - 16_000 + 1, step_ms * 16))
    assert [start for start, _ in found] == starts
    clips = np.stack([samples[start : start + 16_000] for start in starts])
    expected = compute(view, clips).astype(np.float32) * np.float32(view.scale)
    np.testing.assert_array_equal(np.stack([features for _, features in found]), expected)


def test_frames_are_shared_where_they_can_be_and_the_step_has_to_fit_them() -> None:
    shared = {name for name, view in VIEWS.items() if is_framewise(view)}
    assert {"mfcc", "mfcc_small", "logmel", "spectrogram", "kws_streaming"} <= shared
    assert not {"micro", "pcen", "torchaudio_logmel", "mlperf_tiny", "waveform_8khz"} & shared
    with pytest.raises(DataError, match="a step of 30 ms is no multiple of the hop of mfcc, 20 ms"):
        windows(VIEWS["mfcc_small"], 30)


def test_memory_does_not_grow_with_the_stream() -> None:
    import tracemalloc

    found = recognizer()
    minute = np.zeros(60 * 16_000, np.int16)
    list(found.feed(minute[: 16_000 * 5]))
    tracemalloc.start()
    for _ in found.feed(minute):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6
