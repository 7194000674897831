"""Views own their facts, and a view's version follows from its definition: equal versions mean equal definitions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from corpus_tools import ROOT
from hypothesis import given

from base import params
from base.errors import DataError
from features.views import (
    CLIP_SAMPLES,
    SAMPLE_RATE_HZ,
    Axis,
    Mfcc,
    SpectralView,
    Spectrogram,
    View,
    Waveform,
    definition,
    definition_hash,
    from_definition,
    version,
)
from stores.manifest import VERSION

DECLARED: dict[str, dict[str, Any]] = params.load("extract.views", dict[str, dict[str, Any]], ROOT / "params.yaml")
VIEWS: dict[str, View] = params.load("extract.views", dict[str, View], ROOT / "params.yaml")
MFCC = VIEWS["mfcc"]
assert isinstance(MFCC, Mfcc)
VERSIONS = {
    "mfcc": "1.797803.882242",
    "mfcc_small": "1.131840.296237",
    "logmel": "1.886910.903010",
    "spectrogram": "1.693640.486025",
    "waveform": "1.363910.966208",
    "waveform_8khz": "1.848102.877169",
    "micro": "1.39302.495856",
    "micro_20ms": "1.945519.325482",
    "mlperf_tiny": "1.311374.119778",
    "kws_streaming": "1.149513.50424",
    "torchaudio_logmel": "1.682787.437352",
    "reference_spectrogram": "1.447631.336845",
    "speech_embedding": "1.255869.381739",
    "digits_logmel": "1.734214.198981",
    "digits_waveform": "1.21402.242022",
    "pcen": "1.814465.398691",
}
"""Under which stores of these views were made; none may change while its definition and mathematics stay."""
CHANGES: dict[str, Any] = {
    "frame_ms": st.integers(20, 40),
    "hop_ms": st.integers(5, 20),
    "floor_db": st.sampled_from([-100.0, -80.0, -60.0]),
    "power": st.sampled_from([1, 2]),
    "clip_ms": st.sampled_from([800, 1000]),
    "fft_samples": st.sampled_from([None, 1024]),
    "mel_low_hz": st.sampled_from([0.0, 20.0, 125.0]),
    "mel_scale": st.sampled_from(["slaney", "htk"]),
    "coefficients": st.integers(1, 40),
}
mfccs = st.fixed_dictionaries(CHANGES).map(lambda changes: dataclasses.replace(MFCC, **changes))
FACTS: dict[str, dict[str, Any]] = {
    "mfcc": {
        "shape": (98, 40),
        "dtype": "float32",
        "tensor_name": "mfcc",
        "title": "MFCC",
        "unit": "DCT of dB",
        "meaning": "98 frames × 40 cepstral coefficients",
        "coefficient_name": "coefficient",
        "axis": Axis("coefficient", 0.0, 1.0),
        "width": 40,
        "sample_rate_hz": 16_000,
        "length_rate_hz": 16_000,
        "step_ms": 10.0,
        "window_ms": 30.0,
        "frame_length": 480,
        "hop_length": 160,
        "fft_length": 480,
        "frequency_bins": 241,
    },
    "logmel": {
        "shape": (98, 40),
        "tensor_name": "logmel",
        "title": "Log-mel",
        "unit": "dB",
        "meaning": "98 frames × 40 mel bands, dB",
        "coefficient_name": "mel band",
        "axis": Axis("mel band", 1.0, 1.0),
    },
    "spectrogram": {
        "shape": (99, 161),
        "tensor_name": "spectrogram",
        "title": "Log spectrogram",
        "unit": "dB",
        "meaning": "99 frames × 161 frequency bins, dB",
        "coefficient_name": "frequency bin",
        "axis": Axis("frequency [kHz]", 0.0, 0.05),
        "width": 161,
    },
    "waveform": {
        "shape": (16_000,),
        "dtype": "int16",
        "tensor_name": "audio",
        "title": "Waveform",
        "unit": "full scale",
        "meaning": "16,000 samples at 16,000 Hz",
        "coefficient_name": "sample",
        "width": 1,
        "length_rate_hz": 16_000,
        "step_ms": 0.0625,
    },
    "waveform_8khz": {
        "shape": (8_000,),
        "dtype": "int16",
        "meaning": "8,000 samples at 8,000 Hz",
        "length_rate_hz": 8_000,
        "step_ms": 0.125,
    },
    "micro": {
        "shape": (98, 40),
        "dtype": "uint16",
        "scale": 0.0390625,
        "tensor_name": "micro",
        "title": "Micro front end",
        "unit": "ln magnitude × 64",
        "meaning": "98 frames × 40 mel bands, ln magnitude × 64; models read them times 0.0390625",
        "axis": Axis("mel band", 1.0, 1.0),
        "width": 40,
        "step_ms": 10.0,
        "window_ms": 30.0,
    },
    "micro_20ms": {"shape": (49, 40), "step_ms": 20.0},
    "mlperf_tiny": {"shape": (49, 10), "title": "MFCC", "unit": "DCT of ln magnitude", "fft_length": 512},
    "kws_streaming": {"shape": (98, 40), "unit": "DCT of ln magnitude", "fft_length": 512},
    "torchaudio_logmel": {
        "shape": (101, 40),
        "title": "Log-mel",
        "unit": "ln power",
        "meaning": "101 frames × 40 mel bands, ln power",
        "frame_length": 480,
        "hop_length": 160,
    },
    "reference_spectrogram": {"shape": (124, 129), "title": "Magnitude spectrogram", "unit": "magnitude"},
    "speech_embedding": {"shape": (98, 32), "unit": "dB", "frame_length": 400, "fft_length": 512},
    "digits_logmel": {"shape": (35, 64), "samples": 12_800, "unit": "dB", "frame_length": 1_488, "hop_length": 368},
    "pcen": {
        "shape": (98, 40),
        "tensor_name": "pcen",
        "title": "PCEN",
        "unit": "normalized energy",
        "meaning": "98 frames × 40 mel bands, normalized energy",
        "width": 40,
    },
}
LINEAR = {
    "magnitude": ({"power": 1}, "Magnitude spectrogram"),
    "power": ({}, "Power spectrogram"),
}
MISTAKES: dict[str, tuple[str, dict[str, Any], str]] = {
    "no frame": ("mfcc", {"frame_ms": None}, "got none, expected exactly one of frame_ms and frame_samples"),
    "two frames": (
        "mfcc",
        {"frame_samples": 400},
        "got frame_ms 30 and frame_samples 400, expected exactly one of frame_ms and frame_samples",
    ),
    "no hop": ("spectrogram", {"hop_ms": None}, "got none, expected exactly one of hop_ms and hop_samples"),
    "two hops": ("spectrogram", {"hop_samples": 160}, "got hop_ms 10 and hop_samples 160, expected exactly one of"),
    "a frame longer than what is seen": (
        "mfcc",
        {"clip_ms": 20},
        "got a frame of 480 samples, expected at most the 320 samples that the view sees (20 ms at 16000 Hz)",
    ),
    "a hop longer than what is seen": (
        "mfcc",
        {"hop_ms": 801, "clip_ms": 800},
        "got a hop of 12816 samples, expected at most the 12800 samples that the view sees (800 ms at 16000 Hz)",
    ),
    "a transform shorter than a frame": ("mfcc", {"fft_samples": 256}, "fft_samples: got 256, expected at least"),
    "a band above half the rate": ("mfcc", {"mel_high_hz": 8001.0}, "mel_high_hz: got 8001.0, expected at most 8000.0"),
    "a band above half of 8 kHz": (
        "logmel",
        {"sample_rate_hz": 8000},
        "mel_high_hz: got 7600.0, expected at most 4000.0, half of sample_rate_hz",
    ),
    "bands in the wrong order": ("mfcc", {"mel_low_hz": 7600.0}, "mel_low_hz 7600.0 must be below mel_high_hz 7600.0"),
    "more coefficients than bands": ("mfcc", {"coefficients": 41}, "coefficients 41 must not exceed mel_bands 40"),
    "MFCCs of linear bands": ("mfcc", {"floor_db": None}, "floor_db is missing: add it"),
    "another kind": ("mfcc", {"kind": "plp"}, "kind"),
    "no kind": ("mfcc", {"kind": None}, "kind"),
    "no band at all": ("mfcc", {"mel_bands": 0}, "mfcc.mel_bands: got 0"),
    "a negative frequency": ("mfcc", {"mel_low_hz": -1.0}, "mfcc.mel_low_hz: got -1.0"),
    "coefficients with a fraction": ("mfcc", {"coefficients": 13.0}, "mfcc.coefficients: got 13.0"),
    "a floor that is a word": ("mfcc", {"floor_db": "low"}, "mfcc.floor_db: got 'low'"),
    "a floor above full scale": ("mfcc", {"floor_db": 1.0}, "mfcc.floor_db: got 1.0"),
    "an empty frame": ("mfcc", {"frame_ms": 0}, "mfcc.frame_ms: got 0"),
    "a frame longer than a clip": ("mfcc", {"frame_ms": 1001}, "mfcc.frame_ms: got 1001"),
    "a frame in words": ("mfcc", {"frame_ms": None, "frame_samples": "400"}, "mfcc.frame_samples: got '400'"),
    "more than a clip": ("mfcc", {"clip_ms": 1001}, "mfcc.clip_ms: got 1001"),
    "another exponent": ("mfcc", {"power": 3}, "mfcc.power: got 3"),
    "another window": ("mfcc", {"window": "hamming"}, "mfcc.window: got 'hamming'"),
    "another rate": ("waveform", {"sample_rate_hz": 44_100}, "waveform.sample_rate_hz: got 44100"),
    "two logarithms": (
        "mfcc",
        {"log_offset": 1e-6},
        "got floor_db and log_offset, expected at most one of floor_db, log_floor, log_offset",
    ),
    "centered frames longer than what is seen": (
        "torchaudio_logmel",
        {"clip_ms": 30, "fft_samples": 1024},
        "got centered frames of 1024 samples, too long for the 480 samples that the view sees",
    ),
    "a logarithm of zero": ("torchaudio_logmel", {"log_offset": 0.0}, "torchaudio_logmel.log_offset: got 0.0"),
    "another loudness": ("mfcc", {"loudness": "rms"}, "mfcc.loudness: got 'rms'"),
    "other slopes": ("mfcc", {"mel_slopes": "bark"}, "mfcc.mel_slopes: got 'bark'"),
    "another norm": ("mfcc", {"mel_norm": "htk"}, "mfcc.mel_norm: got 'htk'"),
    "another transform": ("mfcc", {"dct": "htk"}, "mfcc.dct: got 'htk'"),
    "PCEN of decibels": ("pcen", {"floor_db": -80.0}, "PCEN is made from linear mel bands"),
    "no time to smooth in": ("pcen", {"time_constant_ms": 0}, "pcen.time_constant_ms: got 0"),
    "a context without length": ("micro", {"context": "noise"}, "got context noise and context_ms 0"),
    "a length without context": ("micro", {"context_ms": 100}, "got context none and context_ms 100"),
    "a context that is no whole hops": (
        "micro",
        {"context": "silence", "context_ms": 105},
        "context_ms: got 105, expected a multiple of hop_ms 10",
    ),
    "another context": ("micro", {"context": "music", "context_ms": 100}, "micro.context: got 'music'"),
    "micro at 8 kHz": ("micro", {"sample_rate_hz": 8000}, "micro.sample_rate_hz: got 8000"),
    "a micro frame of 10 ms": ("micro", {"frame_ms": 10}, "micro.frame_ms: got 10"),
    "a micro hop beyond its frame": ("micro", {"hop_ms": 40}, "got hop_ms 40, expected at most frame_ms 30"),
    "micro frames longer than what is seen": (
        "micro",
        {"clip_ms": 20},
        "got frame_ms 30 and hop_ms 10, expected at most",
    ),
    "micro bands in the wrong order": (
        "micro",
        {"mel_low_hz": 7_000.0, "mel_high_hz": 600.0},
        "must be below mel_high_hz",
    ),
    "an unknown key": ("mfcc", {"bands": 3}, "mfcc.bands is not a known key"),
}


@given(mfccs, mfccs)
def test_versions_are_equal_exactly_when_definitions_are(left: Mfcc, right: Mfcc) -> None:
    assert (version(left) == version(right)) == (left == right)


@given(mfccs)
def test_a_definition_that_was_stored_has_the_same_version(view: Mfcc) -> None:
    assert from_definition(definition(view)) == view
    assert version(from_definition(definition(view))) == version(view)


@pytest.mark.parametrize("name", VIEWS)
def test_the_declared_views_have_the_versions_that_they_always_had(name: str) -> None:
    assert version(VIEWS[name]) == VERSIONS[name]
    assert definition(VIEWS[name]) == DECLARED[name]


@pytest.mark.parametrize("name", VIEWS)
def test_a_parameter_at_its_default_does_not_enter_the_definition(name: str) -> None:
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(VIEWS[name])
        if field.default is not dataclasses.MISSING
    }
    written_out = from_definition({**defaults, **DECLARED[name]})
    assert definition(written_out) == DECLARED[name] and version(written_out) == VERSIONS[name]


def test_each_declared_view_has_a_hash_of_its_own() -> None:
    assert len({definition_hash(view) for view in VIEWS.values()}) == len(VIEWS)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_tensorflow_datasets_takes_the_version(view: View) -> None:
    assert VERSION.fullmatch(version(view))
    assert str(tfds.core.Version(version(view))) == version(view)


def test_another_revision_of_the_mathematics_is_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: version(view) for name, view in VIEWS.items()}
    monkeypatch.setattr(Mfcc, "revision", 2)
    assert version(MFCC) == "2" + before["mfcc"].removeprefix("1")
    assert {name for name, view in VIEWS.items() if version(view) != before[name]} == {
        "mfcc",
        "mfcc_small",
        "mlperf_tiny",
        "kws_streaming",
    }


@pytest.mark.parametrize("name", FACTS)
def test_a_view_knows_its_facts(name: str) -> None:
    assert {fact: getattr(VIEWS[name], fact) for fact in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("kind", get_args(get_args(View)[0]))
def test_every_kind_has_every_fact(kind: type[Any]) -> None:
    view = next(view for view in VIEWS.values() if type(view) is kind)
    for fact in ("revision", "common_scale", "signed", "first_is_level", "title", "unit", "meaning", "tensor_name"):
        assert getattr(view, fact) not in (None, "")
    assert view.steps == view.shape[0]
    assert view.shape[1:] in ((), (view.width,))
    assert view.timing


@pytest.mark.parametrize("unit", LINEAR)
def test_without_a_floor_values_are_linear(unit: str) -> None:
    changes, title = LINEAR[unit]
    view = from_definition({"kind": "spectrogram", "frame_ms": 20, "hop_ms": 10, **changes})
    assert (view.unit, view.title) == (unit, title)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_view_that_cannot_be_is_refused_in_one_sentence(mistake: str) -> None:
    name, changes, expected = MISTAKES[mistake]
    declared = {key: value for key, value in {**DECLARED[name], **changes}.items() if value is not None}
    with pytest.raises(DataError) as caught:
        params.check({name: declared}, "extract.views", dict[str, View], Path("params.yaml"))
    message = str(caught.value)
    assert message.startswith("params.yaml: extract.views") and expected in message and "\n" not in message
    with pytest.raises(ValueError):
        from_definition(declared)


@pytest.mark.parametrize("name", VIEWS)
def test_a_clip_of_no_samples_has_no_real_step_and_a_whole_clip_has_all(name: str) -> None:
    view = VIEWS[name]
    assert (view.real_length(0), view.real_steps(0)) == (0, 0)
    assert view.real_length(CLIP_SAMPLES) == view.max_length
    assert view.real_steps(view.max_length) == view.steps


views = st.one_of(
    st.sampled_from([*VIEWS.values()]),
    st.builds(
        lambda **parameters: Waveform(kind="waveform", **parameters),
        sample_rate_hz=st.sampled_from([8000, 16000]),
        clip_ms=st.integers(1, 1000),
    ),
    st.builds(
        lambda **parameters: Spectrogram(kind="spectrogram", **parameters),
        sample_rate_hz=st.sampled_from([8000, 16000]),
        clip_ms=st.integers(500, 1000),
        frame_samples=st.integers(2, 4000),
        hop_samples=st.integers(1, 4000),
    ),
)


@given(views, st.integers(0, CLIP_SAMPLES))
def test_steps_and_samples_are_real_that_begin_before_the_clips_end(view: View, length: int) -> None:
    """Counted one by one: a sample or step is real if it begins before the clip's last real sample has ended."""
    end_s = length / SAMPLE_RATE_HZ
    record_length = view.real_length(length)
    starts_s = np.arange(view.max_length) / view.length_rate_hz
    assert record_length == np.count_nonzero(starts_s < end_s)
    centered = isinstance(view, SpectralView) and view.centered
    lead = view.frame_length // 2 if centered else 0
    step_starts_s = (np.arange(view.steps) * view.hop_length - lead) / view.sample_rate_hz
    real_end_s = record_length / view.length_rate_hz
    expected = int(np.count_nonzero(step_starts_s < real_end_s)) if record_length else 0
    assert view.real_steps(record_length) == expected
    assert view.real_steps(np.array([record_length, 0], np.int32)).tolist() == [expected, 0]
    for dtype in (tf.int32, tf.int64):
        counted = view.real_steps(tf.constant([record_length, 0], dtype))
        assert counted.dtype == dtype and counted.numpy().tolist() == [expected, 0]


@given(views)
def test_the_last_step_or_its_center_lies_inside_the_clip_and_one_more_would_not(view: View) -> None:
    centered = isinstance(view, SpectralView) and view.centered
    last = (view.steps - 1) * view.hop_length + (0 if centered else view.frame_length)
    assert last <= view.samples < last + view.hop_length
    if isinstance(view, SpectralView):
        assert view.frames == view.steps and view.frequency_bins == len(np.fft.rfftfreq(view.fft_length))
