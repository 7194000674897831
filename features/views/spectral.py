"""Views that come from a short-time Fourier transform: spectrogram, log-mel bands, MFCCs and PCEN."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from base.types import STRICT
from features.views.base import CLIP_SAMPLES, Axis, BaseView, Milliseconds, Rate, check_one_of, plural


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SpectralView(BaseView):
    """The facts of views that come from a short-time Fourier transform; float32, (frames, width).

    Frames lie wholly inside the clip unless they are centered, weighted by a Hann window as long as the frame.

    Values are linear, or logarithms by one of `floor_db`, `log_floor` and `log_offset`.

    Attributes:
        frame_ms, frame_samples: length of a frame, by one of the two.
        hop_ms, hop_samples: distance between the starts of two frames, by one of the two.
        fft_samples: length of the Fourier transform, by default that of the frame; zeros fill what a frame leaves.
        centered: frames lie around whole hops from the first sample on, the clip continued by its mirror image on both
            sides, and in the middle of the transform, as librosa and torchaudio have them with center=True.
        loudness: "peak" divides the samples that are seen by the largest of them where it is above zero,
            "full_scale" by 32768.
        window: "hann" is periodic, as scipy and librosa have it; for odd frames `tf.signal.stft` has "symmetric_hann".
        power: exponent of the magnitudes: 1 for magnitude, 2 for power.
        floor_db: values are in dB, none below this.
        log_floor: values are natural logarithms, those of smaller values that of this number.
        log_offset: values are natural logarithms of what they would be plus this number.
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
    centered: bool = False
    loudness: Literal["full_scale", "peak"] = "full_scale"
    log_floor: Annotated[float, Field(ge=1e-30, le=1)] | None = None
    log_offset: Annotated[float, Field(ge=1e-30, le=1)] | None = None

    dtype = "float32"

    @model_validator(mode="after")
    def _frames_fit(self) -> Self:
        check_one_of(frame_ms=self.frame_ms, frame_samples=self.frame_samples)
        check_one_of(hop_ms=self.hop_ms, hop_samples=self.hop_samples)
        seen = f"the {self.samples} samples that the view sees ({self.clip_ms} ms at {self.sample_rate_hz} Hz)"
        if self.frame_length > self.samples:
            raise ValueError(f"got a frame of {self.frame_length} samples, expected at most {seen}: shorten it")
        if self.hop_length > self.samples:
            raise ValueError(f"got a hop of {self.hop_length} samples, expected at most {seen}: shorten it")
        if self.fft_length < self.frame_length:
            raise ValueError(f"fft_samples: got {self.fft_length}, expected at least the frame's {self.frame_length}")
        if self.centered and self.fft_length // 2 >= self.samples:
            raise ValueError(f"got centered frames of {self.fft_length} samples, too long for {seen}: shorten them")
        return self

    @model_validator(mode="after")
    def _scale_is_one(self) -> Self:
        scales = {"floor_db": self.floor_db, "log_floor": self.log_floor, "log_offset": self.log_offset}
        given = [name for name, value in scales.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"got {' and '.join(given)}, expected at most one of {', '.join(scales)}")
        return self

    @property
    def is_log(self) -> bool:
        """Whether values are logarithms."""
        return any(limit is not None for limit in (self.floor_db, self.log_floor, self.log_offset))

    @property
    def unit(self) -> str:
        if self.floor_db is not None:
            return "dB"
        linear = "magnitude" if self.power == 1 else "power"
        return f"ln {linear}" if self.is_log else linear

    @property
    def meaning(self) -> str:
        return f"{self.frames} frames × {self.width} {plural(self.coefficient_name, self.width)}, {self.unit}"

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
    def lead(self) -> int:
        return self.frame_length // 2 if self.centered else 0

    @property
    def steps(self) -> int:
        """Frames of a clip; they lie wholly inside the part that is seen, or have their center in it."""
        return 1 + self.samples // self.hop_length if self.centered else super().steps

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
        if self.is_log:
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
        mel_slopes: the sides of a band are straight lines over frequencies in "hz", as in librosa and torchaudio, or
            in "mel", as in TensorFlow.
        mel_norm: "slaney" gives each band an area of 1, "peak" a height of 1.
    """

    mel_bands: Annotated[int, Field(ge=1, le=256)]
    mel_low_hz: Annotated[float, Field(ge=0)]
    mel_high_hz: Annotated[float, Field(gt=0)]
    mel_scale: Literal["slaney", "htk"]
    mel_slopes: Literal["hz", "mel"] = "hz"
    mel_norm: Literal["slaney", "peak"] = "slaney"

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
    """Energy or magnitude in mel bands, log or linear; float32, (frames, mel_bands)."""

    kind: Literal["logmel"]

    revision = 1
    coefficient_name = "mel band"

    @property
    def title(self) -> str:
        return "Log-mel" if self.is_log else "Mel spectrogram"

    @property
    def width(self) -> int:
        return self.mel_bands


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Mfcc(MelView):
    """DCT-II of the log-mel bands; float32, (frames, coefficients).

    Attributes:
        coefficients: number of coefficients that are kept, from the lowest.
        dct: "orthonormal" as in librosa, or "tensorflow", in which coefficient 0 is √2 larger.
    """

    kind: Literal["mfcc"]
    coefficients: Annotated[int, Field(ge=1, le=256)]
    dct: Literal["orthonormal", "tensorflow"] = "orthonormal"

    revision = 1
    coefficient_name = "coefficient"
    title = "MFCC"
    common_scale = False
    signed = True
    first_is_level = True

    @model_validator(mode="after")
    def _bands_suffice(self) -> Self:
        if self.coefficients > self.mel_bands:
            raise ValueError(f"coefficients {self.coefficients} must not exceed mel_bands {self.mel_bands}")
        if not self.is_log:
            raise ValueError("floor_db is missing: add it, log_floor or log_offset; MFCCs are made from log-mel bands")
        return self

    @property
    def unit(self) -> str:
        return f"DCT of {super().unit}"

    @property
    def meaning(self) -> str:
        return f"{self.frames} frames × {self.width} {plural('cepstral coefficient', self.width)}"

    @property
    def width(self) -> int:
        return self.coefficients

    @property
    def axis(self) -> Axis:
        return Axis(self.coefficient_name, 0.0, 1.0)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Pcen(MelView):
    """Per-channel energy normalization (Wang et al., 2017, https://arxiv.org/abs/1607.05666); float32.

    Each mel band is divided by its own smoothed past and compressed by a root, (frames, mel_bands): with the band E,
    smoothed to M, (E / (epsilon + M)^gain + bias)^root − bias^root. Samples count as whole numbers of 32 bits, so that
    epsilon is small beside them.

    Attributes:
        gain: exponent of what a band is divided by.
        bias: added before the root.
        root: exponent of the compression.
        time_constant_ms: of the smoothing.
        epsilon: keeps the divisor above zero.
    """

    kind: Literal["pcen"]
    gain: Annotated[float, Field(ge=0, le=1)] = 0.98
    bias: Annotated[float, Field(gt=0, le=100)] = 2.0
    root: Annotated[float, Field(gt=0, le=1)] = 0.5
    time_constant_ms: Annotated[int, Field(ge=1, le=10_000)] = 400
    epsilon: Annotated[float, Field(ge=1e-12, le=1)] = 1e-6

    revision = 1
    coefficient_name = "mel band"
    title = "PCEN"
    unit = "normalized energy"

    @model_validator(mode="after")
    def _bands_are_linear(self) -> Self:
        if self.is_log:
            raise ValueError("PCEN is made from linear mel bands: leave out floor_db, log_floor and log_offset")
        return self

    @property
    def width(self) -> int:
        return self.mel_bands

    @property
    def smoothing(self) -> float:
        """What a frame adds to the smoothed past: that of a first-order low-pass of the time constant."""
        frames = self.time_constant_ms * self.sample_rate_hz / (1000 * self.hop_length)
        return (math.sqrt(1 + 4 * frames * frames) - 1) / (2 * frames * frames)
