"""What is done to many remote files at once: listed, deleted, moved into their places, and forgotten half-way."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, cast

from base import hadoop
from base.remote import S3, place_of, protocol, send, told_of

_SENT_AT_ONCE: Final = 4
"""Files that are in memory at the same time."""
_OBJECT_STORES: Final = (*S3, "gs", "gcs", "abfs", "abfss", "az", "oss")
"""Protocols of storage that has no folders."""


@contextlib.contextmanager
def published_together(paths: Sequence[str]) -> Iterator[list[BinaryIO]]:
    """Collect several files here and send them, some at once, when the block ends without an error."""
    with contextlib.ExitStack() as stack:
        wholes = [stack.enter_context(tempfile.NamedTemporaryFile()) for _ in paths]
        yield cast("list[BinaryIO]", wholes)
        if protocol(paths[0]) in hadoop.PROTOCOLS:
            for whole, path in zip(wholes, paths, strict=True):
                send(whole, path)
            return
        for whole in wholes:
            whole.flush()
        with told_of(paths[0]):
            places = [place_of(path) for path in paths]
            sources, targets = [whole.name for whole in wholes], [place.path for place in places]
            places[0].system.put(sources, targets, batch_size=_SENT_AT_ONCE)


def below(folder: str) -> list[str]:
    """The paths of all files in a folder and below it."""
    with told_of(folder):
        place = place_of(folder)
        found = place.system.find(place.path)
    own = place.path.rstrip("/")
    return [f"{folder.rstrip('/')}{each.removeprefix(own)}" for each in found if each != own]


def remove(path: str) -> None:
    """Delete a file, or a folder with all that it holds, where there is one."""
    with told_of(path):
        place = place_of(path)
        _delete(protocol(path), place.system, list(place.system.find(place.path)))
        if protocol(path) not in _OBJECT_STORES and place.system.exists(place.path):
            inner = place.system.find(place.path, withdirs=True)
            for folder in sorted({*inner, place.path}, key=len, reverse=True):
                place.system.rmdir(folder)


def remove_empty(folder: str) -> None:
    """Delete a folder that holds nothing, where the file system has folders.

    Raises:
        OSError: there is none, or it holds something.
    """
    if protocol(folder) in _OBJECT_STORES:
        return
    with told_of(folder):
        place = place_of(folder)
        if not place.system.ls(place.path):
            place.system.rmdir(place.path)


def remove_files(paths: Sequence[str]) -> None:
    """Delete files of one file system, those that are there, many in one request where it can do so."""
    if not paths:
        return
    with told_of(paths[0]):
        places = [place_of(path) for path in paths]
        _delete(protocol(paths[0]), places[0].system, [place.path for place in places])


def _delete(kind: str, system: Any, paths: Sequence[str]) -> None:
    if kind in S3:
        system.rm(paths)
        return
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            system.rm_file(path)


def move(source: str, target: str) -> None:
    """Give a file another name, in place of the file that has it: by the server, which copies it where it must."""
    with told_of(source):
        one, other = place_of(source), place_of(target)
        if protocol(source) not in _OBJECT_STORES:
            one.system.makedirs(other.path.rpartition("/")[0], exist_ok=True)
        if protocol(source) in hadoop.PROTOCOLS:
            one.system.mv(one.path, other.path, overwrite=True)
        else:
            one.system.copy([one.path], [other.path])
            _delete(protocol(source), one.system, [one.path])


def move_files(source: str, target: str, names: Sequence[str]) -> None:
    """Move files from one folder to another, as `move` does; object storage keeps the old ones, to be removed later."""
    if protocol(source) not in _OBJECT_STORES:
        for name in names:
            move(f"{source}/{name}", f"{target}/{name}")
        return
    with told_of(source):
        one, other = place_of(source), place_of(target)
        one.system.copy([f"{one.path}/{name}" for name in names], [f"{other.path}/{name}" for name in names])
