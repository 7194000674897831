"""What is measured of a clip's real samples: loudness, clipping, noise, silence, and speech cut off at an edge.

All sums are of integers, and those that become float64 are below 2**53, so every processor measures the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.arithmetic import LN_10, exp
from features.audio import Samples
from features.views import FULL_SCALE, SAMPLE_RATE_HZ

FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 50
"""20 ms."""
LEAST_FRAMES: Final = 10
"""A clip with fewer frames says too little of its noise."""
NOISE_PERCENTILE: Final = 15
SPEECH_PERCENTILE: Final = 95
SILENT_BELOW_DBFS: Final = -50
LEAST_CUT_SNR_DB: Final = 10
"""Below it, noise at an edge can't be told from speech."""

Wholes = npt.NDArray[np.int64]

_LOWEST, _HIGHEST = -int(FULL_SCALE), int(FULL_SCALE) - 1
_UNIT: Final = FRAME_SAMPLES**2
"""Powers are multiples of it: of the variance of a frame, that of one step of int16 is the smallest that counts."""
_SILENT_POWER: Final = _UNIT * FULL_SCALE**2 / 10 ** (-SILENT_BELOW_DBFS // 10)
_LOUDEST_SNR: Final = round(2000 * math.log10(FULL_SCALE))
"""The greatest ratio that int16 holds, in hundredths of a dB."""
_HALF_STEPS: Final[list[float]] = exp((np.arange(_LOUDEST_SNR) + 0.5) * (LN_10 / 1000)).tolist()
"""The ratios of powers between one hundredth of a dB and the next."""


class Quality(NamedTuple):
    """What is measured of a clip; the fields are columns of the catalog, which says what they mean.

    Attributes:
        peak, rms: largest magnitude and root mean square, 0..1 of full scale.
        clipped: samples at the largest or smallest value of int16: a loud recording was cut off there.
        snr_db: signal-to-noise estimate in dB, 0..90.31, rounded to 0.01.
        cut_start, cut_end: whether speech goes on to the first, or the last, 20 ms.
        silent_fraction: share of the whole 20 ms frames below -50 dBFS; None where there is no such frame.
    """

    peak: float
    rms: float
    clipped: int
    snr_db: float | None
    cut_start: bool | None
    cut_end: bool | None
    silent_fraction: float | None


def measure(samples: Samples, spoken: bool) -> Quality:
    """Measure a clip.

    The signal-to-noise estimate is the power of speech over that of noise: the 95th and the 15th percentile of the
    powers of the whole 20 ms frames. The power of a frame is its variance, so a constant offset counts as nothing, and
    none counts as less than that of one step of int16. It is too low where speech fills the clip, and it does not tell
    speech from another sound that comes and goes. After NIST's `stnr` (stnr.txt of the Speech Quality Assurance
    package), with the percentiles that ISIP's `signal_to_noise` (isip.piconepress.com) names.

    Speech is cut off at an edge where the power of the outermost 20 ms lies, in dB, in the upper half between noise and
    speech, and the estimate is at least 10 dB.

    Args:
        samples: int16, (any,), without padding; of no samples peak, rms and clipped are 0.
        spoken: whether the clip is of speech; of others, and of speech under 200 ms, the estimate and the two edges
            are None.
    """
    if samples.size == 0:
        return Quality(0.0, 0.0, 0, None, None, None, None)
    frames, rest = divmod(samples.size, FRAME_SAMPLES)
    sums, squares, extremes = _totals(samples)
    lowest, highest = extremes.tolist()
    powers = _powers(sums[:frames], squares[:frames])
    ordered = sorted(powers)
    snr_db = cut_start = cut_end = None
    if spoken and len(ordered) >= LEAST_FRAMES:
        noise, speech = (max(_percentile(ordered, each), _UNIT) for each in (NOISE_PERCENTILE, SPEECH_PERCENTILE))
        snr_db = bisect_right(_HALF_STEPS, speech / noise) / 100
        edges = powers[0], _powers(*_totals(samples[-FRAME_SAMPLES:])[:2])[0] if rest else powers[-1]
        cut_start, cut_end = (snr_db >= LEAST_CUT_SNR_DB and edge * edge > noise * speech for edge in edges)
    return Quality(
        peak=max(highest, -lowest) / FULL_SCALE,
        rms=math.sqrt(int(squares.sum()) / samples.size) / FULL_SCALE,
        clipped=_clipped(samples, lowest, highest),
        snr_db=snr_db,
        cut_start=cut_start,
        cut_end=cut_end,
        silent_fraction=bisect_left(ordered, _SILENT_POWER) / len(ordered) if ordered else None,
    )


def _totals(samples: Samples) -> tuple[Wholes, Wholes, Wholes]:
    """Sums, and sums of squares, of frames of 20 ms, the last of which may be shorter; the two extreme samples."""
    from features import loops  # and Numba, which takes a while and which readers of what was measured do not need

    sums, squares = np.empty((2, -(-samples.size // FRAME_SAMPLES)), np.int64)
    extremes = np.empty(2, np.int64)
    loops.frame_totals(np.ascontiguousarray(samples), FRAME_SAMPLES, sums, squares, extremes)
    return sums, squares, extremes


def _powers(sums: Wholes, squares: Wholes) -> list[float]:
    """The variance of each frame, in integers: times the square of its number of samples."""
    powers: list[float] = (squares * FRAME_SAMPLES - sums * sums).astype(np.float64).tolist()
    return powers


def _percentile(ordered: list[float], percent: int) -> float:
    """The element of a list in ascending order that a percentile falls on, or the one before."""
    return ordered[(len(ordered) - 1) * percent // 100]


def _clipped(samples: Samples, lowest: int, highest: int) -> int:
    if lowest > _LOWEST and highest < _HIGHEST:
        return 0
    return int(np.count_nonzero(samples == _LOWEST) + np.count_nonzero(samples == _HIGHEST))
