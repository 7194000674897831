"""What is done to many remote files at once: listed, deleted, moved into their places, and forgotten half-way."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, cast

from base import hadoop
from base.remote import S3, place_of, protocol, send, told_of

_DELETED_AT_ONCE: Final = 1000
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
        _delete(place.system, place.system.find(place.path))
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
        _delete(places[0].system, [place.path for place in places])


def _delete(system: Any, paths: Sequence[str]) -> None:
    literal = [path for path in paths if not re.search(r"[*?\[]", path)]  # `rm` takes others for patterns
    if isinstance(system.protocol, tuple | list) and set(S3) & set(system.protocol):
        for start in range(0, len(literal), _DELETED_AT_ONCE):
            system.rm(literal[start : start + _DELETED_AT_ONCE])
        paths = [path for path in paths if path not in set(literal)]
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
            one.system.cp_file(one.path, other.path)
            _delete(one.system, [one.path])


def move_files(source: str, target: str, names: Sequence[str]) -> None:
    """Move files from one folder to another, as `move` does; object storage keeps the old ones, to be removed later."""
    if protocol(source) not in _OBJECT_STORES:
        for name in names:
            move(f"{source}/{name}", f"{target}/{name}")
        return
    with told_of(source):
        # its own list of the folder has the sizes, for which each file would be asked
        one, other = place_of(source, use_listings_cache=True, skip_instance_cache=True), place_of(target)
        one.system.ls(one.path)
        one.system.copy([f"{one.path}/{name}" for name in names], [f"{other.path}/{name}" for name in names])


def end_uploads(folder: str) -> int:
    """Have a store forget uploads in parts that nobody will end, below a folder; how many there were.

    Amazon's keeps and bills their parts until then. Google's forgets them after a week by itself.
    """
    if protocol(folder) not in S3:
        return 0
    with told_of(folder):
        place = place_of(folder)
        bucket, prefix, _ = place.system.split_path(f"{place.path.rstrip('/')}/")
        answer: Mapping[str, Any] = place.system.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
        uploads = answer.get("Uploads", [])
        for each in uploads:
            place.system.call_s3("abort_multipart_upload", Bucket=bucket, Key=each["Key"], UploadId=each["UploadId"])
    return len(uploads)
