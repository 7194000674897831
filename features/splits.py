"""The splits and their order, the salted hash that divides speakers and draws samples, and the time of recordings."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

from features.views import CLIP_SAMPLES

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")
SILENCE_GAP_SAMPLES: Final = 1600
"""A tenth of a second lies unused between the stretches of a recording."""


def speaker_split(speaker: str, ratio: tuple[int, int, int], salt: str) -> SplitName:
    """The split of a speaker, or of a clip on its own, by a salted hash.

    Args:
        speaker: the speaker's id, or the clip's.
        ratio: train : validation : test, positive.
        salt: any text; another salt gives another division.

    Returns:
        The split; the share of speakers in each tends to its share of the ratio.
    """
    point = hash64(salt, speaker) % sum(ratio)
    if point < ratio[0]:
        return "train"
    return "validation" if point < ratio[0] + ratio[1] else "test"


def stretch_of(start: int, recording_samples: int, ratio: tuple[int, int, int], gap_samples: int) -> SplitName | None:
    """The split of a silence clip: each recording's time is divided into one stretch per split, in order.

    Args:
        start: the clip's first sample in its recording.
        recording_samples: length of the recording.
        ratio: train : validation : test.
        gap_samples: samples that separate neighboring stretches, at least 1.

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


def hash64(*parts: str | int) -> int:
    """A hash of some names and numbers, in [0, 2**64), equal on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
