"""The audio of a stream, any part at a time: what sounds is added up, so that memory does not grow with length."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from features.views import FULL_SCALE
from serving.stream_test import speech
from serving.stream_test.plan import FADE_SAMPLES, Placement, Plan

Samples = npt.NDArray[np.int16]
Sound = Callable[[Placement], Samples]


def sound_of(clips: Mapping[str, Samples]) -> Sound:
    """Where placements have their sound from: clips from memory, recordings of speech from their files."""
    return lambda placement: speech.read(placement.source) if placement.kind == "speech" else clips[placement.source]


def rendered(stream: Plan, sound: Sound, start: int, stop: int) -> Samples:
    """A part of a stream, the same samples whatever part was asked for before.

    Args:
        stream: what sounds when.
        sound: the samples of a placement's source.
        start, stop: samples of the stream, without `stop`.

    Returns:
        int16, (stop - start,); what is beyond full scale is clipped.
    """
    mixed = np.zeros(stop - start)
    for placement in stream.between(start, stop):
        low, high = max(start, placement.at), min(stop, placement.until)
        mixed[low - start : high - start] += _part(placement, sound(placement), low, high)
    whole: Samples = np.clip(np.rint(mixed), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return whole


def _part(placement: Placement, source: Samples, low: int, high: int) -> npt.NDArray[np.float64]:
    """What a placement adds between two samples of the stream, faded at its ends."""
    offset = placement.first - placement.at
    places = np.arange(low - placement.at, high - placement.at)
    fade, length = FADE_SAMPLES[placement.kind], placement.last - placement.first
    weights = np.minimum(1.0, np.minimum(places, length - places) / fade)
    added: npt.NDArray[np.float64] = source[low + offset : high + offset] * weights * 10 ** (placement.gain_db / 20)
    return added
