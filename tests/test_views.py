"""A view's version follows from its definition: equal versions mean equal definitions, and TFDS takes them."""

from __future__ import annotations

import dataclasses
from typing import Any

import hypothesis.strategies as st
import pytest
import tensorflow_datasets as tfds
from corpus_tools import ROOT
from hypothesis import given

import params
from features import views
from features.manifest import VERSION
from features.views import Mfcc, View, definition, from_definition, version

VIEWS = params.load(ROOT / "params.yaml").extract.views
MFCC = VIEWS["mfcc"]
assert isinstance(MFCC, Mfcc)
CHANGES: dict[str, Any] = {
    "frame_ms": st.integers(20, 40),
    "hop_ms": st.integers(5, 20),
    "floor_db": st.sampled_from([-100.0, -80.0, -60.0]),
    "mel_low_hz": st.sampled_from([0.0, 20.0, 125.0]),
    "mel_scale": st.sampled_from(["slaney", "htk"]),
    "coefficients": st.integers(1, 40),
}
mfccs = st.fixed_dictionaries(CHANGES).map(lambda changes: dataclasses.replace(MFCC, **changes))


@given(mfccs, mfccs)
def test_versions_are_equal_exactly_when_definitions_are(left: Mfcc, right: Mfcc) -> None:
    assert (version(left) == version(right)) == (left == right)


@given(mfccs)
def test_a_definition_that_was_stored_has_the_same_version(view: Mfcc) -> None:
    assert version(from_definition(definition(view))) == version(view)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_tensorflow_datasets_takes_the_version(view: View) -> None:
    assert VERSION.fullmatch(version(view))
    assert str(tfds.core.Version(version(view))) == version(view)


def test_another_revision_of_the_mathematics_is_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = version(MFCC)
    monkeypatch.setitem(views.REVISIONS, "mfcc", 2)
    assert version(MFCC) != before
    assert version(MFCC).partition(".")[0] == "2"
