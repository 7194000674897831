"""What decoding takes in memory does not grow with the length of a file; each is measured in a process of its own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from corpus_tools import ROOT
from miniatures import encoded

MOST_BYTES = 96 << 20
"""Beyond the file's own bytes, which are in memory."""

DECODE = """
import json, re, sys
from features.audio import first_sample
from features.audio_file import AudioFile
from pipelines.ingest.config import Silence
from pipelines.ingest.silence import cut

def peak():
    with open("/proc/self/status") as file:  # the peak of `getrusage` may be that of the parent
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1]) << 10

def keep(path, second):
    file = AudioFile(open(path, "rb").read())
    start = first_sample(file.blocks(), file.size, second)
    file.stretch(start, start + 16_000)
    clips = sum(1 for _ in cut("a", file.blocks(), file.size, Silence(hop_ms=10_000, gain_db=(0.0, 0.0)), 0))
    return file.size, clips

keep(sys.argv[1], "loudest")
before = peak()
size, clips = keep(*sys.argv[2:])
print(json.dumps({"bytes": peak() - before, "samples": size, "clips": clips}))
"""


def wave(path: Path, size: int, rate_hz: int, channels: int, bits: int) -> Path:
    """A file of zeros, of which none is written."""
    block = channels * bits // 8
    with path.open("wb") as file:
        file.write(struct.pack("<4sI4s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16))
        file.write(struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * block, block, bits))
        file.write(struct.pack("<4sI", b"data", size))
        file.truncate(44 + size)
    return path


def measured(folder: Path, file: Path, second: str) -> dict[str, int]:
    small = wave(folder / "small.wav", 80_000, 8_000, 2, 16)
    done = subprocess.run(
        [sys.executable, "-c", DECODE, str(small), str(file), second],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, int] = json.loads(done.stdout)
    assert found["clips"] == 1 + (found["samples"] - 16_000) // 160_000
    return found


@pytest.mark.parametrize("second", ["start", "center"])
def test_a_file_that_would_become_a_hundred_times_its_size_takes_bounded_memory(second: str, tmp_path: Path) -> None:
    file = wave(tmp_path / "long.wav", 5_000_000, 4_000, 1, 8)
    found = measured(tmp_path, file, second)
    assert found["samples"] == 20_000_000
    assert found["bytes"] < MOST_BYTES + 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "rate_hz", "channels", "bits", "second"),
    [
        (48 << 20, 4_000, 1, 8, "loudest"),
        (64 << 20, 44_100, 2, 16, "center"),
        (64 << 20, 16_000, 1, 16, "loudest"),
        (64 << 20, 192_000, 1_000, 32, "start"),
    ],
)
def test_files_of_many_megabytes_take_bounded_memory(
    size: int, rate_hz: int, channels: int, bits: int, second: str, tmp_path: Path
) -> None:
    file = wave(tmp_path / "long.wav", size, rate_hz, channels, bits)
    found = measured(tmp_path, file, second)
    print(f"{size} bytes, {rate_hz} Hz, {channels} channels, {bits} bits: {(found['bytes'] - size) >> 20} MiB more")
    assert found["bytes"] < MOST_BYTES + size


@pytest.mark.slow
def test_a_small_file_that_unpacks_to_an_hour_takes_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "long.flac"
    file.write_bytes(encoded(np.zeros(16_000 * 3_600, np.int16), "flac"))
    assert file.stat().st_size < 2_000_000
    assert measured(tmp_path, file, "loudest")["bytes"] < MOST_BYTES
