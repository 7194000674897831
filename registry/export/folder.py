"""The folder of an export: export.json says what it is, files appear whole, and an interrupted export goes on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from base.errors import DataError
from base.files import to_json, write_text

EXPORT_FILE: Final = "export.json"


def begin_export(folder: Path, identity: Mapping[str, Any]) -> None:
    """Make the folder of an export, or find the same export in it, whose finished files then stay.

    Args:
        folder: where the export goes.
        identity: what tells this export from any other.

    Raises:
        DataError: the folder holds another export or anything else.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file, expected a folder: name another")
    place = folder / EXPORT_FILE
    if place.exists():
        _check_same(place, identity)
    elif folder.exists() and any(name != f".{EXPORT_FILE}.part" for name in os.listdir(folder)):
        raise DataError(f"{folder} is not empty and has no {EXPORT_FILE}, expected a new folder: name another")
    else:
        _write(place, identity, None)


def finish_export(folder: Path, identity: Mapping[str, Any], written: Mapping[str, Any]) -> None:
    """Say in export.json that the export is whole, and what was written."""
    _write(folder / EXPORT_FILE, identity, written)


def write_if_changed(path: Path, text: str) -> None:
    """Write a text file whole, unless it holds this text already."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(str(path), text)


@contextmanager
def published_folder(path: Path) -> Iterator[Path]:
    """Fill a folder that gets its name when the block ends without an error: a new hidden one next to it until then."""
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        part.rename(path)
    except BaseException:
        shutil.rmtree(part)
        raise


def exported_files(folder: Path) -> dict[str, int]:
    """The files of an export but export.json: path below the folder → bytes, in order of path."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names if not name.startswith("."))
    paths = sorted(str(path.relative_to(folder)) for path in found)
    return {path: (folder / path).stat().st_size for path in paths if path != EXPORT_FILE}


def _write(place: Path, identity: Mapping[str, Any], written: Mapping[str, Any] | None) -> None:
    write_if_changed(place, to_json({**identity, "written": written}))


def _check_same(place: Path, identity: Mapping[str, Any]) -> None:
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        differs = [name for name, wanted in identity.items() if found.get(name) != wanted]
    except (ValueError, AttributeError) as error:
        raise DataError(f"{place} is damaged ({error}): export into a new folder") from error
    if differs:
        what = "; ".join(f"{name} {found.get(name)!r}, expected {identity[name]!r}" for name in differs)
        raise DataError(f"{place.parent} holds another export ({what}): export into a new folder")
