"""The layout of MUSAN: music, speech and noise, each in folders of sources; what has human voice is left out.

music/*/ANNOTATIONS has in each line a recording, its genres, whether it has vocals (Y or N) and its musician
(https://www.openslr.org/17).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from pipelines.layouts import Background, ClipList, Layout, ListedRecording, Other, Role, normalized, other

_RECORDING: Final = re.compile(r"(?:.+/)?(?P<kind>music|speech|noise)/[^/]+/(?P<name>(?P=kind)-[^/]+)\.wav")
_LIST: Final = re.compile(r"(?:.+/)?music/[^/]+/ANNOTATIONS")
_LINE: Final = re.compile(r"(?P<name>music-\S+)\s+\S+\s+(?P<vocals>[YN])(?:\s.*)?")


@dataclass(frozen=True)
class Musan(Layout):
    """Noise and music without vocals as background; speech is left out."""

    expected: ClassVar[str] = "noise/source/noise-source-number.wav"
    corpus_name: ClassVar[str | None] = "musan"
    signature: ClassVar[re.Pattern[str] | None] = _RECORDING
    holds_noise: ClassVar[bool] = True

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        if _LIST.fullmatch(path):
            return ClipList()
        if match := _RECORDING.fullmatch(path):
            return Other("human_voice") if match["kind"] == "speech" else Background(self.named(match["name"]))
        return other(path)

    def listed(self, path: str, text: str) -> Iterator[ListedRecording]:
        """Which music has vocals.

        Raises:
            ValueError: a line has another form.
        """
        for line in filter(None, map(str.strip, text.split("\n"))):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"the line {line[:60]!r}, expected a recording, its genres, Y or N, and its musician")
            yield ListedRecording(self.named(match["name"]), "human_voice" if match["vocals"] == "Y" else None)


LAYOUT: Final[Layout] = Musan()
