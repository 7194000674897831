"""Files, local or remote: paths are taken literally, and a file has its name only when it is whole.

A path with "://" is remote, and its credentials come from the usual environment; any other is local.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import json
import os
import posixpath
import shutil
import stat
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, BinaryIO, Final, cast

from base import remote, remote_folders
from base.errors import DataError

_CHUNK_BYTES: Final = 1 << 20
_BUFFER_BYTES: Final = 1 << 18
"""Larger pieces at once halve what the kernel takes for them."""
_BUFFERS_BYTES: Final = 1 << 25
"""Of files that are written together."""
_SYNC_FILE_RANGE_WRITE: Final = 2
_CANT_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""What file systems say that have no such call for a folder."""
_SYNCS_AT_ONCE: Final = 8
"""File systems write the journal once for all that wait for it."""


def is_remote(path: str) -> bool:
    """Whether a path is not of this machine's file systems."""
    return remote.MARK in path


def join(*parts: str) -> str:
    """A path from its parts; forward slashes work on every file system."""
    return posixpath.join(*parts)


def open_for_reading(path: str, size: int | None = None) -> BinaryIO:
    """Open a file as it is.

    Args:
        path: the file.
        size: its bytes where they are known, which spares a request where it is remote.

    Raises:
        FileNotFoundError: there is no such file.
    """
    return remote.open_for_reading(path, size) if is_remote(path) else open(path, "rb")


def open_pinned(path: str) -> BinaryIO:
    """Open a file to read parts of it in any order, such that its content stays: unbuffered, a local copy if remote.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not is_remote(path):
        return cast("BinaryIO", open(path, "rb", buffering=0))
    copy = tempfile.NamedTemporaryFile()  # noqa: SIM115
    try:
        remote.fetch(path, copy.name)
    except BaseException:
        copy.close()
        raise
    return cast("BinaryIO", copy)


@contextmanager
def local_copy(path: str) -> Iterator[str]:
    """The name of a local copy of a remote file, which is there in the block.

    Raises:
        FileNotFoundError: there is no such file.
    """
    with tempfile.NamedTemporaryFile() as copy:
        remote.fetch(path, copy.name)
        yield copy.name


def read_range(path: str, start: int, stop: int) -> bytes:
    """Some bytes of a remote file, in one request."""
    return remote.read_range(path, start, stop)


def state(path: str) -> tuple[int, str] | None:
    """Bytes of a remote file, and what changes with its content or its date; None where there is no file."""
    return remote.file_state(path)


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
        with remote.published(path) as file:
            yield file
        return
    with _published(path, _BUFFER_BYTES, concurrent=concurrent, lasting=lasting) as file:
        yield file


@contextmanager
def published_together(paths: Sequence[str]) -> Iterator[list[BinaryIO]]:
    """Write several files of one folder, each as `published` does where other processes may be writing it now."""
    if paths and is_remote(paths[0]):
        with remote_folders.published_together(paths) as opened:
            yield opened
        return
    buffer_bytes = min(_BUFFER_BYTES, max(_BUFFERS_BYTES // max(len(paths), 1), io.DEFAULT_BUFFER_SIZE))
    with ExitStack() as stack:
        yield [stack.enter_context(_published(path, buffer_bytes, concurrent=True)) for path in paths]


@contextmanager
def _published(path: str, buffer_bytes: int, *, concurrent: bool, lasting: bool = False) -> Iterator[BinaryIO]:
    with published_path(path, concurrent=concurrent, lasting=lasting) as part, open(part, "wb", buffer_bytes) as file:
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


def begin_sync(path: str) -> None:
    """Have Linux begin to write out a local file that `sync` is to wait for later, while the caller goes on.

    Unlike fsync(2), sync_file_range(2) takes no note of an error, which `sync` is to see.
    """
    if sys.platform == "linux" and not is_remote(path):
        threading.Thread(target=_begin_sync, args=(path,), daemon=True).start()


def _begin_sync(path: str) -> int | None:
    """What the call returns: 0, or -1 where it failed; None where the file has gone."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        begin, end = ctypes.c_int64(0), ctypes.c_int64(0)  # that is, the whole file
        call: Callable[..., int] = ctypes.CDLL(None).sync_file_range
        return call(file.fileno(), begin, end, ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))
    return None


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANT_SYNC:
            raise
    finally:
        os.close(descriptor)


def read_bytes(path: str) -> bytes:
    """The whole content of a file."""
    if is_remote(path):
        return remote.read_bytes(path)
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
    if is_remote(path):
        remote.write_bytes(path, text.encode())
        return
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
    if is_remote(path):
        return remote.file_size(path)
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def sizes(folder: str, names: Iterable[str]) -> dict[str, int | None]:
    """Bytes of some files of a folder, None of one that is not there; of a remote folder in one request."""
    if is_remote(folder):
        found = remote.sizes(folder)
        return {name: found.get(name) for name in names}
    return {name: size(join(folder, name)) for name in names}


def names(folder: str) -> list[str]:
    """Names of the files and folders directly in a folder, in order; none where there is no folder."""
    if is_remote(folder):
        return sorted(remote.sizes(folder))
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def remove(path: str) -> None:
    """Delete a file, or a folder with all that it holds, where there is one; of a link the link alone."""
    if is_remote(path):
        remote_folders.remove(path)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def remove_empty(folder: str) -> None:
    """Delete a folder that holds nothing; on object storage one is there as long as it holds a file.

    Raises:
        OSError: there is none, or it holds something.
    """
    if is_remote(folder):
        remote_folders.remove_empty(folder)
    else:
        os.rmdir(folder)


def remove_files(folder: str, names: Iterable[str]) -> None:
    """Delete some files of a folder, in their order where it is local; those that are there."""
    paths = [join(folder, name) for name in names]
    if is_remote(folder):
        remote_folders.remove_files(paths)
        return
    for path in paths:
        remove(path)


def remove_all_but(folder: str, name: str) -> None:
    """Delete all that a folder holds and what is below it, but for the file of this name."""
    if is_remote(folder):
        kept = join(folder, name)
        remote_folders.remove_files([path for path in remote_folders.below(folder) if path != kept])
        return
    for each in names(folder):
        if each != name:
            remove(join(folder, each))


def move_files(source: str, target: str, names: Iterable[str]) -> None:
    """Move files from one folder to another in their order; remote ones in any, and their old names may stay."""
    if is_remote(source):
        remote_folders.move_files(source, target, list(names))
        return
    for name in names:
        move(join(source, name), join(target, name))


def move(source: str, target: str) -> None:
    """Give a file another name on the same file system, in place of the file that has it."""
    if is_remote(source):
        remote_folders.move(source, target)
    else:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        os.replace(source, target)


def copy(source: BinaryIO, target: BinaryIO) -> None:
    """Write what is left of an open file into another one."""
    shutil.copyfileobj(source, target, _CHUNK_BYTES)


def sha256(path: str) -> str:
    """SHA-256 (hex) of a file."""
    with open_for_reading(path) as file:
        found = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()
