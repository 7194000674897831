"""A view is a named way of looking at a clip (waveform, spectrogram, log-mel, MFCC), with all its facts."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self, TypeAlias

from pydantic import Field, TypeAdapter, model_validator
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
        coefficient_name: what one value of a step is, for people.
        common_scale: whether the coefficients of a step have one scale, so that their values compare.
        signed: whether values lie on both sides of zero, so that colors diverge from there.
        first_is_level: whether the first coefficient is the level of its step, which dwarfs the others in a picture.
    """

    kind: str
    sample_rate_hz: Rate
    clip_ms: Milliseconds = 1000

    revision: ClassVar[int]
    dtype: ClassVar[Literal["int16", "float32"]]
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

    def real_length(self, length: int) -> int:
        """A clip's real length as the view's records hold it.

        Args:
            length: real samples at 16 kHz, 0..16000.

        Returns:
            Real samples among those that the view sees, at `length_rate_hz`.
        """
        return min(-(-length * self.length_rate_hz // SAMPLE_RATE_HZ), self.max_length)

    def real_steps(self, length: Any) -> Any:
        """How many steps along the first axis begin before the clip's real end.

        Args:
            length: the length that a record holds: an int, or an array or tensor of integers of at least 32 bits.

        Returns:
            The same type and shape, 0..`steps`.
        """
        begun = -(-length * self.sample_rate_hz // (self.hop_length * self.length_rate_hz))
        return (begun + self.steps - abs(begun - self.steps)) // 2  # the smaller of both, for any type of integer


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Waveform(BaseView):
    """Samples as they are, at 16 kHz or 8 kHz; int16, (samples,)."""

    kind: Literal["waveform"]

    revision = 1
    dtype = "int16"
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


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SpectralView(BaseView):
    """The facts of views that come from a short-time Fourier transform; float32, (frames, width).

    Frames lie wholly inside the clip (no centering), weighted by a Hann window as long as the frame.

    Attributes:
        frame_ms, frame_samples: length of a frame, by one of the two.
        hop_ms, hop_samples: distance between the starts of two frames, by one of the two.
        fft_samples: length of the Fourier transform, by default that of the frame; zeros fill what a frame leaves.
        window: "hann" is periodic, as scipy and librosa have it; for odd frames `tf.signal.stft` has "symmetric_hann".
        power: exponent of the magnitudes: 1 for magnitude, 2 for power.
        floor_db: values are in dB, none below this; left out, they are linear.
    """

    sample_rate_hz: Rate = 16_000
    frame_ms: Milliseconds | None = None
    frame_samples: Annotated[int, Field(ge=2, le=CLIP_SAMPLES)] | None = None
    hop_ms: Milliseconds | None = None
    hop_samples: Annotated[int, Field(ge=1, le=CLIP_SAMPLES)] | None = None
    fft_samples: Annotated[int, Field(ge=2, le=1 << 15)] | None = None
    window: Literal["hann", "symmetric_hann"] = "hann"
    power: Literal[1, 2] = 2
    floor_db: Annotated[float, Field(ge=-100, le=0)] | None = None

    dtype = "float32"

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        _check_one_of(frame_ms=self.frame_ms, frame_samples=self.frame_samples)
        _check_one_of(hop_ms=self.hop_ms, hop_samples=self.hop_samples)
        seen = f"the {self.samples} samples that the view sees ({self.clip_ms} ms at {self.sample_rate_hz} Hz)"
        if self.frame_length > self.samples:
            raise ValueError(f"got a frame of {self.frame_length} samples, expected at most {seen}: shorten it")
        if self.hop_length > self.samples:
            raise ValueError(f"got a hop of {self.hop_length} samples, expected at most {seen}: shorten it")
        if self.fft_length < self.frame_length:
            raise ValueError(f"fft_samples: got {self.fft_length}, expected at least the frame's {self.frame_length}")
        return self

    @property
    def unit(self) -> str:
        if self.floor_db is not None:
            return "dB"
        return "magnitude" if self.power == 1 else "power"

    @property
    def meaning(self) -> str:
        return f"{self.frames} frames × {self.width} {_plural(self.coefficient_name, self.width)}, {self.unit}"

    @property
    def timing(self) -> dict[str, float]:
        return {
            "frames": self.frames,
            "frame_ms": self.frame_ms or self.window_ms,
            "hop_ms": self.hop_ms or self.step_ms,
            "sample_rate_hz": self.sample_rate_hz,
            "frame_samples": self.frame_length,
            "hop_samples": self.hop_length,
            "fft_samples": self.fft_length,
        }

    @property
    def frame_length(self) -> int:
        return self.frame_samples or (self.frame_ms or 0) * self.sample_rate_hz // 1000

    @property
    def hop_length(self) -> int:
        return self.hop_samples or (self.hop_ms or 0) * self.sample_rate_hz // 1000

    @property
    def fft_length(self) -> int:
        """Samples of the Fourier transform, zeros after the frame included."""
        return self.fft_samples or self.frame_length

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.steps

    @property
    def frequency_bins(self) -> int:
        """Frequencies that the Fourier transform tells apart, from 0 Hz."""
        return self.fft_length // 2 + 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, self.width)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Spectrogram(SpectralView):
    """Short-time Fourier transform, log or linear; float32, (frames, frequency_bins)."""

    kind: Literal["spectrogram"]

    revision = 1
    coefficient_name = "frequency bin"

    @property
    def title(self) -> str:
        if self.floor_db is not None:
            return "Log spectrogram"
        return "Magnitude spectrogram" if self.power == 1 else "Power spectrogram"

    @property
    def width(self) -> int:
        return self.frequency_bins

    @property
    def axis(self) -> Axis:
        return Axis("frequency [kHz]", 0.0, self.sample_rate_hz / self.fft_length / 1000)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class MelView(SpectralView):
    """The facts of views that come from mel bands.

    Attributes:
        mel_bands: number of bands.
        mel_low_hz, mel_high_hz: the range that they cover.
        mel_scale: on which they are evenly spaced.
    """

    mel_bands: Annotated[int, Field(ge=1, le=256)]
    mel_low_hz: Annotated[float, Field(ge=0)]
    mel_high_hz: Annotated[float, Field(gt=0)]
    mel_scale: Literal["slaney", "htk"]

    @model_validator(mode="after")
    def _edges_are_in_order(self) -> Self:
        if self.mel_low_hz >= self.mel_high_hz:
            raise ValueError(f"mel_low_hz {self.mel_low_hz} must be below mel_high_hz {self.mel_high_hz}")
        if self.mel_high_hz > self.sample_rate_hz / 2:
            half = f"{self.sample_rate_hz / 2}, half of sample_rate_hz"
            raise ValueError(f"mel_high_hz: got {self.mel_high_hz}, expected at most {half}")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class LogMel(MelView):
    """Energy in mel bands, log or linear; float32, (frames, mel_bands)."""

    kind: Literal["logmel"]

    revision = 1
    coefficient_name = "mel band"

    @property
    def title(self) -> str:
        return "Mel spectrogram" if self.floor_db is None else "Log-mel"

    @property
    def width(self) -> int:
        return self.mel_bands


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Mfcc(MelView):
    """Orthonormal DCT-II of the log-mel bands; float32, (frames, coefficients)."""

    kind: Literal["mfcc"]
    coefficients: Annotated[int, Field(ge=1, le=256)]

    revision = 1
    coefficient_name = "coefficient"
    title = "MFCC"
    unit = "DCT of dB"
    common_scale = False
    signed = True
    first_is_level = True

    @model_validator(mode="after")
    def _bands_suffice(self) -> Self:
        if self.coefficients > self.mel_bands:
            raise ValueError(f"coefficients {self.coefficients} must not exceed mel_bands {self.mel_bands}")
        if self.floor_db is None:
            raise ValueError("floor_db is missing: add it, for MFCCs are made from mel bands in dB")
        return self

    @property
    def meaning(self) -> str:
        return f"{self.frames} frames × {self.width} {_plural('cepstral coefficient', self.width)}"

    @property
    def width(self) -> int:
        return self.coefficients

    @property
    def axis(self) -> Axis:
        return Axis(self.coefficient_name, 0.0, 1.0)


View: TypeAlias = Annotated[Waveform | Spectrogram | LogMel | Mfcc, Field(discriminator="kind")]


def definition(view: View) -> dict[str, Any]:
    """The view's parameters as a JSON object, the form stored in manifests.

    Parameters at their default are left out, so a parameter that is added with a default changes no stored definition.
    """
    values = {field.name: getattr(view, field.name) for field in fields(view)}
    return {field.name: values[field.name] for field in fields(view) if values[field.name] != field.default}


def from_definition(parameters: dict[str, Any]) -> View:
    """The view with these parameters; the inverse of `definition`.

    Raises:
        ValueError: they are not those of a view.
    """
    view: View = TypeAdapter(View).validate_json(json.dumps(parameters))
    return view


def version(view: View) -> str:
    """The version of a view's stores, as TensorFlow Datasets writes versions: x.y.z, all three whole numbers.

    It follows from the definition, so it changes exactly when the definition does: x is the revision of the
    mathematics, y and z are digits of the hash of the parameters. Versions have no order beyond x.
    """
    digits = int(definition_hash(view), 16)
    return f"{view.revision}.{digits % 10**6}.{digits // 10**6 % 10**6}"


def definition_hash(view: View) -> str:
    """SHA-256 (hex) of the view's definition as canonical JSON; equal exactly when the parameters are."""
    canonical = json.dumps(definition(view), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_one_of(**parameters: int | None) -> None:
    """Exactly one of some parameters must be given.

    Raises:
        ValueError: none or several are.
    """
    given = [f"{name} {value}" for name, value in parameters.items() if value is not None]
    if len(given) != 1:
        raise ValueError(f"got {' and '.join(given) or 'none'}, expected exactly one of {' and '.join(parameters)}")


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
