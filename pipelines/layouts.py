"""What a file of an archive is, by its path alone, in the official Speech Commands layout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from pipelines.splits import SplitName

SILENCE: Final = SILENCE_CLASS
UNKNOWN: Final = UNKNOWN_CLASS
CORPUS_FILE: Final = "corpus.json"
"""Describes the archives of a raw folder."""

_CLIP: Final = re.compile(r"(?P<word>[^/_.][^/]*)/(?P<name>(?P<speaker>[^/_]+)_nohash_\d+)\.wav")
_TEST_UNKNOWN: Final = re.compile(r"_unknown_/(?P<name>(?P<word>[^/_]+)_(?P<speaker>[^/_]+)_nohash_\d+)(\.wav)+")
_TEST_SILENCE: Final = re.compile(r"_silence_/(?P<name>[^/.]+)(\.wav)+")
_BACKGROUND: Final = re.compile(r"_background_noise_/(?P<recording>[^/]+)\.wav")
_LISTS: Final[dict[str, SplitName]] = {"validation_list.txt": "validation", "testing_list.txt": "test"}


@dataclass(frozen=True)
class Utterance:
    """A word spoken by somebody, or a silence clip that the archive brings itself (no speaker)."""

    id: str
    word: str
    speaker: str


@dataclass(frozen=True)
class Background:
    """A long recording of noise, to be cut into silence clips."""

    recording: str


@dataclass(frozen=True)
class SplitList:
    """A list of the clips of one split."""

    split: SplitName


@dataclass(frozen=True)
class Other:
    """A file that is no clip: "document" (a README), or "unexpected_name" (audio outside the layout)."""

    reason: Literal["document", "unexpected_name"]


Role: TypeAlias = Utterance | Background | SplitList | Other


def classify(path: str) -> Role:
    """What a file of an archive is.

    Args:
        path: the member's name, such as "./yes/0a7c2a8d_nohash_1.wav"; a leading "./" does not count, nor whether the
            slashes lean backward.

    Returns:
        An utterance, a background recording, a list of a split, or something else.
    """
    path = normalise(path)
    if path in _LISTS:
        return SplitList(_LISTS[path])
    if match := _BACKGROUND.fullmatch(path):
        return Background(match["recording"])
    if match := _TEST_SILENCE.fullmatch(path):
        return Utterance(f"{SILENCE}/{match['name']}", SILENCE, "")
    if match := _TEST_UNKNOWN.fullmatch(path):
        return Utterance(f"{UNKNOWN}/{match['name']}", match["word"], match["speaker"])
    if match := _CLIP.fullmatch(path):
        return Utterance(f"{match['word']}/{match['name']}", match["word"], match["speaker"])
    return Other("unexpected_name" if path.lower().endswith(".wav") else "document")


def listed_ids(text: str) -> list[str]:
    """The ids of the clips that a list of a split names, one a line."""
    return [normalise(line.strip()).removesuffix(".wav") for line in text.splitlines() if line.strip()]


def normalise(path: str) -> str:
    """A member's path with forward slashes and without a leading "./"."""
    return path.replace("\\", "/").removeprefix("./")
