"""Files of remote file systems: in few requests, retried by their libraries, refused in one sentence.

Those of Amazon's protocol are opened by obstore, any other by fsspec. Credentials come from the usual environment of
each library alone. A request that a server refuses for the moment, or whose connection breaks, is made again by the
library, after a while that grows.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import tempfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, Final, NamedTuple, cast

from base import google_storage, hadoop
from base.errors import DataError

MARK: Final = "://"
"""What the path of a remote file has, and no other."""

_BLOCK_BYTES: Final = 16 << 20
"""What a file that is read in order is asked for at once."""
_AT_ONCE_BYTES: Final = 1 << 20
"""Up to this size a file is sent from memory."""

_MARKS: Final = ("ETag", "etag", "LastModified", "mtime", "created", "modification_time")
"""What file systems call the mark of a file's content or date."""
S3: Final = ("s3", "s3a")

_SECRET: Final = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")
_LIBRARIES: Final = {
    "s3": "obstore",
    "s3a": "obstore",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "hdfs": "hdfs_native",
    "viewfs": "hdfs_native",
}
"""The modules that open paths of each protocol."""


class Place(NamedTuple):
    """A path of a file system of fsspec, or of a bucket with the same methods."""

    system: Any
    path: str


def protocol(path: str) -> str:
    """What the path begins with, such as "s3"."""
    return path.partition(MARK)[0]


def library(path: str) -> str | None:
    """The module that opens a path, where it is remote and of a protocol whose module is known here."""
    return _LIBRARIES.get(protocol(path)) if MARK in path else None


def place_of(path: str) -> Place:
    """The file system of an address, and the path within it.

    Args:
        path: such as "s3://bucket/folder/file".

    Raises:
        DataError: the address has a password in it, or this process can't use such storage.
    """
    if _SECRET.search(path):
        raise DataError(f"{without_secrets(path)} has a password in its address: leave it to the environment")
    if protocol(path) in S3:
        from base import amazon_storage  # no client of storage is of any use to local work

        amazon_storage.check_process()
        name, _, key = path.partition(MARK)[2].partition("/")
        return Place(amazon_storage.bucket(name), key)
    import fsspec

    options = hadoop.options(path) if protocol(path) in hadoop.PROTOCOLS else {"use_listings_cache": False}
    return Place(*fsspec.core.url_to_fs(path, **options))


def without_secrets(text: str) -> str:
    """A text whose addresses show no user and password."""
    return _SECRET.sub("***@", text)


@contextlib.contextmanager
def told_of(path: str) -> Iterator[None]:
    """Give what a library raises in the block the path, and the form of a fault that a user can mend.

    Raises:
        OSError: the file system says no; FileNotFoundError where there is no such file.
        DataError: it can't be reached, or its library is not installed.
    """
    try:
        yield
    except (DataError, MemoryError, NotImplementedError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except PermissionError as error:
        raise PermissionError(errno.EACCES, f"{_said(error)}: {path}") from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, _said(error), path) from error
    except ImportError as error:
        missing = (library(path) or "its library for fsspec").replace("_", "-")
        raise DataError(f"{path} can't be opened ({_said(error)}): install {missing}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {_said(error)}"
        raise DataError(f"{path} can't be reached ({said}): check its address, and the credentials") from error


def _said(error: BaseException) -> str:
    """What a library says of a fault, in a line, without a server's whole answer."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return without_secrets(text.partition("\n")[0].partition(": <?xml")[0])


class _Reader(io.RawIOBase):
    """A file, of which each read asks for a range."""

    def __init__(self, path: str, size: int) -> None:
        self.name, self._size, self._at = path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = read_range(self.name, self._at, min(self._at + len(buffer), self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = read_range(self.name, self._at, self._size)
        self._at += len(data)
        return data


def open_for_reading(path: str, size: int | None = None) -> BinaryIO:
    """Open a file to be read in order: what is read in small pieces comes in blocks.

    Args:
        path: the file.
        size: its bytes where they are known, which spares a request.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = file_size(path) if size is None else size
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return cast("BinaryIO", io.BufferedReader(_Reader(path, found), max(1, min(_BLOCK_BYTES, found))))


def read_bytes(path: str) -> bytes:
    """The whole content of a file, in one request."""
    with told_of(path):
        place = place_of(path)
        data: bytes = place.system.cat_file(place.path)
    return data


def read_range(path: str, start: int, stop: int) -> bytes:
    """Some bytes of a file, fewer only where the range is empty.

    Raises:
        OSError: the file is shorter.
    """
    if stop <= start:
        return b""
    with told_of(path):
        place = place_of(path)
        data: bytes = place.system.cat_file(place.path, start=start, end=stop)
        if len(data) != stop - start:
            raise OSError(errno.EIO, f"{len(data)} bytes came, expected {stop - start}")
    return data


def fetch(path: str, target: str) -> None:
    """Copy a file to a local one, in one request."""
    with told_of(path):
        place = place_of(path)
        place.system.get_file(place.path, target)


def write_bytes(path: str, data: bytes) -> None:
    """Write a file, in one request; nothing sees half of it on object storage."""
    with told_of(path):
        place = place_of(path)
        if protocol(path) in google_storage.PROTOCOLS:
            google_storage.write_bytes(place.system, place.path, data)
        elif protocol(path) in hadoop.PROTOCOLS:
            hadoop.write(place.system, place.path, lambda part: place.system.pipe_file(part, data))
        else:
            place.system.pipe_file(place.path, data)


@contextlib.contextmanager
def published(path: str) -> Iterator[BinaryIO]:
    """Collect a file here and send it when the block ends without an error."""
    with tempfile.NamedTemporaryFile() as whole:
        yield cast("BinaryIO", whole)
        send(whole, path)


def send(file: IO[bytes], path: str) -> None:
    """Write what an open local file with a name holds, in one request where its file system has such."""
    file.flush()
    is_google = protocol(path) in google_storage.PROTOCOLS
    if file.seek(0, os.SEEK_END) <= (google_storage.IN_MEMORY_BYTES if is_google else _AT_ONCE_BYTES):
        file.seek(0)
        write_bytes(path, file.read())
        return
    with told_of(path):
        place = place_of(path)
        if is_google:
            google_storage.put_file(place.system, file.name, place.path)
        elif protocol(path) in hadoop.PROTOCOLS:
            hadoop.write(place.system, place.path, lambda part: place.system.put_file(file.name, part))
        else:
            place.system.put_file(file.name, place.path)


def file_size(path: str) -> int | None:
    """Bytes of a file, or None where there is none."""
    state = file_state(path)
    return state and state[0]


def file_state(path: str) -> tuple[int, str] | None:
    """Bytes of a file, and what changes with its content or its date; None where there is no file."""
    with told_of(path):
        place = place_of(path)
        try:
            facts = place.system.info(place.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    mark = next((facts[key] for key in _MARKS if facts.get(key)), "")
    return (int(facts["size"]), str(mark)) if facts["type"] == "file" else None


def sizes(folder: str) -> dict[str, int]:
    """Bytes of the files and folders directly in a folder by their names, 0 of folders; none where there is none."""
    with told_of(folder):
        place = place_of(folder)
        try:
            found = place.system.ls(place.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
    own = place.path.rstrip("/")
    paths = {each["name"].rstrip("/"): each for each in found}
    return {name.rpartition("/")[2]: int(each["size"] or 0) for name, each in paths.items() if name != own}
