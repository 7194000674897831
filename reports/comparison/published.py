"""What the literature reports: accuracy and cost of models, beside which ours stand, and why ours differ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from base import params
from base.types import STRICT, Fraction, PositiveInt
from results.model import ModelDescription

_FILE: Final = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Ours:
    """The models of ours that repeat a published one: those of a network whose numbers have these values."""

    network: str
    numbers: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Published:
    """A published model.

    Attributes:
        name: as its authors call it.
        task: what it was tested on, in words.
        accuracy: share of the test clips, 0..1.
        parameters: trained ones, or None where they are not published.
        multiply_adds: for one clip, or None where they are not known.
        multiply_adds_from: whether they stand in the source, or were counted from the definition that it gives.
        source: where the accuracy stands, or None where it was reported without a public source.
        beside: names of our tasks in whose picture it stands.
        ours: our models that repeat it, or None.
        difference: why ours differ.
    """

    name: str
    task: str
    accuracy: Fraction
    parameters: PositiveInt | None = None
    multiply_adds: PositiveInt | None = None
    multiply_adds_from: Literal["source", "definition"] | None = None
    source: Annotated[str, Field(pattern=r"^https://")] | None = None
    beside: tuple[str, ...] = ()
    ours: Ours | None = None
    difference: str = ""


def read_published(path: Path = _FILE) -> tuple[Published, ...]:
    """All published models of the data file.

    Raises:
        DataError: it is missing, or an entry is not as `Published` says.
    """
    found: tuple[Published, ...] = params.load("published", tuple[Published, ...], path)
    return found


def original(model: ModelDescription, published: tuple[Published, ...]) -> Published | None:
    """The published model that one of ours repeats, or None."""
    numbers = model.parameters["numbers"]
    for each in published:
        ours = each.ours
        if ours and ours.network == model.network and all(numbers.get(key) == n for key, n in ours.numbers.items()):
            return each
    return None
