"""From the samples of a recording to a clip: int16 samples at 16 kHz, exactly one second long."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from features.arithmetic import LN_10, exp
from features.views import CLIP_SAMPLES, FULL_SCALE

Samples = npt.NDArray[np.int16]
Second = Literal["start", "loudest", "center"]
"""Which second of a longer recording is kept."""


def to_int16(samples: npt.NDArray[np.float64]) -> Samples:
    """Samples of -1..1 as int16, rounded to even and clipped at full scale."""
    rounded: Samples = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return rounded


def encode_audio(samples: Samples, rate_hz: int, form: Literal["wav", "flac"] = "wav") -> bytes:
    """Samples as an audio file of one channel and 16 bits a sample, without loss.

    Args:
        samples: int16, (any,).
        rate_hz: sample rate.
        form: the form of the file.
    """
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, subtype="PCM_16", format=form.upper())
    return out.getvalue()


def first_sample(blocks: Iterable[Samples], samples: int, second: Second) -> int:
    """Where the second of a recording begins that is kept.

    Args:
        blocks: the recording in pieces, int16, (any,) each; they are looked at where the loudest second is sought.
        samples: length of the recording.
        second: which second of a longer recording: its start, its center, or the loudest, which is the one with the
            greatest sum of squares, of several the first.

    Returns:
        A place in the recording; 0 where it is no longer than a second.
    """
    spare = samples - CLIP_SAMPLES
    if spare <= 0 or second == "start":
        return 0
    return spare // 2 if second == "center" else _loudest_start(blocks)


def _loudest_start(blocks: Iterable[Samples]) -> int:
    best, best_energy, begin, waiting = 0, -1, 0, np.empty(0, np.int16)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        if waiting.size < CLIP_SAMPLES:
            continue
        sums = np.concatenate([[0], np.cumsum(waiting.astype(np.int64) ** 2)])
        energies = sums[CLIP_SAMPLES:] - sums[:-CLIP_SAMPLES]
        start = int(energies.argmax())
        if energies[start] > best_energy:
            best, best_energy = begin + start, int(energies[start])
        begin += energies.size
        waiting = waiting[energies.size :]
    return best


def pad_or_trim(samples: Samples) -> tuple[Samples, int]:
    """Make a recording one second long: its first 16,000 samples, or zeros after its end.

    Args:
        samples: int16, (any,).

    Returns:
        The clip, int16, (16000,), and its real length in samples, 0..16000; samples at or after it are padding.
    """
    kept = samples[:CLIP_SAMPLES]
    if kept.size == CLIP_SAMPLES:
        return kept, CLIP_SAMPLES
    clip = np.zeros(CLIP_SAMPLES, np.int16)
    clip[: kept.size] = kept
    return clip, kept.size


def apply_gain(samples: Samples, gain_db: float) -> Samples:
    """Scale samples by a gain in dB, rounded to int16 and clipped at full scale."""
    return to_int16(samples.astype(np.float64) * (float(exp(np.array(gain_db * LN_10 / 20.0))) / FULL_SCALE))


def loudness_dbfs(rms: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Loudness in dB of full scale.

    Args:
        rms: root mean square of each clip, 0..1 of full scale, (clips,).

    Returns:
        float64, (clips,), at least -90.3: a clip of zeros counts as loud as one step of int16.
    """
    return np.asarray(20 * np.log10(np.maximum(rms.astype(np.float64), 1 / FULL_SCALE)), np.float64)
