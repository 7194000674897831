"""The wire format of `tf.train.Example` messages: writers of its parts and a strict parser of what others wrote.

A message is a sequence of fields, each a tag and a value (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias

from features.errors import DataError

BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
"""Numbers of the fields of a `tf.train.Feature`, one for each kind of list."""

Buffer: TypeAlias = bytes | memoryview

_VARINT, _DELIMITED, _FIXED32 = 0, 2, 5
_WIRE_TYPE_OF_VALUE: Final = {BYTES_LIST: _DELIMITED, FLOAT_LIST: _FIXED32, INT64_LIST: _VARINT}
_MOST_VARINT_BITS: Final = 64


def varint(value: int) -> bytes:
    """A whole number from 0, seven bits a byte."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, payload: bytes) -> bytes:
    """A field whose value is preceded by its size."""
    return b"".join((bytes((number << 3 | _DELIMITED,)), varint(len(payload)), payload))


@lru_cache(maxsize=4096)
def delimited_head(number: int, size: int) -> bytes:
    """What precedes the payload in a field of so many bytes in all, as `delimited` writes it."""
    tag = bytes((number << 3 | _DELIMITED,))
    heads = (tag + varint(max(size - digits, 0)) for digits in range(2, 12))
    return next(head for digits, head in enumerate(heads, start=2) if len(head) == digits)


def read_varint(data: Buffer, position: int) -> tuple[int, int]:
    """The whole number that begins at a byte, and the byte after it.

    Raises:
        DataError: the data end inside it, or it has more than 64 bits.
    """
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 and value < 1 << _MOST_VARINT_BITS:
            return value, position
        if shift >= _MOST_VARINT_BITS:
            raise DataError("record is not a tf.train.Example: a number in it has more than 64 bits")
    raise DataError("record is not a tf.train.Example: it ends inside a number")


def features_of(record: bytes) -> dict[str, memoryview]:
    """Name → `tf.train.Feature` message of each feature of a `tf.train.Example`, the last one of each name.

    Raises:
        DataError: the record is not such a message.
    """
    found = {}
    for features in _only(1, memoryview(record)):
        for entry in _only(1, features):
            match _fields(entry):
                case [(1, _, name), (2, _, feature)]:
                    found[_name(name)] = feature
                case _:
                    raise DataError("record is not a tf.train.Example: an entry is not a name and a feature")
    return found


def values_of(feature: memoryview, kind: int) -> list[memoryview]:
    """The values of a `tf.train.Feature`, packed or not, as one or more pieces in order.

    Args:
        feature: the message.
        kind: `BYTES_LIST`, of which each piece is a value; or `FLOAT_LIST` or `INT64_LIST`, of which each piece holds
            any number of values.

    Raises:
        DataError: it is not such a message, or of another kind.
    """
    fields = _fields(feature)
    if [number for number, _, _ in fields] != [kind]:
        raise DataError(f"list kind {', '.join(str(number) for number, _, _ in fields)}, expected {kind}")
    pieces = _fields(fields[0][2])
    for number, wire_type, _ in pieces:
        if number != 1 or wire_type not in (_DELIMITED, _WIRE_TYPE_OF_VALUE[kind]):
            raise DataError("record is not a tf.train.Example: a list holds something else than its values")
    return [payload for _, _, payload in pieces]


def _only(number: int, message: memoryview) -> list[memoryview]:
    """The values of a message all of whose fields have this number and a size."""
    fields = _fields(message)
    if any((found, wire_type) != (number, _DELIMITED) for found, wire_type, _ in fields):
        raise DataError("record is not a tf.train.Example: it has fields that such messages have not")
    return [payload for _, _, payload in fields]


def _fields(message: memoryview) -> list[tuple[int, int, memoryview]]:
    """The fields of a message: (number, wire type, value)."""
    fields, position = [], 0
    while position < len(message):
        tag, start = read_varint(message, position)
        match tag & 7:
            case 0:
                _, position = read_varint(message, start)
            case 2:
                size, start = read_varint(message, start)
                position = start + size
            case 5:
                position = start + 4
            case _:
                raise DataError("record is not a tf.train.Example of lists")
        if position > len(message):
            raise DataError("record is not a tf.train.Example: it ends inside a field")
        fields.append((tag >> 3, tag & 7, message[start:position]))
    return fields


def _name(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"record is not a tf.train.Example: a feature's name is no text: {error}") from error
