"""Unsorted intermediate files between reading an archive and writing shards: entries indexed without loading them.

An entry is the CRC-32C of what follows the lengths, the two lengths (each 4 bytes, little-endian), a JSON header and
data.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

import google_crc32c

from base.errors import DataError

_PREFIX: Final = struct.Struct("<III")
_GUESS_BYTES: Final = 512
"""Long enough for the beginning of an entry and its header in most cases."""
_COMPACT: Final = json.JSONEncoder(separators=(",", ":"))


def name(archive: int, shard: int) -> str:
    """Name of the file that holds a shard's part of an archive, both by their numbers."""
    return f"spill-{archive:05d}-{shard:05d}"


class Entry(NamedTuple):
    """Where an entry stands in its file."""

    header: dict[str, Any]
    offset: int


def append(file: BinaryIO, header: dict[str, Any], data: bytes = b"") -> None:
    """Add an entry at the end of a file."""
    text = _COMPACT.encode(header).encode()
    crc = google_crc32c.extend(google_crc32c.value(text), data)
    file.write(_PREFIX.pack(crc, len(text), len(data)) + text)
    file.write(data)


def index(file: BinaryIO) -> Iterator[Entry]:
    """The entries of a file in order, their data passed over; between two of them the file may be read elsewhere."""
    offset = 0
    while start := _read(file, offset, _GUESS_BYTES):
        _, header_bytes, data_bytes = _PREFIX.unpack_from(start)
        end = _PREFIX.size + header_bytes
        if end > len(start):
            start = _read(file, offset, end)
        yield Entry(json.loads(start[_PREFIX.size : end]), offset)
        offset += end + data_bytes


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def read_data(file: BinaryIO, offset: int) -> bytes:
    """The data of the entry at an offset.

    Raises:
        DataError: the entry does not match its checksum.
    """
    crc, header_bytes, data_bytes = _PREFIX.unpack(_read(file, offset, _PREFIX.size))
    header, data = file.read(header_bytes), file.read(data_bytes)
    if google_crc32c.extend(google_crc32c.value(header), data) != crc:
        raise DataError(f"an intermediate file is damaged at byte {offset}: run the stage again")
    return data
