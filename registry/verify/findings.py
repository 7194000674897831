"""What a verification finds: what each check looked at, and the problems with their exact places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Location:
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
    """What does not hold: its place, and what came and was expected."""

    place: Location
    message: str


@dataclass
class Findings:
    """What one check looks at and finds; a problem is noted, so that it does not stop the rest.

    Attributes:
        looked_at: how many things the check looked at.
        problems: what is wrong with them.
        remarks: what it could not look at, and why.
    """

    looked_at: int = 0
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def look(self, number: int = 1) -> None:
        """Count things that the check looked at."""
        self.looked_at += number

    def blame(self, place: Location, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(place, message))

    def remark(self, text: str) -> None:
        """Note what the check could not look at, and why."""
        self.remarks.append(text)


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check: its name, what holds where it finds no problem, and what it found."""

    name: str
    holds: str
    unit: str
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
    checks: tuple[CheckResult, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of all checks."""
        return tuple(problem for check in self.checks for problem in check.problems)

    def check(self, name: str) -> CheckResult:
        """The result of the check of that name."""
        return next(check for check in self.checks if check.name == name)


def shown(value: Any) -> str:
    """A value of a JSON file as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
