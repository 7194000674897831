"""The layout of clips of which nothing is known: any audio file, in any folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from features import clip_id
from features.labels import UNLABELED
from pipelines.layouts import AUDIO, Layout, Role, Utterance, is_plain, normalized, other

_CLIP: Final = re.compile(rf"(?P<name>.+){AUDIO}")


@dataclass(frozen=True)
class Unlabeled(Layout):
    """Clips that no task takes unless it names `UNLABELED`."""

    expected: ClassVar[str] = "anything.wav, .flac, .ogg, .opus or .mp3"

    def role(self, path: str) -> Role:
        """What a file is; folders become part of the clip's name."""
        path = normalized(path)
        match = _CLIP.fullmatch(path)
        if match is None or not is_plain(path):
            return other(path)
        return Utterance(clip_id.named(None, match["name"], self.corpus), UNLABELED, self.speaker_of(path))


LAYOUT: Final[Layout] = Unlabeled()
