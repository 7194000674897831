"""A view's numbers and its version change together: ten clips' features are kept for each version."""

from __future__ import annotations

import hashlib

import golden_vectors
import pytest
from corpus_tools import ROOT

from base import params
from features import frontend
from features.views import View, from_definition, version

INDEX, _ = golden_vectors.read()
VIEWS: dict[str, View] = params.load("extract.views", dict[str, View], ROOT / "params.yaml")


@pytest.mark.parametrize("name", VIEWS)
def test_the_view_has_vectors_of_its_present_version(name: str) -> None:
    kept = INDEX["views"].get(name, {}).get("version")
    assert kept == version(VIEWS[name]), "run `python -m tests.golden_vectors` and commit the new vectors"


def test_the_clips_are_those_of_the_vectors() -> None:
    assert hashlib.sha256(golden_vectors.clips().tobytes()).hexdigest() == INDEX["clips_sha256"]


@pytest.mark.parametrize("name", INDEX["views"])
def test_a_version_gives_the_numbers_that_it_always_gave(name: str) -> None:
    kept = INDEX["views"][name]
    assert version(from_definition(kept["definition"])) == kept["version"], "the definition is hashed in another way"
    assert golden_vectors.difference(name) <= 1e-5, "raise the revision of this kind in features/views/"


@pytest.mark.parametrize("name", ["mfcc", "logmel", "spectrogram"])
def test_other_mathematics_under_the_same_version_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hann = frontend.hann_window
    monkeypatch.setattr(frontend, "hann_window", lambda samples, symmetric: hann(samples, symmetric=not symmetric))
    assert golden_vectors.difference(name) > 1e-5


def test_other_mathematics_of_a_waveform_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "half_band_filter", lambda: (1 / 64,) * frontend.RESAMPLING_TAPS)
    assert golden_vectors.difference("waveform_8khz") > 1e-5
