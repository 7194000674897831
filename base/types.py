"""The kinds of numbers and names that parameters and manifests share, checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, ValidationError

STRICT: Final = ConfigDict(extra="forbid", strict=True)
"""For dataclasses: no unknown key, and no value of another type."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]

_LONGEST: Final = 300


def first_problem(error: ValidationError) -> str:
    """What is wrong first, in one line of bounded length: its place, and what was expected."""
    found = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in found["loc"]) or "all of it"
    return f"{place}: {' '.join(found['msg'].split())}"[:_LONGEST]
