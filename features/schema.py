"""The record contract: one specification of a record's fields that serialises, parses and describes them.

Records are `tf.train.Example` messages, written with their fields in order of name, so that equal values give equal
bytes (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from features.errors import DataError
from features.views import CLIP_SAMPLES, View
from features.wire import (
    BYTES_LIST,
    FLOAT_LIST,
    INT64_LIST,
    Buffer,
    delimited,
    delimited_head,
    features_of,
    read_varint,
    values_of,
    varint,
)

if TYPE_CHECKING:
    import tensorflow as tf

Array: TypeAlias = "np.ndarray[Any, Any]"
Value: TypeAlias = "str | int | Array"
Kind: TypeAlias = Literal["text", "integer", "label", "int16", "float32"]

_LIST_OF_KIND: Final[dict[Kind, int]] = {
    "text": BYTES_LIST,
    "int16": BYTES_LIST,
    "float32": FLOAT_LIST,
    "integer": INT64_LIST,
    "label": INT64_LIST,
}


@dataclass(frozen=True)
class Field:
    """One field of a record: a text, an integer, a class label, or a tensor of int16 or float32."""

    name: str
    kind: Kind
    shape: tuple[int, ...] = ()
    meaning: str = ""


@dataclass(frozen=True)
class RecordSpec:
    """The fields of a record, in order of name."""

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if names != sorted(set(names)):
            raise ValueError(f"fields must be distinct and in order of name, got {names}")

    def encode(self, values: Mapping[str, Value]) -> bytes:
        """Serialise a record.

        Args:
            values: one value for each field: str, int, or an array of the field's shape and dtype.

        Returns:
            A `tf.train.Example` message; equal values give equal bytes.

        Raises:
            ValueError: a value is missing or has another shape or dtype.
        """
        entries = b"".join(_entry(field, values[field.name]) for field in self.fields)
        return delimited(1, entries)

    def decode(self, record: bytes) -> dict[str, Value]:
        """Parse a record without TensorFlow; the inverse of `encode`.

        Args:
            record: a `tf.train.Example` message, by `encode` or by anyone else.

        Returns:
            One value for each field: str, int, or a read-only array of the field's shape and dtype.

        Raises:
            DataError: the record is not such a message, or a field is missing or has another size.
        """
        payloads = zip(self.fields, self._payloads(record), strict=True)
        return {field.name: _decode_value(field, payload) for field, payload in payloads}

    def decode_batch(self, records: Sequence[bytes], columns: Iterable[str] | None = None) -> dict[str, Array]:
        """Parse several records without TensorFlow, into one array for each field.

        Args:
            records: `tf.train.Example` messages, by `encode` or by anyone else.
            columns: names of the fields to keep, all by default.

        Returns:
            For each field an array (records, *shape): of int16 or float32, int64 for labels and integers, objects of
            type str for text.

        Raises:
            DataError: a record is not such a message, or a field is missing or has another size.
        """
        names = {field.name for field in self.fields} if columns is None else set(columns)
        rows = [self._payloads(record) for record in records]
        return {
            field.name: _decode_column(field, [row[place] for row in rows])
            for place, field in enumerate(self.fields)
            if field.name in names
        }

    def _payloads(self, record: bytes) -> list[Buffer]:
        """The bytes of each field's values: at once where `encode` wrote the record, else by parsing the message."""
        payloads = self._known_payloads(record)
        return self._parsed_payloads(record) if payloads is None else payloads

    def _known_payloads(self, record: bytes) -> list[Buffer] | None:
        """The payloads of a record that `encode` wrote, None for any other."""
        head = delimited_head(1, len(record))
        if not record.startswith(head):
            return None
        view, position, payloads = memoryview(record), len(head), []
        for head_bytes, tensor_bytes, heads in self._layout:
            start = position + head_bytes
            if start > len(record):
                return None
            size = tensor_bytes or record[start - 1]
            entry_head = heads.get(size)
            if entry_head is None or not record.startswith(entry_head, position):
                return None
            position = start + size
            payloads.append(view[start:position] if tensor_bytes else record[start:position])
        return payloads if position == len(record) else None

    @cached_property
    def _layout(self) -> tuple[tuple[int, int, dict[int, bytes]], ...]:
        """For each field how `encode` writes it: bytes of the head, of a tensor's payload or 0, heads by payload."""
        return tuple(_entry_layout(field) for field in self.fields)

    def _parsed_payloads(self, record: bytes) -> list[Buffer]:
        found = features_of(record)
        missing = [field.name for field in self.fields if field.name not in found]
        if missing:
            raise DataError(f"record without {', '.join(missing)}; it has {', '.join(sorted(found))}")
        return [_parsed_payload(field, found[field.name]) for field in self.fields]

    def parse(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parse a batch of records with TensorFlow.

        Args:
            records: string tensor, (batch,).

        Returns:
            For each field a tensor (batch, *shape): string, int64, int16 or float32.
        """
        import tensorflow as tf

        parsed = tf.io.parse_example(records, {field.name: _tensorflow_feature(field) for field in self.fields})
        for field in self.fields:
            if field.kind == "int16":
                decoded = tf.io.decode_raw(parsed[field.name], tf.int16)
                parsed[field.name] = tf.ensure_shape(decoded, (None, *field.shape))
        return dict(parsed)


CLIP_RECORD: Final = RecordSpec(
    (
        Field("audio", "int16", (CLIP_SAMPLES,), "samples at 16 kHz, zero after the clip's real length"),
        Field("id", "text", meaning="word/speaker_nohash_index, as in the archive"),
        Field("length", "integer", meaning="samples before padding; the mask is range(16000) < length"),
        Field("speaker", "text", meaning="the speaker's id, empty for silence"),
        Field("word", "text", meaning="the word spoken, _silence_ for background noise"),
    )
)


CLIPS_VERSION: Final = "1.0.0"
"""Version of the store of clips; changes with `CLIP_RECORD` or with what a clip is."""


def tensor_name(view: View) -> str:
    """Name of the field that holds a view's tensor: "audio" for waveforms, else the kind of the view."""
    return "audio" if view.kind == "waveform" else view.kind


def view_record(view: View) -> RecordSpec:
    """The record of a view: id, label, real length and the tensor."""
    kind: Kind = "int16" if view.dtype == "int16" else "float32"
    fields = (
        Field("id", "text", meaning="word/speaker_nohash_index, as in the archive"),
        Field("label", "label", meaning="index into the class names"),
        Field("length", "integer", meaning="samples before padding, at a waveform's own rate, else at 16 kHz"),
        Field(tensor_name(view), kind, view.shape, f"the {view.kind}"),
    )
    return RecordSpec(tuple(sorted(fields, key=lambda field: field.name)))


def _entry(field: Field, value: Value) -> bytes:
    """One entry of the map from feature name to feature."""
    payload = _payload(field, value)
    return _entry_head(field, len(payload)) + payload


@lru_cache(maxsize=1024)
def _entry_head(field: Field, payload_bytes: int) -> bytes:
    """All of an entry before its payload, which depends on the payload's size alone."""
    payload = bytes(payload_bytes)
    values = delimited(_LIST_OF_KIND[field.kind], delimited(1, payload))
    entry = delimited(1, delimited(1, field.name.encode()) + delimited(2, values))
    return entry[: len(entry) - payload_bytes]


def _payload(field: Field, value: Value) -> bytes:
    if field.kind == "text" and isinstance(value, str):
        return value.encode()
    if field.kind in ("integer", "label") and isinstance(value, int | np.integer):
        return varint(int(value) & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, np.ndarray) and value.shape == field.shape and value.dtype == field.kind:
        return value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    raise ValueError(f"field {field.name}: got {got}, expected {field.kind} {field.shape or ''}".rstrip())


def _entry_layout(field: Field) -> tuple[int, int, dict[int, bytes]]:
    """Bytes of an entry's head, of its payload if that is a tensor's, else 0, and its head by size of the payload.

    Only heads whose last byte is the payload's size are kept, unless that size is always the same.
    """
    tensor_bytes = _tensor_bytes(field)
    if tensor_bytes:
        head = _entry_head(field, tensor_bytes)
        return len(head), tensor_bytes, {tensor_bytes: head}
    head_bytes = len(_entry_head(field, 0))
    heads = {size: _entry_head(field, size) for size in range(128)}
    return head_bytes, 0, {size: head for size, head in heads.items() if len(head) == head_bytes}


def _tensor_bytes(field: Field) -> int:
    """Bytes of a tensor, 0 for other fields."""
    return math.prod(field.shape) * np.dtype(field.kind).itemsize if field.kind in ("int16", "float32") else 0


def _parsed_payload(field: Field, feature: memoryview) -> Buffer:
    try:
        values = values_of(feature, _LIST_OF_KIND[field.kind])
    except DataError as error:
        raise DataError(f"field {field.name}: {error}") from error
    if _LIST_OF_KIND[field.kind] == BYTES_LIST and len(values) != 1:
        raise DataError(f"field {field.name}: {len(values)} values, expected one")
    payload = values[0] if len(values) == 1 else b"".join(values)
    expected = _tensor_bytes(field)
    if expected and len(payload) != expected:
        raise DataError(f"field {field.name}: {len(payload)} bytes, expected {expected} for {field.shape}")
    return payload


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
        raise DataError(f"field {field.name} is no text: {error}") from error


@lru_cache(maxsize=1 << 15)
def _integer(payload: bytes) -> int:
    value, end = read_varint(payload, 0)
    if end != len(payload):
        raise DataError(f"a list of several integers ({payload.hex()}), expected one")
    return value - (1 << 64) if value >> 63 else value


def _tensorflow_feature(field: Field) -> tf.io.FixedLenFeature:
    import tensorflow as tf

    if field.kind == "float32":
        return tf.io.FixedLenFeature(field.shape, tf.float32)
    return tf.io.FixedLenFeature((), tf.int64 if field.kind in ("integer", "label") else tf.string)
