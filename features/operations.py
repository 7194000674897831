"""The few array operations that the front end is made of; NumPy and TensorFlow each have them in a module of their own.

The front end is written once over these. The pipelines run it on NumPy arrays, with the same bytes on every processor;
training and serving run the same lines as TensorFlow operations, which a saved model can contain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from features.micro import MicroTables

Array: TypeAlias = Any
"""A NumPy array, or a tensor of TensorFlow; both know +, −, ×, and slices."""


class Operations(Protocol):
    """What the front end asks of a library of arrays, besides arithmetic and slices."""

    def power_spectra(
        self, samples: Array, window: npt.NDArray[np.float32], hop: int, count: int, length: int
    ) -> Array:
        """Squared magnitudes of the short-time Fourier transform.

        Args:
            samples: int16 or float32, (batch, samples).
            window: what each frame is multiplied by, float32, (samples of a frame,).
            hop: samples from the beginning of a frame to that of the next.
            count: frames of each clip; the first begins with the clip.
            length: samples of the transform, at least those of a frame, which zeros extend.

        Returns:
            float32, (batch, count, length // 2 + 1).
        """

    def divided_by_peak(self, samples: Array) -> Array:
        """Clips over their largest sample, or over 32768 where none is above zero; float32, (batch, samples)."""

    def mirrored(self, samples: Array, side: int) -> Array:
        """Clips continued on both sides by so many samples of their mirror image; (batch, samples + 2 × side)."""

    def sqrt(self, values: Array) -> Array:
        """Square root, float32, any shape."""

    def scaled_log(self, values: Array, lowest: float, factor: float) -> Array:
        """A multiple of the natural logarithm of values, or of `lowest` where they are below it; float32, any shape."""

    def project(self, values: Array, matrix: npt.NDArray[np.float32]) -> Array:
        """(batch, frames, n) times a matrix (n, m) that is zero in most places: float32, (batch, frames, m)."""

    def dct(self, values: Array) -> Array:
        """Orthonormal discrete cosine transform of the second kind along the last axis; float32, (batch, frames, n)."""

    def smooth(self, values: Array, amount: float) -> Array:
        """Each value and the past of its column, smoothed by a low-pass of the first order.

        Args:
            values: float64, (batch, frames, n).
            amount: what a frame adds: smoothed = (1 − amount) × smoothed before + amount × value, from 1 at the start.

        Returns:
            float64, (batch, frames, n).
        """

    def log(self, values: Array) -> Array:
        """Natural logarithm of positive float64, any shape."""

    def exp(self, values: Array) -> Array:
        """e to the power of float64, any shape."""

    def cast(self, values: Array, dtype: str) -> Array:
        """The nearest values of another type, any shape."""

    def micro(self, clips: Array, tables: MicroTables, count: int) -> Array:
        """The micro front end of microcontrollers.

        Args:
            clips: int16, (batch, samples).
            tables: its constants.
            count: frames of a clip, without those that begin in the context.

        Returns:
            uint16, (batch, count, bands).
        """

    def filter_and_decimate(self, clips: Array, taps: Sequence[float]) -> Array:
        """Every second sample of clips that went through a symmetric filter, rounded and clipped.

        Args:
            clips: int16, (batch, samples), samples even; zeros precede and follow them.
            taps: an odd number of coefficients, all multiples of 2^-30, whose magnitudes sum to less than 64, so that
                float64 adds the products without rounding.

        Returns:
            int16, (batch, samples // 2).
        """
