"""From the bytes of an audio file to a clip: int16 samples at 16 kHz, exactly one second long."""

from __future__ import annotations

import io
import struct
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from features.arithmetic import LN_10, exp
from features.views import CLIP_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ

Samples = npt.NDArray[np.int16]
Second = Literal["start", "loudest", "center"]
"""Which second of a longer recording is kept."""

LOWEST_RATE_HZ: Final = 4_000
HIGHEST_RATE_HZ: Final = 192_000
LOUDEST_SAMPLE: Final = 1e6
"""Float samples beyond this multiple of full scale are damage."""

_STARTS_AT_ONCE: Final = 1 << 18
"""So many seconds of a recording are compared at once; memory does not grow with the recording."""
MOST_SAMPLES: Final = 1 << 27
"""Samples of all channels that a compressed file may unpack to: those of the largest WAVE file of an archive."""

_COMPRESSED: Final = (b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")
"""How files of FLAC, Ogg (Vorbis and Opus) and MP3 begin."""
_BLOCK_FRAMES: Final = 1 << 16
_PCM16 = 1
_EXTENSIBLE = 0xFFFE
_ENCODINGS: Final = {1: "PCM", 3: "float", 6: "A-law", 7: "mu-law"}


class AudioError(ValueError):
    """The bytes are not usable audio.

    Attributes:
        reason: a short name of the kind of damage, one of a fixed few.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Recording(NamedTuple):
    """Decoded audio of any length."""

    samples: Samples
    """int16, (samples,), mono, at 16 kHz."""
    source_rate_hz: int
    """The sample rate of the file."""


def decode(data: bytes) -> Recording:
    """Decode an audio file of any of the forms that clips come in: WAVE, FLAC, Ogg Vorbis, Opus or MP3.

    The content decides which it is, whatever the name says. What is lossy is decoded by the libraries within
    libsndfile; a new version of them may give other samples.

    Args:
        data: the whole file.

    Returns:
        As `decode_wav`; the rate of Opus is 48 kHz, or the lower one that its header names.

    Raises:
        AudioError: as `decode_wav`, or it unpacks to more than `MOST_SAMPLES`.
    """
    return _decode_compressed(data) if data.startswith(_COMPRESSED) else decode_wav(data)


def _decode_compressed(data: bytes) -> Recording:
    """Decode block by block, since the length in a header is never trusted."""
    import soundfile

    blocks: list[npt.NDArray[np.float64]] = []
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate_hz, channels, frames = file.samplerate, file.channels, 0
            _check_rate(rate_hz)
            while (block := file.read(_BLOCK_FRAMES, dtype="float64", always_2d=True)).size:
                frames += len(block)
                if frames * channels > MOST_SAMPLES:
                    raise AudioError("too_long", f"more than {MOST_SAMPLES} samples of all channels")
                blocks.append(block.mean(axis=1, keepdims=True))
            if frames < file.frames <= MOST_SAMPLES:
                raise AudioError("truncated", f"{frames} of {file.frames} frames")
    except soundfile.LibsndfileError as error:
        raise AudioError("undecodable", f"libsndfile: {error.error_string}") from error
    except (RuntimeError, TypeError) as error:
        raise AudioError("undecodable", f"libsndfile can't read it ({type(error).__name__})") from error
    return _finished(np.concatenate(blocks or [np.empty((0, 1))]), rate_hz)


def decode_wav(data: bytes) -> Recording:
    """Decode a WAVE file: PCM of 8 to 32 bits, float, A-law, mu-law, also EXTENSIBLE; any channels; 4 to 192 kHz.

    Channels are averaged. Other rates are resampled to 16 kHz. A data chunk cut short by the end of the file is damage:
    lengths in the header are compared with the bytes that are there, never trusted.

    Args:
        data: the whole file.

    Returns:
        The samples, at least one, and the file's own rate.

    Raises:
        AudioError: the file is empty, not RIFF/WAVE, damaged, of an unsupported encoding, or not finite.
    """
    plain = _plain_pcm16(data)
    if plain is not None:
        return Recording(plain, SAMPLE_RATE_HZ)
    return _decode_any(data)


def _plain_pcm16(data: bytes) -> Samples | None:
    """The samples of the commonest file (44-byte header, PCM 16 bit, mono, 16 kHz), or None for every other."""
    if len(data) < 46 or data[:4] != b"RIFF" or data[8:20] != b"WAVEfmt \x10\x00\x00\x00" or data[36:40] != b"data":
        return None
    coding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, 20)
    (data_bytes,) = struct.unpack_from("<I", data, 40)
    if (coding, channels, rate_hz, bits) != (_PCM16, 1, SAMPLE_RATE_HZ, 16):
        return None
    if data_bytes % 2 or data_bytes == 0 or data_bytes > len(data) - 44:
        return None
    return np.frombuffer(data, dtype="<i2", count=data_bytes // 2, offset=44)


def _decode_any(data: bytes) -> Recording:
    import soundfile

    _check_chunks(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate_hz = file.samplerate
            channels = file.read(dtype="float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError("undecodable", f"libsndfile: {error.error_string}") from error
    except (RuntimeError, TypeError) as error:
        raise AudioError("undecodable", f"libsndfile can't read it ({type(error).__name__})") from error
    return _finished(channels, rate_hz)


def _finished(channels: npt.NDArray[np.float64], rate_hz: int) -> Recording:
    if channels.shape[0] == 0:
        raise AudioError("no_samples", "the file has no samples")
    if not (np.abs(channels) <= LOUDEST_SAMPLE).all():
        raise AudioError("not_finite", f"a sample is infinite, not a number or beyond {LOUDEST_SAMPLE:g} of full scale")
    return Recording(_to_int16(_resample(channels.mean(axis=1), rate_hz)), rate_hz)


def _check_chunks(data: bytes) -> None:
    """Walk the RIFF chunks, so that damage which decoders pass over in silence is found."""
    if not data:
        raise AudioError("empty", "the file is empty")
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise AudioError("not_wave", f"expected RIFF/WAVE, the file begins with {data[:12]!r}")
    position, seen = 12, set()
    while position + 8 <= len(data):
        name = data[position : position + 4]
        (size,) = struct.unpack_from("<I", data, position + 4)
        seen.add(name)
        if name == b"fmt " and position + 8 + size <= len(data):
            _check_format(data[position + 8 : position + 8 + size])
        if name == b"data":
            if size == 0:
                raise AudioError("no_samples", "the data chunk is empty")
            if position + 8 + size > len(data):
                raise AudioError(
                    "truncated", f"data chunk of {size} bytes, but {len(data) - position - 8} bytes are left"
                )
            break
        position += 8 + size + size % 2
    if b"fmt " not in seen or b"data" not in seen:
        raise AudioError("truncated", "the file ends before its format or data chunk")


def _check_format(chunk: bytes) -> None:
    if len(chunk) < 16:
        raise AudioError("undecodable", f"format chunk of {len(chunk)} bytes, expected 16 or more")
    encoding, _, rate_hz = struct.unpack_from("<HHI", chunk)
    _check_rate(rate_hz)
    if encoding == _EXTENSIBLE and len(chunk) >= 26:
        (encoding,) = struct.unpack_from("<H", chunk, 24)
    if encoding not in _ENCODINGS:
        raise AudioError("encoding", f"encoding {encoding:#06x}, expected {', '.join(_ENCODINGS.values())}")


def _check_rate(rate_hz: int) -> None:
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise AudioError("sample_rate", f"sample rate {rate_hz} Hz, expected {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz")


def _resample(samples: npt.NDArray[np.float64], rate_hz: int) -> npt.NDArray[np.float64]:
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    import soxr

    resampled: npt.NDArray[np.float64] = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    if resampled.size == 0:
        raise AudioError("no_samples", f"{samples.size} samples at {rate_hz} Hz are less than one at 16 kHz")
    return resampled


def _to_int16(samples: npt.NDArray[np.float64]) -> Samples:
    rounded: Samples = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return rounded


def encode_audio(samples: Samples, rate_hz: int, form: Literal["wav", "flac"] = "wav") -> bytes:
    """Samples as an audio file of one channel and 16 bits a sample, without loss.

    Args:
        samples: int16, (any,).
        rate_hz: sample rate.
        form: the form of the file.
    """
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, subtype="PCM_16", format=form.upper())
    return out.getvalue()


def first_sample(samples: Samples, second: Second) -> int:
    """Where the second of a recording begins that is kept.

    Args:
        samples: int16, (any,).
        second: which second of a longer recording: its start, its center, or the loudest, which is the one with the
            greatest sum of squares, of several the first.

    Returns:
        A place in samples; 0 where the recording is no longer than a second.
    """
    spare = samples.size - CLIP_SAMPLES
    if spare <= 0 or second == "start":
        return 0
    return spare // 2 if second == "center" else _loudest_start(samples)


def _loudest_start(samples: Samples) -> int:
    best, best_energy = 0, -1
    for begin in range(0, samples.size - CLIP_SAMPLES + 1, _STARTS_AT_ONCE):
        stretch = samples[begin : begin + _STARTS_AT_ONCE + CLIP_SAMPLES - 1].astype(np.int64)
        sums = np.concatenate([[0], np.cumsum(stretch * stretch)])
        energies = sums[CLIP_SAMPLES:] - sums[:-CLIP_SAMPLES]
        place = int(energies.argmax())
        if energies[place] > best_energy:
            best, best_energy = begin + place, int(energies[place])
    return best


def pad_or_trim(samples: Samples, start: int = 0) -> tuple[Samples, int]:
    """Make a recording one second long: 16,000 samples of it, or zeros after its end.

    Args:
        samples: int16, (any,).
        start: the first sample to keep; 0 where the recording is no longer than a second.

    Returns:
        The clip, int16, (16000,), and its real length in samples, 0..16000; samples at or after it are padding.
    """
    kept = samples[start : start + CLIP_SAMPLES]
    if kept.size == CLIP_SAMPLES:
        return kept, CLIP_SAMPLES
    clip = np.zeros(CLIP_SAMPLES, np.int16)
    clip[: kept.size] = kept
    return clip, kept.size


def apply_gain(samples: Samples, gain_db: float) -> Samples:
    """Scale samples by a gain in dB, rounded to int16 and clipped at full scale."""
    return _to_int16(samples.astype(np.float64) * (float(exp(np.array(gain_db * LN_10 / 20.0))) / FULL_SCALE))


def loudness_dbfs(rms: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Loudness in dB of full scale.

    Args:
        rms: root mean square of each clip, 0..1 of full scale, (clips,).

    Returns:
        float64, (clips,), at least -90.3: a clip of zeros counts as loud as one step of int16.
    """
    return np.asarray(20 * np.log10(np.maximum(rms.astype(np.float64), 1 / FULL_SCALE)), np.float64)
