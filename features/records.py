"""TFRecord framing with its checksums, without TensorFlow: a writer that hashes what it writes and a checked reader.

A record is its length (8 bytes, little-endian), the masked CRC-32C of those bytes, the data, and the masked CRC-32C of
the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

import google_crc32c

from features.errors import DataError

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_HEADER_BYTES: Final = _LENGTH.size + _CRC.size
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
        record = _read_one(file, header, name, position)
        yield record
        position += _HEADER_BYTES + len(record) + _CRC.size


def _read_one(file: BinaryIO, header: bytes, name: str, position: int) -> bytes:
    if len(header) < _HEADER_BYTES:
        raise DataError(f"{name} ends inside a record's header at byte {position}: write the file again")
    (length,) = _LENGTH.unpack_from(header)
    if _CRC.unpack_from(header, _LENGTH.size)[0] != masked_crc32c(header[: _LENGTH.size]):
        raise DataError(f"{name} is damaged: the length at byte {position} does not match its checksum")
    if length > LONGEST_RECORD_BYTES:
        raise DataError(f"{name}: the record at byte {position} has {length} bytes, more than {LONGEST_RECORD_BYTES}")
    data = file.read(length + _CRC.size)
    if len(data) < length + _CRC.size:
        raise DataError(f"{name} ends inside the record at byte {position}: write the file again")
    record = data[:length]
    if _CRC.unpack_from(data, length)[0] != masked_crc32c(record):
        raise DataError(f"{name} is damaged: the record at byte {position} does not match its checksum")
    return record
