"""Compares every file of a store with the SHA-256 that was written with it, and remembers which files it has seen."""

from __future__ import annotations

import os
from typing import Final

from base import files
from base.errors import DataError
from stores.manifest import MANIFEST_FILE, SUMS_FILE, Manifest, metadata_files, read_sums

_seen: Final[dict[str, tuple[tuple[str, int, int, int], ...]]] = {}
"""Real path of a store whose files have their hashes → name, size, inode and time of change of each file."""


def check_hashes(folder: str, manifest: Manifest) -> None:
    """Make sure that each file of a store is the one that was written.

    Args:
        folder: of the store.
        manifest: of the store.

    Raises:
        DataError: a file is missing or has another hash.
    """
    wanted = metadata_files(manifest)[SUMS_FILE]
    expected = read_sums(wanted)  # of all files but the sums
    place = os.path.realpath(folder)
    state = None if files.is_remote(folder) else _state(place, (SUMS_FILE, *expected))
    if state is not None and _seen.get(place) == state:
        return
    text = _read_sums(folder)
    sums = read_sums(text)
    if sums.keys() != expected.keys():
        raise _changed(folder, SUMS_FILE)
    for name in sorted(expected, key=lambda each: each != MANIFEST_FILE):  # the manifest first
        if _sha256(folder, name) != sums[name]:
            raise _changed(folder, name)
    if text != wanted:
        raise _changed(folder, SUMS_FILE)
    if state is not None:
        _seen[place] = state


def _read_sums(folder: str) -> str:
    try:
        return files.read_text(files.join(folder, SUMS_FILE))
    except FileNotFoundError as error:
        raise DataError(f"{folder} has no {SUMS_FILE} to compare its files with: make the store again") from error
    except UnicodeDecodeError as error:
        raise _changed(folder, SUMS_FILE) from error


def _sha256(folder: str, name: str) -> str:
    try:
        return files.sha256(files.join(folder, name))
    except FileNotFoundError as error:
        raise DataError(f"{files.join(folder, name)} is missing: make the store again") from error


def _changed(folder: str, name: str) -> DataError:
    return DataError(f"{files.join(folder, name)} is not the file that was written: make the store again")


def _state(folder: str, names: tuple[str, ...]) -> tuple[tuple[str, int, int, int], ...] | None:
    """What tells a file from a changed one without reading it, of all files; None where one is missing."""
    try:
        found = [(name, os.stat(files.join(folder, name))) for name in names]
    except OSError:
        return None
    return tuple((name, each.st_size, each.st_ino, each.st_mtime_ns) for name, each in found)
