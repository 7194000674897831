"""The parts of the wire format of `tf.train.Example` messages that records are made of.

A message is a sequence of fields, each a tag and a value; here every value is preceded by its length
(https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from base.errors import DataError

BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3
"""Numbers of the fields of a `tf.train.Feature`, one for each kind of list."""

_LENGTH_DELIMITED = 2
_VARINT_BITS = 64


def varint(value: int) -> bytes:
    """A whole number from 0, seven bits in each byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(number: int, payload: bytes) -> bytes:
    """A length-delimited field: its tag, the length of its payload, and the payload."""
    return b"".join((tag(number), varint(len(payload)), payload))


def tag(number: int) -> bytes:
    """The first byte of a length-delimited field, whose number is below 16."""
    return bytes((number << 3 | _LENGTH_DELIMITED,))


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Read the whole number that begins at a byte.

    Returns:
        The number, and the position after its last byte.

    Raises:
        DataError: the data end inside it, or it has more than 64 bits.
    """
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80 and value < 1 << _VARINT_BITS:
            return value, position
        if shift >= _VARINT_BITS:
            raise DataError(f"the number that ends at byte {position} has more than {_VARINT_BITS} bits")
    raise DataError(f"a number is not complete: the data end at byte {position}")
