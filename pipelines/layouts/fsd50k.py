"""The layout of FSD50K: FSD50K.dev_audio/number.wav and FSD50K.eval_audio, with labels in FSD50K.ground_truth.

dev.csv and eval.csv have the columns fname and labels, the latter with all classes above a label, parted by commas
(https://zenodo.org/records/4060432). What has a human voice is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from pipelines.layouts import Background, ClipList, Layout, ListedRecording, Role, normalized, other, rows

HUMAN_VOICE: Final = frozenset(
    {
        "Chatter", "Cheering", "Child_speech_and_kid_speaking", "Chuckle_and_chortle", "Conversation", "Crowd",
        "Crying_and_sobbing", "Female_singing", "Female_speech_and_woman_speaking", "Giggle", "Human_group_actions",
        "Human_voice", "Laughter", "Male_singing", "Male_speech_and_man_speaking", "Screaming", "Shout", "Sigh",
        "Singing", "Speech", "Speech_synthesizer", "Whispering", "Yell",
    }
)  # fmt: skip
"""Labels of its vocabulary under which somebody may be heard to speak, sing or call."""

_RECORDING: Final = re.compile(r"(?:.+/)?FSD50K\.(?:dev|eval)_audio/(?P<name>\d+)\.wav")
_LIST: Final = re.compile(r"(?:.+/)?FSD50K\.ground_truth/(?:dev|eval)\.csv")


@dataclass(frozen=True)
class Freesound(Layout):
    """Sounds as background, those without a human voice; labels may stand in an archive of their own."""

    expected: ClassVar[str] = "FSD50K.dev_audio/number.wav, with FSD50K.ground_truth/dev.csv"
    corpus_name: ClassVar[str | None] = "fsd50k"
    signature: ClassVar[re.Pattern[str] | None] = re.compile(rf"{_RECORDING.pattern}|{_LIST.pattern}")
    holds_noise: ClassVar[bool] = True
    needs_list: ClassVar[bool] = True

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        if _LIST.fullmatch(path):
            return ClipList()
        if match := _RECORDING.fullmatch(path):
            return Background(self.named(match["name"]))
        return other(path)

    def listed(self, path: str, text: str) -> Iterator[ListedRecording]:
        """Which recordings have a human voice.

        Raises:
            ValueError: a column is missing.
        """
        for row in rows(text, "fname", "labels"):
            voice = HUMAN_VOICE & set(row["labels"].split(","))
            yield ListedRecording(self.named(row["fname"]), "human_voice" if voice else None)


LAYOUT: Final[Layout] = Freesound()
