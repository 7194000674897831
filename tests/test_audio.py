"""WAVE files become the samples that they hold, or an error that names the damage."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import soundfile
from corpus_tools import voice, wav
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.audio import (
    AudioError,
    Samples,
    apply_gain,
    clipped_samples,
    decode_wav,
    pad_or_trim,
    peak_and_rms,
)
from features.views import CLIP_SAMPLES

int16s = arrays.arrays(np.int16, st.integers(1, 300), elements=st.integers(-32768, 32767))
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
PCM_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(
    data: bytes,
    rate_hz: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    encoding: int = PCM,
    extra: bytes = b"",
    before: bytes = b"",
) -> bytes:
    """A WAVE file by hand; `extra` ends the format chunk, and the chunks of `before` stand before the data."""
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", encoding, channels, rate_hz, rate_hz * block, block, bits)
    body = b"WAVE" + chunk(b"fmt ", layout + extra) + before + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def by_soundfile(data: bytes) -> Samples:
    values, _ = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    return np.asarray(np.clip(np.rint(values.mean(axis=1) * 32768), -32768, 32767), np.int16)


def reason_of(data: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        decode_wav(data)
    return caught.value.reason


@given(int16s)
def test_16_bit_samples_come_back_as_they_are(samples: Samples) -> None:
    assert np.array_equal(decode_wav(riff(samples.astype("<i2").tobytes())).samples, samples)


@given(int16s)
def test_a_chunk_before_the_data_changes_nothing(samples: Samples) -> None:
    plain, listed = (riff(samples.astype("<i2").tobytes(), before=more) for more in (b"", chunk(b"LIST", b"abcde")))
    assert np.array_equal(decode_wav(listed).samples, decode_wav(plain).samples)


@given(arrays.arrays(np.uint8, st.integers(1, 300)))
def test_8_bit_samples_are_unsigned_around_128(values: npt.NDArray[np.uint8]) -> None:
    expected = (values.astype(np.int32) - 128) * 256
    assert np.array_equal(decode_wav(riff(values.tobytes(), bits=8)).samples, expected)


@pytest.mark.parametrize("bits", [24, 32])
def test_wide_samples_are_rounded_to_their_16_highest_bits(bits: int) -> None:
    wide = np.random.default_rng(bits).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 2_000)
    data = b"".join(int(value).to_bytes(bits // 8, "little", signed=True) for value in wide)
    expected = np.clip(np.rint(wide / 2 ** (bits - 16)), -32768, 32767)
    assert np.array_equal(decode_wav(riff(data, bits=bits)).samples, expected)


@pytest.mark.parametrize("bits", [32, 64])
def test_float_samples_are_scaled_and_clipped_at_full_scale(bits: int) -> None:
    values = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -7.0, 1 / 32768, 0.4 / 32768])
    data = riff(values.astype(f"<f{bits // 8}").tobytes(), bits=bits, encoding=FLOAT)
    assert decode_wav(data).samples.tolist() == [0, 16384, -16384, 32767, -32768, 32767, -32768, 1, 0]


def test_extensible_pcm_is_pcm() -> None:
    samples = voice(1, 400)
    extra = struct.pack("<HHIH", 22, 16, 0, PCM) + PCM_GUID_TAIL
    data = riff(samples.tobytes(), encoding=EXTENSIBLE, extra=extra)
    assert np.array_equal(decode_wav(data).samples, samples)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_every_encoding_agrees_with_soundfile(kind: str, subtype: str, channels: int) -> None:
    values = np.random.default_rng(channels).uniform(-1, 1, (777, channels))
    data = wav(values, subtype=subtype, kind=kind)
    decoded = decode_wav(data)
    assert decoded.source_rate_hz == 16_000
    assert np.array_equal(decoded.samples, by_soundfile(data))


def test_stereo_is_averaged() -> None:
    frames = np.array([[100, 300], [-100, 100], [32767, 32767]], "<i2")
    assert decode_wav(riff(frames.tobytes(), channels=2)).samples.tolist() == [200, 0, 32767]


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_as_scipy_does(rate_hz: int) -> None:
    time = np.arange(rate_hz) / rate_hz
    values = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 2_500 * time)
    decoded = decode_wav(wav(values, rate_hz, "FLOAT"))
    factor = np.gcd(rate_hz, 16_000)
    expected = scipy.signal.resample_poly(values, 16_000 // factor, rate_hz // factor)
    assert (decoded.source_rate_hz, decoded.samples.size) == (rate_hz, 16_000)
    middle = slice(1_000, 15_000)
    assert np.max(np.abs(decoded.samples[middle] / 32768 - expected[middle])) < 2e-3


DAMAGED = {
    "no bytes": (b"", "empty"),
    "no more than a magic number": (b"RIFF", "not_wave"),
    "another format": (b"\x1f\x8b" * 40, "not_wave"),
    "big-endian": (b"RIFX" + riff(b"\1\0" * 8)[4:], "not_wave"),
    "no data": (riff(b""), "no_samples"),
    "half a sample": (riff(b"\1"), "no_samples"),
    "rate 0": (riff(b"\1\0" * 8, rate_hz=0), "sample_rate"),
    "rate too low": (riff(b"\1\0" * 8, rate_hz=3_999), "sample_rate"),
    "rate too high": (riff(b"\1\0" * 8, rate_hz=192_001), "sample_rate"),
    "no channel": (riff(b"\1\0" * 8, channels=0), "undecodable"),
    "ADPCM": (riff(b"\1\0" * 8, encoding=2), "encoding"),
    "GSM": (riff(b"\1\0" * 8, encoding=0x31), "encoding"),
    "MP3": (riff(b"\1\0" * 8, encoding=0x55), "encoding"),
    "not a number": (riff(np.array([0.0, np.nan], "<f4").tobytes(), bits=32, encoding=FLOAT), "not_finite"),
    "infinite": (riff(np.array([0.0, -np.inf], "<f4").tobytes(), bits=32, encoding=FLOAT), "not_finite"),
    "nearly infinite": (riff(np.array([0.0, 1e308], "<f8").tobytes(), bits=64, encoding=FLOAT), "not_finite"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_each_kind_of_damage_has_its_reason(damage: str) -> None:
    data, reason = DAMAGED[damage]
    assert reason_of(data) == reason


def test_an_odd_last_byte_does_not_count() -> None:
    assert decode_wav(riff(b"\1\0\2\0\3")).samples.tolist() == [1, 2]


@pytest.mark.parametrize(("rate_hz", "kind"), [(16_000, "WAV"), (8_000, "WAV"), (16_000, "WAVEX")])
def test_no_beginning_of_a_file_is_taken_for_a_file(rate_hz: int, kind: str) -> None:
    data = wav(voice(3, 40), rate_hz, kind=kind)
    for length in range(len(data)):
        assert reason_of(data[:length]) in ("empty", "not_wave", "truncated", "undecodable")


@pytest.mark.parametrize("claimed", [101, 2**31, 2**32 - 1])
def test_a_header_that_claims_more_data_than_there_are_is_not_believed(claimed: int) -> None:
    data = bytearray(riff(b"\1\0" * 50))
    struct.pack_into("<I", data, 40, claimed)
    assert reason_of(bytes(data)) == "truncated"


def test_bytes_after_the_data_chunk_are_no_samples() -> None:
    assert decode_wav(riff(b"\1\0\2\0") + chunk(b"LIST", b"\5\0\5\0")).samples.tolist() == [1, 2]


@given(
    st.sampled_from([wav(voice(1, 60)), wav(voice(2, 60), 8_000, "PCM_24"), wav(np.zeros((60, 2)), 44_100, "FLOAT")]),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=4),
)
def test_a_damaged_header_gives_samples_or_an_audio_error_and_nothing_else(
    data: bytes, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place] = value
    try:
        samples = decode_wav(bytes(damaged)).samples
    except AudioError as error:
        assert error.reason.isidentifier() and str(error)
    else:
        assert samples.dtype == np.int16 and 0 < samples.size <= 60 * 4 * 8


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_an_audio_error(data: bytes) -> None:
    assert reason_of(data) in ("empty", "not_wave")


@given(arrays.arrays(np.int16, st.sampled_from([0, 1, 15_999, 16_000, 16_001, 40_000]), elements=st.integers(1, 9)))
def test_a_clip_is_its_first_second_then_zeros(samples: Samples) -> None:
    clip, length = pad_or_trim(samples)
    assert clip.shape == (CLIP_SAMPLES,) and clip.dtype == np.int16
    assert length == min(samples.size, CLIP_SAMPLES)
    assert np.array_equal(clip[:length], samples[:length])
    assert not clip[length:].any()


@given(int16s)
def test_peak_and_rms_are_numpys(samples: Samples) -> None:
    values = samples / 32768.0
    peak, rms = peak_and_rms(samples)
    assert peak == np.max(np.abs(values)) <= 1.0
    assert rms == pytest.approx(np.sqrt(np.mean(values**2)), rel=1e-12)


def test_of_no_samples_peak_and_rms_are_zero() -> None:
    assert peak_and_rms(np.empty(0, np.int16)) == (0.0, 0.0)


@given(int16s, st.floats(0, 40))
def test_clipped_samples_are_those_that_reach_full_scale(samples: Samples, gain_db: float) -> None:
    loud = apply_gain(samples, gain_db)
    assert clipped_samples(loud) == sum(value in (-32768, 32767) for value in loud.tolist())


@given(int16s, st.floats(-100, 20))
def test_a_gain_scales_rounds_and_clips(samples: Samples, gain_db: float) -> None:
    exact = samples * 10 ** (gain_db / 20)
    scaled = apply_gain(samples, gain_db)
    assert np.all(np.abs(scaled - np.clip(exact, -32768, 32767)) <= 0.5 + 1e-9)


def test_no_gain_changes_nothing() -> None:
    assert np.array_equal(apply_gain(voice(1), 0.0), voice(1))
