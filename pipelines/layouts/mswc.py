"""The layout of the Multilingual Spoken Words Corpus: LANG/clips/word/anything.opus, with lists in CSV.

LANG_splits.csv has SET, LINK, WORD, VALID, SPEAKER, GENDER; LANG_train.csv, LANG_dev.csv and LANG_test.csv lack SET
(https://mlcommons.org/datasets/multilingual-spoken-words). Clips and lists may stand in archives of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from features import clip_id
from features.splits import SplitName
from pipelines.layouts import AUDIO, ClipList, Layout, Listed, Role, Utterance, normalized, other, partition, rows

_CLIP: Final = re.compile(rf"(?:.+/)?clips/(?P<link>(?P<word>[^/]+)/[^/]+{AUDIO})")
_LINK: Final = re.compile(rf"(?P<word>[^/]+)/(?P<name>[^/]+){AUDIO}")
_LIST: Final = re.compile(r"(?:.+/)?[^/]+_(?:splits|train|dev|test)\.csv")
_SETS: Final[dict[str, SplitName]] = {"TRAIN": "train", "DEV": "validation", "TEST": "test"}
_NO_SPEAKER: Final = ("", "NA")


@dataclass(frozen=True)
class SpokenWords(Layout):
    """A folder for each word of a language, cut from Common Voice; the lists say speaker, split and validity."""

    expected: ClassVar[str] = "LANG/clips/word/anything.opus"
    corpus_name: ClassVar[str | None] = "mswc"
    signature: ClassVar[re.Pattern[str] | None] = re.compile(
        r"(?:.+/)?clips/[^/]+/[^/]+\.opus|(?:.+/)?[^/]+_splits\.csv"
    )

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        if _LIST.fullmatch(path):
            return ClipList()
        if match := _CLIP.fullmatch(path):
            return Utterance(self._id(match["link"]), match["word"], "")
        return other(path)

    def listed(self, path: str, text: str) -> Iterator[Listed]:
        """Split and speaker of each clip; what is not valid is left out.

        Raises:
            ValueError: a column is missing, or a value is none that it may have.
        """
        split = partition(path)
        for row in rows(text, *(("SET",) if split is None else ()), "LINK", "VALID", "SPEAKER"):
            of_row = split or _SETS.get(row["SET"])
            link = normalized(row["LINK"])
            if of_row is None or not _LINK.fullmatch(link):
                raise ValueError(f"SET {row.get('SET')!r} and LINK {link!r}, expected TRAIN, DEV or TEST and word/file")
            speaker = None if row["SPEAKER"] in _NO_SPEAKER else self.named(row["SPEAKER"])
            valid = row["VALID"].lower() == "true"
            yield Listed(self._id(link), of_row, speaker=speaker, reject=None if valid else "not_valid")

    def _id(self, link: str) -> str:
        match = _LINK.fullmatch(link)
        if match is None:
            raise ValueError(f"LINK {link!r}, expected word/file.opus")
        return clip_id.named(match["word"], match["name"], self.corpus)


LAYOUT: Final[Layout] = SpokenWords()
