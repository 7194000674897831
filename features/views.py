"""A view is a named way of looking at a clip (waveform, spectrogram, log-mel, MFCC): its parameters and its shape."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = 16_000
"""One second at 16 kHz: every clip has exactly this many samples."""

STRICT = ConfigDict(extra="forbid", strict=True)

Milliseconds = Annotated[int, Field(ge=1, le=1000)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Waveform:
    """Samples as they are, at 16 kHz or 8 kHz; int16, (samples,)."""

    kind: Literal["waveform"]
    sample_rate_hz: Literal[8000, 16000]

    @property
    def shape(self) -> tuple[int, ...]:
        return (CLIP_SAMPLES * self.sample_rate_hz // SAMPLE_RATE_HZ,)

    @property
    def dtype(self) -> str:
        return "int16"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Spectrogram:
    """Log power of the short-time Fourier transform in dB; float32, (frames, frame_samples // 2 + 1).

    Frames lie wholly inside the clip (no centring), weighted by a periodic Hann window as long as the frame.
    """

    kind: Literal["spectrogram"]
    frame_ms: Milliseconds
    hop_ms: Milliseconds
    floor_db: Annotated[float, Field(ge=-100, le=0)]

    @property
    def frame_samples(self) -> int:
        return self.frame_ms * SAMPLE_RATE_HZ // 1000

    @property
    def hop_samples(self) -> int:
        return self.hop_ms * SAMPLE_RATE_HZ // 1000

    @property
    def frames(self) -> int:
        return 1 + (CLIP_SAMPLES - self.frame_samples) // self.hop_samples

    @property
    def frequency_bins(self) -> int:
        return self.frame_samples // 2 + 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, self.frequency_bins)

    @property
    def dtype(self) -> str:
        return "float32"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class LogMel(Spectrogram):
    """Power in mel bands, in dB; float32, (frames, mel_bands)."""

    kind: Literal["logmel"]  # type: ignore[assignment]
    mel_bands: Annotated[int, Field(ge=1, le=256)]
    mel_low_hz: Annotated[float, Field(ge=0)]
    mel_high_hz: Annotated[float, Field(gt=0, le=SAMPLE_RATE_HZ / 2)]
    mel_scale: Literal["slaney", "htk"]

    @model_validator(mode="after")
    def _edges_are_in_order(self) -> LogMel:
        if self.mel_low_hz >= self.mel_high_hz:
            raise ValueError(f"mel_low_hz {self.mel_low_hz} must be below mel_high_hz {self.mel_high_hz}")
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, self.mel_bands)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Mfcc(LogMel):
    """Orthonormal DCT-II of the log-mel bands; float32, (frames, coefficients)."""

    kind: Literal["mfcc"]  # type: ignore[assignment]
    coefficients: Annotated[int, Field(ge=1, le=256)]

    @model_validator(mode="after")
    def _bands_suffice(self) -> Mfcc:
        if self.coefficients > self.mel_bands:
            raise ValueError(f"coefficients {self.coefficients} must not exceed mel_bands {self.mel_bands}")
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, self.coefficients)


REVISIONS: Final = {"waveform": 1, "spectrogram": 1, "logmel": 1, "mfcc": 1}
"""Of each kind's mathematics; raised whenever the same parameters come to give other numbers."""

View: TypeAlias = Annotated[Waveform | Spectrogram | LogMel | Mfcc, Field(discriminator="kind")]


def real_length(view: View, length: int) -> int:
    """A clip's real length as a view's records hold it: samples at a waveform's own rate, at 16 kHz for other views.

    Args:
        view: the view.
        length: real samples at 16 kHz, 0..16000.
    """
    if view.kind != "waveform":
        return length
    return -(-length * view.sample_rate_hz // SAMPLE_RATE_HZ)


def definition(view: View) -> dict[str, object]:
    """The view's parameters as a JSON object, the form stored in manifests."""
    return asdict(view)


def from_definition(parameters: dict[str, object]) -> View:
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
    return f"{REVISIONS[view.kind]}.{digits % 10**6}.{digits // 10**6 % 10**6}"


def definition_hash(view: View) -> str:
    """SHA-256 (hex) of the view's definition as canonical JSON; equal exactly when the parameters are."""
    canonical = json.dumps(definition(view), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
