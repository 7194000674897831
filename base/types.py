"""The kinds of numbers and names that parameters and manifests share, checked by pydantic."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", strict=True)
"""For dataclasses: no unknown key, and no value of another type."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
