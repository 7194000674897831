"""What comes of teaching a model words of one's own: a new export, and a file that says how well it does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Final

from pydantic.dataclasses import dataclass

from base.files import to_json, write_text
from base.types import STRICT
from results.described import read_described

OUTCOME_FILE: Final = "taught.json"
FORMAT: Final = "keyword-spotting-taught/1"
EXPORT_FOLDER: Final = "export"
"""Beside the file."""
FEWEST_TAKES: Final = 8
"""Of a word."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Figures:
    """Test clips of some classes that a model recognizes, with the 95 % interval of its accuracy."""

    model: str
    words: str
    correct: int
    clips: int
    low: float
    high: float


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Taught:
    """What came of teaching a model.

    Attributes:
        words: the new ones.
        takes: how many there were of each.
        seconds: of each step.
        cpu_seconds: of all processors together, of each step; other work on the machine does not change them.
        figures: of the model before and after, on old and new classes.
        format: of the description itself.
    """

    words: tuple[str, ...]
    takes: dict[str, int]
    seconds: dict[str, float]
    cpu_seconds: dict[str, float]
    figures: tuple[Figures, ...]
    format: str = FORMAT


def write_taught(folder: Path, taught: Taught) -> None:
    """Write taught.json; the last file written."""
    write_text(str(folder / OUTCOME_FILE), to_json(asdict(taught)))


def read_taught(folder: Path) -> Taught:
    """What came of teaching, as it was written.

    Raises:
        DataError: it is not finished.
    """
    return read_described(folder / OUTCOME_FILE, Taught, FORMAT, "taught model", "serving.teach")
