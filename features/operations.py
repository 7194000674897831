"""The few array operations that the front end is made of; NumPy and TensorFlow each have them in a module of their own.

The front end is written once over these. The pipelines run it on NumPy arrays, with the same bytes on every processor;
training and serving run the same lines as TensorFlow operations, which a saved model can contain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
"""A NumPy array, or a tensor of TensorFlow; both know +, −, ×, and slices."""


class Operations(Protocol):
    """What the front end asks of a library of arrays, besides arithmetic and slices."""

    def to_float(self, samples: Array) -> Array:
        """int16 as float32, any shape."""

    def frames(self, samples: Array, length: int, hop: int, count: int) -> Array:
        """The first frames of each clip: (batch, samples) → (batch, count, length), a frame every `hop` samples."""

    def power_spectrum(self, frames: Array, length: int) -> Array:
        """Squared magnitude of the Fourier transform of real frames that zeros extend to a length.

        Args:
            frames: float32, (batch, frames, at most length).
            length: samples of the transform.

        Returns:
            float32, (batch, frames, length // 2 + 1).
        """

    def sqrt(self, values: Array) -> Array:
        """Square root, float32, any shape."""

    def log(self, values: Array) -> Array:
        """Natural logarithm of positive values, float32, any shape."""

    def at_least(self, values: Array, lowest: float) -> Array:
        """The larger of each value and a number, float32, any shape."""

    def project(self, values: Array, matrix: npt.NDArray[np.float32]) -> Array:
        """(batch, frames, n) times a matrix (n, m) that is zero in most places: float32, (batch, frames, m)."""

    def dct(self, values: Array) -> Array:
        """Orthonormal discrete cosine transform of the second kind along the last axis; float32, (batch, frames, n)."""

    def filter_and_decimate(self, clips: Array, taps: Sequence[float]) -> Array:
        """Every second sample of clips that went through a symmetric filter, rounded and clipped.

        Args:
            clips: int16, (batch, samples), samples even; zeros precede and follow them.
            taps: an odd number of coefficients, all multiples of 2^-30, whose magnitudes sum to less than 64, so that
                float64 adds the products without rounding.

        Returns:
            int16, (batch, samples // 2).
        """
