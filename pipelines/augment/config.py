"""The section `augment` of params.yaml: recipes, each a list of kinds of copies."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from base.types import STRICT, Name, Seed

Copies = Annotated[int, Field(ge=1, le=100)]
SpeedFactor = Annotated[float, Field(ge=0.5, le=2)]
GainDecibels = Annotated[float, Field(ge=-60, le=60)]
SnrDecibels = Annotated[float, Field(ge=-20, le=100)]
ShiftMilliseconds = Annotated[int, Field(ge=-900, le=900)]
DecayMilliseconds = Annotated[int, Field(ge=10, le=2000)]
DirectDecibels = Annotated[float, Field(ge=-20, le=40)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Ninefold:
    """Time stretched by 0.7, 1.0 and 1.3, each with the pitch of -1, 0 and +1 half-step: eight copies and the original.

    So was a corpus of spoken digits enlarged from 1,600 clips to 14,400. No draw decides anything.
    """

    kind: Literal["ninefold"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class _Drawn:
    """Copies whose numbers are drawn from ranges [lowest, highest], each at its own place in them."""

    copies: Copies

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> _Drawn:
        for name, value in vars(self).items():
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} {value} must be [lowest, highest]")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Noise(_Drawn):
    """Noise over the whole second, from the train part of the background recordings.

    The ratio is that of mean squares: the clip's over its real samples, and the noise's over the second.
    """

    kind: Literal["noise"]
    snr_db: tuple[SnrDecibels, SnrDecibels]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Speed(_Drawn):
    """Played faster or slower, which moves the pitch as well; above 1 is faster."""

    kind: Literal["speed"]
    factor: tuple[SpeedFactor, SpeedFactor]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Gain(_Drawn):
    """Louder or softer; what would exceed full scale is clipped."""

    kind: Literal["gain"]
    gain_db: tuple[GainDecibels, GainDecibels]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Shift(_Drawn):
    """Later, behind zeros, or earlier where it is negative; what leaves the second is cut."""

    kind: Literal["shift"]
    shift_ms: tuple[ShiftMilliseconds, ShiftMilliseconds]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Room(_Drawn):
    """In a room, at the clip's own loudness: convolved with an impulse response, which is made or given.

    A made one is the direct sound, and after it noise that decays by 60 dB in a drawn time; the ratio is that of their
    energies. Given ones are the .wav files of a folder, of which one is drawn for each copy.
    """

    kind: Literal["room"]
    decay_ms: tuple[DecayMilliseconds, DecayMilliseconds] | None = None
    direct_to_reverberant_db: tuple[DirectDecibels, DirectDecibels] | None = None
    impulse_responses: str | None = None

    @model_validator(mode="after")
    def _made_or_given(self) -> Room:
        made = (self.decay_ms, self.direct_to_reverberant_db)
        given = self.impulse_responses is not None
        if (None in made) != given or (given and made != (None, None)):
            raise ValueError("give decay_ms and direct_to_reverberant_db, or impulse_responses alone")
        return self


Kind: TypeAlias = Annotated[Ninefold | Noise | Speed | Gain | Shift | Room, Field(discriminator="kind")]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Augment:
    """Recipes by name, each with kinds of copies of its own, and the seed of all draws."""

    seed: Seed
    recipes: dict[Name, tuple[Kind, ...]]

    @model_validator(mode="after")
    def _each_kind_once(self) -> Augment:
        for name, kinds in self.recipes.items():
            if not kinds:
                raise ValueError(f"recipe {name!r} has no kind of copies: add one")
            if len({each.kind for each in kinds}) < len(kinds):
                raise ValueError(f"recipe {name!r} has a kind twice: raise its copies instead")
        return self
