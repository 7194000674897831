"""Layouts of archives: each is one object in a file of its own that says what a path is and what its lists say."""

from __future__ import annotations

import csv
import importlib
import io
import pkgutil
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, Final, Literal, TypeAlias

from base.errors import DataError
from features import clip_id
from features.splits import SplitName
from stores.lineage import Archive

AUDIO: Final = r"\.(?i:wav|flac|ogg|opus|mp3)"
"""Pattern of the endings of audio files."""
AUTO: Final = "auto"
"""Stands for the layout that is found by looking."""

_AUDIO_FILE: Final = re.compile(rf".*{AUDIO}", re.DOTALL)
_MAC_COPIES: Final = "__MACOSX"
_PARTITIONS: Final[dict[str, SplitName]] = {
    "train": "train",
    "dev": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class Utterance:
    """A word that somebody says, or a silence clip that the archive has ready (no speaker).

    Attributes:
        id: of the clip.
        word: the word spoken, or None where only a list says it.
        speaker: who speaks, or "" where the path does not say it.
    """

    id: str
    word: str | None
    speaker: str


@dataclass(frozen=True)
class Background:
    """A long recording of noise, to be cut into silence clips."""

    recording: str


@dataclass(frozen=True)
class ClipList:
    """A file that says something of clips or recordings by their names."""


@dataclass(frozen=True)
class Other:
    """A file that is no clip.

    Its reason is "document" (a README), "unexpected_name" (audio outside the layout), or one of the layout, by which it
    leaves audio out.
    """

    reason: Literal["document", "unexpected_name", "human_voice", "other_channel"]


Role: TypeAlias = Utterance | Background | ClipList | Other


@dataclass(frozen=True)
class Listed:
    """What a list says of a clip.

    Attributes:
        id: of the clip.
        split: its official split, or None.
        word: the word spoken, or None.
        speaker: who speaks, or None.
        reject: the reason to leave the clip out, or None.
    """

    id: str
    split: SplitName | None = None
    word: str | None = None
    speaker: str | None = None
    reject: str | None = None


@dataclass(frozen=True)
class ListedRecording:
    """What a list says of a background recording: the reason to leave it out, or None."""

    recording: str
    reject: str | None = None


@dataclass(frozen=True)
class Layout(ABC):
    """How the files of an archive are named; ids come from `features.clip_id` alone.

    Attributes:
        corpus: name of the corpus, for its ids; "" for Speech Commands.
        speaker: regular expression that finds the speaker in a path, or None.
    """

    corpus: str = ""
    speaker: str | None = None

    expected: ClassVar[str]
    """How the path of a clip looks, for errors, such as "word/speaker_nohash_number.wav"."""
    corpus_name: ClassVar[str | None] = None
    """Name of the corpus, or None where the name of the archive gives it."""
    signature: ClassVar[re.Pattern[str] | None] = None
    """Of a path that only this layout has, or None where it is not found by one path."""
    holds_noise: ClassVar[bool] = False
    """Whether its archives hold background recordings alone."""
    needs_list: ClassVar[bool] = False
    """Whether a clip or recording that no list names can't be used."""

    @abstractmethod
    def role(self, path: str) -> Role:
        """What a file is.

        Args:
            path: its name in the archive, as the archive has it.
        """

    def listed(self, path: str, text: str) -> Iterator[Listed | ListedRecording]:
        """What a list says.

        Args:
            path: its name in the archive.
            text: its content.

        Raises:
            ValueError: it is not the list expected.
        """
        yield from ()

    def official_split(self, clip_id: str) -> SplitName | None:
        """The split of a clip that no list names, or None where the corpus has no official division."""
        return None

    def speaker_of(self, path: str) -> str:
        """The speaker that the regular expression finds in a path, with the name of the corpus; "" for none."""
        match = re.search(self.speaker, path) if self.speaker else None
        return self.named(match["speaker"]) if match and match["speaker"] else ""

    def named(self, name: str) -> str:
        """The name of a speaker or recording of this corpus."""
        return clip_id.of_corpus(name.replace("/", "-"), self.corpus)


def normalized(path: str) -> str:
    """A path in an archive with forward slashes, without a leading "./", in Unicode's composed form."""
    return unicodedata.normalize("NFC", path.replace("\\", "/").removeprefix("./"))


def other(path: str) -> Other:
    """What a file outside a layout is: audio has an unexpected name; no audio and what is hidden are documents."""
    parts = path.split("/")
    hidden = _MAC_COPIES in parts or any(part.startswith(".") and part.strip(".") for part in parts)
    return Other("unexpected_name" if _AUDIO_FILE.fullmatch(path) and not hidden else "document")


def is_plain(path: str) -> bool:
    """Whether a path leads down from the archive's top, through nothing hidden and no copies that macOS adds."""
    parts = path.split("/")
    return _MAC_COPIES not in parts and all(part and not part.startswith(".") for part in parts)


def partition(path: str) -> SplitName | None:
    """The split that a list is of, by its name, such as "dev.csv" or "en_dev.csv"."""
    stem = path.rpartition("/")[2].partition(".")[0]
    return _PARTITIONS.get(stem.rpartition("_")[2].lower())


def rows(text: str, *columns: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header.

    Args:
        text: its content.
        columns: what it must have.

    Raises:
        ValueError: it lacks a column, or a row has fewer fields than the header.
    """
    reader = csv.DictReader(io.StringIO(text))
    if absent := [name for name in columns if name not in (reader.fieldnames or ())]:
        found = ",".join(reader.fieldnames or ())[:60]
        raise ValueError(f"its header {found!r} lacks {', '.join(absent)}")
    for row in reader:
        if any(row[name] is None for name in columns):
            raise ValueError(f"line {reader.line_num} has fewer fields than the header")
        yield row


def names(noise: bool | None = None) -> list[str]:
    """Names of the layouts: of the files next to this one.

    Args:
        noise: those of noise or of speech alone, or None for all.
    """
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return found if noise is None else [name for name in found if find(name).holds_noise == noise]


@lru_cache(maxsize=64)
def find(name: str) -> Layout:
    """The layout of a name.

    Raises:
        DataError: there is none.
    """
    if name not in names():
        raise DataError(f"there is no layout {name!r}; the layouts are {', '.join(names())}")
    layout: Layout = importlib.import_module(f"{__name__}.{name}").LAYOUT
    return layout


@lru_cache(maxsize=64)
def of(archive: Archive) -> Layout:
    """The layout of an archive, which knows the archive's corpus and how to find a speaker.

    Raises:
        DataError: there is no layout of this name, or it needs the name of a corpus and the archive has none.
    """
    layout = find(archive.layout)
    if not archive.corpus and layout.corpus_name != "":
        raise DataError(f"{archive.file}: no corpus, expected the name of one for the layout {archive.layout}")
    return replace(layout, corpus=archive.corpus, speaker=archive.speaker)


def recognize(paths: Iterable[str], noise: bool) -> str | None:
    """The name of the layout that some files have.

    A path that only one layout has decides at once. Without one, lists with `file,class` make it "listed", audio in
    folders "words", audio in no folder "unlabeled", and all audio of a noise archive "noise".

    Args:
        paths: names of the files of an archive; they are read until one decides.
        noise: whether the archive is one of noise.

    Returns:
        The name, or None where no file is audio.
    """
    exclusive = {name: find(name).signature for name in names()}
    audio, in_folders, lists = False, False, False
    for path in map(normalized, paths):
        for name, signature in exclusive.items():
            if signature and signature.fullmatch(path) and (find(name).holds_noise or not noise):
                return name
        if other(path).reason == "unexpected_name":
            audio, in_folders = True, in_folders or "/" in path
        lists = lists or (path.endswith(".csv") and partition(path) is not None)
    if not audio:
        return None
    if noise:
        return "noise"
    return "listed" if lists else "words" if in_folders else "unlabeled"
