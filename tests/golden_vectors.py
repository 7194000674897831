"""The features of ten clips as they were when a view's version was set; `python -m tests.golden_vectors` writes them.

The clips are computed, so that the file stays small; of each view it keeps every eighth frame, or every 64th sample.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from base import params
from features.frontend import compute
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, View, definition, from_definition, version

FILE: Final = Path(__file__).with_name("golden_vectors.npz")
INDEX: Final = "index"
FRAME_STEP: Final = 8
SAMPLE_STEP: Final = 64

Clips = npt.NDArray[np.int16]


def clips() -> Clips:
    """Ten clips that reach every part of the front end, int16, (10, 16000)."""
    time_s = np.arange(CLIP_SAMPLES) / SAMPLE_RATE_HZ
    noise = np.random.Generator(np.random.PCG64(0)).integers(-(1 << 15), 1 << 15, (3, CLIP_SAMPLES))
    impulses = np.where(np.arange(CLIP_SAMPLES) % 800 == 0, 32767, 0)
    harmonics = sum(np.sin(2 * np.pi * 130 * n * time_s) / n for n in range(1, 25))
    waves = [
        np.zeros(CLIP_SAMPLES),
        noise[0],
        noise[1] // 64,
        np.where(time_s < 0.6, noise[2] // 8, 0),
        impulses,
        32767 * np.sin(2 * np.pi * 440 * time_s),
        12000 * np.sin(2 * np.pi * (100 * time_s + 3600 * time_s**2)),
        np.clip(60000 * np.sin(2 * np.pi * 1000 * time_s), -32768, 32767),
        9000 * harmonics * np.exp(-4 * time_s),
        np.sign(np.sin(2 * np.pi * 55 * time_s)),
    ]
    return np.stack([np.rint(wave) for wave in waves]).astype(np.int16)


def vectors(features: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The part of some features, (clips, *view.shape), that the file keeps."""
    return features[:, :: SAMPLE_STEP if features.ndim == 2 else FRAME_STEP]


def write(views: dict[str, View]) -> None:
    """Compute the vectors of these views and keep them under their present versions."""
    audio = clips()
    index = {
        "clips_sha256": hashlib.sha256(audio.tobytes()).hexdigest(),
        "views": {name: {"version": version(view), "definition": definition(view)} for name, view in views.items()},
    }
    arrays: dict[str, Any] = {name: vectors(compute(view, audio)) for name, view in views.items()}
    np.savez_compressed(FILE, **{INDEX: np.array(json.dumps(index))}, **arrays)


def read() -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """The index, and the vectors of each view."""
    with np.load(FILE) as file:
        index: dict[str, Any] = json.loads(str(file[INDEX]))
        return index, {name: file[name] for name in index["views"]}


def difference(name: str) -> float:
    """Largest difference of a view's features now from those in the file, as a part of the largest value."""
    index, kept = read()
    found = vectors(compute(from_definition(index["views"][name]["definition"]), clips()))
    expected = kept[name].astype(np.float64)
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


if __name__ == "__main__":
    write(params.load("extract.views", dict[str, View]))
