"""The compiled loops give the bits of the same sums written out, one operation after the other, in single precision."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features import loops
from features.array_operations import project

Floats = npt.NDArray[np.float32]
usual = st.floats(-(2.0**20), 2.0**20, width=32)


def table(rows: st.SearchStrategy[int], columns: st.SearchStrategy[int]) -> st.SearchStrategy[Floats]:
    return st.tuples(rows, columns).flatmap(lambda shape: arrays(np.float32, shape, elements=usual))


@given(arrays(np.float32, (2, 40), elements=usual), arrays(np.float32, st.integers(1, 9), elements=usual), st.data())
def test_frames_are_windowed_and_what_follows_them_stays(samples: Floats, window: Floats, data: Any) -> None:
    hop = data.draw(st.integers(1, 5))
    frames = np.full((2, 7, len(window) + 2), 7, np.float32)
    loops.window_frames(samples, window, hop, frames)
    for place in range(7):
        expected = samples[:, place * hop : place * hop + len(window)] * window
        assert np.array_equal(frames[:, place, : len(window)], expected)
    assert (frames[:, :, len(window) :] == 7).all()


@given(table(st.integers(1, 6), st.integers(1, 30)))
def test_magnitudes_are_squared_without_a_fused_addition(parts: Floats) -> None:
    parts = np.repeat(parts, 2, axis=1)
    parts[:, ::2] *= np.float32(1.1)
    power = np.empty((len(parts), parts.shape[1] // 2), np.float32)
    loops.squared_magnitudes(parts, power)
    assert np.array_equal(power, parts[:, ::2] * parts[:, ::2] + parts[:, 1::2] * parts[:, 1::2])


@given(table(st.integers(1, 11), st.just(13)), arrays(np.float32, (13, 4), elements=usual), st.data())
def test_bands_are_summed_column_by_column(values: Floats, matrix: Floats, data: Any) -> None:
    for band in range(4):  # bands of any width, empty ones too
        start, stop = sorted(data.draw(st.tuples(st.integers(0, 13), st.integers(0, 13))))
        matrix[:start, band] = 0
        matrix[stop:, band] = 0
    expected = np.zeros((len(values), 4), np.float32)
    for column in range(13):
        expected += values[:, column : column + 1] * matrix[column]
    assert np.array_equal(project(values[None], matrix)[0], expected)


@given(table(st.integers(1, 9), st.integers(1, 20)))
def test_totals_are_added_row_by_row(values: Floats) -> None:
    columns = values.shape[1]
    sums, squares = np.zeros((2, columns))
    lowest, highest = np.full(columns, np.inf, np.float32), np.full(columns, -np.inf, np.float32)
    loops.add_to_totals(values, sums, squares, lowest, highest)
    expected, expected_squares = np.zeros((2, columns))
    for row in values.astype(np.float64):
        expected += row
        expected_squares += row * row
    assert np.array_equal(sums, expected) and np.array_equal(squares, expected_squares)
    assert np.array_equal(lowest, values.min(axis=0)) and np.array_equal(highest, values.max(axis=0))


@pytest.mark.slow
def test_they_run_where_compiled_code_can_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/dev/null/cache")
    code = """
import numpy as np
from features import loops
power = np.zeros((1, 1), np.float32)
loops.squared_magnitudes(np.full((1, 2), 3, np.float32), power)
print(power)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[[18.]]"
