"""Layouts of archives: each is one object in a file of its own that says what a path is and which split it is in."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from base.errors import DataError
from features.splits import SplitName


@dataclass(frozen=True)
class Utterance:
    """A word that somebody says, or a silence clip that the archive has ready (no speaker)."""

    id: str
    word: str
    speaker: str


@dataclass(frozen=True)
class Background:
    """A long recording of noise, to be cut into silence clips."""

    recording: str


@dataclass(frozen=True)
class SplitList:
    """A list of the clips of one split."""

    split: SplitName


@dataclass(frozen=True)
class Other:
    """A file that is no clip: "document" (a README), or "unexpected_name" (audio outside the layout)."""

    reason: Literal["document", "unexpected_name"]


Role: TypeAlias = Utterance | Background | SplitList | Other


class Layout(Protocol):
    """How the files of an archive are named; ids come from `features.clip_id` alone."""

    @property
    def expected(self) -> str:
        """How the path of a clip looks, for errors, such as "word/speaker_nohash_number.wav"."""

    def role(self, path: str) -> Role:
        """What a file is.

        Args:
            path: its name in the archive, as the archive has it.
        """

    def listed_ids(self, text: str) -> list[str]:
        """The ids of the clips that a `SplitList` names."""

    def official_split(self, clip_id: str) -> SplitName | None:
        """The split of a clip in an archive without lists, or None where the corpus has no official division."""


def normalized(path: str) -> str:
    """A path in an archive with forward slashes and without a leading "./"."""
    return path.replace("\\", "/").removeprefix("./")


def names() -> list[str]:
    """Names of the layouts: of the files next to this one."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Layout:
    """The layout of a name.

    Raises:
        DataError: there is none.
    """
    if name not in names():
        raise DataError(f"there is no layout {name!r}; the layouts are {', '.join(names())}")
    layout: Layout = importlib.import_module(f"{__name__}.{name}").LAYOUT
    return layout
