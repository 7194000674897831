"""What every view has: its rate, the part of a clip that it sees, its steps and shape, and its names for people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from base.types import STRICT

SAMPLE_RATE_HZ: Final = 16_000
CLIP_SAMPLES: Final = 16_000
"""One second at 16 kHz: every clip has exactly this many samples."""
FULL_SCALE: Final = 32768.0
"""The amplitude of int16 samples that counts as 1; the largest sample is one less."""

Milliseconds = Annotated[int, Field(ge=1, le=1000)]
Rate = Literal[8000, 16000]


class Axis(NamedTuple):
    """Where the coefficients of a view lie on an axis."""

    label: str
    """What the axis shows, with its unit."""
    start: float
    """Place of the first coefficient."""
    step: float
    """Distance between two coefficients."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class BaseView(ABC):
    """The facts that every view has.

    A kind of view is a class below this one, with its mathematics in `features.frontend`. It says what varies by kind;
    code that reads, draws or describes views asks for facts and never for the kind.

    Attributes:
        kind: the name of the kind.
        sample_rate_hz: the rate at which the clip is seen.
        clip_ms: the part of the clip that is seen, from its beginning.
        revision: of the kind's mathematics; raised whenever the same parameters come to give other numbers.
        dtype: of the tensor.
        scale: what the values of the tensor are multiplied by for statistics and networks.
        coefficient_name: what one value of a step is, for people.
        common_scale: whether the coefficients of a step have one scale, so that their values compare.
        signed: whether values lie on both sides of zero, so that colors diverge from there.
        first_is_level: whether the first coefficient is the level of its step, which dwarfs the others in a picture.
    """

    kind: str
    sample_rate_hz: Rate
    clip_ms: Milliseconds = 1000

    revision: ClassVar[int]
    dtype: ClassVar[Literal["int16", "uint16", "float32"]]
    scale: ClassVar[float] = 1.0
    coefficient_name: ClassVar[str]
    common_scale: ClassVar[bool] = True
    signed: ClassVar[bool] = False
    first_is_level: ClassVar[bool] = False

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the view above a picture."""

    @property
    @abstractmethod
    def unit(self) -> str:
        """Unit of the values."""

    @property
    @abstractmethod
    def meaning(self) -> str:
        """What the tensor holds, for people."""

    @property
    @abstractmethod
    def timing(self) -> dict[str, float]:
        """How the view divides time, each number by its name, for people."""

    @property
    @abstractmethod
    def frame_length(self) -> int:
        """Samples that one step along the first axis sees, at the view's rate."""

    @property
    @abstractmethod
    def hop_length(self) -> int:
        """Samples from one step to the next, at the view's rate."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of coefficients that statistics tell apart."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, time first."""

    @property
    def tensor_name(self) -> str:
        """Name of the field of a record that holds the tensor."""
        return self.kind

    @property
    def samples(self) -> int:
        """Samples of a clip that the view sees, at its rate."""
        return self.clip_ms * self.sample_rate_hz // 1000

    @property
    def lead(self) -> int:
        """Samples by which a step begins before its hop, at the view's rate."""
        return 0

    @property
    def steps(self) -> int:
        """Steps along the first axis; all lie wholly inside the part of the clip that is seen."""
        return 1 + (self.samples - self.frame_length) // self.hop_length

    @property
    def step_ms(self) -> float:
        """Time from one step to the next."""
        return 1000 * self.hop_length / self.sample_rate_hz

    @property
    def window_ms(self) -> float:
        """Time that one step sees."""
        return 1000 * self.frame_length / self.sample_rate_hz

    @property
    def axis(self) -> Axis:
        """The axis along the coefficients; by default it counts them from 1."""
        return Axis(self.coefficient_name, 1.0, 1.0)

    @property
    def length_rate_hz(self) -> int:
        """The rate at which records count the clip's real length."""
        return SAMPLE_RATE_HZ

    @property
    def max_length(self) -> int:
        """The largest length that a record can hold."""
        return self.clip_ms * self.length_rate_hz // 1000

    def real_length(self, length: Any) -> Any:
        """A clip's real length as the view's records hold it.

        Args:
            length: real samples at 16 kHz, 0..16000: an int, or an array or tensor of integers of at least 32 bits.

        Returns:
            Real samples among those that the view sees, at `length_rate_hz`; the same type and shape.
        """
        return _smaller(-(-length * self.length_rate_hz // SAMPLE_RATE_HZ), self.max_length)

    def real_steps(self, length: Any) -> Any:
        """How many steps along the first axis begin before the clip's real end.

        Args:
            length: the length that a record holds: an int, or an array or tensor of integers of at least 32 bits.

        Returns:
            The same type and shape, 0..`steps`.
        """
        real = length * self.sample_rate_hz + _smaller(length, 1) * self.lead * self.length_rate_hz
        return _smaller(-(-real // (self.hop_length * self.length_rate_hz)), self.steps)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Waveform(BaseView):
    """Samples as they are, at 16 kHz or 8 kHz; int16, (samples,)."""

    kind: Literal["waveform"]

    revision = 1
    dtype = "int16"
    scale = 1.0 / FULL_SCALE
    coefficient_name = "sample"
    title = "Waveform"
    unit = "full scale"
    tensor_name = "audio"
    frame_length = 1
    hop_length = 1
    width = 1

    @property
    def meaning(self) -> str:
        return f"{self.samples:,} samples at {self.sample_rate_hz:,} Hz"

    @property
    def timing(self) -> dict[str, float]:
        return {"sample_rate_hz": self.sample_rate_hz, "samples": self.samples}

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.steps,)

    @property
    def length_rate_hz(self) -> int:
        return self.sample_rate_hz


def _smaller(left: Any, right: int) -> Any:
    """The smaller of two numbers, for any type of integer."""
    return (left + right - abs(left - right)) // 2


def check_one_of(**parameters: int | None) -> None:
    """Exactly one of some parameters must be given.

    Raises:
        ValueError: none or several are.
    """
    given = [f"{name} {value}" for name, value in parameters.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"got {' and '.join(given) or 'none'}, expected exactly one of {' and '.join(parameters)}")


def plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
