"""TFRecord framing with its checksums, without TensorFlow: a writer that hashes what it writes, and readers that check.

A record is its length (8 bytes, little-endian), the masked CRC-32C of those bytes, the data, and the masked CRC-32C of
the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO, Final, Protocol, TypeAlias

import google_crc32c

from base.errors import DataError

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_HEADER: Final = struct.Struct("<QI")
_HEADER_BYTES: Final = _HEADER.size
LONGEST_RECORD_BYTES: Final = 1 << 30

WRONG_DATA: Final = "the data does not match its checksum"
"""The fault of a record after which the next one is still found; after any other, nothing more can be read."""
_CUT: Final = "the file ends inside the record"

Frame: TypeAlias = tuple[int, bytes | None, str]
"""A record of a file: the byte at which its length begins, its data, and what is wrong with it; damaged data are None,
and "" is wrong with sound ones."""


def masked_crc32c(data: bytes) -> int:
    """CRC-32C of data, rotated and offset as TFRecord stores it; in [0, 2**32)."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """A record as a TFRecord file holds it, with its length and checksums."""
    length = _LENGTH.pack(len(record))
    return b"".join((length, _CRC.pack(masked_crc32c(length)), record, _CRC.pack(masked_crc32c(record))))


class RecordWriter:
    """Writes records to an open binary file and keeps their count, bytes and SHA-256."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.records = 0
        self.bytes = 0

    def write(self, record: bytes) -> None:
        """Append one record."""
        framed = frame(record)
        self._file.write(framed)
        self._hash.update(framed)
        self.records += 1
        self.bytes += len(framed)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of all that was written."""
        return self._hash.hexdigest()


class Readable(Protocol):
    """What `frames` reads: a binary file, or something that looks on while it is read."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, fewer than `size` only at the end of the file."""


def frames(file: Readable) -> Iterator[Frame]:
    """All records of a TFRecord file, damaged ones too; goes on after damaged data where the length is sound.

    Args:
        file: open at its beginning.
    """
    position = 0
    while header := file.read(_HEADER_BYTES):
        length, fault = _length(header)
        if fault:
            yield position, None, fault
            return
        record = file.read(length)
        fault = _data_fault(record, file.read(_CRC.size), length)
        yield position, None if fault else record, fault
        position += _HEADER_BYTES + length + _CRC.size


def read_records(file: Readable, name: str) -> Iterator[bytes]:
    """The records of a TFRecord file, each checked.

    Args:
        file: open at its beginning.
        name: what to call it in errors.

    Yields:
        Each record's data.

    Raises:
        DataError: a checksum does not match or the file ends inside a record.
    """
    for position, record, fault in frames(file):
        if record is None:
            raise _damaged(name, position, fault)
        yield record


def record_positions(data: bytes | mmap, name: str) -> list[int]:
    """Where each record of a whole TFRecord file begins; checks their lengths, not their data.

    Args:
        data: all bytes of the file.
        name: what to call it in errors.

    Raises:
        DataError: a length does not match its checksum or the file ends inside a record.
    """
    positions, position, end = [], 0, len(data)
    while position < end:
        length, fault = _length(data[position : position + _HEADER_BYTES])
        following = position + _HEADER_BYTES + length + _CRC.size
        if fault or following > end:
            raise _damaged(name, position, fault or _CUT)
        positions.append(position)
        position = following
    return positions


def record_at(data: bytes | mmap, position: int, name: str) -> bytes:
    """The record that begins at a byte of a whole TFRecord file, checked.

    Args:
        data: all bytes of the file.
        position: one of `record_positions`.
        name: what to call the file in errors.

    Raises:
        DataError: a checksum does not match or the file ends inside the record.
    """
    start = position + _HEADER_BYTES
    length, fault = _length(data[position:start])
    end = start + length
    record = data[start:end]
    if fault := fault or _data_fault(record, data[end : end + _CRC.size], length):
        raise _damaged(name, position, fault)
    return record


def _length(header: bytes) -> tuple[int, str]:
    """The length that the first bytes of a record say, 0 where something is wrong with them, and what is wrong."""
    if len(header) < _HEADER_BYTES:
        return 0, "the file ends inside the record's length"
    length, crc = _HEADER.unpack(header)
    if crc != masked_crc32c(header[: _LENGTH.size]):
        return 0, "the length does not match its checksum"
    if length > LONGEST_RECORD_BYTES:
        return 0, f"the record has {length} bytes, more than {LONGEST_RECORD_BYTES}"
    return length, ""


def _data_fault(record: bytes, crc: bytes, length: int) -> str:
    """What is wrong with a record's data, "" where nothing is."""
    if len(record) < length or len(crc) < _CRC.size:
        return _CUT
    return "" if _CRC.unpack(crc)[0] == masked_crc32c(record) else WRONG_DATA


def _damaged(name: str, position: int, fault: str) -> DataError:
    return DataError(f"{name} is damaged at byte {position}: {fault}; make the file again")
