"""The record contract: one specification of a record's fields that encodes, decodes, parses and describes them.

Records are `tf.train.Example` messages, written with their fields in order of name, so that equal values give equal
bytes (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto). TensorFlow reads
them as it reads any such message; `decode` reads only this one way to write them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from base.errors import DataError
from stores.wire import BYTES_LIST, FLOAT_LIST, INT64_LIST, delimited, read_varint, tag, varint

if TYPE_CHECKING:
    import tensorflow as tf

Array: TypeAlias = "np.ndarray[Any, Any]"
Value: TypeAlias = "str | int | Array"
Buffer: TypeAlias = bytes | memoryview
FieldKind: TypeAlias = Literal["text", "integer", "label", "int16", "uint16", "float32"]

_LIST_OF_KIND: Final[dict[FieldKind, int]] = {
    "text": BYTES_LIST,
    "int16": BYTES_LIST,
    "uint16": BYTES_LIST,
    "float32": FLOAT_LIST,
    "integer": INT64_LIST,
    "label": INT64_LIST,
}
_LONGEST_SHORT_ENTRY: Final = 127
"""Bytes of an entry whose length takes a single byte."""


@dataclass(frozen=True)
class Field:
    """One field of a record: a text, an integer, a class label, or a tensor of int16, uint16 or float32."""

    name: str
    kind: FieldKind
    shape: tuple[int, ...] = ()
    meaning: str = ""


_Header: TypeAlias = tuple[bytes, int]
"""The bytes of an entry before its value, and the size of that value."""
_FieldLayout: TypeAlias = tuple[Field, _Header | None, tuple[_Header | None, ...]]
"""A field; its header where all its values have one size; else its header by the second byte of its entry, which says
the entry's length, None where that takes more bytes or no value gives it."""


@dataclass(frozen=True)
class RecordSpec:
    """The fields of a record, in order of name."""

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if names != sorted(set(names)):
            raise ValueError(f"fields must be distinct and in order of name, got {names}")

    def encode(self, values: Mapping[str, Value]) -> bytes:
        """Encode a record.

        Args:
            values: one value for each field: str, int, or an array of the field's shape and dtype.

        Returns:
            A `tf.train.Example` message; equal values give equal bytes.

        Raises:
            ValueError: a value is missing or has another shape or dtype.
        """
        parts: list[Buffer] = []
        size = 0
        for field, headers in zip(self.fields, self._headers, strict=True):
            payload, payload_bytes = _payload(field, values[field.name])
            header = headers.get(payload_bytes)
            if header is None:
                header = headers[payload_bytes] = _header(field, payload_bytes)
            parts += (header, payload)
            size += len(header) + payload_bytes
        return b"".join((tag(1), varint(size), *parts))

    def decode(self, record: bytes) -> dict[str, Value]:
        """Parse a record without TensorFlow; the inverse of `encode`.

        Args:
            record: what `encode` returned.

        Returns:
            One value for each field: str, int, or a read-only array of the field's shape and dtype.

        Raises:
            DataError: the record was not encoded with these fields.
        """
        payloads = zip(self.fields, self._payloads(record), strict=True)
        return {field.name: _decode_value(field, payload) for field, payload in payloads}

    def decode_batch(self, records: Sequence[bytes], columns: Iterable[str] | None = None) -> dict[str, Array]:
        """Parse several records without TensorFlow, into one array for each field.

        Args:
            records: what `encode` returned.
            columns: names of the fields to keep, all by default.

        Returns:
            For each field an array (records, *shape): of int16, uint16 or float32, int64 for labels and integers,
            objects of type str for text.

        Raises:
            DataError: a record was not encoded with these fields.
        """
        names = {field.name for field in self.fields} if columns is None else set(columns)
        rows = [self._payloads(record) for record in records]
        return {
            field.name: _decode_column(field, [row[place] for row in rows])
            for place, field in enumerate(self.fields)
            if field.name in names
        }

    def _payloads(self, record: bytes) -> list[Buffer]:
        """Cut a record into the bytes of each field's value, in the order of the fields.

        The header of each field is known before it is read, since it follows from the field and the length of its
        entry: a record is compared with the headers that it must have, and nothing in it is searched for.

        Raises:
            DataError: a header is not the expected one, or the record ends elsewhere.
        """
        start = _message_header(len(record))
        if start is None or not record.startswith(start):
            raise DataError(f"{len(record)} bytes that are no record of this version: make the store again")
        position, view, payloads = len(start), memoryview(record), []
        for field, fixed, by_length in self._layout:
            try:
                header, size = fixed or by_length[record[position + 1]] or _long_header(field, record, position)
            except IndexError:
                raise _unexpected(field, position) from None
            value = position + len(header)
            if not record.startswith(header, position):
                raise _unexpected(field, position)
            position = value + size
            payloads.append(view[value:position] if fixed else record[value:position])
        if position != len(record):
            raise DataError(f"record of {len(record)} bytes, expected {position}: make the store again")
        return payloads

    @cached_property
    def _headers(self) -> tuple[dict[int, bytes], ...]:
        """Of each field, the bytes before a value by the size of that value, as far as `encode` needed them so far."""
        return tuple({} for _ in self.fields)

    @cached_property
    def _layout(self) -> tuple[_FieldLayout, ...]:
        """Each field with its header and size where they are always the same, else by the second byte of its entry."""
        sizes = ((field, _tensor_bytes(field)) for field in self.fields)
        return tuple((field, (_header(field, size), size), ()) if size else _varying(field) for field, size in sizes)

    def parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parse a batch of records with TensorFlow.

        Args:
            records: string tensor, (batch,).

        Returns:
            For each field a tensor (batch, *shape): string, int64, int16, uint16 or float32.
        """
        import tensorflow as tf

        parsed = tf.io.parse_example(records, {field.name: _tensorflow_feature(field) for field in self.fields})
        for field in self.fields:
            if field.kind in ("int16", "uint16"):
                decoded = tf.io.decode_raw(parsed[field.name], tf.as_dtype(field.kind))
                flat = tf.ensure_shape(decoded, (None, math.prod(field.shape)))
                parsed[field.name] = tf.reshape(flat, (-1, *field.shape))
        return dict(parsed)


@lru_cache(maxsize=4096)
def _header(field: Field, size: int) -> bytes:
    """The bytes of an entry before its value: tags, lengths and the field's name; they depend on the size alone."""
    payload = bytes(size)
    values = delimited(_LIST_OF_KIND[field.kind], delimited(1, payload))
    entry = delimited(1, delimited(1, field.name.encode()) + delimited(2, values))
    return entry[: len(entry) - size]


def _varying(field: Field) -> _FieldLayout:
    """The layout of a field whose values differ in size."""
    short = (_header_of_entry(field, 2 + length) for length in range(_LONGEST_SHORT_ENTRY + 1))
    return field, None, (*short, *[None] * (255 - _LONGEST_SHORT_ENTRY))


def _long_header(field: Field, record: bytes, position: int) -> _Header:
    """The header that a field must have which begins at a byte, where the length of its entry takes several bytes.

    Raises:
        DataError: no entry of the field has that length.
    """
    length, start = read_varint(record, position + 1)
    header = _header_of_entry(field, start - position + length) if start + length <= len(record) else None
    if header is None:
        raise _unexpected(field, position)
    return header


@lru_cache(maxsize=4096)
def _header_of_entry(field: Field, entry_bytes: int) -> _Header | None:
    """The header of an entry of a field, and the size of its value, from the bytes of the entry in all.

    None where no value gives that many bytes. A header grows with its value by a few bytes at most, so the search ends
    after a few sizes.
    """
    for size in range(entry_bytes - len(_header(field, 0)), -1, -1):
        header = _header(field, size)
        if len(header) + size <= entry_bytes:
            return (header, size) if len(header) + size == entry_bytes else None
    return None


@lru_cache(maxsize=4096)
def _message_header(size: int) -> bytes | None:
    """Tag and length bytes of a length-delimited field that is `size` bytes long in total; None where none is."""
    headers = (tag(1) + varint(max(size - length, 0)) for length in range(2, 12))
    return next((header for length, header in enumerate(headers, start=2) if len(header) == length), None)


def _unexpected(field: Field, position: int) -> DataError:
    expected = f"{field.kind} {field.shape}" if field.shape else field.kind
    return DataError(f"field {field.name}: no {expected} of this version at byte {position}: make the store again")


def _payload(field: Field, value: Value) -> tuple[Buffer, int]:
    """The bytes of a value, without a copy of an array that has them in place, and their number.

    Raises:
        ValueError: the value is not one of the field's.
    """
    if isinstance(value, np.ndarray):
        if value.shape == field.shape and value.dtype == field.kind:
            stored = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            return stored.data, stored.nbytes
    elif field.kind == "text" and isinstance(value, str):
        text = value.encode()
        return text, len(text)
    elif field.kind in ("integer", "label") and isinstance(value, int | np.integer):
        number = varint(int(value) & 0xFFFFFFFFFFFFFFFF)
        return number, len(number)
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    raise ValueError(f"field {field.name}: got {got}, expected {field.kind} {field.shape or ''}".rstrip())


def _tensor_bytes(field: Field) -> int:
    """Bytes of a tensor; 0 for a field whose size depends on its value."""
    if field.kind in ("text", "integer", "label"):
        return 0
    return math.prod(field.shape) * np.dtype(field.kind).itemsize


def _decode_value(field: Field, payload: Buffer) -> Value:
    if field.kind == "text":
        return _text(field, payload)
    if field.kind in ("integer", "label"):
        return _integer(bytes(payload))
    return np.frombuffer(payload, np.dtype(field.kind).newbyteorder("<")).reshape(field.shape)


def _decode_column(field: Field, payloads: list[Buffer]) -> Array:
    if field.kind == "text":
        texts = np.empty(len(payloads), object)
        texts[:] = [_text(field, payload) for payload in payloads]
        return texts
    if field.kind in ("integer", "label"):
        return np.array([_integer(bytes(payload)) for payload in payloads], np.int64)
    values = np.frombuffer(bytearray().join(payloads), np.dtype(field.kind).newbyteorder("<"))
    return values.reshape(len(payloads), *field.shape)


def _text(field: Field, payload: Buffer) -> str:
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"field {field.name} is not UTF-8 text: {error}") from error


@lru_cache(maxsize=1 << 15)
def _integer(payload: bytes) -> int:
    value, end = read_varint(payload, 0)
    if end != len(payload):
        raise DataError(f"several integers ({payload.hex()}), expected one")
    return value - (1 << 64) if value >> 63 else value


def _tensorflow_feature(field: Field) -> tf.io.FixedLenFeature:
    import tensorflow as tf

    if field.kind == "float32":
        return tf.io.FixedLenFeature(field.shape, tf.float32)
    return tf.io.FixedLenFeature((), tf.int64 if field.kind in ("integer", "label") else tf.string)
