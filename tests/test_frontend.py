"""The front end agrees with librosa, scipy and tf.signal, and a clip's features depend on nothing but the clip."""

from __future__ import annotations

from typing import Any, Literal, get_args

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import scipy.signal
import tensorflow as tf
from corpus_tools import Samples, noise, voice
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT
from features import array_operations, frontend, tensor_operations
from features.audio import pad_or_trim
from features.mel import mel_filters
from features.views import LogMel, Mfcc, SpectralView, Spectrogram, View, Waveform, from_definition

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


VIEWS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "124×129 magnitudes": (
        (124, 129),
        {"kind": "spectrogram", "frame_samples": 255, "hop_samples": 128, "fft_samples": 256, "power": 1},
    ),
    "124×129 powers of a symmetric window, in dB": (
        (124, 129),
        {
            "kind": "spectrogram",
            "frame_samples": 255,
            "hop_samples": 128,
            "fft_samples": 256,
            "window": "symmetric_hann",
            "floor_db": -80.0,
        },
    ),
    "49×10 MFCC": (
        (49, 10),
        {
            "kind": "mfcc",
            "frame_ms": 30,
            "hop_ms": 20,
            "floor_db": -80.0,
            **MELS["40 bands"],
            "coefficients": 10,
        },
    ),
    "35×64 log-mel of the first 0.8 s": (
        (35, 64),
        {
            "kind": "logmel",
            "frame_ms": 40,
            "hop_ms": 22,
            "clip_ms": 800,
            "fft_samples": 1024,
            "floor_db": -80.0,
            **MELS["64 bands, htk"],
        },
    ),
    "linear mel of magnitudes": (
        (98, 20),
        {"kind": "logmel", "frame_ms": 30, "hop_ms": 10, "power": 1, **MELS["20 bands, narrow"]},
    ),
    "magnitudes in dB": (
        (99, 161),
        {"kind": "spectrogram", "frame_ms": 20, "hop_ms": 10, "power": 1, "floor_db": -70.0},
    ),
    "odd transform": (
        (98, 20),
        {"kind": "logmel", "frame_ms": 30, "hop_ms": 10, "fft_samples": 513, **MELS["20 bands, narrow"]},
    ),
    "8 kHz spectrogram": (
        (99, 81),
        {"kind": "spectrogram", "sample_rate_hz": 8000, "frame_ms": 20, "hop_ms": 10, "floor_db": -80.0},
    ),
    "8 kHz MFCC of the first 0.5 s": (
        (48, 12),
        {
            "kind": "mfcc",
            "sample_rate_hz": 8000,
            "clip_ms": 500,
            "frame_ms": 30,
            "hop_samples": 80,
            "fft_samples": 256,
            "floor_db": -80.0,
            **MELS["20 bands, narrow"],
            "coefficients": 12,
        },
    ),
}
"""Shape and definition of views that need no new kind."""


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


def librosa_spectrum(samples: Samples, view: SpectralView) -> Floats:
    """Magnitudes or powers of samples at the view's rate, (frames, bins); zeros are appended to each frame."""
    appended = view.fft_length - view.frame_length
    spectrum = librosa.stft(
        np.pad(samples.astype(np.float64) / 32768, (0, appended)),
        n_fft=view.fft_length,
        hop_length=view.hop_length,
        window=np.pad(scipy.signal.get_window("hann", view.frame_length, fftbins=view.window == "hann"), (0, appended)),
        center=False,
        dtype=np.complex128,
    )
    return np.asarray(np.abs(spectrum.T) ** view.power)


def librosa_db(values: Floats, view: SpectralView) -> Floats:
    if view.floor_db is None:
        return values
    if view.power == 1:
        return np.asarray(librosa.amplitude_to_db(values, ref=1.0, amin=10 ** (view.floor_db / 20), top_db=None))
    return np.asarray(librosa.power_to_db(values, ref=1.0, amin=10 ** (view.floor_db / 10), top_db=None))


def librosa_log_mel(clip: Samples, view: LogMel | Mfcc) -> Floats:
    mel = librosa.feature.melspectrogram(
        S=librosa_spectrum(clip, view).T,
        sr=view.sample_rate_hz,
        n_fft=view.fft_length,
        n_mels=view.mel_bands,
        fmin=view.mel_low_hz,
        fmax=view.mel_high_hz,
        htk=view.mel_scale == "htk",
        norm="slaney",
    )
    return librosa_db(np.asarray(mel.T), view)


def by_librosa(clip: Samples, view: View) -> Floats:
    """A view of samples at its rate."""
    match view:
        case Mfcc():
            log_mel = librosa_log_mel(clip, view)
            return np.asarray(librosa.feature.mfcc(S=log_mel.T, n_mfcc=view.coefficients, dct_type=2, norm="ortho").T)
        case LogMel():
            return librosa_log_mel(clip, view)
        case _:
            assert isinstance(view, Spectrogram)
            return librosa_db(librosa_spectrum(clip, view), view)


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


@pytest.mark.parametrize("name", VIEWS)
def test_framing_scale_rate_and_part_of_the_clip_are_librosas(name: str) -> None:
    shape, parameters = VIEWS[name]
    view = from_definition(parameters)
    assert isinstance(view, SpectralView) and view.shape == shape
    at_rate = Waveform(kind="waveform", sample_rate_hz=view.sample_rate_hz, clip_ms=view.clip_ms)
    heard = frontend.compute(at_rate, clips())
    assert heard.shape[1:] == (view.samples,)
    for samples, features in zip(heard, frontend.compute(view, clips()), strict=True):
        assert features.dtype == "float32" and features.shape == shape
        expected = by_librosa(samples, view)
        assert np.linalg.norm(features - expected) <= 1e-4 * np.linalg.norm(expected)


def test_124_by_129_magnitudes_are_those_of_tf_signal() -> None:
    """`tf.signal.stft` takes the symmetric window for frames of odd length."""
    _, parameters = VIEWS["124×129 magnitudes"]
    view = from_definition({**parameters, "window": "symmetric_hann"})
    sounds = tf.constant(clips() / np.float32(32768), tf.float32)
    expected = tf.abs(tf.signal.stft(sounds, frame_length=255, frame_step=128, fft_length=256)).numpy()
    computed = frontend.compute(view, clips())
    assert computed.shape == expected.shape == (7, 124, 129)
    assert np.max(np.abs(computed - expected)) <= 1e-4 * np.max(expected)
    assert relative_error(computed, expected.astype(np.float64)) < 1e-4


@pytest.mark.parametrize("kind", ["waveform", "spectrogram", "mfcc"])
@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_nothing_after_the_seen_part_of_a_clip_changes_its_features(kind: str, rate_hz: int) -> None:
    frames = {"frame_ms": 30, "hop_ms": 10, "floor_db": -80.0}
    own = {"waveform": {}, "spectrogram": frames, "mfcc": {**frames, **MELS["20 bands, narrow"], "coefficients": 12}}
    view = from_definition({"kind": kind, "sample_rate_hz": rate_hz, "clip_ms": 600, **own[kind]})
    other = clips()
    other[:, 9_600:] = np.random.default_rng(0).integers(-32768, 32767, (7, 6_400))
    assert np.array_equal(frontend.compute(view, clips()), frontend.compute(view, other))
    other[:, 9_500:9_600] ^= 1 << 12
    assert not np.array_equal(frontend.compute(view, clips()), frontend.compute(view, other))


def test_a_length_in_samples_and_the_same_in_milliseconds_give_the_same_features() -> None:
    in_ms = Spectrogram(kind="spectrogram", frame_ms=30, hop_ms=10)
    in_samples = Spectrogram(kind="spectrogram", frame_samples=480, hop_samples=160, fft_samples=480)
    assert np.array_equal(frontend.compute(in_ms, clips()), frontend.compute(in_samples, clips()))


def test_every_kind_of_view_has_its_function_and_every_function_its_kind() -> None:
    union, _ = get_args(View)
    assert set(frontend.FRONT_ENDS) == set(get_args(union))


def test_a_kind_without_a_function_is_refused_and_never_computed_as_the_kind_it_descends_from() -> None:
    @dataclass(frozen=True, config=STRICT, kw_only=True)
    class Plp(LogMel):
        """Planted: perceptual linear prediction."""

        kind: Literal["plp"]  # type: ignore[assignment]

    view: Any = Plp(kind="plp", frame_ms=30, hop_ms=10, **MELS["40 bands"])
    with pytest.raises(TypeError, match=r"no front end for Plp: add its function to features\.frontend\.FRONT_ENDS"):
        frontend.front_end(view, array_operations)
    with pytest.raises(TypeError, match="no front end for Plp"):
        frontend.compute(view, clips())


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("mels", MELS)
@pytest.mark.parametrize("frames", FRAMES)
def test_the_mel_filters_are_librosas_and_an_empty_band_is_refused(frames: str, mels: str) -> None:
    view = view_of("logmel", frames, mels)
    expected = librosa.filters.mel(
        sr=16_000,
        n_fft=view.fft_length,
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
    compute = tf.function(frontend.front_end(view, tensor_operations))
    whole = compute(tf.constant(many)).numpy()
    for size in (1, 7):
        part = compute(tf.constant(many[:size])).numpy()
        assert np.allclose(part, whole[:size], rtol=1e-5, atol=1e-3)
    assert np.allclose(whole, frontend.compute(view, many), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", VIEWS)
def test_tensorflow_runs_the_same_lines_to_the_same_numbers(name: str) -> None:
    assert_tensorflow_agrees(from_definition(VIEWS[name][1]))


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("kind", ["spectrogram", "logmel", "mfcc"])
def test_tensorflow_agrees_for_every_framing(kind: str, frames: str) -> None:
    assert_tensorflow_agrees(view_of(kind, frames))


def assert_tensorflow_agrees(view: View) -> None:
    expected = frontend.compute(view, clips())
    computed = tf.function(frontend.front_end(view, tensor_operations))(tf.constant(clips())).numpy()
    assert computed.shape == expected.shape and computed.dtype == expected.dtype
    assert np.max(np.abs(computed - expected)) <= 1e-5 * np.max(np.abs(expected))


def test_tensorflow_halves_the_rate_to_the_same_samples() -> None:
    view = Waveform(kind="waveform", sample_rate_hz=8_000)
    loud = np.random.default_rng(0).integers(-32768, 32768, (20, 16_000)).astype(np.int16)
    computed = frontend.front_end(view, tensor_operations)(tf.constant(loud)).numpy()
    assert np.array_equal(computed, frontend.compute(view, loud)) and computed.dtype == np.int16


@pytest.mark.parametrize("kind", ["spectrogram", "mfcc"])
def test_a_clips_features_have_the_same_bits_among_any_others(kind: str) -> None:
    view = view_of(kind, "30 ms by 10 ms")

    def compute(some: npt.NDArray[np.int16]) -> npt.NDArray[Any]:
        return frontend.compute(view, some)

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
    assert np.allclose(
        frontend.hann_window(samples, symmetric=False), scipy.signal.get_window("hann", samples), atol=1e-7
    )


def test_real_clips_agree_with_librosa(real_archive: Any) -> None:
    from itertools import islice

    from features.audio_file import decode
    from pipelines.ingest.archive import read_members

    view = view_of("mfcc", "30 ms by 10 ms", coefficients=40)
    with real_archive.open("rb") as file:
        sounds = (
            decode(m.data).samples for m in read_members(file, real_archive.name) if m.data and m.name.endswith(".wav")
        )
        some = np.stack([pad_or_trim(sound)[0] for sound in islice(sounds, 64)])
    for clip, features in zip(some, frontend.compute(view, some), strict=True):
        assert relative_error(features, by_librosa(clip, view)) < 1e-4
