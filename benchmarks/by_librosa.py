"""Clips of an archive and their views by librosa alone, as users compute them; the baselines are made of it."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import librosa
import numpy as np
import numpy.typing as npt
import soundfile

from base.errors import DataError
from features.views import (
    CLIP_SAMPLES,
    SAMPLE_RATE_HZ,
    BaseView,
    LogMel,
    MelView,
    Mfcc,
    SpectralView,
    Spectrogram,
    View,
    Waveform,
)

Floats = npt.NDArray[np.float32]

_CLIP: Final = re.compile(r"(?:\./)?(?P<id>[^/_]+/[^/]+_nohash_\d+)\.wav")


def read_clips(archive: str, clips: int) -> Iterator[tuple[str, bytes]]:
    """(id, WAVE file) of the first clips of an archive."""
    with tarfile.open(archive, "r|gz") as files:
        found = ((match, file) for file in files if (match := _CLIP.fullmatch(file.name)))
        for match, file in islice(found, clips):
            content = files.extractfile(file)
            if content:
                yield match["id"], content.read()


def decode(data: bytes) -> Floats:
    """A clip of one second, float32 in -1..1, (16000,)."""
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    fixed: Floats = librosa.util.fix_length(samples, size=CLIP_SAMPLES)
    return fixed


def compute(samples: Floats, view: View) -> Floats:
    """A view by librosa, of the view's shape.

    Raises:
        DataError: there is no function for this kind of view.
    """
    if type(view) not in _FUNCTIONS:
        raise DataError(f"librosa has no counterpart here for views of kind {view.kind}: measure another view")
    return _FUNCTIONS[type(view)](samples, view)


def waveform(samples: Floats, view: BaseView) -> Floats:
    """The part of a clip that the view sees, at its rate, (samples,)."""
    seen = samples[: view.clip_ms * SAMPLE_RATE_HZ // 1000]
    resampled: Floats = librosa.resample(seen, orig_sr=SAMPLE_RATE_HZ, target_sr=view.sample_rate_hz)
    return resampled


def spectrogram(samples: Floats, view: SpectralView) -> Floats:
    """(frames, frequency_bins)"""
    return _scaled(_linear(samples, view), view).T


def log_mel(samples: Floats, view: MelView) -> Floats:
    """(frames, mel_bands)"""
    return _scaled(_mel_filters(view) @ _linear(samples, view), view).T


def mfcc(samples: Floats, view: Mfcc) -> Floats:
    """(frames, coefficients)"""
    coefficients: Floats = librosa.feature.mfcc(S=log_mel(samples, view).T, n_mfcc=view.coefficients)
    return coefficients.T


_FUNCTIONS: Final[dict[type, Callable[[Floats, Any], Floats]]] = {
    Waveform: waveform,
    Spectrogram: spectrogram,
    LogMel: log_mel,
    Mfcc: mfcc,
}


def _linear(samples: Floats, view: SpectralView) -> Floats:
    """Magnitude or power, (frequency_bins, frames); a frame is followed by zeros, as the last frame must be for it."""
    appended = view.fft_length - view.frame_length
    hann = librosa.filters.get_window("hann", view.frame_length, fftbins=view.window == "hann")
    padded = np.pad(waveform(samples, view), (0, appended))
    window = np.pad(hann, (0, appended))
    spectrum = librosa.stft(padded, n_fft=view.fft_length, hop_length=view.hop_length, window=window, center=False)
    values: Floats = np.abs(spectrum) ** view.power
    return values


def _scaled(values: Floats, view: SpectralView) -> Floats:
    """In dB where the view has a floor."""
    if view.floor_db is None:
        return values
    lowest = 10.0 ** (view.floor_db / 10.0)
    decibels: Floats = librosa.power_to_db(values ** (2 / view.power), amin=lowest, top_db=None)
    return decibels


@lru_cache(maxsize=8)
def _mel_filters(view: MelView) -> Floats:
    filters: Floats = librosa.filters.mel(
        sr=view.sample_rate_hz,
        n_fft=view.fft_length,
        n_mels=view.mel_bands,
        fmin=view.mel_low_hz,
        fmax=view.mel_high_hz,
        htk=view.mel_scale == "htk",
    )
    return filters


def compute_all(data: bytes, views: dict[str, View]) -> dict[str, Floats]:
    """All views of a clip's WAVE file."""
    samples = decode(data)
    return {name: compute(samples, view) for name, view in views.items()}
