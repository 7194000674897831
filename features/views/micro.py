"""The view of microcontrollers: the front end of TensorFlow Lite Micro, in whole numbers throughout."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from base.types import STRICT
from features.views.base import BaseView, Milliseconds

FFT_SAMPLES = 512
"""Length of the transform; frames of 17 to 32 ms fill up to it with zeros."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Micro(BaseView):
    """The micro front end; uint16, (frames, bands), of which 10/256 = 0.0390625 is what microWakeWord and ESPHome read.

    Window, Fourier transform, mel bands, noise reduction, automatic gain (PCAN) and logarithm, as
    https://github.com/tensorflow/tflite-micro/tree/main/tensorflow/lite/experimental/microfrontend has them with its
    default parameters. The noise estimate goes from frame to frame, so features depend on what came before a clip.

    Attributes:
        frame_ms: length of a frame.
        hop_ms: distance between the starts of two frames.
        mel_bands: number of bands.
        mel_low_hz, mel_high_hz: the range that they cover.
        context: what precedes a clip. "none": the estimate starts at zero with the clip; "silence": zeros;
            "noise": white noise at -53 dB of full scale, the same for every clip.
        context_ms: how much of it, whole hops.
    """

    kind: Literal["micro"]
    sample_rate_hz: Literal[16_000] = 16_000
    frame_ms: Annotated[int, Field(ge=17, le=32)] = 30
    hop_ms: Milliseconds
    mel_bands: Annotated[int, Field(ge=1, le=64)] = 40
    mel_low_hz: Annotated[float, Field(ge=0, le=7_000)] = 125.0
    mel_high_hz: Annotated[float, Field(gt=0, le=7_900)] = 7_500.0
    context: Literal["none", "silence", "noise"] = "none"
    context_ms: Annotated[int, Field(ge=0, le=10_000)] = 0

    revision = 1
    dtype = "uint16"
    scale = 10 / 256
    coefficient_name = "mel band"
    title = "Micro front end"
    unit = "ln magnitude × 64"

    @model_validator(mode="after")
    def _parameters_agree(self) -> Self:
        if max(self.frame_ms, self.hop_ms) > self.clip_ms:
            raise ValueError(f"got frame_ms {self.frame_ms} and hop_ms {self.hop_ms}, expected at most clip_ms")
        if self.hop_ms > self.frame_ms:
            raise ValueError(f"got hop_ms {self.hop_ms}, expected at most frame_ms {self.frame_ms}")
        if self.mel_low_hz >= self.mel_high_hz:
            raise ValueError(f"mel_low_hz {self.mel_low_hz} must be below mel_high_hz {self.mel_high_hz}")
        if (self.context == "none") != (self.context_ms == 0):
            raise ValueError(f"got context {self.context} and context_ms {self.context_ms}, expected none and 0")
        if self.context_ms % self.hop_ms:
            raise ValueError(f"context_ms: got {self.context_ms}, expected a multiple of hop_ms {self.hop_ms}")
        return self

    @property
    def meaning(self) -> str:
        return f"{self.steps} frames × {self.width} mel bands, {self.unit}; models read them times {self.scale}"

    @property
    def timing(self) -> dict[str, float]:
        return {
            "frames": self.steps,
            "frame_ms": self.frame_ms,
            "hop_ms": self.hop_ms,
            "context_ms": self.context_ms,
            "sample_rate_hz": self.sample_rate_hz,
            "frame_samples": self.frame_length,
            "hop_samples": self.hop_length,
            "fft_samples": FFT_SAMPLES,
        }

    @property
    def frame_length(self) -> int:
        return self.frame_ms * self.sample_rate_hz // 1000

    @property
    def hop_length(self) -> int:
        return self.hop_ms * self.sample_rate_hz // 1000

    @property
    def width(self) -> int:
        return self.mel_bands

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.steps, self.width)
