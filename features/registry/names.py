"""What a clip's id says, in the official layout: its word and speaker, or its stretch of a noise recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS

_UTTERANCE: Final = re.compile(r"(?P<word>[^/]+)/(?P<speaker>[^/_]+)_nohash_\d+")
_BROUGHT_UNKNOWN: Final = re.compile(rf"{UNKNOWN_CLASS}/(?P<word>[^/_]+)_(?P<speaker>[^/_]+)_nohash_\d+")
_SILENCE: Final = re.compile(rf"{SILENCE_CLASS}/(?:(?P<recording>.+)_(?P<start>\d{{8,}})|.*)")


@dataclass(frozen=True, slots=True)
class ClipName:
    """What an id says; None for what it does not say."""

    word: str | None = None
    speaker: str | None = None
    recording: str | None = None
    start: int | None = None


def parse_id(clip_id: str) -> ClipName:
    """What an id says.

    Args:
        clip_id: "word/speaker_nohash_number"; "_unknown_/word_speaker_nohash_number" of an official test archive;
            "_silence_/recording_start", or "_silence_/name" of a test archive. Of another form it says nothing.
    """
    if match := _SILENCE.fullmatch(clip_id):
        start = None if match["start"] is None else int(match["start"])
        return ClipName(SILENCE_CLASS, None, match["recording"], start)
    if match := _BROUGHT_UNKNOWN.fullmatch(clip_id) or _UTTERANCE.fullmatch(clip_id):
        return ClipName(match["word"], match["speaker"])
    return ClipName()


def class_of_word(word: str, classes: tuple[str, ...]) -> str:
    """The class that a task puts a word into: its own where it has one, else unknown; silence for background noise."""
    return word if word in classes or word == SILENCE_CLASS else UNKNOWN_CLASS
