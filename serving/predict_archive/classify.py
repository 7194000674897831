"""Turns the clips of one shard into a table of probabilities, and of reasons where a clip can't be read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from base import files
from base.errors import DataError
from features.audio import Samples, Second, first_sample, pad_or_trim
from features.audio_file import AudioError, AudioFile
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipelines.engine.steps import Step
from pipelines.engine.work import Work
from pipelines.ingest import spill
from pipelines.ingest.tar import LARGEST_MEMBER_BYTES
from serving.description import EXPORT_FILE
from serving.predict_archive.source import CLIPS_PER_SHARD, Source
from stores.tables import from_rows, write_table

if TYPE_CHECKING:
    from serving.model import Model

SCHEMA: Final = pa.schema(
    [
        ("path", pa.string()),
        ("seconds", pa.float64()),
        ("probabilities", pa.list_(pa.float32())),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""A row for each clip: what was found, or why it could not be read."""
REPEATED: Final = "repeated"
"""The reason of a clip whose path another one before it in the archive has."""

_CLIPS_AT_ONCE: Final = 64


@dataclass(frozen=True)
class Classified:
    """Report on a finished shard.

    Attributes:
        index: its number.
        bytes: of its table.
    """

    index: int
    bytes: int


class _Read(NamedTuple):
    """A clip: its path, its audio or None, its duration in seconds, and why there is no audio."""

    path: str
    samples: Samples | None
    seconds: float | None = None
    reason: str | None = None
    detail: str | None = None


class Classify(Step[int, Classified]):
    """Number of a shard → the table of its clips, in order of their paths."""

    name = "classify"
    report = Classified

    def __init__(self, source: Source, export: str, export_sha256: str, second: Second) -> None:
        """Set up the step.

        Args:
            source: of the clips.
            export: folder of the export.
            export_sha256: of its export.json (hex).
            second: which second of a longer recording is taken.
        """
        self._source, self._export, self._export_sha256, self._second = source, export, export_sha256, second

    def index(self, item: int) -> int:
        return item

    def holds(self, report: Classified, work: Work) -> bool:
        return files.size(part_path(work, report.index)) == report.bytes

    def run(self, item: int, work: Work) -> Classified:
        """Write the table of a shard.

        Raises:
            DataError: the export is another than at the start, or an intermediate file is damaged.
        """
        model, rows = _model(self._export, self._export_sha256), list[dict[str, Any]]()
        clips = self._clips(item, work)
        while some := list(islice(clips, _CLIPS_AT_ONCE)):
            readable = [clip.samples for clip in some if clip.samples is not None]
            found = iter(model.probabilities(np.stack(readable)) if readable else ())
            rows += [
                {**each._asdict(), "probabilities": next(found) if each.samples is not None else None} for each in some
            ]
        place = part_path(work, item)
        write_table(place, from_rows(rows, SCHEMA))
        return Classified(item, files.size(place) or 0)

    def clean(self, item: int, work: Work) -> None:
        """Delete the spill of a finished shard, where there is one."""
        files.remove(work.path(spill.name(0, item)))

    def _clips(self, shard: int, work: Work) -> Iterator[_Read]:
        if self._source.clips is None:
            return spilled(work.path(spill.name(0, shard)), self._second)
        start = shard * CLIPS_PER_SHARD
        return in_folder(self._source.path, self._source.clips[start : start + CLIPS_PER_SHARD], self._second)


def part_path(work: Work, index: int) -> str:
    """Path of the table of a shard."""
    return work.path(f"classified-{index:05d}.parquet")


def spilled(place: str, second: Second) -> Iterator[_Read]:
    """The clips of a spill, in order of their paths, and of two with one path in the archive's order.

    Args:
        place: the file.
        second: which second of a longer recording is taken.

    Raises:
        DataError: it is damaged.
    """
    with files.open_pinned(place) as file:
        entries = sorted(spill.index(file), key=lambda entry: (entry.header["path"], entry.header["order"]))
        before = None
        for header, offset in entries:
            path = header["path"]
            if path == before:
                yield _Read(path, None, None, REPEATED, "a clip of this name stands in the archive before")
            elif "reason" in header:
                yield _Read(path, None, None, header["reason"], header["detail"])
            else:
                yield decoded(path, spill.read_data(file, offset), second)
            before = path


def in_folder(folder: str, paths: tuple[str, ...], second: Second) -> Iterator[_Read]:
    """The clips of a folder at some paths below it.

    Args:
        folder: the folder.
        paths: in order.
        second: which second of a longer recording is taken.
    """
    for path in paths:
        place, shown = os.path.join(folder, path), os.fsencode(path).decode("utf-8", "replace")
        try:
            if not os.path.isfile(place):
                yield _Read(shown, None, None, "not_a_file", "it is no regular file, or a link that leads nowhere")
            elif (size := os.path.getsize(place)) > LARGEST_MEMBER_BYTES:
                yield _Read(shown, None, None, "too_large", f"{size} bytes, more than {LARGEST_MEMBER_BYTES}")
            else:
                yield decoded(shown, files.read_bytes(place), second)
        except OSError as error:
            yield _Read(shown, None, None, "unreadable", error.strerror or type(error).__name__)


def decoded(path: str, data: bytes, second: Second) -> _Read:
    """A clip from the content of its file.

    Args:
        path: of the file.
        data: its content.
        second: which second of a longer recording is taken.
    """
    try:
        file = AudioFile(data)
        start = first_sample(file.blocks(), file.size, second)
        clip, _ = pad_or_trim(file.stretch(start, start + CLIP_SAMPLES))
    except AudioError as error:
        return _Read(path, None, None, error.reason, str(error))
    return _Read(path, clip, file.size / SAMPLE_RATE_HZ)


class _Opened(threading.local):
    """The model of a thread: its interpreter must not be used by two at a time."""

    key: tuple[str, str] | None = None
    model: Model | None = None


_opened = _Opened()
_opening = threading.Lock()


def _model(folder: str, sha256: str) -> Model:
    """The model of an export, opened once in a thread.

    Raises:
        DataError: the export is another than at the start, or damaged.
    """
    if _opened.model is None or _opened.key != (folder, sha256):
        from serving.model import open_model  # and SciPy, of no use to the process that runs Beam

        if files.sha256(files.join(folder, EXPORT_FILE)) != sha256:
            raise DataError(f"{folder} has changed while its model was in use: run the same command again")
        with _opening:
            _opened.model, _opened.key = open_model(Path(folder)), (folder, sha256)
    return _opened.model
