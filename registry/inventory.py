"""Finds the stores below a folder, finished or not, and what a quick look says about each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from base.claim import WORK_FOLDER
from base.errors import DataError
from stores.manifest import MANIFEST_FILE, PLAN_FILE, VERSION, Manifest

CLIPS_KIND: Final = "clips"


@dataclass(frozen=True)
class StoreEntry:
    """One store below a folder.

    Attributes:
        path: the folder that holds it, without that of its version, relative to where the search began.
        folder: the folder that its manifest lies in, as a path to open.
        kind: kind of view, or "clips"; None where no manifest says it.
        name, version, task: as in the manifest; None where there is none.
        records: records of each split.
        bytes: of all shards, as the manifest has them.
        modified_s: when the manifest was written, in seconds since 1970; None where there is none.
        problem: why the store can't be used, or None.
    """

    path: str
    folder: str
    kind: str | None
    name: str | None
    version: str | None
    task: str | None
    records: dict[str, int]
    bytes: int
    modified_s: float | None
    problem: str | None


def find_stores(root: Path) -> list[StoreEntry]:
    """The stores in a folder and below it, in order of path.

    Args:
        root: the folder; links to folders are not followed.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: name the folder below which the stores are")
    return [_entry(folder, root) for folder in _store_folders(root)]


def _store_folders(root: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != WORK_FOLDER and not name.startswith("."))
        if MANIFEST_FILE in files or _plans(Path(place)):
            yield Path(place)


def _plans(folder: Path) -> list[Path]:
    """The plans of the unfinished work on a store, one at most unless a killed run has left more."""
    return sorted(folder.glob(f"{WORK_FOLDER}/*/{PLAN_FILE}"))


def _entry(folder: Path, root: Path) -> StoreEntry:
    place = folder / MANIFEST_FILE
    if not place.is_file():
        return _make_entry(folder, root, _planned(folder), None, "unfinished: run its stage again to resume")
    try:
        manifest = Manifest.from_json(place.read_text(encoding="utf-8"), MANIFEST_FILE)
    except ValueError as error:
        reason = " ".join(str(error).split())
        return _make_entry(folder, root, None, place.stat().st_mtime, reason)
    return _make_entry(folder, root, manifest, place.stat().st_mtime, missing_files(folder, manifest))


def _planned(folder: Path) -> Manifest | None:
    """What an unfinished store is to become, or None where its plan can't be read."""
    try:
        plan = _plans(folder)[0]
        return Manifest.from_json(json.loads(plan.read_text(encoding="utf-8"))["manifest"], plan.name)
    except (ValueError, KeyError, TypeError):
        return None


def _make_entry(
    folder: Path, root: Path, manifest: Manifest | None, modified_s: float | None, problem: str | None
) -> StoreEntry:
    home = folder.parent if VERSION.fullmatch(folder.name) and folder != root else folder
    path = home.relative_to(root).as_posix() if home.is_relative_to(root) else str(home)
    if manifest is None:
        version = folder.name if VERSION.fullmatch(folder.name) else None
        return StoreEntry(path, str(folder), None, None, version, None, {}, 0, modified_s, problem)
    records: Counter[str] = Counter()
    for shard in manifest.shards:
        records[shard.split] += shard.records
    return StoreEntry(
        path,
        str(folder),
        CLIPS_KIND if manifest.view is None else manifest.view.kind,
        manifest.name,
        manifest.version,
        None if manifest.task is None else manifest.task.name,
        dict(records),
        sum(shard.bytes for shard in manifest.shards),
        modified_s,
        problem,
    )


def missing_files(folder: Path, manifest: Manifest) -> str | None:
    """What a look at names and sizes alone shows to be missing or cut, or None.

    Args:
        folder: the store's folder.
        manifest: its manifest.
    """
    expected: dict[str, int | None] = dict.fromkeys(manifest.tables)
    expected |= {shard.file: shard.bytes for shard in manifest.shards}
    wrong = []
    for name, size in expected.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found is None:
            wrong.append(f"{name} is missing")
        elif size is not None and found != size:
            wrong.append(f"{name} has {found} bytes, expected {size}")
    if not wrong:
        return None
    more = f", and {len(wrong) - 1} more files" if len(wrong) > 1 else ""
    return f"{wrong[0]}{more}: make the store again"


def age(seconds: float) -> str:
    """A time span in its largest fitting unit: "45 s", "12 min", "3 h", "8 d".

    Args:
        seconds: of any size; negative counts as 0.
    """
    for unit, name, limit in ((1, "s", 60), (60, "min", 3600), (3600, "h", 48 * 3600)):
        if seconds < limit:
            return f"{int(max(seconds, 0) // unit)} {name}"
    return f"{int(seconds // 86400)} d"
