"""What a verification finds: checks, what each looked at, and the problems with their exact places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

CheckName: TypeAlias = Literal[
    "files",
    "hashes",
    "checksums",
    "records",
    "values",
    "ranges",
    "counts",
    "ids",
    "catalogue",
    "audio",
    "classes",
    "balance",
    "speakers",
    "duplicates",
    "silence",
    "statistics",
    "metadata",
    "version",
]
CHECKS: Final[dict[CheckName, tuple[str, str]]] = {
    "files": ("each shard is there with its name and size, no other one", "shards"),
    "hashes": ("SHA-256 of shards and tables as the manifest has it", "files"),
    "checksums": ("CRC-32C of each record's length and data", "records"),
    "records": ("each record has its fields, of their types and shapes", "records"),
    "values": ("finite numbers, zeros after a waveform's real length", "records"),
    "ranges": ("label and length in range", "records"),
    "counts": ("all files count the records that are there", "counts"),
    "ids": ("no id twice", "ids"),
    "catalogue": ("each record is that of its row, each row has its record", "rows"),
    "audio": ("SHA-256 of the audio as the catalogue has it", "clips"),
    "classes": ("each label is that of the clip's word", "labels"),
    "balance": ("as many records of each class as were selected", "counts"),
    "speakers": ("no speaker in two splits", "speakers"),
    "duplicates": ("no clip and no equal audio in two splits", "clips"),
    "silence": ("no second of a noise recording in two splits", "clips"),
    "statistics": ("equal to those of the records", "splits"),
    "metadata": ("the files for TensorFlow Datasets follow from the manifest", "files"),
    "version": ("follows from the definition", "versions"),
}
"""Every check, in the order in which they are shown: what holds, and the unit of what it looks at."""

SPLIT_CHECKS: Final[frozenset[CheckName]] = frozenset(
    {"classes", "balance", "speakers", "duplicates", "silence", "statistics"}
)
"""The checks that a store of clips does not have: it has no classes, no statistics and one split."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a problem is: a file, and in it a record, a byte, a clip or a key, as far as each applies.

    Attributes:
        file: name of the file in the store's folder.
        record: number of the record in its shard, from 0.
        byte: where that record's length begins, from 0.
        id: id of the clip.
        key: place in a JSON file, such as "shards[3].records".
    """

    file: str
    record: int | None = None
    byte: int | None = None
    id: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        record = None if self.record is None else f"record {self.record}"
        byte = None if self.byte is None else f"byte {self.byte}"
        return ", ".join(part for part in (self.file, record, byte, self.id, self.key) if part)


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not hold: the check, the place, and what came and was expected."""

    check: CheckName
    place: Place
    message: str


@dataclass(frozen=True)
class Check:
    """One check: how many things it looked at, what is wrong with them, and what it could not look at."""

    name: CheckName
    looked_at: int
    problems: tuple[Problem, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The outcome of a verification."""

    store: str
    name: str
    version: str
    records: int
    shards: int
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of all checks."""
        return tuple(problem for check in self.checks for problem in check.problems)

    def check(self, name: CheckName) -> Check:
        """The check of that name."""
        return next(check for check in self.checks if check.name == name)


class Ledger:
    """Collects what the checks look at and find, so that one problem does not stop the rest."""

    def __init__(self) -> None:
        self._looked_at: Counter[CheckName] = Counter()
        self._problems: dict[CheckName, list[Problem]] = {name: [] for name in CHECKS}
        self._remarks: dict[CheckName, list[str]] = {name: [] for name in CHECKS}

    def look(self, check: CheckName, number: int = 1) -> None:
        """Count things that a check looked at."""
        self._looked_at[check] += number

    def blame(self, check: CheckName, place: Place, message: str) -> None:
        """Note a problem."""
        self._problems[check].append(Problem(check, place, message))

    def remark(self, check: CheckName, text: str) -> None:
        """Note what a check could not look at, and why."""
        self._remarks[check].append(text)

    def checks(self, names: Iterable[CheckName]) -> tuple[Check, ...]:
        """The checks of these names with all that was noted."""
        return tuple(
            Check(name, self._looked_at[name], tuple(self._problems[name]), tuple(self._remarks[name]))
            for name in names
        )


def shown(value: Any) -> str:
    """A value of a JSON file as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
