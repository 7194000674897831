"""The layout of Hey Snips: audio_files/anything.wav, with train.json, dev.json and test.json.

Each list holds entries of id, is_hotword, worker_id, duration and audio_file_path
(https://github.com/sonos/keyword-spotting-research-datasets).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from base.types import first_problem
from features import clip_id
from features.labels import OTHER_SPEECH
from pipelines.layouts import ClipList, Layout, Listed, Role, Utterance, normalized, other, partition

HOTWORD: Final = "hey snips"

_CLIP: Final = re.compile(r"(?:.+/)?audio_files/(?P<name>[^/]+)\.wav")
_LIST: Final = re.compile(r"(?:.+/)?(?:train|dev|test)\.json")


@checked_dataclass(frozen=True)
class _Entry:
    is_hotword: int
    worker_id: str | None
    audio_file_path: str


@dataclass(frozen=True)
class HeySnips(Layout):
    """One folder of recordings of a wake word and of other speech, and a list for each split."""

    expected: ClassVar[str] = "audio_files/anything.wav, with train.json"
    corpus_name: ClassVar[str | None] = "hey-snips"
    signature: ClassVar[re.Pattern[str] | None] = _CLIP
    needs_list: ClassVar[bool] = True

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        if _LIST.fullmatch(path):
            return ClipList()
        if match := _CLIP.fullmatch(path):
            return Utterance(clip_id.named(None, match["name"], self.corpus), None, "")
        return other(path)

    def listed(self, path: str, text: str) -> Iterator[Listed]:
        """Word, speaker and split of each clip; speech without the wake word is `OTHER_SPEECH`.

        Raises:
            ValueError: it is not JSON of the form expected.
        """
        split = partition(path)
        try:
            entries = TypeAdapter(list[_Entry]).validate_python(json.loads(text))
        except ValidationError as error:
            raise ValueError(f"entry {first_problem(error)}") from error
        except RecursionError as error:
            raise ValueError("JSON nested without end") from error
        for entry in entries:
            match = _CLIP.fullmatch(normalized(entry.audio_file_path))
            if match is None:
                raise ValueError(f"audio_file_path {entry.audio_file_path!r}, expected audio_files/anything.wav")
            speaker = self.named(entry.worker_id) if entry.worker_id else None
            word = HOTWORD if entry.is_hotword else OTHER_SPEECH
            yield Listed(clip_id.named(None, match["name"], self.corpus), split, word, speaker)


LAYOUT: Final[Layout] = HeySnips()
