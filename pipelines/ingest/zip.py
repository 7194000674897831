"""Reads the files of a zip archive one after another; a file that is damaged comes with its fault, not its content."""

from __future__ import annotations

import hashlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final

from base.errors import DataError
from pipelines.ingest.archive import OnProgress
from pipelines.ingest.tar import Member, check_size

_CHUNK_BYTES: Final = 1 << 20
_REPORT_BYTES: Final = 8 << 20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python unpacks those of other methods in one go, a hundred bytes to a hundred megabytes."""
_ENCRYPTED: Final = 1
"""Bit of the flags of a file."""


def read_zip(
    file: BinaryIO, name: str, sha256: str | None = None, on_progress: OnProgress = lambda _: None
) -> Iterator[Member]:
    """Stream the files of a zip archive; each is read as far as its entry says, and its CRC-32 is checked.

    Args:
        file: the archive, which can be read in any order.
        name: its file name.
        sha256: the hash that it must have (hex), or None if unknown.
        on_progress: called now and then with the bytes of the file read so far, of two passes half each.

    Yields:
        The members in the order of the archive's directory, without folders. Links and devices have no data; a file
        that is damaged, encrypted or packed in an unknown way has none either, and its fault.

    Raises:
        DataError: the archive is another than expected, has no directory or one that contradicts itself, or a file is
            too large.
    """
    total = file.seek(0, 2)
    if sha256 is not None and (found := _sha256(file, on_progress)) != sha256:
        raise DataError(f"{name} has SHA-256 {found}, expected {sha256}; get it again")
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        raise DataError(f"{name} is no zip archive, or damaged or cut short ({error}); get it again") from error
    with archive:
        entries = archive.infolist()
        _check_apart(entries, archive.start_dir, name)
        read = 0
        for entry in entries:
            if not entry.filename.endswith("/"):
                check_size(entry.filename, entry.file_size, name)
                yield _member(archive, entry)
            if (read + entry.compress_size) // _REPORT_BYTES > read // _REPORT_BYTES:
                on_progress((total + read) // 2)
            read += entry.compress_size


def _sha256(file: BinaryIO, on_progress: OnProgress) -> str:
    digest, reported = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        if file.tell() - reported >= _REPORT_BYTES:
            reported = file.tell()
            on_progress(reported // 2)
    return digest.hexdigest()


def _check_apart(entries: list[zipfile.ZipInfo], directory: int, name: str) -> None:
    """Make sure that no two files have bytes in common: so a small archive holds many times what it seems to."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    ends = [entry.header_offset for entry in ordered[1:]] + [directory]
    for entry, end in zip(ordered, ends, strict=False):
        if entry.header_offset + entry.compress_size > end:
            raise DataError(f"{name} is damaged: {entry.filename} reaches into what follows it; get it again")


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return Member(entry.filename, None)
    if entry.flag_bits & _ENCRYPTED:
        return Member(entry.filename, None, fault="it is encrypted")
    if entry.compress_type not in _METHODS:
        return Member(entry.filename, None, fault="it is packed by another method than deflate: pack it again")
    try:
        with archive.open(entry) as file:
            data = b"".join(iter(lambda: file.read(_CHUNK_BYTES), b""))
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, zlib.error, struct.error) as error:
        return Member(entry.filename, None, fault=f"it can't be unpacked ({error})")
    if len(data) != entry.file_size:
        return Member(entry.filename, None, fault=f"it has {len(data)} of its {entry.file_size} bytes")
    return Member(entry.filename, data)
