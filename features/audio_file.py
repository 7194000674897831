"""Decodes audio files to int16 samples at 16 kHz, a block at a time, so that memory does not grow with their length."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.audio import Samples, to_int16
from features.views import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    import soundfile

LOWEST_RATE_HZ: Final = 4_000
HIGHEST_RATE_HZ: Final = 192_000
LOUDEST_SAMPLE: Final = 1e6
"""Float samples beyond this multiple of full scale are damage."""
MOST_SAMPLES: Final = 1 << 27
"""Samples of all channels that a compressed file may unpack to: those of the largest WAVE file of an archive."""
KEPT_SAMPLES: Final = 1 << 21
"""Samples of a recording that are kept once decoded, two minutes of it; a longer one is decoded again when needed."""

_COMPRESSED: Final = (b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")
"""How files of FLAC, Ogg (Vorbis and Opus) and MP3 begin."""
_BLOCK_SAMPLES: Final = 1 << 18
"""Samples of all channels that are decoded at once."""
_MOST_CHUNKS: Final = 1_000
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


class AudioFile:
    """An audio file of any of the forms that clips come in: WAVE, FLAC, Ogg Vorbis, Opus or MP3.

    The content decides which it is, whatever the name says. A WAVE file is PCM of 8 to 32 bits, float, A-law or mu-law,
    also EXTENSIBLE, of any channels, at 4 to 192 kHz. Channels are averaged. Other rates are resampled to 16 kHz. A
    data chunk cut short by the end of the file is damage: lengths in the header are compared with the bytes that are
    there, never trusted. What is lossy is decoded by the libraries within libsndfile; a new version of them may give
    other samples.

    The whole file is decoded once to find damage and its length. In memory are a block of it and at most
    `KEPT_SAMPLES`, next to the file's own bytes.

    Attributes:
        source_rate_hz: sample rate of the file; of Opus 48 kHz, or the lower one that its header names.
        size: samples at 16 kHz, at least one.
    """

    def __init__(self, data: bytes) -> None:
        """Look through a file.

        Args:
            data: the whole file.

        Raises:
            AudioError: the file is empty, of no known form, damaged, of an unsupported encoding, not finite, or unpacks
                to more than `MOST_SAMPLES`.
        """
        self._data = data
        self._kept: Samples | None = _plain_pcm16(data)
        if self._kept is not None:
            self.source_rate_hz, self.size = SAMPLE_RATE_HZ, self._kept.size
            return
        is_compressed = data.startswith(_COMPRESSED)
        if not is_compressed:
            _check_chunks(data)
        decoded = _Decoding(data, is_compressed)
        kept, self.size = list[Samples](), 0
        for block in decoded:
            self.size += block.size
            if self.size <= KEPT_SAMPLES:
                kept.append(block)
            else:
                kept.clear()
        self.source_rate_hz = decoded.rate_hz
        if self.size <= KEPT_SAMPLES:
            self._kept = kept[0] if len(kept) == 1 else np.concatenate(kept)

    def blocks(self) -> Iterator[Samples]:
        """The samples in order: int16, (any,), mono, at 16 kHz."""
        if (kept := self._kept) is not None:
            return (kept[start : start + _BLOCK_SAMPLES] for start in range(0, kept.size, _BLOCK_SAMPLES))
        return iter(_Decoding(self._data, self._data.startswith(_COMPRESSED)))

    def stretch(self, start: int, stop: int) -> Samples:
        """Some of the samples: those from `start` up to `stop`, or up to the end.

        Args:
            start: the first sample.
            stop: the sample after the last one.
        """
        if self._kept is not None:
            return self._kept[start:stop]
        found, position = list[Samples](), 0
        for block in self.blocks():
            found.append(block[max(start - position, 0) : max(stop - position, 0)])
            position += block.size
            if position >= stop:
                break
        return np.concatenate(found)


def decode(data: bytes) -> Recording:
    """Decode an audio file as `AudioFile` does, all of it at once.

    Args:
        data: the whole file.

    Raises:
        AudioError: as `AudioFile` does.
    """
    file = AudioFile(data)
    return Recording(file.stretch(0, file.size), file.source_rate_hz)


class _Decoding:
    """The blocks of a file, again at each call.

    Attributes:
        rate_hz: sample rate of the file, once a block was asked for.
    """

    rate_hz = 0

    def __init__(self, data: bytes, is_compressed: bool) -> None:
        self._data, self._is_compressed = data, is_compressed

    def __iter__(self) -> Iterator[Samples]:
        """Decode, average and resample block by block.

        Raises:
            AudioError: the file is damaged, or has no samples.
        """
        import soundfile

        try:
            with soundfile.SoundFile(io.BytesIO(self._data)) as file:
                _check_rate(file.samplerate)
                self.rate_hz = file.samplerate
                yield from _resampled(self._averaged(file), file.samplerate)
        except soundfile.LibsndfileError as error:
            raise AudioError("undecodable", f"libsndfile: {error.error_string}") from error
        except (RuntimeError, TypeError) as error:
            raise AudioError("undecodable", f"libsndfile can't read it ({type(error).__name__})") from error

    def _averaged(self, file: soundfile.SoundFile) -> Iterator[npt.NDArray[np.float64]]:
        """The mean of the channels; of compressed files the length in the header is compared with what there is."""
        at_once, frames = max(_BLOCK_SAMPLES // file.channels, 1), 0
        while (block := file.read(at_once, dtype="float64", always_2d=True)).size:
            frames += len(block)
            if self._is_compressed and frames * file.channels > MOST_SAMPLES:
                raise AudioError("too_long", f"more than {MOST_SAMPLES} samples of all channels")
            if not (np.abs(block) <= LOUDEST_SAMPLE).all():
                detail = f"a sample is infinite, not a number or beyond {LOUDEST_SAMPLE:g} of full scale"
                raise AudioError("not_finite", detail)
            yield block.mean(axis=1)
        if self._is_compressed and frames < file.frames <= MOST_SAMPLES:
            raise AudioError("truncated", f"{frames} of {file.frames} frames")
        if not frames:
            raise AudioError("no_samples", "the file has no samples")


def _resampled(blocks: Iterator[npt.NDArray[np.float64]], rate_hz: int) -> Iterator[Samples]:
    """The blocks at 16 kHz, to the bit as if they had been resampled in one piece."""
    if rate_hz == SAMPLE_RATE_HZ:
        yield from map(to_int16, blocks)
        return
    import soxr

    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float64", quality="HQ")
    came = left = 0
    for block in blocks:
        came += block.size
        resampled = stream.resample_chunk(block)
        left += resampled.size
        if resampled.size:
            yield to_int16(resampled)
    rest = stream.resample_chunk(np.empty(0), last=True)
    if not left + rest.size:
        raise AudioError("no_samples", f"{came} samples at {rate_hz} Hz are less than one at 16 kHz")
    if rest.size:
        yield to_int16(rest)


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


def _check_chunks(data: bytes) -> None:
    """Walk the RIFF chunks, so that damage which decoders pass over in silence is found."""
    if not data:
        raise AudioError("empty", "the file is empty")
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise AudioError("not_wave", f"expected RIFF/WAVE, the file begins with {data[:12]!r}")
    position, chunks, has_format, has_data = 12, 0, False, False
    while position + 8 <= len(data):
        name = data[position : position + 4]
        (size,) = struct.unpack_from("<I", data, position + 4)
        chunks, has_format, has_data = chunks + 1, has_format or name == b"fmt ", name == b"data"
        if chunks > _MOST_CHUNKS:
            raise AudioError("undecodable", f"more than {_MOST_CHUNKS} chunks before the data")
        if name == b"fmt " and position + 8 + size <= len(data):
            _check_format(data[position + 8 : position + 8 + size])
        if has_data:
            if size == 0:
                raise AudioError("no_samples", "the data chunk is empty")
            if position + 8 + size > len(data):
                raise AudioError(
                    "truncated", f"data chunk of {size} bytes, but {len(data) - position - 8} bytes are left"
                )
            break
        position += 8 + size + size % 2
    if not (has_format and has_data):
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
