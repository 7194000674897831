"""Streams the files of a tar archive, without unpacking it to disk, and finds damage to its last byte."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, BinaryIO, Final, TypeAlias

from isal import igzip_threaded, isal_zlib

from base.errors import DataError
from pipelines.archives import GZIP_MAGIC, format_of
from pipelines.ingest.tar import Member as Member
from pipelines.ingest.tar import read_tar

_CHUNK_BYTES: Final = 1 << 20
_REPORT_BYTES: Final = 8 << 20

OnProgress: TypeAlias = Callable[[int], None]
"""Is called now and then with the bytes of the file read so far."""


class _Source(io.RawIOBase):
    """A binary file that counts the bytes read through it, and hashes them where that is wanted."""

    def __init__(self, file: BinaryIO, hashed: bool, on_progress: OnProgress) -> None:
        self._file = file
        self._hash = hashlib.sha256() if hashed else None
        self._hashing: Thread | None = None
        self._on_progress = on_progress
        self._bytes = self._reported = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        if self._hash:
            self._finish_hashing()
            self._hashing = Thread(target=self._hash.update, args=(data,))  # beside the unpacking of the same data
            self._hashing.start()
        self._bytes += len(data)
        if self._bytes - self._reported >= _REPORT_BYTES:
            self._reported = self._bytes
            self._on_progress(self._bytes)
        return len(data)

    def _finish_hashing(self) -> None:
        if self._hashing:
            self._hashing.join()

    def check(self, name: str, sha256: str) -> None:
        """Read the file to its end, and compare its hash.

        Raises:
            DataError: it is another.
        """
        while self.read(_CHUNK_BYTES):
            pass
        self._finish_hashing()
        if self._hash and self._hash.hexdigest() != sha256:
            raise DataError(f"{name} has SHA-256 {self._hash.hexdigest()}, expected {sha256}; get it again")


def read_members(
    file: BinaryIO, name: str, sha256: str | None = None, on_progress: OnProgress = lambda _: None
) -> Iterator[Member]:
    """Stream the files of an archive.

    The gzip checksums, the headers, the length of each member, the end-of-archive mark and the archive's own SHA-256
    are checked; Python's `tarfile` alone passes over a flipped bit and over an archive cut in half.

    Args:
        file: a tar archive, open at its beginning.
        name: its file name, which ends in .tar where it is not compressed.
        sha256: the hash that it must have (hex), or None if unknown.
        on_progress: called now and then with the bytes of the file read so far.

    Yields:
        The members in the archive's order, without folders. Bytes of a name that are not UTF-8 become U+FFFD.

    Raises:
        DataError: it is of another format, damaged, cut short, or another file than expected.
    """
    _check_format(file, name)
    source = _Source(file, sha256 is not None, on_progress)
    with _reporting_damage(name), _unpacked(source, name) as stream:
        yield from read_tar(stream, name)
        if sha256 is not None:
            source.check(name, sha256)


def read_part(
    file: BinaryIO, name: str, start: int, stop: int | None, on_progress: OnProgress = lambda _: None
) -> Iterator[Member]:
    """Stream the files of a part of an uncompressed archive; unlike `read_members`, its SHA-256 is not checked.

    Args:
        file: the archive.
        name: its file name.
        start: first byte of the part: 0 or the `start` of a member.
        stop: the byte after the part: the `start` of a member, or None for the end of the archive.
        on_progress: called now and then with the bytes of the part read so far.

    Yields:
        Its members, as `read_members` does.

    Raises:
        DataError: the part is damaged, cut short, or ends within a member.
    """
    file.seek(start)
    with _reporting_damage(name), io.BufferedReader(_Source(file, False, on_progress), _CHUNK_BYTES) as stream:
        yield from read_tar(stream, name, start, stop)


def _check_format(file: BinaryIO, name: str) -> None:
    begin = file.read(len(GZIP_MAGIC))
    file.seek(0)
    if _is_gzip(name) and begin != GZIP_MAGIC:
        raise DataError(f"{name} is not a gzip file: it begins with {begin!r}; give a .tar.gz archive")
    if not _is_gzip(name) and begin == GZIP_MAGIC:
        raise DataError(f"{name} is a gzip file, expected an uncompressed archive; name it .tar.gz")


def _is_gzip(name: str) -> bool:
    return format_of(name) == "tar.gz"


def _unpacked(source: _Source, name: str) -> io.BufferedReader:
    if not _is_gzip(name):
        return io.BufferedReader(source, _CHUNK_BYTES)
    threaded = igzip_threaded.open(source, "rb", threads=1)  # type: ignore[no-untyped-call]
    return io.BufferedReader(threaded.detach(), _CHUNK_BYTES)


@contextmanager
def _reporting_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc]
        raise DataError(f"{name} is damaged or cut short ({error}); get it again") from error
