"""Archives and folders on this machine: what they look like, and how they come into the output folder."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from base import command
from base.errors import DataError
from pipelines import layouts
from pipelines.archives import FORMATS, GZIP_MAGIC, format_of

_BLOCK_BYTES: Final = 1 << 20
_NAMES_IN_ERRORS: Final = 3


def check(path: Path, key: str, known: list[str]) -> None:
    """Make sure that something can be read as an archive.

    Args:
        path: an archive or a folder.
        key: the parameter that names it, for errors.
        known: what the parameter may say that is no path.

    Raises:
        DataError: there is no such file, or it is no archive of the format that its name says.
    """
    if path.is_dir():
        return
    if not path.is_file():
        raise DataError(f"{key} is {str(path)!r}: no such file or folder, and not one of {', '.join(known)}")
    kind = format_of(path.name)
    if kind is None:
        raise DataError(f"{key} is {str(path)!r}: expected a folder or a name that ends in {' or '.join(FORMATS)}")
    with path.open("rb") as file:
        start = file.read(len(GZIP_MAGIC))
    if kind == "tar.gz" and start != GZIP_MAGIC:
        raise DataError(f"{path} is not a gzip file: it begins with {start!r}, expected {GZIP_MAGIC!r}; make it again")
    if kind == "zip" and not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a zip archive: it begins with {start!r}; name it by its format")
    if kind == "tar":
        _check_tar(path)


def _check_tar(path: Path) -> None:
    try:
        tarfile.open(path, "r:").close()
    except tarfile.ReadError as error:
        raise DataError(f"{path} is not an uncompressed tar archive ({error}); name it by its format") from error


def recognize(path: Path, noise: bool) -> str:
    """The name of the layout that an archive or a folder has.

    Raises:
        DataError: nothing in it is audio, or it is damaged.
    """
    first: list[str] = []

    def seen() -> Iterator[str]:
        for name in file_names(path):
            if len(first) < _NAMES_IN_ERRORS:
                first.append(name)
            yield name

    found = layouts.recognize(seen(), noise)
    if found is None:
        raise DataError(
            f"{path} has no audio file that a layout knows; it begins with: {', '.join(first) or 'nothing'}; "
            f"the layouts are {', '.join(layouts.names())}"
        )
    return found


def file_names(path: Path) -> Iterator[str]:
    """Names of the files of an archive or a folder, in its order.

    Raises:
        DataError: it is damaged.
    """
    if path.is_dir():
        yield from (each.relative_to(path).as_posix() for each in folder_files(path))
        return
    try:
        if format_of(path.name) == "zip":
            with zipfile.ZipFile(path) as zipped:
                yield from (each.filename for each in zipped.infolist() if not each.is_dir())
        else:
            with tarfile.open(path, "r:" if format_of(path.name) == "tar" else "r|gz") as archive:
                for member in archive:
                    if not member.isdir():
                        yield member.name
                    archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header otherwise
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, ValueError) as error:
        raise DataError(f"{path} is damaged or cut short ({error}); get it again") from error


def folder_files(folder: Path) -> list[Path]:
    """The files below a folder in order of their paths, without what is hidden."""
    found = []
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: path.relative_to(folder).as_posix())


def pack(folder: Path, target: Path) -> None:
    """Write the files of a folder into an uncompressed archive, in order of their paths, without dates and owners.

    So the archive's SHA-256 is a hash over the sorted names, the sizes and the contents of the files: equal folders
    give equal archives.

    Raises:
        DataError: a file can't be read, or changes while it is read.
    """
    paths = folder_files(folder)
    total = sum(path.stat().st_size for path in paths)
    with (
        tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive,
        command.progress_bar(total, "B", f"packing {folder.name}") as bar,
    ):
        for path in paths:
            header = tarfile.TarInfo(path.relative_to(folder).as_posix())
            header.size = path.stat().st_size
            try:
                with path.open("rb") as file:
                    archive.addfile(header, file)
            except (OSError, UnicodeError) as error:
                raise DataError(
                    f"{path} can't be packed ({error}): leave the folder as it is, and run again"
                ) from error
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header otherwise
            bar.update(header.size)


def copy(source: Path, target: Path) -> None:
    """Copy a file with a progress bar."""
    with (
        source.open("rb") as reader,
        target.open("wb") as writer,
        command.progress_bar(source.stat().st_size, "B", f"copying {source.name}") as bar,
    ):
        while block := reader.read(_BLOCK_BYTES):
            writer.write(block)
            bar.update(len(block))
