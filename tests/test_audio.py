"""WAVE files become the samples that they hold, or an error that names the damage."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import soundfile
import soxr
from corpus_tools import voice, wav
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from miniatures import encoded

from features.audio import Samples, apply_gain, first_sample, pad_or_trim
from features.audio_file import AudioError, AudioFile, decode
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
        decode(data)
    return caught.value.reason


@given(int16s)
def test_16_bit_samples_come_back_as_they_are(samples: Samples) -> None:
    assert np.array_equal(decode(riff(samples.astype("<i2").tobytes())).samples, samples)


@given(int16s)
def test_a_chunk_before_the_data_changes_nothing(samples: Samples) -> None:
    plain, listed = (riff(samples.astype("<i2").tobytes(), before=more) for more in (b"", chunk(b"LIST", b"abcde")))
    assert np.array_equal(decode(listed).samples, decode(plain).samples)


@given(arrays.arrays(np.uint8, st.integers(1, 300)))
def test_8_bit_samples_are_unsigned_around_128(values: npt.NDArray[np.uint8]) -> None:
    expected = (values.astype(np.int32) - 128) * 256
    assert np.array_equal(decode(riff(values.tobytes(), bits=8)).samples, expected)


@pytest.mark.parametrize("bits", [24, 32])
def test_wide_samples_are_rounded_to_their_16_highest_bits(bits: int) -> None:
    wide = np.random.default_rng(bits).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 2_000)
    data = b"".join(int(value).to_bytes(bits // 8, "little", signed=True) for value in wide)
    expected = np.clip(np.rint(wide / 2 ** (bits - 16)), -32768, 32767)
    assert np.array_equal(decode(riff(data, bits=bits)).samples, expected)


@pytest.mark.parametrize("bits", [32, 64])
def test_float_samples_are_scaled_and_clipped_at_full_scale(bits: int) -> None:
    values = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -7.0, 1 / 32768, 0.4 / 32768])
    data = riff(values.astype(f"<f{bits // 8}").tobytes(), bits=bits, encoding=FLOAT)
    assert decode(data).samples.tolist() == [0, 16384, -16384, 32767, -32768, 32767, -32768, 1, 0]


def test_extensible_pcm_is_pcm() -> None:
    samples = voice(1, 400)
    extra = struct.pack("<HHIH", 22, 16, 0, PCM) + PCM_GUID_TAIL
    data = riff(samples.tobytes(), encoding=EXTENSIBLE, extra=extra)
    assert np.array_equal(decode(data).samples, samples)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_every_encoding_agrees_with_soundfile(kind: str, subtype: str, channels: int) -> None:
    values = np.random.default_rng(channels).uniform(-1, 1, (777, channels))
    data = wav(values, subtype=subtype, kind=kind)
    decoded = decode(data)
    assert decoded.source_rate_hz == 16_000
    assert np.array_equal(decoded.samples, by_soundfile(data))


def test_stereo_is_averaged() -> None:
    frames = np.array([[100, 300], [-100, 100], [32767, 32767]], "<i2")
    assert decode(riff(frames.tobytes(), channels=2)).samples.tolist() == [200, 0, 32767]


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_as_scipy_does(rate_hz: int) -> None:
    time = np.arange(rate_hz) / rate_hz
    values = 0.5 * np.sin(2 * np.pi * 440 * time) + 0.3 * np.sin(2 * np.pi * 2_500 * time)
    decoded = decode(wav(values, rate_hz, "FLOAT"))
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
    assert decode(riff(b"\1\0\2\0\3")).samples.tolist() == [1, 2]


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
    assert decode(riff(b"\1\0\2\0") + chunk(b"LIST", b"\5\0\5\0")).samples.tolist() == [1, 2]


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
        samples = decode(bytes(damaged)).samples
    except AudioError as error:
        assert error.reason.isidentifier() and str(error)
    else:
        assert samples.dtype == np.int16 and 0 < samples.size <= 60 * 4 * 8


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_an_audio_error(data: bytes) -> None:
    assert reason_of(data) in ("empty", "not_wave", "undecodable")


@given(arrays.arrays(np.int16, st.sampled_from([0, 1, 15_999, 16_000, 16_001, 40_000]), elements=st.integers(1, 9)))
def test_a_clip_is_its_first_second_then_zeros(samples: Samples) -> None:
    clip, length = pad_or_trim(samples)
    assert clip.shape == (CLIP_SAMPLES,) and clip.dtype == np.int16
    assert length == min(samples.size, CLIP_SAMPLES)
    assert np.array_equal(clip[:length], samples[:length])
    assert not clip[length:].any()


def loudest_by_hand(samples: Samples) -> int:
    """The first second of the greatest energy, in Python's own integers."""
    squares = [value * value for value in samples.tolist()]
    energy = best_energy = sum(squares[:CLIP_SAMPLES])
    best = 0
    for start in range(1, len(squares) - CLIP_SAMPLES + 1):
        energy += squares[start + CLIP_SAMPLES - 1] - squares[start - 1]
        if energy > best_energy:
            best, best_energy = start, energy
    return best


def pieces(samples: Samples, size: int) -> list[Samples]:
    return [samples[start : start + size] for start in range(0, samples.size, size)]


@pytest.mark.parametrize("size", [7, 999, 1 << 18])
@given(seed=st.integers(0, 2**32 - 1), spare=st.integers(0, 9_000), level=st.sampled_from([0, 3, 32_768]))
@settings(max_examples=10)
def test_the_loudest_second_is_the_first_of_the_greatest_energy(size: int, seed: int, spare: int, level: int) -> None:
    spare = min(spare, 200) if size == 7 else spare
    samples = np.random.default_rng(seed).integers(-level, max(level, 1), CLIP_SAMPLES + spare).astype(np.int16)
    assert first_sample(pieces(samples, size), samples.size, "loudest") == loudest_by_hand(samples)


def test_the_loudest_second_holds_a_word_at_the_end_and_one_at_the_start() -> None:
    word = voice(1, 8_000)
    pause = np.zeros(24_000, np.int16)
    assert 15_990 <= first_sample([np.r_[pause, word]], 32_000, "loudest") <= 16_000
    assert first_sample([np.r_[word, pause]], 32_000, "loudest") == 0


@given(st.integers(0, 100_000))
def test_start_and_center_are_where_they_say(samples: int) -> None:
    spare = max(samples - CLIP_SAMPLES, 0)
    center = first_sample([], samples, "center")
    assert first_sample([], samples, "start") == 0
    assert 0 <= spare - 2 * center <= 1


@given(int16s, st.floats(-100, 20))
def test_a_gain_scales_rounds_and_clips(samples: Samples, gain_db: float) -> None:
    exact = samples * 10 ** (gain_db / 20)
    scaled = apply_gain(samples, gain_db)
    assert np.all(np.abs(scaled - np.clip(exact, -32768, 32767)) <= 0.5 + 1e-9)


def test_no_gain_changes_nothing() -> None:
    assert np.array_equal(apply_gain(voice(1), 0.0), voice(1))


def middle(samples: Samples) -> npt.NDArray[np.float64]:
    """All but the ends, where lossy codecs ring."""
    return samples[400:7_000].astype(np.float64)


@pytest.mark.parametrize(
    ("form", "rate_hz", "least_db"),
    [("flac", 16_000, 300), ("ogg", 16_000, 8), ("opus", 48_000, 8), ("mp3", 16_000, 8)],
)
def test_other_forms_of_audio_are_decoded_to_the_samples_that_they_hold(
    form: str, rate_hz: int, least_db: float
) -> None:
    sound = np.asarray(np.rint(8_000 * np.sin(2 * np.pi * 440 * np.arange(rate_hz // 2) / rate_hz)), np.int16)
    found = decode(encoded(sound, form, rate_hz))
    true = np.rint(8_000 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 16_000))
    assert found.source_rate_hz == rate_hz and abs(found.samples.size - 8_000) <= 1_200
    error = middle(found.samples) - middle(true.astype(np.int16))
    assert 20 * np.log10(5_657 / max(np.sqrt(np.mean(error**2)), 1e-12)) > least_db


def test_the_content_decides_the_form() -> None:
    data = wav(voice(1))
    assert np.array_equal(decode(data).samples, voice(1))
    assert np.array_equal(decode(encoded(voice(1), "flac")).samples, voice(1))


@pytest.mark.parametrize("form", ["flac", "ogg", "opus", "mp3"])
def test_damage_to_other_forms_is_an_audio_error_or_other_samples_and_never_another_exception(form: str) -> None:
    good = encoded(voice(1, 4_000), form)
    for place in range(0, len(good), max(len(good) // 60, 1)):
        damaged = bytearray(good)
        damaged[place] ^= 0xFF
        for data in (bytes(damaged), good[:place]):
            try:
                assert decode(data).samples.size > 0
            except AudioError as error:
                assert error.reason and "\n" not in str(error)


def test_a_flac_file_cut_short_is_truncated_or_undecodable() -> None:
    good = encoded(voice(1), "flac")
    with pytest.raises(AudioError) as caught:
        decode(good[: len(good) * 2 // 3])
    assert caught.value.reason in ("truncated", "undecodable")


def test_a_small_file_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = encoded(np.zeros(200_000, np.int16), "flac")
    monkeypatch.setattr("features.audio_file.MOST_SAMPLES", 150_000)
    with pytest.raises(AudioError, match="more than 150000 samples"):
        decode(silence)


def whole(data: bytes) -> Samples:
    """The whole file averaged, resampled and rounded in one piece."""
    values, rate_hz = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    mono = values.mean(axis=1)
    resampled = mono if rate_hz == 16_000 else soxr.resample(mono, rate_hz, 16_000, quality="HQ")
    return np.asarray(np.clip(np.rint(resampled * 32768), -32768, 32767), np.int16)


@pytest.mark.parametrize("kept", [0, 1 << 21])
@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype"),
    [(4_000, 1, "PCM_U8"), (8_000, 2, "FLOAT"), (16_000, 3, "PCM_24"), (44_100, 2, "PCM_16"), (192_000, 9, "DOUBLE")],
)
def test_a_file_decoded_in_blocks_has_the_bits_of_one_decoded_in_one_piece(
    rate_hz: int, channels: int, subtype: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.audio_file._BLOCK_SAMPLES", 5_003)
    monkeypatch.setattr("features.audio_file.KEPT_SAMPLES", kept)
    values = np.random.default_rng(channels).uniform(-1, 1, (rate_hz * 3 // 2, channels))
    data = wav(values, rate_hz, subtype)
    file = AudioFile(data)
    expected = whole(data)
    assert (file.size, file.source_rate_hz) == (expected.size, rate_hz)
    assert max(block.size for block in file.blocks()) < expected.size
    for _ in range(2):
        assert np.array_equal(np.concatenate(list(file.blocks())), expected)
    for start, stop in ((0, 1), (0, 16_000), (7_777, 23_777), (4_000, 10**9)):
        assert np.array_equal(file.stretch(start, stop), expected[start:stop])
    assert np.array_equal(decode(data).samples, expected)


def test_a_file_of_ever_more_chunks_is_refused() -> None:
    data = riff(b"\1\0" * 8)
    many = b"".join(struct.pack("<II", number, 0) for number in range(2_000))
    assert reason_of(data[:36] + many + data[36:]) == "undecodable"


def test_an_audio_file_of_one_channel_and_one_of_a_thousand_take_equal_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """libsndfile reads up to 1,024 channels: a block is counted in samples of all of them."""
    asked: list[int] = []

    class Counting(soundfile.SoundFile):
        def read(self, frames: int = -1, **how: object) -> npt.NDArray[np.float64]:
            asked.append(frames * self.channels)
            return super().read(frames, **how)

    monkeypatch.setattr(soundfile, "SoundFile", Counting)
    for channels in (1, 2, 1_000):
        decode(wav(np.zeros((20, channels)), 8_000))
    assert asked and max(asked) <= 1 << 18
