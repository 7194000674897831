"""TFRecord framing with its checksums, without TensorFlow: a writer that hashes what it writes and checked readers.

A record is its length (8 bytes, little-endian), the masked CRC-32C of those bytes, the data, and the masked CRC-32C of
the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from mmap import mmap
from typing import BinaryIO, Final

import google_crc32c

from features.errors import DataError

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_HEADER: Final = struct.Struct("<QI")
_HEADER_BYTES: Final = _HEADER.size
LONGEST_RECORD_BYTES: Final = 1 << 30


def masked_crc32c(data: bytes) -> int:
    """CRC-32C of data, rotated and offset as TFRecord stores it; in [0, 2**32)."""
    crc: int = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """A record as it stands in a TFRecord file, lengths and checksums included."""
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


def read_records(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The records of a TFRecord file, each checked.

    Args:
        file: open binary file at its beginning.
        name: what to call it in errors.

    Yields:
        Each record's data.

    Raises:
        DataError: a checksum does not match or the file ends inside a record.
    """
    position = 0
    while header := file.read(_HEADER_BYTES):
        length = _checked_length(header, name, position)
        record = _checked_record(file.read(length), file.read(_CRC.size), length, name, position)
        yield record
        position += _HEADER_BYTES + length + _CRC.size


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
        positions.append(position)
        length = _checked_length(data[position : position + _HEADER_BYTES], name, position)
        position += _HEADER_BYTES + length + _CRC.size
        if position > end:
            raise _cut(name, positions[-1])
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
    length = _checked_length(data[position:start], name, position)
    end = start + length
    return _checked_record(data[start:end], data[end : end + _CRC.size], length, name, position)


def _checked_length(header: bytes, name: str, position: int) -> int:
    if len(header) < _HEADER_BYTES:
        raise DataError(f"{name} ends inside a record's header at byte {position}: write the file again")
    length, crc = _HEADER.unpack(header)
    if crc != masked_crc32c(header[: _LENGTH.size]):
        raise DataError(f"{name} is damaged: the length at byte {position} does not match its checksum")
    if length > LONGEST_RECORD_BYTES:
        raise DataError(f"{name}: the record at byte {position} has {length} bytes, more than {LONGEST_RECORD_BYTES}")
    return int(length)


def _checked_record(record: bytes, crc: bytes, length: int, name: str, position: int) -> bytes:
    if len(record) < length or len(crc) < _CRC.size:
        raise _cut(name, position)
    if _CRC.unpack(crc)[0] != masked_crc32c(record):
        raise DataError(f"{name} is damaged: the record at byte {position} does not match its checksum")
    return record


def _cut(name: str, position: int) -> DataError:
    return DataError(f"{name} ends inside the record at byte {position}: write the file again")
