"""Mel scales and the mel filter bank, in NumPy: frequency bins to perceptually spaced bands."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.arithmetic import LN_10, exp, log
from features.views import MelView

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_SLANEY_LINEAR_HZ: Final = 200.0 / 3.0
_SLANEY_BREAK_HZ: Final = 1000.0
_SLANEY_BREAK_MEL: Final = _SLANEY_BREAK_HZ / _SLANEY_LINEAR_HZ
_SLANEY_LOG_STEP: Final = 1.8562979903656263 / 27.0
"""A 27th of the logarithm of 6.4."""

_HTK_MELS_PER_NEPER: Final = 2595.0 / LN_10


@lru_cache(maxsize=8)
def mel_filters(view: MelView) -> Floats:
    """Triangular mel filters, float32, (frequency_bins, mel_bands).

    With slopes in hertz they equal `librosa.filters.mel`, whose import alone would cost each worker 3 s and 100 MB,
    with slopes in mel and a height of 1 `tf.signal.linear_to_mel_weight_matrix`.

    Raises:
        DataError: a band is so narrow that no frequency bin lies in it.
    """
    lowest, highest = (hz_to_mel(np.array(hz), view.mel_scale) for hz in (view.mel_low_hz, view.mel_high_hz))
    edges_mel = np.linspace(lowest, highest, view.mel_bands + 2)
    edges_hz = mel_to_hz(edges_mel, view.mel_scale)
    highest_hz = (view.frequency_bins - 1) * view.sample_rate_hz / view.fft_length
    bins_hz = np.linspace(0, highest_hz, view.frequency_bins)[:, None]
    if view.mel_slopes == "hz":
        triangles = _triangles(bins_hz, edges_hz)
    else:
        triangles = _triangles(hz_to_mel(bins_hz, view.mel_scale), edges_mel)
    areas_hz = (edges_hz[2:] - edges_hz[:-2]) if view.mel_norm == "slaney" else 2.0
    filters: Floats = (np.maximum(triangles, 0.0) * 2.0 / areas_hz).astype(np.float32)
    empty = int((filters.max(axis=0) == 0).sum())
    if empty:
        raise DataError(
            f"{empty} of {view.mel_bands} mel bands between {view.mel_low_hz} and {view.mel_high_hz} Hz hold none of "
            f"the {view.frequency_bins} frequency bins: take fewer bands, a wider range or a longer frame"
        )
    return filters


def _triangles(bins: Doubles, edges: Doubles) -> Doubles:
    """Straight lines from each edge up to the next and down to the one after, below 0 outside; (bins, bands)."""
    low, center, high = edges[:-2], edges[1:-1], edges[2:]
    lines: Doubles = np.minimum((bins - low) / (center - low), (high - bins) / (high - center))
    return lines


def hz_to_mel(hz: Doubles, scale: str) -> Doubles:
    """Frequency on a mel scale; the same shape.

    Args:
        hz: float64, at least 0.
        scale: "htk" for O'Shaughnessy's formula (1987), "slaney" for that of the Auditory Toolbox (Slaney, 1998):
            linear below 1 kHz, logarithmic above.
    """
    if scale == "htk":
        return log(1.0 + hz / 700.0) * _HTK_MELS_PER_NEPER
    above = _SLANEY_BREAK_MEL + log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.where(hz < _SLANEY_BREAK_HZ, hz / _SLANEY_LINEAR_HZ, above)


def mel_to_hz(mel: Doubles, scale: str) -> Doubles:
    """The inverse of `hz_to_mel`."""
    if scale == "htk":
        return 700.0 * (exp(mel / _HTK_MELS_PER_NEPER) - 1.0)
    above = _SLANEY_BREAK_HZ * exp(_SLANEY_LOG_STEP * (mel - _SLANEY_BREAK_MEL))
    return np.where(mel < _SLANEY_BREAK_MEL, mel * _SLANEY_LINEAR_HZ, above)
