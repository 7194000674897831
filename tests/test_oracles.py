"""The views that come from other projects equal what those compute, and TensorFlow runs them to the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import tensorflow as tf
from corpus_tools import ROOT, Samples, noise, voice
from hypothesis import given, settings
from hypothesis import strategies as st

from base import params
from base.errors import DataError
from benchmarks.oracles import ORACLES
from benchmarks.views import largest_difference, spread_clips
from features import micro_loops, tensor_operations
from features.audio import pad_or_trim
from features.audio_file import decode
from features.frontend import compute, front_end
from features.mel import mel_filters
from features.micro import micro_tables
from features.views import LogMel, Mfcc, Micro, Pcen, View, from_definition

VIEWS: dict[str, View] = params.load("extract.views", dict[str, View], ROOT / "params.yaml")
TFLM = Path(__file__).with_name("tflm")
TFLM_FEATURES = {
    "yes_30ms.wav": "124 105 126 103 125 101 123 100 116 98 115 97 113 90 91 82 104 96 117 97 "
    "121 103 126 101 125 104 126 104 125 101 116 90 81 74 80 71 83 76 82 71",
    "no_30ms.wav": "126 103 124 102 124 102 123 100 118 97 118 100 118 98 121 100 121 98 117 91 "
    "96 74 54 87 100 87 109 92 91 80 64 55 83 74 74 78 114 95 101 81",
}
"""What audio_preprocessor_test.py of github.com/tensorflow/tflite-micro expects (Apache License 2.0)."""
MICRO = VIEWS["micro"]


def clips() -> Samples:
    """Loud, quiet, short and noisy clips; int16, (5, 16000)."""
    sounds = [voice(1), voice(2) // 64, voice(3, 6_400), noise("hum")[:16_000], noise("hum")[20_000:36_000] // 8]
    return np.stack([pad_or_trim(sound)[0] for sound in sounds])


def extremes() -> Samples:
    """Clips at the limits of 16 bits; int16, (8, 16000)."""
    generator = np.random.Generator(np.random.PCG64(5))
    time = np.arange(16_000)
    sounds = [
        np.zeros(16_000),
        np.ones(16_000),
        np.full(16_000, -32768),
        np.full(16_000, 32767),
        np.where(time % 3 == 0, -32768, 32767),
        np.where(time % 80 < 40, -32768, 32767),
        generator.integers(-3, 4, 16_000),
        generator.integers(-32768, 32768, 16_000),
    ]
    return np.stack(sounds).astype(np.int16)


def by_oracle(name: str, some: Samples) -> npt.NDArray[Any]:
    return np.stack([ORACLES[name].compute(clip) for clip in some])


def by_tensorflow(view: View, some: Samples) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = tf.function(front_end(view, tensor_operations))(tf.constant(some)).numpy()
    return found


def test_every_view_of_frames_has_an_oracle() -> None:
    assert set(ORACLES) == {name for name, view in VIEWS.items() if len(view.shape) == 2}


@pytest.mark.parametrize("name", ORACLES)
def test_a_view_equals_its_oracle(name: str) -> None:
    view, expected = VIEWS[name], by_oracle(name, clips())
    found = compute(view, clips())
    assert found.shape == expected.shape == (5, *view.shape) and found.dtype == view.dtype
    if view.dtype == "uint16":
        assert np.array_equal(found, expected)
    else:
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ORACLES)
def test_tensorflow_runs_a_view_to_the_same_values(name: str) -> None:
    view, some = VIEWS[name], np.concatenate([clips(), np.zeros((1, 16_000), np.int16)])
    expected, found = compute(view, some), by_tensorflow(view, some)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert largest_difference(found, expected) <= (0 if view.dtype == "uint16" else 1e-5)


@pytest.mark.parametrize("name", ["micro", "micro_20ms"])
def test_the_micro_view_has_the_bits_of_tensorflow_lite_at_the_limits_of_16_bits(name: str) -> None:
    expected = by_oracle(name, extremes())
    assert np.array_equal(compute(VIEWS[name], extremes()), expected)
    assert np.array_equal(front_end(VIEWS[name], tensor_operations)(tf.constant(extremes())), expected)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(0, 15), st.integers(1, 4_000))
def test_the_micro_view_has_the_bits_of_tensorflow_lite_for_any_sound(seed: int, loudness: int, held: int) -> None:
    """Noise of any loudness, each sample held for a while, so that its energy lies in any bands."""
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(-(1 << loudness), 1 << loudness, 16_000 // held + 1)
    clip = np.repeat(drawn, held)[None, :16_000].astype(np.int16)
    assert np.array_equal(compute(MICRO, clip), by_oracle("micro", clip))


@pytest.mark.parametrize("name", TFLM_FEATURES)
def test_the_micro_view_gives_the_int8_features_that_tensorflow_lite_micro_expects(name: str) -> None:
    samples = decode((TFLM / name).read_bytes()).samples
    assert isinstance(MICRO, Micro)
    values = micro_loops.micro(samples[None], micro_tables(MICRO), 1)[0, 0].astype(np.int64)
    found = np.clip((values * 256 + 333) // 666 - 128, -128, 127)
    assert found.tolist() == [int(each) for each in TFLM_FEATURES[name].split()]


@pytest.mark.parametrize("context", ["silence", "noise"])
@pytest.mark.parametrize("hop_ms", [10, 20])
def test_context_is_as_if_it_had_been_recorded_before_the_clip(context: str, hop_ms: int) -> None:
    view = from_definition({"kind": "micro", "hop_ms": hop_ms, "context": context, "context_ms": 400})
    assert isinstance(view, Micro)
    before = micro_tables(view).context
    assert len(before) == 6_400 and (np.abs(before.astype(int)).max() > 0) == (context == "noise")
    longer = [ORACLES["micro" if hop_ms == 10 else "micro_20ms"].compute(np.append(before, clip)) for clip in clips()]
    expected = np.stack(longer)[:, 400 // hop_ms :]
    assert np.array_equal(compute(view, clips()), expected)
    assert np.array_equal(front_end(view, tensor_operations)(tf.constant(clips())), expected)
    assert not np.array_equal(expected, compute(VIEWS["micro" if hop_ms == 10 else "micro_20ms"], clips()))


def test_the_noise_before_clips_is_white_and_at_53_db_below_full_scale() -> None:
    view = from_definition({"kind": "micro", "hop_ms": 10, "context": "noise", "context_ms": 10_000})
    assert isinstance(view, Micro)
    before = micro_tables(view).context / 32768
    assert 20 * np.log10(np.sqrt(np.mean(before**2))) == pytest.approx(-53, abs=0.2)
    _, density = scipy.signal.welch(before, nperseg=256)
    assert density[1:-1].max() < 2 * density[1:-1].min()


def test_a_clip_of_the_micro_view_knows_nothing_of_the_clips_before_it() -> None:
    alone = [compute(MICRO, clip[None])[0] for clip in clips()]
    assert np.array_equal(compute(MICRO, clips()), np.stack(alone))
    assert np.array_equal(compute(MICRO, clips()[::-1]), np.stack(alone)[::-1])


def test_a_micro_view_whose_bands_hold_no_bin_is_refused() -> None:
    view = from_definition({"kind": "micro", "hop_ms": 10, "mel_bands": 64, "mel_low_hz": 20.0, "mel_high_hz": 600.0})
    with pytest.raises(DataError, match=r"\d+ of 64 mel bands between 20.0 and 600.0 Hz hold none of the 257"):
        compute(view, clips())


def test_loudness_of_the_peak_makes_clips_of_any_volume_equal_and_leaves_silence_finite() -> None:
    view = VIEWS["mlperf_tiny"]
    quiet = clips()[:1] // 8 * 8
    assert largest_difference(compute(view, quiet // 8), compute(view, quiet)) < 1e-6
    assert np.isfinite(compute(view, extremes())).all()


def test_mel_slopes_and_norms_are_those_of_their_libraries() -> None:
    """The same edges give other weights: straight over hertz in librosa, over mel in TensorFlow."""
    kws = VIEWS["kws_streaming"]
    assert isinstance(kws, Mfcc)
    of_tensorflow = tf.signal.linear_to_mel_weight_matrix(80, 257, 16_000, 20.0, 7600.0).numpy()
    assert np.allclose(mel_filters(kws), of_tensorflow, atol=1e-5)
    torchaudio = VIEWS["torchaudio_logmel"]
    assert isinstance(torchaudio, LogMel)
    assert mel_filters(torchaudio).max() <= 1.0


def test_pcen_smooths_as_a_low_pass_of_its_time_constant() -> None:
    view = VIEWS["pcen"]
    assert isinstance(view, Pcen)
    frames = 40
    expected = (np.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
    assert view.smoothing == pytest.approx(expected)


def test_real_clips_agree_with_every_oracle(real_archive: Path) -> None:
    some = spread_clips(real_archive, 20)
    for name, view in VIEWS.items():
        if name in ORACLES:
            limit = 0 if view.dtype == "uint16" else 2e-3
            assert largest_difference(compute(view, some), by_oracle(name, some)) <= limit
