"""Views are drawn by the facts that they own: each frame at its middle, each coefficient at its place."""

from __future__ import annotations

import dataclasses
import io
from typing import Any, Literal, cast

import numpy as np
import pytest
from PIL import Image
from pydantic.dataclasses import dataclass

from base.types import STRICT
from features.statistics import Statistics
from features.views import SpectralView, View, from_definition
from reports import catalog_charts, pictures

MEL: dict[str, Any] = {"mel_bands": 20, "mel_low_hz": 20.0, "mel_high_hz": 3800.0, "mel_scale": "slaney"}
VIEWS: dict[str, View] = {
    "mfcc": from_definition(
        {"kind": "mfcc", "frame_ms": 30, "hop_ms": 10, "floor_db": -80.0, **MEL, "coefficients": 13}
    ),
    "logmel": from_definition({"kind": "logmel", "frame_ms": 40, "hop_ms": 22, "clip_ms": 800, **MEL}),
    "spectrogram": from_definition({"kind": "spectrogram", "frame_ms": 20, "hop_ms": 10, "floor_db": -80.0}),
    "magnitudes": from_definition(
        {"kind": "spectrogram", "frame_samples": 255, "hop_samples": 128, "fft_samples": 257, "power": 1}
    ),
    "8 kHz": from_definition({"kind": "spectrogram", "sample_rate_hz": 8000, "frame_ms": 20, "hop_ms": 10}),
}
WAVEFORM = from_definition({"kind": "waveform", "sample_rate_hz": 8000, "clip_ms": 500})
LABELS = {
    "mfcc": "coefficient (from 1)",
    "logmel": "mel band",
    "spectrogram": "frequency [kHz]",
    "magnitudes": "frequency [kHz]",
    "8 kHz": "frequency [kHz]",
}


@pytest.mark.parametrize("name", VIEWS)
def test_each_frame_is_drawn_at_its_middle_and_each_axis_has_its_unit(name: str) -> None:
    view = cast(SpectralView, VIEWS[name])
    axes = pictures.figure(4, 3).subplots()
    image = pictures.heat_map(axes, np.zeros(view.shape, np.float32), VIEWS[name], (-1.0, 1.0))
    left, right, lower, upper = image.get_extent()
    starts = range(0, view.samples - view.frame_length + 1, view.hop_length)
    middles_s = [(start + view.frame_length / 2) / view.sample_rate_hz for start in starts]
    assert np.allclose(left + (right - left) / view.frames * (np.arange(view.frames) + 0.5), middles_s)
    rows = image.get_array().shape[0]
    found = lower + (upper - lower) / rows * (np.arange(rows) + 0.5)
    expected = {
        "mfcc": np.arange(1, 13),
        "logmel": np.arange(1, 21),
        "spectrogram": np.fft.rfftfreq(320, 1 / 16),
        "magnitudes": np.fft.rfftfreq(257, 1 / 16),
        "8 kHz": np.fft.rfftfreq(160, 1 / 8),
    }
    assert np.allclose(found, expected[name])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time [s]", LABELS[name])


def test_colors_are_symmetric_where_values_are_signed_and_leave_out_the_level() -> None:
    mfcc = np.zeros(VIEWS["mfcc"].shape, np.float32)
    mfcc[:, 0], mfcc[:, 1:] = -400.0, 5.0
    assert pictures.color_range([mfcc, mfcc], VIEWS["mfcc"]) == (-5.0, 5.0)
    decibels = np.linspace(-80, -3, 99 * 161, dtype=np.float32).reshape(99, 161)
    assert pictures.color_range([decibels], VIEWS["spectrogram"]) == (-80.0, -3.0)


@pytest.mark.parametrize("name", [*VIEWS, "waveform"])
def test_clips_of_every_kind_of_view_are_drawn_side_by_side(name: str) -> None:
    view = {**VIEWS, "waveform": WAVEFORM}[name]
    generator = np.random.default_rng(0)
    tensors = [(generator.normal(size=view.shape) * 1000).astype(view.dtype) for _ in range(3)]
    drawn = [pictures.Example(f"clip {number}", tensor, view.max_length // 2) for number, tensor in enumerate(tensors)]
    with pictures.style():
        first, second = pictures.example_grid(drawn, view), pictures.example_grid(drawn, view)
    assert first == second
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(first)).convert("L")))) > 30


@pytest.mark.parametrize("name", VIEWS)
def test_lines_of_coefficients_have_the_axis_and_unit_of_the_view(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    view, drawn = VIEWS[name], []
    monkeypatch.setattr(catalog_charts, "svg", lambda drawing: drawn.append(drawing) or b"")
    values = np.arange(view.width, dtype=np.float64)
    statistics = Statistics(1, 1, values, values + 1, values, values)
    catalog_charts.coefficient_lines({"train": statistics, "test": statistics}, view)
    left, right = drawn[0].axes
    assert (left.get_xlabel(), left.get_ylabel(), right.get_xlabel()) == (LABELS[name], view.unit, view.axis.label)
    hidden = 1 if name == "mfcc" else 0
    assert np.allclose(left.lines[0].get_ydata(), values[hidden:])
    places = view.axis.start + view.axis.step * np.arange(view.width)
    assert np.allclose(left.lines[0].get_xdata(), places[hidden:])
    assert np.allclose(right.lines[1].get_xdata(), places)


def test_one_coefficient_has_no_lines() -> None:
    one = Statistics(1, 1, *[np.zeros(1)] * 4)
    assert catalog_charts.coefficient_lines({"train": one}, WAVEFORM) is None


def test_a_new_kind_is_drawn_by_its_own_facts() -> None:
    @dataclass(frozen=True, config=STRICT, kw_only=True)
    class Gammatone(SpectralView):
        """Planted: energy in gammatone filters."""

        kind: Literal["gammatone"]
        revision = 1
        coefficient_name = "filter"
        title = "Gammatone"
        width = 12

    view: Any = Gammatone(kind="gammatone", frame_ms=25, hop_ms=10, floor_db=-60.0)
    axes = pictures.figure(4, 3).subplots()
    image = pictures.heat_map(axes, np.zeros(view.shape, np.float32), view, (0.0, 1.0))
    assert (axes.get_ylabel(), image.get_extent()[2:]) == ("filter", [0.5, 12.5])
    assert (view.shape, view.unit, view.meaning) == ((98, 12), "dB", "98 frames × 12 filters, dB")


def test_coefficients_are_counted_in_whole_numbers() -> None:
    mfcc: Any = VIEWS["mfcc"]
    view = dataclasses.replace(mfcc, coefficients=20)
    axes = pictures.figure(4, 3).subplots()
    pictures.heat_map(axes, np.zeros(view.shape, np.float32), view, (0.0, 1.0))
    assert all(float(tick).is_integer() for tick in axes.get_yticks())


def test_a_kind_that_leaves_a_fact_out_cannot_be_made() -> None:
    @dataclass(frozen=True, config=STRICT, kw_only=True)
    class Untitled(SpectralView):
        """Planted: a kind without title and width."""

        kind: Literal["untitled"]

    untitled: Any = Untitled
    with pytest.raises(TypeError, match="abstract methods title, width"):
        untitled(kind="untitled", frame_ms=25, hop_ms=10)
