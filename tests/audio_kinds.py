"""Kinds of audio files, usual, unusual and malformed, each with what becomes of it.

`python tests/audio_kinds.py` writes the table of them into docs/reliability.md.
"""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

PAGE: Final = Path(__file__).parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- kinds of audio: begin -->", "<!-- kinds of audio: end -->"
KEPT: Final = "kept"

SAMPLES: Final = np.round(8_000 * np.sin(np.arange(1_600) / 9)).astype("<i2")
"""A tenth of a second at 16 kHz."""
PCM, ADPCM, FLOAT, A_LAW, MU_LAW, IMA_ADPCM, GSM, MP3, EXTENSIBLE = 1, 2, 3, 6, 7, 0x11, 0x31, 0x55, 0xFFFE
GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: what it is.
        data: an example.
        decision: `KEPT`, or the reason in rejects.parquet.
        why: why so.
    """

    name: str
    data: bytes
    decision: str
    why: str


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return struct.pack("<4sI", name, len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def form(encoding: int = PCM, channels: int = 1, rate_hz: int = 16_000, bits: int = 16, extra: bytes = b"") -> bytes:
    """A format chunk."""
    block = channels * bits // 8
    rate_bytes = min(rate_hz * block, 2**32 - 1)
    return chunk(b"fmt ", struct.pack("<HHIIHH", encoding, channels, rate_hz, rate_bytes, block, bits) + extra)


def riff(*chunks: bytes, size: int | None = None, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", name, len(body) if size is None else size) + body


def wave(data: bytes = SAMPLES.tobytes(), **fields: int) -> bytes:
    """A file of a format chunk and a data chunk."""
    return riff(form(**fields), chunk(b"data", data))


def floats(values: object, bits: int = 32) -> bytes:
    return wave(np.asarray(values, f"<f{bits // 8}").tobytes(), encoding=FLOAT, bits=bits)


def by_libsndfile(kind: str, subtype: str | None = None, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    values: npt.NDArray[np.float64] = np.repeat(SAMPLES[:, None] / 32_768, channels, axis=1)
    soundfile.write(out, values, rate_hz, format=kind, subtype=subtype)
    return out.getvalue()


def kinds() -> list[Kind]:
    """All of them, in the order of the table."""
    pcm, data, two = SAMPLES.tobytes(), chunk(b"data", SAMPLES.tobytes()), np.repeat(SAMPLES, 2).tobytes()
    flac, vorbis = by_libsndfile("FLAC", "PCM_16"), by_libsndfile("OGG", "VORBIS")
    opus, mp3 = by_libsndfile("OGG", "OPUS"), by_libsndfile("MP3")
    of_encoding = struct.pack("<HHI", 22, 16, 0)
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    usual = "a form that clips come in"
    resampled = "other rates are resampled to 16 kHz"
    container = "another container than those that clips come in"
    lossy = "a coding that few decoders agree on"
    header = "what the header says is not in the file"
    no_audio = "it is no audio"
    return [
        Kind("PCM, 16 bits, 16 kHz, mono", wave(), KEPT, usual),
        Kind("PCM, 8 bits", wave(bytes(range(256)), bits=8), KEPT, "unsigned around 128, times 256"),
        Kind("PCM, 24 bits", wave(bytes(999), bits=24), KEPT, "rounded to the 16 highest bits"),
        Kind("PCM, 32 bits", wave(bytes(4_000), bits=32), KEPT, "rounded to the 16 highest bits"),
        Kind("float, 32 bits", floats([0.0, 0.5, -0.5]), KEPT, "full scale is 1"),
        Kind("float, 64 bits", floats([0.0, 0.5, -0.5], 64), KEPT, "full scale is 1"),
        Kind("float beyond full scale", floats([0.0, 1.5, -7.0]), KEPT, "clipped at full scale, as a converter does"),
        Kind("A-law", wave(bytes(range(256)), encoding=A_LAW, bits=8), KEPT, "of telephones"),
        Kind("mu-law", wave(bytes(range(256)), encoding=MU_LAW, bits=8), KEPT, "of telephones"),
        Kind(
            "EXTENSIBLE with PCM",
            riff(form(EXTENSIBLE, extra=of_encoding + struct.pack("<H", PCM) + GUID_TAIL), data),
            KEPT,
            "the encoding within decides",
        ),
        Kind(
            "EXTENSIBLE with float",
            riff(
                form(EXTENSIBLE, bits=32, extra=struct.pack("<HHIH", 22, 32, 0, FLOAT) + GUID_TAIL),
                chunk(b"data", np.zeros(9, "<f4").tobytes()),
            ),
            KEPT,
            "the encoding within decides",
        ),
        Kind("stereo", wave(two, channels=2), KEPT, "channels are averaged"),
        Kind("five channels", wave(pcm, channels=5), KEPT, "channels are averaged"),
        Kind("1,000 channels", wave(bytes(20_000), channels=1_000), KEPT, "channels are averaged, in bounded memory"),
        Kind(
            "two channels that cancel each other",
            wave(np.stack([SAMPLES, -SAMPLES], axis=1).tobytes(), channels=2),
            KEPT,
            "as silence: the catalog's `peak` and `silent_fraction` tell it",
        ),
        *(
            Kind(f"{rate_hz:,} Hz", wave(rate_hz=rate_hz), KEPT, resampled)
            for rate_hz in (4_000, 8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)
        ),
        Kind("a rate that nobody uses, 15,999 Hz", wave(rate_hz=15_999), KEPT, resampled),
        Kind("a single sample", wave(b"\1\0"), KEPT, "padded to a second, `length` is 1"),
        Kind("shorter than a second", wave(), KEPT, "padded to a second, `length` tells"),
        Kind("longer than a second", wave(bytes(90_000)), KEPT, "`ingest.second` says which second is kept"),
        Kind("zeros alone", wave(bytes(3_200)), KEPT, "`silent_fraction` tells it; a condition can leave it out"),
        Kind("full scale alone", wave(b"\xff\x7f" * 1_600), KEPT, "`clipped` tells it; a condition can leave it out"),
        Kind(
            "a LIST chunk before the data",
            riff(form(), chunk(b"LIST", b"INFOISFT\2\0\0\0x\0"), data),
            KEPT,
            "passed over",
        ),
        Kind("a LIST chunk after the data", riff(form(), data, chunk(b"LIST", b"INFO")), KEPT, "passed over"),
        Kind("a chunk of odd size with its pad byte", riff(form(), chunk(b"note", b"abc"), data), KEPT, "passed over"),
        Kind("an unknown chunk before the format", riff(chunk(b"JUNK", bytes(28)), form(), data), KEPT, "passed over"),
        Kind("a fact chunk of another length", riff(form(), chunk(b"fact", b"\1\0\0\0"), data), KEPT, "the data count"),
        Kind("a format chunk of 18 bytes", riff(form(extra=b"\0\0"), data), KEPT, usual),
        Kind("bytes after the last chunk", wave() + b"\xff" * 99, KEPT, "what a data chunk holds is whole"),
        Kind("a RIFF size of 0", riff(form(), data, size=0), KEPT, "left by recorders; the data chunk is whole"),
        Kind(
            "a RIFF size of 4 GiB", riff(form(), data, size=2**32 - 1), KEPT, "left by streams; the data chunk is whole"
        ),
        Kind("two data chunks", riff(form(), data, data), KEPT, "the first one, as players do"),
        Kind("half a sample at the end", wave(pcm + b"\1"), KEPT, "the whole samples before it"),
        Kind("FLAC", flac, KEPT, "without loss"),
        Kind("FLAC, 24 bits, stereo, 48 kHz", by_libsndfile("FLAC", "PCM_24", 48_000, 2), KEPT, "as WAVE of that kind"),
        Kind("Ogg Vorbis", vorbis, KEPT, usual),
        Kind("Ogg Opus", opus, KEPT, "decoded at the rate that its header names"),
        Kind("MP3", mp3, KEPT, usual),
        Kind("MP3 after a tag ID3", tag + mp3, KEPT, "tags are passed over"),
        Kind("FLAC in Ogg", by_libsndfile("OGG", None), KEPT, "the content decides"),
        Kind("no bytes", b"", "empty", no_audio),
        Kind("one byte", b"R", "not_wave", no_audio),
        Kind("a text", b"This file has moved.\n", "not_wave", no_audio),
        Kind(
            "a web page", b"<!DOCTYPE html><html><body>404</body></html>", "not_wave", "what a failed download leaves"
        ),
        Kind(
            "a pointer of Git LFS",
            b"version https://git-lfs.github.com/spec/v1\n",
            "not_wave",
            "the audio was not fetched",
        ),
        Kind("a resource fork of macOS", b"\0\5\x16\7" + bytes(60), "not_wave", "what `._name.wav` holds"),
        Kind("samples without a header", pcm, "not_wave", "nothing says rate and encoding"),
        Kind("WAVE in gzip", gzip.compress(wave(), mtime=0), "not_wave", container),
        Kind("RIFX, big-endian", riff(form(), data, name=b"RIFX"), "not_wave", container),
        Kind("RF64", riff(chunk(b"ds64", bytes(28)), form(), data, name=b"RF64"), "not_wave", container),
        Kind("RIFF of another kind, AVI", b"RIFF" + struct.pack("<I", 40) + b"AVI " + bytes(36), "not_wave", container),
        *(Kind(name, by_libsndfile(name), "not_wave", container) for name in ("AIFF", "AU", "CAF", "W64")),
        Kind("MPEG-4", b"\0\0\0\x20ftypM4A " + bytes(40), "not_wave", container),
        Kind("WebM", b"\x1aE\xdf\xa3" + bytes(40), "not_wave", container),
        Kind("AMR", b"#!AMR\n" + bytes(40), "not_wave", container),
        Kind("WAVE with ADPCM", wave(encoding=ADPCM), "encoding", lossy),
        Kind("WAVE with IMA ADPCM", wave(encoding=IMA_ADPCM, bits=8), "encoding", lossy),
        Kind("WAVE with GSM", wave(encoding=GSM), "encoding", lossy),
        Kind("WAVE with MP3", wave(encoding=MP3), "encoding", lossy),
        Kind("WAVE with encoding 0", wave(encoding=0), "encoding", header),
        Kind("a rate of 0", wave(rate_hz=0), "sample_rate", "decoders divide by it"),
        Kind("3,999 Hz", wave(rate_hz=3_999), "sample_rate", "below any speech"),
        Kind("192,001 Hz", wave(rate_hz=192_001), "sample_rate", "above any recorder"),
        Kind("a rate of 4 GHz", wave(rate_hz=2**32 - 1), "sample_rate", "above any recorder"),
        Kind("no channel", wave(channels=0), "undecodable", "decoders divide by it"),
        Kind("1,025 channels", wave(bytes(4_100), channels=1_025), "undecodable", "libsndfile reads 1,024"),
        Kind("PCM of 0 bits", wave(bits=0), "undecodable", header),
        Kind("PCM of 64 bits", wave(bits=64), "undecodable", "no PCM has them"),
        Kind("float of 16 bits", wave(encoding=FLOAT), "undecodable", "libsndfile reads 32 and 64"),
        Kind("a data chunk of size 0", wave(b""), "no_samples", "TensorFlow returns a second of zeros"),
        Kind("a data chunk of half a sample", wave(b"\1"), "no_samples", header),
        Kind(
            "a sample that 16 kHz has no place for",
            wave(b"\1\0", rate_hz=192_000),
            "no_samples",
            "less than one sample",
        ),
        Kind("a data chunk a byte longer than the file", wave()[:-1], "truncated", "a download cut short"),
        Kind("a data chunk of 4 GiB", riff(form(), chunk(b"data", pcm, size=2**32 - 1)), "truncated", header),
        Kind("no data chunk", riff(form()), "truncated", header),
        Kind("no format chunk", riff(data), "truncated", "nothing says rate and encoding"),
        Kind("the data before the format", riff(data, form()), "truncated", "the standard asks for the format first"),
        Kind("a header cut after 30 bytes", wave()[:30], "truncated", "a download cut short"),
        Kind("a format chunk of 4 bytes", riff(chunk(b"fmt ", b"\1\0\1\0"), data), "undecodable", header),
        Kind(
            "more than 1,000 chunks",
            riff(form(), *[chunk(b"note", b"")] * 1_001, data),
            "undecodable",
            "nobody writes them",
        ),
        Kind("a sample that is not a number", floats([0.0, np.nan]), "not_finite", "one such sample spoils statistics"),
        Kind("a sample that is infinite", floats([0.0, np.inf]), "not_finite", "one such sample spoils statistics"),
        Kind("a sample of 1e30", floats([0.0, 1e30]), "not_finite", "damage: no converter gives it"),
        Kind("FLAC cut in its audio", flac[: len(flac) * 2 // 3], "undecodable", header),
        Kind("FLAC cut in its header", flac[:30], "undecodable", header),
        Kind("FLAC with damage in its header", flac[:20] + b"\xff" * 8 + flac[28:], "undecodable", header),
        Kind("Ogg cut in its headers", vorbis[:60], "undecodable", header),
        Kind("Ogg with damage in its headers", vorbis[:30] + b"\xff" * 20 + vorbis[50:], "undecodable", header),
        Kind("Ogg Vorbis cut in its audio", vorbis[: len(vorbis) - 200], "no_samples", "none of its audio is whole"),
        Kind("Ogg Opus cut in its headers", opus[:70], "undecodable", header),
        Kind("a tag ID3 and nothing else", tag, "undecodable", no_audio),
        Kind("the first bytes of MP3 and then zeros", mp3[:4] + bytes(400), "undecodable", no_audio),
        Kind(
            "MP3 cut in its audio", mp3[: len(mp3) * 2 // 3], "truncated", "fewer frames than its first one announces"
        ),
    ]


def table() -> str:
    """The table of the page."""
    rows = [
        f"| {each.name} | {each.decision if each.decision == KEPT else f'`{each.decision}`'} | {each.why} |"
        for each in kinds()
    ]
    return "\n".join(["| file | decision | why |", "|---|---|---|", *rows])


def written(page: str) -> str:
    """The page with the table in its place."""
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
