"""Statistics from totals of parts are NumPy's over everything at once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.statistics import Totals, finish, merge, no_totals, read_statistics, statistics_json, totals_of
from features.views import LogMel, Waveform

VIEW = LogMel(
    kind="logmel",
    frame_ms=300,
    hop_ms=300,
    floor_db=-80.0,
    mel_bands=4,
    mel_low_hz=20.0,
    mel_high_hz=7600.0,
    mel_scale="slaney",
)
WAVEFORM = Waveform(kind="waveform", sample_rate_hz=8_000)
features = arrays.arrays(
    np.float32, st.tuples(st.integers(2, 6), st.just(3), st.just(4)), elements=st.floats(-80, 40, width=32)
)


def assert_equal(left: Totals, right: Totals) -> None:
    assert (left.clips, left.values) == (right.clips, right.values)
    for name in ("min", "max"):
        assert np.array_equal(getattr(left, name), getattr(right, name))
    for name in ("sum", "sum_of_squares"):
        assert np.allclose(getattr(left, name), getattr(right, name), rtol=1e-12, atol=1e-9)


@given(features, st.data())
def test_totals_of_parts_make_numpys_statistics_of_the_whole(clips: Any, data: Any) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(clips) - 1))))
    parts = [totals_of(part, VIEW) for part in np.split(clips, cuts)]
    found = finish(merge(parts, VIEW))
    values = clips.reshape(-1, 4).astype(np.float64)
    assert (found.clips, found.values) == (len(clips), len(values))
    assert np.allclose(found.mean, values.mean(axis=0), atol=1e-9)
    assert np.allclose(found.std, values.std(axis=0), atol=1e-4)
    assert np.array_equal(found.min, values.min(axis=0))
    assert np.array_equal(found.max, values.max(axis=0))


@given(features, features, features)
def test_the_grouping_of_the_parts_does_not_matter(first: Any, second: Any, third: Any) -> None:
    a, b, c = (totals_of(part, VIEW) for part in (first, second, third))
    assert_equal(merge([merge([a, b], VIEW), c], VIEW), merge([c, merge([b, a], VIEW)], VIEW))
    assert_equal(merge([a, no_totals(VIEW), b, c], VIEW), merge([a, b, c], VIEW))


@given(features)
def test_totals_survive_json_without_loss(clips: Any) -> None:
    totals = totals_of(clips, VIEW)
    back = Totals.from_dict(json.loads(json.dumps(totals.to_dict())))
    for name in ("sum", "sum_of_squares", "min", "max"):
        assert np.array_equal(getattr(back, name), getattr(totals, name))
    assert (back.clips, back.values) == (totals.clips, totals.values)


def test_totals_of_no_clips_survive_json() -> None:
    back = Totals.from_dict(json.loads(json.dumps(no_totals(VIEW).to_dict())))
    assert_equal(back, no_totals(VIEW))


def test_a_constant_coefficient_has_no_spread() -> None:
    clips = np.full((3, 3, 4), -80.1, np.float32)
    assert finish(totals_of(clips, VIEW)).std == pytest.approx([0.0] * 4, abs=1e-4)


def test_samples_count_as_parts_of_full_scale_and_as_one_coefficient() -> None:
    clips = np.random.default_rng(0).integers(-32768, 32768, (5, 8_000), dtype=np.int16)
    found = finish(totals_of(clips, WAVEFORM))
    assert found.values == clips.size
    assert found.mean == pytest.approx([(clips / 32768).mean()])
    assert found.std == pytest.approx([(clips / 32768).std()])
    assert (found.min, found.max) == (clips.min() / 32768, clips.max() / 32768)


def test_statistics_survive_their_file() -> None:
    found = finish(totals_of(np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32), VIEW))
    splits = read_statistics(statistics_json({"train": found, "test": found}))
    back = splits["test"]
    assert list(splits) == ["train", "test"] and (back.clips, back.values) == (found.clips, found.values)
    for name in ("mean", "std", "min", "max"):
        assert np.array_equal(getattr(back, name), getattr(found, name))
