"""Which split a clip belongs to, by its name alone: the official division, or a salted hash of the speaker."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal, TypeAlias

SplitName: TypeAlias = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")

_HASH_RANGE = 2**27
_VALIDATION_PERCENT = 10.0
_TESTING_PERCENT = 10.0


def official_split(file_name: str) -> SplitName:
    """The split of a clip by the function published with Speech Commands (`which_set` in its README).

    Args:
        file_name: base name or path of the clip, such as "yes/0a7c2a8d_nohash_1.wav". All that follows "_nohash_" is
            ignored, so a speaker's clips stay together.

    Returns:
        "validation" for about 10 % of the speakers, "test" for about 10 %, "train" for the rest.
    """
    speaker = re.sub(r"_nohash_.*$", "", file_name.rpartition("/")[2])
    remainder = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % _HASH_RANGE
    percent = remainder * (100.0 / (_HASH_RANGE - 1))
    if percent < _VALIDATION_PERCENT:
        return "validation"
    if percent < _VALIDATION_PERCENT + _TESTING_PERCENT:
        return "test"
    return "train"


def speaker_split(speaker: str, ratio: tuple[int, int, int], salt: str) -> SplitName:
    """The split of a speaker by a salted hash.

    Args:
        speaker: the speaker's id.
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
