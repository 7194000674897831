"""Files, local or remote: paths are taken literally, and a file has its name only when it is whole.

A path with "://" is opened by fsspec, whose credentials come from the usual environment; any other is local.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import posixpath
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, NamedTuple, cast

from base.errors import DataError

_CHUNK_BYTES: Final = 1 << 20
_KEPT_IN_MEMORY_BYTES: Final = 1 << 20
_REMOTE: Final = "://"
_CANT_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""What file systems say that have no such call for a folder."""
_SYNCS_AT_ONCE: Final = 8
"""File systems write the journal once for all that wait for it."""


class _Remote(NamedTuple):
    """A path of a remote file system."""

    system: Any
    path: str


def is_remote(path: str) -> bool:
    """Whether a path is opened by fsspec."""
    return _REMOTE in path


def _remote(path: str) -> _Remote:
    import fsspec  # slow to import, and of no use to local work

    system, inner = fsspec.core.url_to_fs(path, use_listings_cache=False)
    return _Remote(system, inner)


def join(*parts: str) -> str:
    """A path from its parts; forward slashes work on every file system."""
    return posixpath.join(*parts)


def open_for_reading(path: str) -> BinaryIO:
    """Open a file as it is.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not is_remote(path):
        return open(path, "rb")
    system, inner = _remote(path)
    file: BinaryIO = system.open(inner, "rb", cache_type="readahead")  # what is read in small pieces comes in blocks
    return file


@contextmanager
def open_for_seeking(path: str) -> Iterator[BinaryIO]:
    """Open a file to read parts of it in any order: unbuffered where it is local, a local copy of it elsewhere.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not is_remote(path):
        with open(path, "rb", buffering=0) as file:
            yield cast("BinaryIO", file)
        return
    with tempfile.TemporaryFile() as copy, open_for_reading(path) as source:
        shutil.copyfileobj(source, copy, _CHUNK_BYTES)
        yield cast("BinaryIO", copy)


@contextmanager
def published(path: str, *, concurrent: bool = False, lasting: bool = False) -> Iterator[BinaryIO]:
    """Write a file that gets its name when the block ends without an error, and leaves nothing otherwise.

    Args:
        path: the file; its folder is made where it is missing.
        concurrent: whether other processes may be writing the same file now; what a killed one leaves then has a
            name of its own, else the next attempt replaces it.
        lasting: whether the disk must have the file before it gets its name, so that a power cut leaves the whole
            file or the one before; else the machine writes it out in its own time.
    """
    if is_remote(path):
        with _published_remotely(path) as file:
            yield file
        return
    with published_path(path, concurrent=concurrent, lasting=lasting) as part, open(part, "wb") as file:
        yield file


@contextmanager
def published_path(path: str, *, concurrent: bool = False, lasting: bool = False) -> Iterator[str]:
    """Like `published`, for libraries that want the name of a local file to write: a hidden one next to it."""
    folder, name = os.path.split(path)
    os.makedirs(folder or ".", exist_ok=True)
    part = os.path.join(folder, f".{name}.{f'{uuid.uuid4().hex}.' if concurrent else ''}part")
    try:
        yield part
        if lasting:
            sync([part])
        os.replace(part, path)
    except BaseException as error:
        if os.path.lexists(part):
            os.unlink(part)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = path
        raise
    if lasting:
        sync([folder or "."])


def sync(paths: Iterable[str]) -> None:
    """Wait until the disk has what some files hold, and of folders the names in them; remote ones have it already."""
    local = [path for path in paths if not is_remote(path)]
    if len(local) == 1:
        _sync(local[0])
    elif local:
        with ThreadPoolExecutor(_SYNCS_AT_ONCE) as threads:
            list(threads.map(_sync, local))


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANT_SYNC:
            raise
    finally:
        os.close(descriptor)


@contextmanager
def _published_remotely(path: str) -> Iterator[BinaryIO]:
    """Collect a file here and upload it when it is whole: what file systems do with half a file differs."""
    with tempfile.SpooledTemporaryFile(max_size=_KEPT_IN_MEMORY_BYTES) as whole:
        yield cast("BinaryIO", whole)
        whole.seek(0)
        system, inner = _remote(path)
        with system.open(inner, "wb") as file:
            shutil.copyfileobj(whole, file, _CHUNK_BYTES)


def read_bytes(path: str) -> bytes:
    """The whole content of a file."""
    with open_for_reading(path) as file:
        return file.read()


def read_text(path: str) -> str:
    """The whole content of a UTF-8 text file."""
    return read_bytes(path).decode()


def read_json(path: str) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}): make it again") from error


def to_json(content: object) -> str:
    """JSON as this project writes it: indented, keys in the given order, one newline at the end."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write_text(path: str, text: str, *, concurrent: bool = False, lasting: bool = False) -> None:
    """Publish a text file, as `published` does."""
    with published(path, concurrent=concurrent, lasting=lasting) as file:
        file.write(text.encode())


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return is_file(path) or is_folder(path)


def is_file(path: str) -> bool:
    """Whether there is such a file."""
    return size(path) is not None


def is_folder(path: str) -> bool:
    """Whether there is such a folder; on object storage, whether it holds anything."""
    return bool(names(path)) if is_remote(path) else os.path.isdir(path)


def size(path: str) -> int | None:
    """Bytes of a file, or None where there is none."""
    if not is_remote(path):
        return os.path.getsize(path) if os.path.isfile(path) else None
    system, inner = _remote(path)
    try:
        facts = system.info(inner)
    except FileNotFoundError:
        return None
    return int(facts["size"]) if facts["type"] == "file" else None


def names(folder: str) -> list[str]:
    """Names of the files and folders directly in a folder, in order; none where there is no folder."""
    if not is_remote(folder):
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    system, inner = _remote(folder)
    try:
        found = system.ls(inner, detail=False)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted({posixpath.basename(each.rstrip("/")) for each in found if each.rstrip("/") != inner.rstrip("/")})


def remove(path: str) -> None:
    """Delete a file, or a folder with all that it holds, where there is one; of a link the link alone."""
    if is_remote(path):
        system, inner = _remote(path)
        for each in system.find(inner):
            system.rm_file(each)
        if system.exists(inner):
            system.rmdir(inner)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def move(source: str, target: str) -> None:
    """Give a file another name on the same file system, in place of the file that has it."""
    if is_remote(source):
        system, inner = _remote(source)
        destination = _remote(target).path
        system.cp_file(inner, destination)
        system.rm_file(inner)
    else:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        os.replace(source, target)


def sha256(path: str) -> str:
    """SHA-256 (hex) of a file."""
    with open_for_reading(path) as file:
        found = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()
