"""The layout of Speech Commands and of its official test archive: word/speaker_nohash_number.wav."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from features import clip_id
from features.labels import SILENCE_CLASS
from features.splits import SplitName
from pipelines.layouts import Background, ClipList, Layout, Listed, Other, Role, Utterance, normalized

BACKGROUND_FOLDER: Final = "_background_noise_"
LISTS: Final[dict[str, SplitName]] = {"validation_list.txt": "validation", "testing_list.txt": "test"}

_CLIP: Final = re.compile(r"(?P<word>[^/_.][^/]*)/(?P<speaker>[^/_@]+)_nohash_(?P<number>\d+)\.wav")
_READY_UNKNOWN: Final = re.compile(r"_unknown_/(?P<word>[^/_]+)_(?P<speaker>[^/_@]+)_nohash_(?P<number>\d+)(\.wav)+")
_READY_SILENCE: Final = re.compile(r"_silence_/(?P<name>[^/.]+)(\.wav)+")
_BACKGROUND: Final = re.compile(rf"{BACKGROUND_FOLDER}/(?P<recording>[^/]+)\.wav")

_HASH_RANGE: Final = 2**27
_VALIDATION_PERCENT: Final = 10.0
_TESTING_PERCENT: Final = 10.0


@dataclass(frozen=True)
class SpeechCommands(Layout):
    """A folder for each word, a folder of noise recordings, and two lists."""

    expected: ClassVar[str] = "word/speaker_nohash_number.wav"
    corpus_name: ClassVar[str | None] = ""
    signature: ClassVar[re.Pattern[str] | None] = re.compile(r"[^/.][^/]*/[^/@]+_nohash_\d+(\.wav)+")

    def role(self, path: str) -> Role:
        """What a file is; a leading "./" and the direction of slashes do not count."""
        path = normalized(path)
        if path in LISTS:
            return ClipList()
        if match := _BACKGROUND.fullmatch(path):
            return Background(match["recording"])
        if match := _READY_SILENCE.fullmatch(path):
            return Utterance(clip_id.ready_silence(match["name"]), SILENCE_CLASS, "")
        if match := _READY_UNKNOWN.fullmatch(path):
            return Utterance(clip_id.ready_unknown(**match.groupdict()), match["word"], match["speaker"])
        if match := _CLIP.fullmatch(path):
            return Utterance(clip_id.utterance(**match.groupdict()), match["word"], match["speaker"])
        return Other("unexpected_name" if path.lower().endswith(".wav") else "document")

    def listed(self, path: str, text: str) -> Iterator[Listed]:
        """The split of the clips that a list names, one a line."""
        split = LISTS[normalized(path)]
        lines = (line.strip() for line in text.split("\n"))
        return (Listed(normalized(line).removesuffix(".wav"), split) for line in lines if line)

    def official_split(self, clip_id: str) -> SplitName:
        """The split by the function published with the corpus."""
        return which_set(clip_id)


def which_set(file_name: str) -> SplitName:
    """The split of a clip by the function of this name in the README of Speech Commands.

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


LAYOUT: Final[Layout] = SpeechCommands()
