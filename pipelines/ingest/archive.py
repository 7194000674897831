"""Streams the files of a .tar.gz archive once, without unpacking it to disk, and finds damage to its last byte."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from isal import igzip_threaded, isal_zlib

from base.errors import DataError

LARGEST_MEMBER_BYTES: Final = 1 << 28
_BLOCK_BYTES: Final = 512
_CHUNK_BYTES: Final = 1 << 20
_TAR_BUFFER_BYTES: Final = 1 << 16  # tarfile copies its buffer at every read
_REPORT_BYTES: Final = 8 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(frozen=True)
class Member:
    """A file of an archive; what is no regular file, such as a link or a device, has no data."""

    name: str
    data: bytes | None


class _Hashing(io.RawIOBase):
    """A binary file that hashes and counts the bytes read through it."""

    def __init__(self, file: BinaryIO, on_progress: Callable[[int], None]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._on_progress = on_progress
        self._reported = 0
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        self.bytes += len(data)
        if self.bytes - self._reported >= _REPORT_BYTES:
            self._reported = self.bytes
            self._on_progress(self.bytes)
        return len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class _Unpacked:
    """The unpacked stream, which knows its length and where its last byte other than zero was."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.bytes = 0
        self.last_content = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._file.read(size)
        content = len(data.rstrip(b"\0"))
        if content:
            self.last_content = self.bytes + content
        self.bytes += len(data)
        return data


def read_members(
    file: BinaryIO, name: str, sha256: str | None = None, on_progress: Callable[[int], None] = lambda _: None
) -> Iterator[Member]:
    """Stream the files of a .tar.gz.

    The gzip checksums, the length of each member, the end-of-archive mark and the archive's own SHA-256 are checked;
    Python's `tarfile` alone passes over a flipped bit and over an archive cut in half.

    Args:
        file: the archive, open at its beginning.
        name: what to call it in errors.
        sha256: the hash that it must have (hex), or None if unknown.
        on_progress: called now and then with the compressed bytes read so far.

    Yields:
        The members in the archive's order, without folders. Bytes of a name that are not UTF-8 become U+FFFD.

    Raises:
        DataError: it is not a gzip file, damaged, cut short, or another file than expected.
    """
    magic = file.read(len(_GZIP_MAGIC))
    if magic != _GZIP_MAGIC:
        raise DataError(f"{name} is not a gzip file: it begins with {magic!r}; give a .tar.gz archive")
    file.seek(0)
    raw = _Hashing(file, on_progress)
    try:
        yield from _members(raw, name)
    except (EOFError, OSError, tarfile.TarError, zlib.error, isal_zlib.error) as error:  # type: ignore[misc]
        raise DataError(f"{name} is damaged or cut short ({error}); get it again") from error
    while raw.read(_CHUNK_BYTES):
        pass
    if sha256 is not None and raw.sha256 != sha256:
        raise DataError(f"{name} has SHA-256 {raw.sha256}, expected {sha256}; get it again")


def _members(raw: _Hashing, name: str) -> Iterator[Member]:
    with igzip_threaded.open(raw, "rb", threads=1) as unpacked:  # type: ignore[no-untyped-call]
        stream = _Unpacked(unpacked)
        with tarfile.open(  # type: ignore[call-overload]
            fileobj=stream, mode="r|", bufsize=_CHUNK_BYTES, encoding="utf-8", errors="replace"
        ) as archive:
            for header in archive:
                archive.members = []  # tarfile keeps every header otherwise
                if not header.isdir():
                    yield Member(header.name, _content(archive, header, name) if header.isreg() else None)
            _check_end(stream, archive.offset, name)


def _content(archive: tarfile.TarFile, header: tarfile.TarInfo, name: str) -> bytes:
    if header.size > LARGEST_MEMBER_BYTES:
        raise DataError(f"{name}: member {header.name} has {header.size} bytes, more than {LARGEST_MEMBER_BYTES}")
    content = archive.extractfile(header)
    data = content.read() if content else b""
    if len(data) != header.size:
        raise DataError(f"{name} is cut short: {header.name} has {len(data)} of its {header.size} bytes; get it again")
    return data


def _check_end(stream: _Unpacked, end: int, name: str) -> None:
    """After its last member an archive goes on with zeros only; tarfile takes a damaged header for the end."""
    while stream.read(_CHUNK_BYTES):
        pass
    if stream.last_content > end:
        raise DataError(f"{name} is damaged: data follow its last readable member; get it again")
    if stream.bytes < end + _BLOCK_BYTES:
        raise DataError(f"{name} is cut short: it has no end-of-archive mark; get it again")
