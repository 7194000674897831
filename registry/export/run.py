"""Runs an export: begins or resumes its folder, writes its files, and says what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from registry.export.folder import begin_export, exported_files, finish_export
from registry.export.plan import Advance, ExportPlan, FormatName

Writer: TypeAlias = Callable[[ExportPlan, Path, Advance], None]


def _parquet() -> Writer:
    from registry.export.parquet import write

    return write


def _webdataset() -> Writer:
    from registry.export.webdataset import write

    return write


def _array_record() -> Writer:
    from registry.export.array_record import write

    return write


def _lhotse() -> Writer:
    from registry.export.lhotse import write

    return write


def _micro_wake_word() -> Writer:
    from registry.export.micro_wake_word import write

    return write


def _arrays() -> Writer:
    from registry.export.arrays import write

    return write


def _clip_files() -> Writer:
    from registry.export.clip_files import write

    return write


_WRITERS: Final[dict[FormatName, Callable[[], Writer]]] = {
    "parquet": _parquet,
    "webdataset": _webdataset,
    "array-record": _array_record,
    "lhotse": _lhotse,
    "micro-wake-word": _micro_wake_word,
    "numpy": _arrays,
    "csv": _clip_files,
    "png": _clip_files,
}
"""What writes each format, imported when it is wanted."""


@dataclass(frozen=True)
class Written:
    """What an export holds: clips in each split, and its files and bytes without export.json."""

    clips: dict[str, int]
    files: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def export(plan: ExportPlan, folder: Path, advance: Advance) -> Written:
    """Write an export, or what an interrupted run of the same export left undone.

    Args:
        plan: what to export.
        folder: where to; absent, empty, or holding the same export.
        advance: called with the number of clips done.

    Raises:
        DataError: the folder holds something else, or a shard is damaged.
    """
    identity = plan.identity()
    begin_export(folder, identity)
    _WRITERS[plan.format]()(plan, folder, advance)
    found = exported_files(folder)
    written = Written(plan.clips, len(found), sum(found.values()))
    finish_export(folder, identity, written.to_dict())
    return written
