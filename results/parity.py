"""How near each format of an export comes to the trained model on the test clips: the table parity.csv."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT

PARITY_FILE: Final = "parity.csv"
_TYPES: Final[dict[str, Callable[[str], Any]]] = {"str": str, "float": float, "int": int}
_DIFFERENCE_DECIMALS: Final = 4
"""The others vary with the threads of TensorFlow."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Parity:
    """A format on the test clips, next to the trained model.

    Attributes:
        name: of the format, "keras" for the trained model itself.
        accuracy, low, high: share of the clips whose class was found, and its 95 % interval (Wilson).
        equal: share of the clips of which the format says what the trained model says.
        difference: the largest difference of a probability.
        bytes: of its files.
        clips: test clips.
    """

    name: str
    accuracy: float
    low: float
    high: float
    equal: float
    difference: float
    bytes: int
    clips: int


def write_parity(folder: Path, table: Iterable[Parity]) -> None:
    """Write the table into the folder of an export."""
    from results.evaluation import write_csv  # with pyarrow, which is not everywhere where models are served

    columns = tuple(field.name for field in fields(Parity))
    rounded = (replace(each, difference=round(each.difference, _DIFFERENCE_DECIMALS)) for each in table)
    write_csv(folder / PARITY_FILE, columns, (tuple(getattr(each, name) for name in columns) for each in rounded))


def read_parity(folder: Path) -> list[Parity]:
    """The inverse of `write_parity`: the trained model, and then each format.

    Raises:
        DataError: the table is missing or damaged.
    """
    path = folder / PARITY_FILE
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            Parity(**{field.name: _TYPES[str(field.type)](row[field.name]) for field in fields(Parity)}) for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{path} is missing or damaged: export the model again") from error
