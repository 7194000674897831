"""Power spectra in lanes have the bits of SciPy's transform of each frame, for every length that they take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from features import fourier
from features.array_operations import power_spectra
from features.lanes import LANES

Floats = npt.NDArray[np.float32]

LENGTHS: Final = [length for length in range(1, 2049) if fourier.plan(length)]
ROOT: Final = Path(__file__).parents[1]


def by_scipy(samples: Floats, window: Floats, hop: int, count: int, length: int) -> Floats:
    """A frame after the other: transformed by SciPy in single precision, then squared without a fused addition."""
    frames = [samples[:, place * hop : place * hop + len(window)] * window for place in range(count)]
    spectra = [scipy.fft.rfft(frame, length) for frame in frames]
    return np.stack([each.real * each.real + each.imag * each.imag for each in spectra], axis=1)


def drawn(seed: int, window: int, hop: int, count: int) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    samples = generator.uniform(-32_768, 32_767, (2, (count - 1) * hop + window)).astype(np.float32)
    return samples, generator.uniform(-1, 1, window).astype(np.float32)


def test_lengths_are_products_of_two_three_and_five_and_even() -> None:
    def is_smooth(length: int) -> bool:
        for factor in (2, 3, 5):
            while length % factor == 0:
                length //= factor
        return length == 1

    shortest = 2 * (LANES - 1)  # which has as many bins as there are lanes
    assert [length for length in range(shortest, 2049, 2) if is_smooth(length)] == LENGTHS


@given(st.sampled_from(LENGTHS), st.data())
def test_every_length_window_and_hop_gives_the_bits_of_scipy(length: int, data: st.DataObject) -> None:
    window, hop = data.draw(st.integers(1, length)), data.draw(st.integers(1, 50))
    count = data.draw(st.integers(1, 3 * LANES))
    samples, weights = drawn(data.draw(st.integers(0, 99)), window, hop, count)
    found = power_spectra(samples, weights, hop, count, length)
    assert np.array_equal(found, by_scipy(samples, weights, hop, count, length))


@pytest.mark.parametrize("length", LENGTHS)
def test_each_length_gives_the_bits_of_scipy(length: int) -> None:
    samples, weights = drawn(length, length, 3, LANES + 1)
    found = power_spectra(samples, weights, 3, LANES + 1, length)
    assert np.array_equal(found, by_scipy(samples, weights, 3, LANES + 1, length))


@pytest.mark.parametrize("length", [480, 448, 441])
def test_a_tone_stands_in_its_bin(length: int) -> None:
    """448 and 441 have other factors, and go by SciPy itself."""
    tone = np.cos(2 * np.pi * 21 / length * np.arange(2 * length)).astype(np.float32)
    power = power_spectra(tone[None], np.ones(length, np.float32), 7, LANES, length)
    expected = np.zeros(length // 2 + 1)
    expected[21] = (length / 2) ** 2
    np.testing.assert_allclose(power[0], np.tile(expected, (LANES, 1)), atol=1e-4 * expected[21])


def test_the_bits_are_the_same_on_processors_with_other_registers(tmp_path: Path) -> None:
    """Compiled for registers of four numbers, and for those of eight with fused additions within reach."""
    code = (
        "import hashlib, sys; import numpy as np; from features.array_operations import power_spectra\n"
        "samples = np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32)\n"
        "spectra = [power_spectra(samples, samples[0, :length], 160, 9, length) for length in (480, 512, 400, 320)]\n"
        "sys.stdout.write(hashlib.sha256(b''.join(each.tobytes() for each in spectra)).hexdigest())"
    )

    def digest(**variables: str) -> str:
        command = [sys.executable, "-c", code]
        return subprocess.check_output(command, cwd=ROOT, env={**os.environ, **variables}, text=True)

    capped = {"NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    assert digest(NUMBA_CPU_NAME="x86-64", **capped) == digest(NUMBA_CPU_NAME="haswell", **capped) == digest()
