"""The front end agrees with librosa and scipy, and a clip's features depend on nothing but the clip."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import scipy.signal
import tensorflow as tf
from corpus_tools import Samples, noise, voice

from features import frontend
from features.audio import pad_or_trim
from features.errors import DataError
from features.mel import mel_filters
from features.views import LogMel, Mfcc, Spectrogram, View, Waveform

Floats = npt.NDArray[np.float64]

FRAMES = {
    "30 ms by 10 ms": (30, 10),
    "20 ms by 10 ms": (20, 10),
    "25 ms by 10 ms, no multiple": (25, 10),
    "32 ms by 16 ms": (32, 16),
    "40 ms by 40 ms, no overlap": (40, 40),
    "10 ms by 15 ms, with gaps": (10, 15),
}
MELS: dict[str, dict[str, Any]] = {
    "40 bands": {"mel_bands": 40, "mel_low_hz": 20.0, "mel_high_hz": 7600.0, "mel_scale": "slaney"},
    "64 bands, htk": {"mel_bands": 64, "mel_low_hz": 0.0, "mel_high_hz": 8000.0, "mel_scale": "htk"},
    "20 bands, narrow": {"mel_bands": 20, "mel_low_hz": 300.0, "mel_high_hz": 3400.0, "mel_scale": "slaney"},
}


def clips() -> Samples:
    """Loud, quiet, short, silent and clipped clips; int16, (7, 16000)."""
    clipped = np.clip(voice(4).astype(np.int64) * 9, -32768, 32767).astype(np.int16)
    sounds = [voice(1), voice(2) // 64, voice(3, 6_400), noise("hum")[:16_000], np.zeros(16_000, np.int16), clipped]
    return np.stack([pad_or_trim(sound)[0] for sound in [*sounds, voice(9, 1)]])


def view_of(kind: str, frames: str, mels: str = "40 bands", **more: Any) -> Any:
    frame_ms, hop_ms = FRAMES[frames]
    shape = {"frame_ms": frame_ms, "hop_ms": hop_ms, "floor_db": more.pop("floor_db", -80.0)}
    match kind:
        case "spectrogram":
            return Spectrogram(kind="spectrogram", **shape)
        case "logmel":
            return LogMel(kind="logmel", **shape, **MELS[mels])
        case _:
            return Mfcc(kind="mfcc", **shape, **MELS[mels], coefficients=more.get("coefficients", 20))


def librosa_power(clip: Samples, view: Spectrogram) -> Floats:
    """(frames, bins)"""
    spectrum = librosa.stft(
        clip.astype(np.float64) / 32768,
        n_fft=view.frame_samples,
        hop_length=view.hop_samples,
        window="hann",
        center=False,
        dtype=np.complex128,
    )
    return np.asarray(np.abs(spectrum.T) ** 2)


def librosa_db(power: Floats, view: Spectrogram) -> Floats:
    return np.asarray(librosa.power_to_db(power, ref=1.0, amin=10 ** (view.floor_db / 10), top_db=None))


def librosa_log_mel(clip: Samples, view: LogMel) -> Floats:
    mel = librosa.feature.melspectrogram(
        S=librosa_power(clip, view).T,
        sr=16_000,
        n_fft=view.frame_samples,
        n_mels=view.mel_bands,
        fmin=view.mel_low_hz,
        fmax=view.mel_high_hz,
        htk=view.mel_scale == "htk",
        norm="slaney",
    )
    return librosa_db(np.asarray(mel.T), view)


def by_librosa(clip: Samples, view: View) -> Floats:
    match view:
        case Mfcc():
            log_mel = librosa_log_mel(clip, view)
            return np.asarray(librosa.feature.mfcc(S=log_mel.T, n_mfcc=view.coefficients, dct_type=2, norm="ortho").T)
        case LogMel():
            return librosa_log_mel(clip, view)
        case _:
            assert isinstance(view, Spectrogram)
            return librosa_db(librosa_power(clip, view), view)


def relative_error(computed: npt.NDArray[Any], expected: Floats) -> float:
    """The norm of the difference over the norm of what was expected."""
    return float(np.linalg.norm(computed.astype(np.float64) - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("kind", ["spectrogram", "logmel", "mfcc"])
@pytest.mark.parametrize("frames", FRAMES)
def test_features_are_librosas_for_every_framing(kind: str, frames: str) -> None:
    view = view_of(kind, frames)
    computed = frontend.compute(view, clips())
    assert computed.dtype == view.dtype == "float32"
    for clip, features in zip(clips(), computed, strict=True):
        expected = by_librosa(clip, view)
        assert features.shape == expected.shape == view.shape
        assert relative_error(features, expected) < 1e-4


@pytest.mark.parametrize("kind", ["logmel", "mfcc"])
@pytest.mark.parametrize("mels", MELS)
def test_features_are_librosas_for_every_mel_scale(kind: str, mels: str) -> None:
    view = view_of(kind, "32 ms by 16 ms", mels)
    for clip, features in zip(clips(), frontend.compute(view, clips()), strict=True):
        assert relative_error(features, by_librosa(clip, view)) < 1e-4


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("mels", MELS)
@pytest.mark.parametrize("frames", FRAMES)
def test_the_mel_filters_are_librosas_and_an_empty_band_is_refused(frames: str, mels: str) -> None:
    view = view_of("logmel", frames, mels)
    expected = librosa.filters.mel(
        sr=16_000,
        n_fft=view.frame_samples,
        n_mels=view.mel_bands,
        fmin=view.mel_low_hz,
        fmax=view.mel_high_hz,
        htk=view.mel_scale == "htk",
        dtype=np.float64,
    )
    if (expected.max(axis=1) == 0).any():
        with pytest.raises(DataError, match=r"\d+ of \d+ mel bands between"):
            mel_filters(view)
    else:
        assert np.allclose(mel_filters(view), expected.T, rtol=1e-5, atol=1e-9)


def test_as_many_coefficients_as_bands_are_the_whole_dct() -> None:
    view = view_of("mfcc", "30 ms by 10 ms", coefficients=40)
    log_mel = frontend.compute(view_of("logmel", "30 ms by 10 ms"), clips())
    expected = scipy.fft.dct(log_mel.astype(np.float64), axis=-1, norm="ortho")
    assert relative_error(frontend.compute(view, clips()), expected) < 1e-5


@pytest.mark.parametrize("kind", ["spectrogram", "logmel"])
@pytest.mark.parametrize("floor_db", [-100.0, -60.0, 0.0])
def test_nothing_lies_below_the_floor_and_silence_lies_on_it(kind: str, floor_db: float) -> None:
    features = frontend.compute(view_of(kind, "30 ms by 10 ms", floor_db=floor_db), clips())
    assert features.min() == pytest.approx(floor_db, abs=1e-4)
    assert np.allclose(features[4], floor_db, atol=1e-4)
    assert np.isfinite(features).all()


def test_a_full_scale_sine_has_the_power_that_its_window_gives_it() -> None:
    """The spectrum of a sine on a bin has the magnitude amplitude * sum(window) / 2."""
    view = view_of("spectrogram", "20 ms by 10 ms")
    sine = np.round(32767 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)).astype(np.int16)
    features = frontend.compute(view, sine[None])[0]
    expected = 20 * np.log10(scipy.signal.get_window("hann", 320).sum() / 2)
    assert features[:, 1_000 * 320 // 16_000] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("kind", ["spectrogram", "logmel", "mfcc"])
def test_features_are_equal_in_batches_of_any_size(kind: str) -> None:
    view = view_of(kind, "30 ms by 10 ms")
    many = np.resize(clips(), (256, 16_000))
    compute = frontend.compiled(view)
    whole = compute(tf.constant(many)).numpy()
    for size in (1, 7):
        part = compute(tf.constant(many[:size])).numpy()
        assert np.allclose(part, whole[:size], rtol=1e-5, atol=1e-3)
    assert np.allclose(whole, frontend.compute(view, many), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("kind", ["spectrogram", "mfcc"])
def test_a_clips_features_have_the_same_bits_among_any_others(kind: str) -> None:
    compute = frontend.array_front_end(view_of(kind, "30 ms by 10 ms"))
    generator = np.random.default_rng(0)
    loud = generator.integers(-32768, 32767, (70, 16_000), dtype=np.int16)
    alone = compute(clips()[:1])[0]
    for place in (0, 1, 31, 32, 69):
        mixed = loud.copy()
        mixed[place] = clips()[0]
        assert compute(mixed)[place].tobytes() == alone.tobytes()


def test_a_waveform_at_16_khz_is_the_clip() -> None:
    assert np.array_equal(frontend.compute(Waveform(kind="waveform", sample_rate_hz=16_000), clips()), clips())


def test_a_waveform_at_8_khz_is_scipys_filtered_one() -> None:
    computed = frontend.compute(Waveform(kind="waveform", sample_rate_hz=8_000), clips())
    taps = scipy.signal.firwin(frontend.RESAMPLING_TAPS, 0.5, window=("kaiser", 8.0))
    side = frontend.RESAMPLING_TAPS // 2
    for clip, samples in zip(clips(), computed, strict=True):
        filtered = scipy.signal.upfirdn(taps, clip.astype(np.float64), down=1)[side : side + 16_000 : 2]
        assert samples.dtype == np.int16 and samples.shape == (8_000,)
        assert np.max(np.abs(samples - np.clip(np.rint(filtered), -32768, 32767))) <= 1


@pytest.mark.parametrize(("frequency_hz", "gain"), [(1_000, 1.0), (3_000, 1.0), (5_500, 0.0), (7_000, 0.0)])
def test_halving_the_rate_keeps_what_lies_below_4_khz_and_nothing_above(frequency_hz: int, gain: float) -> None:
    sine = np.round(20_000 * np.sin(2 * np.pi * frequency_hz * np.arange(16_000) / 16_000)).astype(np.int16)
    halved = frontend.compute(Waveform(kind="waveform", sample_rate_hz=8_000), sine[None])[0]
    level = np.abs(halved[100:-100].astype(np.float64)).max() / 20_000
    assert level == pytest.approx(gain, abs=0.01)


@pytest.mark.parametrize("samples", [160, 320, 400, 480])
def test_the_window_is_scipys_periodic_hann(samples: int) -> None:
    assert np.allclose(frontend.hann_window(samples), scipy.signal.get_window("hann", samples, fftbins=True), atol=1e-7)


def test_real_clips_agree_with_librosa(real_archive: Any) -> None:
    from itertools import islice

    from features.audio import decode_wav
    from pipelines.archive import read_members

    view = view_of("mfcc", "30 ms by 10 ms", coefficients=40)
    with real_archive.open("rb") as file:
        sounds = (decode_wav(m.data).samples for m in read_members(file, "real") if m.data and m.name.endswith(".wav"))
        some = np.stack([pad_or_trim(sound)[0] for sound in islice(sounds, 64)])
    for clip, features in zip(some, frontend.compute(view, some), strict=True):
        assert relative_error(features, by_librosa(clip, view)) < 1e-4
