"""Small files on remote storage that are written only where nobody else has written them meanwhile."""

from __future__ import annotations

from typing import cast

from base import hadoop
from base.remote import S3, place_of, protocol, told_of, write_bytes


def create(path: str, data: bytes) -> bool:
    """Write a file unless there is one, such that of several who do so at once, one alone succeeds.

    Returns:
        Whether it was written.

    Raises:
        NotImplementedError: the file system has no such request.
    """
    with told_of(path):
        place = place_of(path)
        if protocol(path) in S3:
            return bool(place.system.create(place.path, data))
        try:
            if protocol(path) in hadoop.PROTOCOLS:
                hadoop.write(place.system, place.path, lambda part: place.system.pipe_file(part, data), replace=False)
            else:
                place.system.pipe_file(place.path, data, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError) as error:
            raise NotImplementedError(str(error)) from error
    return True


def read_marked(path: str) -> tuple[bytes, str] | None:
    """The content of a small file, and the mark by which `replace` knows it; None where there is no file."""
    with told_of(path):
        place = place_of(path)
        try:
            if protocol(path) in S3:
                return cast("tuple[bytes, str]", place.system.marked(place.path))
            return place.system.cat_file(place.path), ""
        except FileNotFoundError:
            return None


def replace(path: str, data: bytes, mark: str) -> str:
    """Write a file in place of one that `read_marked` gave; elsewhere than on Amazon's storage in place of any.

    Returns:
        The mark of the new one.

    Raises:
        FileExistsError: there is another one now, or none.
    """
    with told_of(path):
        place = place_of(path)
        if mark:
            return str(place.system.replace(place.path, data, mark))
        write_bytes(path, data)
        return ""
