"""Each view of params.yaml as the library or the project that it comes from computes it, one clip at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import librosa
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.lite.experimental.microfrontend.python.ops.audio_microfrontend_op import audio_microfrontend

from features.views import FULL_SCALE, SAMPLE_RATE_HZ

Clip = npt.NDArray[np.int16]
Features = npt.NDArray[Any]

_BANDS: Final[Mapping[str, Any]] = {"sr": SAMPLE_RATE_HZ, "n_mels": 40, "fmin": 20.0, "fmax": 7600.0}


class Oracle(NamedTuple):
    """Where a view comes from.

    Attributes:
        source: the library, and what of it.
        compute: a clip, int16, (16000,), to the view's tensor.
    """

    source: str
    compute: Callable[[Clip], Features]


def _floats(clip: Clip) -> npt.NDArray[np.float32]:
    return (clip / FULL_SCALE).astype(np.float32)


def _decibels(power: Features) -> Features:
    return np.asarray(librosa.power_to_db(power, ref=1.0, amin=1e-8, top_db=None))


def _logmel(clip: Clip) -> Features:
    bands = librosa.feature.melspectrogram(y=_floats(clip), n_fft=480, hop_length=160, center=False, **_BANDS)
    return _decibels(bands).T


def _mfcc(clip: Clip) -> Features:
    return np.asarray(librosa.feature.mfcc(S=_logmel(clip).T, n_mfcc=40)).T


def _mfcc_small(clip: Clip) -> Features:
    bands = librosa.feature.melspectrogram(y=_floats(clip), n_fft=480, hop_length=320, center=False, **_BANDS)
    return np.asarray(librosa.feature.mfcc(S=_decibels(bands), n_mfcc=20)).T


def _spectrogram(clip: Clip) -> Features:
    spectrum = librosa.stft(_floats(clip), n_fft=320, hop_length=160, center=False)
    return _decibels(np.square(np.abs(spectrum))).T


def _micro(hop_ms: int) -> Callable[[Clip], Features]:
    def compute(clip: Clip) -> Features:
        found = audio_microfrontend(
            tf.constant(clip),
            sample_rate=SAMPLE_RATE_HZ,
            window_size=30,
            window_step=hop_ms,
            num_channels=40,
            upper_band_limit=7500.0,
            lower_band_limit=125.0,
            enable_pcan=True,
            min_signal_remaining=0.05,
            out_scale=1,
            out_type=tf.uint16,
        )
        return np.asarray(found)

    return compute


@lru_cache
def _mel_weights(bands: int, low_hz: float, high_hz: float) -> tf.Tensor:
    """Of 257 frequency bins, (257, bands)."""
    return tf.signal.linear_to_mel_weight_matrix(bands, 257, SAMPLE_RATE_HZ, low_hz, high_hz)


def _mlperf_tiny(clip: Clip) -> Features:
    """As `benchmark/training/keyword_spotting/get_dataset.py` of github.com/mlcommons/tiny."""
    samples = tf.cast(clip, tf.float32)
    magnitudes = tf.abs(tf.signal.stft(samples / tf.reduce_max(samples), frame_length=480, frame_step=320))
    logs = tf.math.log(magnitudes @ _mel_weights(40, 20.0, 4000.0) + 1e-6)
    return np.asarray(tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :10])


def _kws_streaming(clip: Clip) -> Features:
    """As `kws_streaming/layers/speech_features.py` of github.com/google-research/google-research (`mfcc_tf`)."""
    magnitudes = tf.abs(tf.signal.stft(tf.constant(_floats(clip)), frame_length=480, frame_step=160))
    logs = tf.math.log(tf.maximum(magnitudes @ _mel_weights(80, 20.0, 7600.0), 1e-12))
    return np.asarray(tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :40])


def _torchaudio_logmel(clip: Clip) -> Features:
    """As torchaudio's `MelSpectrogram` of the same numbers, by librosa."""
    bands = librosa.feature.melspectrogram(
        y=_floats(clip),
        sr=SAMPLE_RATE_HZ,
        n_fft=512,
        win_length=480,
        hop_length=160,
        pad_mode="reflect",
        n_mels=40,
        htk=True,
        norm=None,
    )
    return np.asarray(np.log(bands + 1e-6)).T


def _reference_spectrogram(clip: Clip) -> Features:
    return np.asarray(tf.abs(tf.signal.stft(tf.constant(_floats(clip)), frame_length=255, frame_step=128)))


def _speech_embedding(clip: Clip) -> Features:
    """As openWakeWord's `melspectrogram.onnx`, frames of 400 samples in the middle of 512, the first at sample 0."""
    bands = librosa.feature.melspectrogram(
        y=np.pad(_floats(clip), 56),
        sr=SAMPLE_RATE_HZ,
        n_fft=512,
        win_length=400,
        hop_length=160,
        center=False,
        n_mels=32,
        fmin=60.0,
        fmax=3800.0,
    )
    return _decibels(bands).T


def _digits_logmel(clip: Clip) -> Features:
    bands = librosa.feature.melspectrogram(
        y=_floats(clip)[: SAMPLE_RATE_HZ * 8 // 10],
        sr=SAMPLE_RATE_HZ,
        n_fft=2048,
        win_length=1488,
        hop_length=368,
        pad_mode="reflect",
        n_mels=64,
        fmax=4000.0,
    )
    return _decibels(bands).T


def _pcen(clip: Clip) -> Features:
    bands = librosa.feature.melspectrogram(
        y=_floats(clip), n_fft=480, hop_length=160, center=False, power=1.0, **_BANDS
    )
    return np.asarray(librosa.pcen(bands * 2**31, sr=SAMPLE_RATE_HZ, hop_length=160)).T


_LIBROSA = f"librosa {version('librosa')}"
_TENSORFLOW = f"TensorFlow {tf.__version__}"

ORACLES: Final[Mapping[str, Oracle]] = {
    "mfcc": Oracle(f"`feature.mfcc` of {_LIBROSA}", _mfcc),
    "mfcc_small": Oracle(f"`feature.mfcc` of {_LIBROSA}", _mfcc_small),
    "logmel": Oracle(f"`feature.melspectrogram` of {_LIBROSA}", _logmel),
    "spectrogram": Oracle(f"`stft` of {_LIBROSA}", _spectrogram),
    "micro": Oracle(f"`audio_microfrontend` of {_TENSORFLOW}", _micro(10)),
    "micro_20ms": Oracle(f"`audio_microfrontend` of {_TENSORFLOW}", _micro(20)),
    "mlperf_tiny": Oracle(f"`tf.signal` of {_TENSORFLOW}", _mlperf_tiny),
    "kws_streaming": Oracle(f"`tf.signal` of {_TENSORFLOW}", _kws_streaming),
    "torchaudio_logmel": Oracle(f"`feature.melspectrogram` of {_LIBROSA}", _torchaudio_logmel),
    "reference_spectrogram": Oracle(f"`tf.signal.stft` of {_TENSORFLOW}", _reference_spectrogram),
    "speech_embedding": Oracle(f"`feature.melspectrogram` of {_LIBROSA}", _speech_embedding),
    "digits_logmel": Oracle(f"`feature.melspectrogram` of {_LIBROSA}", _digits_logmel),
    "pcen": Oracle(f"`pcen` of {_LIBROSA}", _pcen),
}
"""The oracle of each view of frames, by its name in params.yaml."""
