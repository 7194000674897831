"""The layout of clips whose words stand in lists: train.csv, validation.csv and test.csv with the columns file, class.

The Arabic Speech Commands (https://doi.org/10.5281/zenodo.4662481) have it. A file is known by its name and that of the
folder that it is in, whatever folders stand above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from features import clip_id
from pipelines.layouts import (
    AUDIO,
    Background,
    ClipList,
    Layout,
    Listed,
    Role,
    Utterance,
    is_plain,
    normalized,
    other,
    partition,
    rows,
)
from pipelines.layouts.words import BACKGROUND_FOLDERS

_AUDIO: Final = re.compile(rf"(?:.+?/)??(?:(?P<folder>[^/]+)/)?(?P<name>[^/]+){AUDIO}")


@dataclass(frozen=True)
class ListedClips(Layout):
    """Clips in any folders, and a list for each split."""

    expected: ClassVar[str] = "anything.wav, .flac, .ogg, .opus or .mp3, with train.csv that has the columns file,class"
    needs_list: ClassVar[bool] = True

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        if path.endswith(".csv") and partition(path):
            return ClipList()
        match = _AUDIO.fullmatch(path)
        if match is None or not is_plain(path):
            return other(path)
        if match["folder"] in BACKGROUND_FOLDERS:
            return Background(self.named(match["name"]))
        return Utterance(self._id(path), None, self.speaker_of(path))

    def listed(self, path: str, text: str) -> Iterator[Listed]:
        """Word and split of each clip.

        Raises:
            ValueError: a column is missing, or a file has no name of an audio file.
        """
        for row in rows(text, "file", "class"):
            yield Listed(self._id(normalized(row["file"].strip())), partition(path), word=row["class"].strip())

    def _id(self, path: str) -> str:
        match = _AUDIO.fullmatch(path)
        if match is None:
            raise ValueError(f"{path!r} is no name of an audio file")
        return clip_id.named(None, "-".join(part for part in (match["folder"], match["name"]) if part), self.corpus)


LAYOUT: Final[Layout] = ListedClips()
