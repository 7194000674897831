"""The splits and their order, and the salted hash that divides speakers and draws samples."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")


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


def hash64(*parts: str | int) -> int:
    """A hash of some names and numbers, in [0, 2**64), equal on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
