"""The layout of a plain folder of noise: any audio file is a background recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from pipelines.layouts import AUDIO, Background, Layout, Role, is_plain, normalized, other

_RECORDING: Final = re.compile(rf"(?P<name>.+){AUDIO}")


@dataclass(frozen=True)
class Noise(Layout):
    """Recordings in any folders, which become part of their names."""

    expected: ClassVar[str] = "anything.wav, .flac, .ogg, .opus or .mp3"
    holds_noise: ClassVar[bool] = True

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        match = _RECORDING.fullmatch(path)
        return other(path) if match is None or not is_plain(path) else Background(self.named(match["name"]))


LAYOUT: Final[Layout] = Noise()
