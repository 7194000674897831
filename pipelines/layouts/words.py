"""The layout of a plain folder of words: word/anything, in any audio format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from features import clip_id
from pipelines.layouts import AUDIO, Background, Layout, Role, Utterance, is_plain, normalized, other

BACKGROUND_FOLDERS: Final = ("_background_noise_", "background_noise")

_CLIP: Final = re.compile(rf"(?:(?P<outer>.+)/)?(?P<word>[^/_][^/]*)/(?P<name>[^/]+){AUDIO}")
_BACKGROUND: Final = re.compile(rf"(?:.+/)?(?:{'|'.join(BACKGROUND_FOLDERS)})/(?P<name>[^/]+){AUDIO}")


@dataclass(frozen=True)
class Words(Layout):
    """A folder for each word, wherever it stands; a folder of noise recordings, if any."""

    expected: ClassVar[str] = "word/anything.wav, .flac, .ogg, .opus or .mp3"

    def role(self, path: str) -> Role:
        """What a file is; folders above that of the word become part of the clip's name."""
        path = normalized(path)
        if not is_plain(path):
            return other(path)
        if match := _BACKGROUND.fullmatch(path):
            return Background(self.named(match["name"]))
        if match := _CLIP.fullmatch(path):
            name = "-".join(part for part in (match["outer"], match["name"]) if part)
            return Utterance(clip_id.named(match["word"], name, self.corpus), match["word"], self.speaker_of(path))
        return other(path)


LAYOUT: Final[Layout] = Words()
