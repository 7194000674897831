"""The layout of the Free Spoken Digit Dataset: recordings/digit_speaker_index.wav.

Its official division is by index, with all speakers on both sides; since that leaks speakers, there is none here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from features import clip_id
from pipelines.layouts import Layout, Role, Utterance, normalized, other

DIGITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_CLIP: Final = re.compile(r"(?:.+/)?recordings/(?P<digit>\d)_(?P<speaker>[^/_@]+)_(?P<number>\d+)\.wav")


@dataclass(frozen=True)
class SpokenDigits(Layout):
    """One folder of recordings; the digits' words are those of Speech Commands."""

    expected: ClassVar[str] = "recordings/digit_speaker_index.wav"
    corpus_name: ClassVar[str | None] = "digits"
    signature: ClassVar[re.Pattern[str] | None] = _CLIP

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        if match := _CLIP.fullmatch(path):
            word, speaker = DIGITS[int(match["digit"])], self.named(match["speaker"])
            return Utterance(clip_id.utterance(word, speaker, match["number"]), word, speaker)
        return other(path)


LAYOUT: Final[Layout] = SpokenDigits()
