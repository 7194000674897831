"""Runs an export: begins or resumes its folder, writes its files, and says what was written."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from features.export import folder as folders
from features.export.plan import Advance, FormatName, Plan

Writer: TypeAlias = Callable[[Plan, Path, Advance], None]

_MODULES: Final[dict[FormatName, str]] = {
    "parquet": "parquet",
    "webdataset": "webdataset",
    "numpy": "arrays",
    "csv": "files",
    "png": "files",
}
"""The module whose `write` makes each format, imported when it is wanted."""


@dataclass(frozen=True)
class Written:
    """What an export holds: clips in each split, and its files and bytes without export.json."""

    clips: dict[str, int]
    files: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def export(plan: Plan, folder: Path, advance: Advance) -> Written:
    """Write an export, or what an interrupted run of the same export left undone.

    Args:
        plan: what to export.
        folder: where to; absent, empty, or holding the same export.
        advance: called with the number of clips done.

    Raises:
        DataError: the folder holds something else, or a shard is damaged.
    """
    identity = plan.identity()
    folders.begin(folder, identity)
    writer: Writer = importlib.import_module(f"features.export.{_MODULES[plan.format]}").write
    writer(plan, folder, advance)
    found = folders.sizes(folder)
    written = Written(plan.clips, len(found), sum(found.values()))
    folders.finish(folder, identity, written.to_dict())
    return written
