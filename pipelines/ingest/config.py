"""The section `ingest` of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from base.types import STRICT, Fraction, Seed
from features.audio import Second

Decibels = Annotated[float, Field(ge=-100, le=0)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Silence:
    """How background recordings are cut into 1 s silence clips: the hop between clips, and each clip's random gain."""

    hop_ms: Annotated[int, Field(ge=10, le=10_000)]
    gain_db: tuple[Decibels, Decibels]

    @model_validator(mode="after")
    def _range_is_in_order(self) -> Silence:
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError(f"gain_db {self.gain_db} must be [lowest, highest]")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Ingest:
    """Archives to clips: which second of longer recordings is kept, number of shards, silence, and the share of damaged
    clips at which the stage fails."""

    second: Second
    shards: Annotated[int, Field(ge=1, le=4096)]
    silence: Silence
    max_reject_fraction: Fraction
    seed: Seed
