"""Long recordings of speech without the model's words, divided between validation and test by their names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from base.command import with_progress
from base.errors import DataError
from features.audio_file import AudioError, decode
from features.splits import SplitName, hash64
from features.views import FULL_SCALE
from serving.stream_test.utterances import level_dbfs

Samples = npt.NDArray[np.int16]

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".opus", ".mp3")
_HIGHEST_PEAK: Final = 0.9


class Recording(NamedTuple):
    """A file of speech.

    Attributes:
        path: where it is.
        samples: its length at 16 kHz.
        dbfs: root mean square, in dB of full scale.
        headroom_db: the gain that brings its peak to 0.9 of full scale.
    """

    path: str
    samples: int
    dbfs: float
    headroom_db: float


def recordings(folder: Path, split: SplitName) -> tuple[Recording, ...]:
    """The recordings of a folder and of those below it for a split: half of them are for validation, half for test.

    Args:
        folder: where they are.
        split: train takes all: give a folder of its own.

    Raises:
        DataError: the folder holds no audio, or a file is not usable.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(paths) < 2:
        raise DataError(f"{folder} has {len(paths)} audio files: give two or more, some for validation, some for test")
    order = sorted(paths, key=lambda path: hash64("speech", path.relative_to(folder).as_posix()))
    chosen = sorted({"train": order, "validation": order[::2], "test": order[1::2]}[split])
    return tuple(_measured(path) for path in with_progress(chosen, len(chosen), "recording", f"{split} speech"))


def _measured(path: Path) -> Recording:
    samples = read(str(path))
    if not samples.any():
        raise DataError(f"{path} is silent: take it out of the folder")
    peak = int(np.abs(samples.astype(np.int32)).max())
    return Recording(
        str(path), len(samples), level_dbfs(samples), float(20 * np.log10(_HIGHEST_PEAK * FULL_SCALE / peak))
    )


@lru_cache(maxsize=1)
def read(path: str) -> Samples:
    """The samples of a file at 16 kHz; the last one stays in memory.

    Raises:
        DataError: it is not usable audio.
    """
    try:
        return decode(Path(path).read_bytes()).samples
    except AudioError as error:
        raise DataError(f"{path}: {error}") from error
