"""Cuts a background recording into 1 s silence clips, each with a gain of its own that its name decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from features import clip_id
from features.audio import Samples, apply_gain
from features.splits import hash64
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipelines.ingest.config import Silence


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
        name = clip_id.cut_silence(recording, start)
        gain_db = gain(name, config.gain_db, seed)
        audio = apply_gain(samples[start : start + CLIP_SAMPLES], gain_db)
        yield SilenceClip(name, audio, recording, start, samples.size, gain_db)


def gain(name: str, range_db: tuple[float, float], seed: int) -> float:
    """The gain of the silence clip of an id in dB, uniform over the range, rounded to 0.01 dB."""
    lowest, highest = range_db
    return round(lowest + (highest - lowest) * hash64("gain", seed, name) / 2**64, 2)
