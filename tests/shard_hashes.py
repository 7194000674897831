"""A small corpus of whole numbers, and the hash of every shard made of it; `python tests/shard_hashes.py` writes them.

Its clips are computed in integers, so they are the same wherever the tests run. The pipelines must make the same shards
of them on every processor, with any number of processes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from corpus_tools import (
    WORDS,
    Samples,
    contents,
    prepare,
    run_stage,
    speakers,
    wav,
)

from base import params
from features.views import View

FILE: Final = Path(__file__).with_name("shard_hashes.json")
COPIES: Final = [
    {"kind": "ninefold"},
    {"kind": "noise", "copies": 1, "snr_db": [-5.0, 20.0]},
    {"kind": "speed", "copies": 1, "factor": [0.85, 1.15]},
    {"kind": "gain", "copies": 1, "gain_db": [-20.0, 20.0]},
    {"kind": "shift", "copies": 1, "shift_ms": [-500, 500]},
    {"kind": "room", "copies": 1, "decay_ms": [100, 1000], "direct_to_reverberant_db": [-5.0, 15.0]},
]
"""Of each kind of copies some."""
VIEWS: Final = tuple(params.load("extract.views", dict[str, View], Path(__file__).parents[1] / "params.yaml"))

_LENGTHS: Final = (16_000, 12_345, 16_000, 19_200, 6_400)
_OTHER_RATES_HZ: Final = (8_000, 44_100)


def sound(seed: int, samples: int) -> Samples:
    """A gliding triangle with noise, int16, (samples,)."""
    time = np.arange(samples)
    phase = (time * (150 + 61 * (seed % 40)) * (1 << 12) // 1000 + time * time * (seed % 7) // 8) & 0xFFFF
    noise = np.random.Generator(np.random.PCG64(seed)).integers(-600, 601, samples)
    envelope = np.minimum(np.minimum(time, samples - time) * 8, 1 << 14)
    return np.asarray(((np.abs(phase - 0x8000) - 0x4000) * envelope >> 16) + noise, np.int16)


def corpus() -> list[tuple[str, bytes]]:
    """The files of the archive."""
    ids = [f"{word}/{speaker}_nohash_0" for word in WORDS for speaker in speakers()]
    clips = [
        (f"{name}.wav", wav(sound(seed, _LENGTHS[seed % len(_LENGTHS)]), _rate_hz(seed)))
        for seed, name in enumerate(ids)
    ]
    return [*clips, ("_background_noise_/hum.wav", wav(sound(1000, 5 * 16_000)))]


def _rate_hz(seed: int) -> int:
    return _OTHER_RATES_HZ[seed % 2] if seed % 10 == 3 else 16_000


def make(folder: Path, *options: str) -> dict[str, str]:
    """Run the stages on the corpus in an empty folder, with further options of Beam.

    Returns:
        The SHA-256 of every shard and of the statistics, by path.
    """
    prepare(folder, corpus(), augment__recipes__all=COPIES)
    commands = (
        ("ingest", "raw", "clips", *options),
        ("select", "clips", "selection.parquet", *options),
        ("augment", "clips", "selection.parquet", "augmented/all", *options),
        ("extract", "clips", "selection.parquet", *(f"features/{view}" for view in VIEWS), *options),
    )
    for stage, *arguments in commands:
        outcome = run_stage(folder, stage, *arguments)
        assert outcome.code == 0, outcome.stderr
    return {path: digest for path, digest in contents(folder).items() if ".tfrecord" in path or "statistics" in path}


def read() -> dict[str, str]:
    """The hashes as they were committed."""
    hashes: dict[str, str] = json.loads(FILE.read_text())
    return hashes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FILE.write_text(json.dumps(make(Path(folder)), indent=1) + "\n")
    sys.stderr.write(f"{FILE.name}: commit it if these bytes are meant to change\n")
