"""Cuts a background recording into 1 s silence clips, each with a gain of its own that its name decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

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


def cut(
    recording: str, blocks: Iterable[Samples], recording_samples: int, config: Silence, seed: int
) -> Iterator[SilenceClip]:
    """The silence clips of a recording, one every hop, each wholly inside the recording.

    Args:
        recording: name of the recording.
        blocks: the recording in pieces, int16, (any,) each, at 16 kHz; one of them is in memory at a time.
        recording_samples: length of the recording.
        config: hop, and the range of the gain in dB.
        seed: decides the gains, together with the clips' names.

    Yields:
        Clips of 16,000 samples, in order of start; none where the recording is shorter than one second.
    """
    hop_samples = config.hop_ms * SAMPLE_RATE_HZ // 1000
    for start, samples in _windows(blocks, hop_samples):
        name = clip_id.cut_silence(recording, start)
        gain_db = gain(name, config.gain_db, seed)
        yield SilenceClip(name, apply_gain(samples, gain_db), recording, start, recording_samples, gain_db)


def _windows(blocks: Iterable[Samples], hop_samples: int) -> Iterator[tuple[int, Samples]]:
    """The seconds that begin every hop, each with its first sample."""
    start, begin, waiting = 0, 0, np.empty(0, np.int16)
    for block in blocks:
        waiting = np.concatenate([waiting, block]) if waiting.size else block
        while start + CLIP_SAMPLES <= begin + waiting.size:
            yield start, waiting[start - begin : start - begin + CLIP_SAMPLES]
            start += hop_samples
        passed = min(start - begin, waiting.size)
        begin, waiting = begin + passed, waiting[passed:]


def gain(name: str, range_db: tuple[float, float], seed: int) -> float:
    """The gain of the silence clip of an id in dB, uniform over the range, rounded to 0.01 dB."""
    lowest, highest = range_db
    return round(lowest + (highest - lowest) * hash64("gain", seed, name) / 2**64, 2)
