"""What a stream is put together from: the words of a split, trimmed, and the background recordings of that split."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.labels import SILENCE_CLASS
from features.splits import SplitName
from features.stretches import SILENCE_GAP_SAMPLES, stretch_of
from features.views import FULL_SCALE, SAMPLE_RATE_HZ
from readers.audio import audio_of
from readers.store import Store

Samples = npt.NDArray[np.int16]

_FRAME: Final = SAMPLE_RATE_HZ // 50
"""20 ms."""
_NOISE_PERCENTILE, _SPEECH_PERCENTILE = 15, 95
_LEAST_SHARE: Final = 1e-3
"""A frame 30 dB below the speech is none of it, however quiet the clip is."""
NOISE_HOP: Final = SAMPLE_RATE_HZ * 4 // 5
"""Samples from one clip of a background recording to the next: they overlap by a fifth of a second."""


class Utterance(NamedTuple):
    """A clip of a word.

    Attributes:
        clip: its id.
        word: its class.
        start, end: the samples in which the word is.
        dbfs: root mean square between them, in dB of full scale.
    """

    clip: str
    word: str
    start: int
    end: int
    dbfs: float


class Noise(NamedTuple):
    """The part of a background recording that belongs to a split.

    Attributes:
        recording: its name.
        clips: ids of clips that follow each other every NOISE_HOP samples.
        gains_db: what was added to the recording's level in each of them.
        dbfs: root mean square of the recording over these clips, in dB of full scale.
    """

    recording: str
    clips: tuple[str, ...]
    gains_db: tuple[float, ...]
    dbfs: float


class Material(NamedTuple):
    """All that a stream of one split can be made of.

    Attributes:
        utterances: in order of clip ids.
        noises: in order of their names.
        audio: clip id → int16, (16000,).
    """

    utterances: tuple[Utterance, ...]
    noises: tuple[Noise, ...]
    audio: dict[str, Samples]


def gather(features: Store, clips: Store, split: SplitName) -> Material:
    """Everything of a split, 32 kB in memory for each clip.

    Args:
        features: the store of the task, with labels and splits.
        clips: the store of clips that they were made from.
        split: whose clips.

    Raises:
        DataError: there is no clip of a word, or no background recording.
    """
    rows = features.catalog(("id", "label", "split")).to_pylist()
    names = {row["id"]: features.classes[row["label"]] for row in rows if row["split"] == split}
    spoken = sorted(name for name, word in names.items() if word != SILENCE_CLASS)
    sequences = noise_sequences(features, clips, split)
    if not spoken or not sequences:
        missing = "background recording" if spoken else "clip of a word"
        raise DataError(f"{clips.path} has no {missing} in the {split} split, of which a stream could be made")
    ids = [*spoken, *(name for sequence in sequences.values() for name in sequence)]
    audio = dict(zip(ids, audio_of(clips, ids), strict=True))
    utterances = tuple(
        Utterance(name, names[name], *bounds, level_dbfs(audio[name][slice(*bounds)]))
        for name in spoken
        if (bounds := word_bounds(audio[name]))
    )
    noises = (_noise(recording, sequence, audio) for recording, sequence in sequences.items())
    return Material(utterances, tuple(noise for noise in noises if noise.clips), audio)


def noise_sequences(features: Store, clips: Store, split: SplitName) -> dict[str, dict[str, float]]:
    """Recording → its clips in a split that follow each other every NOISE_HOP samples, in order of time: id → gain."""
    assert features.manifest.task is not None
    ratio = features.manifest.task.split.ratio
    starts: defaultdict[str, dict[int, tuple[str, float]]] = defaultdict(dict)
    for row in clips.catalog(("id", "recording", "start", "recording_samples", "gain_db", "parent")).to_pylist():
        if row["recording"] is None or row["parent"] is not None:
            continue
        if stretch_of(row["start"], row["recording_samples"], ratio, SILENCE_GAP_SAMPLES) == split:
            starts[row["recording"]][row["start"]] = row["id"], row["gain_db"]
    return {name: dict(found[start] for start in _apart(sorted(found))) for name, found in sorted(starts.items())}


def _noise(recording: str, sequence: Mapping[str, float], audio: Mapping[str, Samples]) -> Noise:
    kept = {name: gain_db for name, gain_db in sequence.items() if audio[name].any()}
    powers = [10 ** ((level_dbfs(audio[name]) - gain_db) / 10) for name, gain_db in kept.items()]
    return Noise(recording, tuple(kept), tuple(kept.values()), 10 * math.log10(np.mean(powers)) if powers else 0.0)


def _apart(starts: Sequence[int]) -> list[int]:
    """Of some places in ascending order those at least NOISE_HOP apart."""
    kept: list[int] = []
    for start in starts:
        if not kept or start >= kept[-1] + NOISE_HOP:
            kept.append(start)
    return kept


def word_bounds(clip: Samples) -> tuple[int, int] | None:
    """The samples in which a clip's word is, or None of a clip that is all zeros.

    A frame of 20 ms belongs to the word where its power is, in dB, in the upper half between noise and speech, the 15th
    and the 95th percentile of all frames. The word goes from the first of them to the last.

    Args:
        clip: int16, (samples,), at least one frame.
    """
    whole = len(clip) - len(clip) % _FRAME
    powers = clip[:whole].astype(np.float64).reshape(-1, _FRAME).var(axis=1)
    speech = float(np.percentile(powers, _SPEECH_PERCENTILE))
    if speech == 0:
        return (0, len(clip)) if clip.any() else None
    noise = max(float(np.percentile(powers, _NOISE_PERCENTILE)), speech * _LEAST_SHARE)
    (loud,) = np.nonzero(powers >= np.sqrt(noise * speech))
    return int(loud[0]) * _FRAME, (int(loud[-1]) + 1) * _FRAME


def level_dbfs(samples: Samples) -> float:
    """Root mean square in dB of full scale; that of one step of int16 is the least."""
    rms = max(float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))), 1.0)
    return float(20 * np.log10(rms / FULL_SCALE))
