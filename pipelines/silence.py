"""Cuts a background recording into 1 s silence clips, each with a gain of its own that its name decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from features.audio import Samples, apply_gain
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from params import Silence
from pipelines.layouts import SILENCE
from pipelines.splits import SPLITS, SplitName, hash64


@dataclass(frozen=True)
class SilenceClip:
    """One second of a background recording."""

    id: str
    samples: Samples
    recording: str
    start: int
    recording_samples: int
    gain_db: float


def cut(recording: str, samples: Samples, config: Silence, seed: int) -> Iterator[SilenceClip]:
    """The silence clips of a recording, one every hop, each wholly inside the recording.

    Args:
        recording: name of the recording.
        samples: int16, (any,), at 16 kHz.
        config: hop, and the range of the gain in dB.
        seed: decides the gains, together with the clips' names.

    Yields:
        Clips of 16,000 samples, in order of start; none where the recording is shorter than one second.
    """
    hop_samples = config.hop_ms * SAMPLE_RATE_HZ // 1000
    for start in range(0, samples.size - CLIP_SAMPLES + 1, hop_samples):
        clip_id = f"{SILENCE}/{recording}_{start:08d}"
        gain_db = gain(clip_id, config.gain_db, seed)
        audio = apply_gain(samples[start : start + CLIP_SAMPLES], gain_db)
        yield SilenceClip(clip_id, audio, recording, start, samples.size, gain_db)


def gain(clip_id: str, range_db: tuple[float, float], seed: int) -> float:
    """The gain of a silence clip in dB, uniform over the range, rounded to 0.01 dB."""
    lowest, highest = range_db
    return round(lowest + (highest - lowest) * hash64("gain", seed, clip_id) / 2**64, 2)


def stretch_of(start: int, recording_samples: int, ratio: tuple[int, int, int], gap_samples: int) -> SplitName | None:
    """The split of a silence clip: each recording's time is divided into one stretch per split, in order.

    Args:
        start: the clip's first sample in its recording.
        recording_samples: length of the recording.
        ratio: train : validation : test.
        gap_samples: samples that separate neighbouring stretches, at least 1.

    Returns:
        The split whose stretch holds the whole clip, or None where it lies across a border.
    """
    border, end = 0, start + CLIP_SAMPLES
    for index, split in enumerate(SPLITS):
        first = border + (gap_samples if index else 0)
        border = recording_samples * sum(ratio[: index + 1]) // sum(ratio)
        if first <= start and end <= border:
            return split
    return None
