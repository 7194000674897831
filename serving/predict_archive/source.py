"""Where unlabeled clips come from, an archive or a folder: which files are clips, and how they are divided."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from base import files
from base.command import progress_bar
from base.errors import DataError
from pipelines.archives import FORMATS, format_of
from pipelines.layouts import normalized, other
from pipelines.layouts.unlabeled import LAYOUT

CLIPS_PER_SHARD: Final = 500
"""Of a folder."""
BYTES_PER_SHARD: Final = 1 << 24
"""Of an archive, whose clips nobody has counted yet."""
MOST_SHARDS: Final = 128
"""For each shard of an archive, a file is open at the same time."""

_CHUNK_BYTES: Final = 1 << 20
_NAMES_IN_ERRORS: Final = 3


@dataclass(frozen=True)
class Source:
    """An archive or a folder of clips.

    Attributes:
        path: of the archive or the folder.
        identity: changes with its content: SHA-256 (hex) of an archive; of the names, sizes and times of a folder.
        shards: into how many its clips are divided.
        clips: paths of the clips of a folder below it, in order; None for an archive, which is read to know them.
    """

    path: str
    identity: str
    shards: int
    clips: tuple[str, ...] | None = None


def find(path: str) -> Source:
    """What is at a path.

    Raises:
        DataError: nothing, a file of a format that is no archive, or a folder without a clip.
    """
    if not files.is_remote(path) and os.path.isdir(path):
        return _folder(path)
    size = files.size(path)
    if size is None:
        raise DataError(f"{path}: no such file or folder; name an archive or a folder of audio files")
    if format_of(path) is None:
        raise DataError(f"{path}: expected a folder or a name that ends in {' or '.join(FORMATS)}")
    return Source(path, _sha256(path, size), min(-(-size // BYTES_PER_SHARD) or 1, MOST_SHARDS))


def _sha256(path: str, size: int) -> str:
    found = hashlib.sha256()
    with files.open_for_reading(path) as file, progress_bar(size, "B", "predict_archive: checking") as bar:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
            bar.update(len(chunk))
    return found.hexdigest()


def _folder(folder: str) -> Source:
    others, found = list[str](), dict[str, str]()
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for path in (os.path.relpath(os.path.join(place, name), folder) for name in names):
            if is_clip(path):
                found[path] = _state(Path(folder, path))
            else:
                others.append(path)
    if not found:
        raise no_clip(folder, sorted(others))
    clips = tuple(sorted(found))
    facts = hashlib.sha256()
    for path in clips:
        facts.update(f"{path}\0{found[path]}\0".encode("utf-8", "surrogateescape"))
    return Source(folder, facts.hexdigest(), -(-len(clips) // CLIPS_PER_SHARD), clips)


def _state(path: Path) -> str:
    """Size and time of change of a file, or that it can't be looked at."""
    try:
        facts = path.stat()
    except OSError as error:
        return str(error.strerror)
    return f"{facts.st_size} {facts.st_mtime_ns}"


def is_clip(path: str) -> bool:
    """Whether a file is to get a label: all audio but what is hidden, whatever the folder."""
    return other(normalized(path)).reason == "unexpected_name"


def no_clip(path: str, names: list[str]) -> DataError:
    """The error of an archive or a folder whose files are no clips."""
    begins = ", ".join(names[:_NAMES_IN_ERRORS]) or "nothing"
    return DataError(f"{path} has no audio file, expected {LAYOUT.expected}; it begins with: {begins}")
