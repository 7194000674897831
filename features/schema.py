"""The record contract: one specification of a record's fields that serialises, parses and describes them.

Records are `tf.train.Example` messages, written with their fields in order of name, so that equal values give equal
bytes (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from features.errors import DataError
from features.views import CLIP_SAMPLES, View

if TYPE_CHECKING:
    import tensorflow as tf

Value: TypeAlias = "str | int | np.ndarray[Any, Any]"
Kind: TypeAlias = Literal["text", "integer", "label", "int16", "float32"]

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_LIST_OF_KIND: Final[dict[Kind, int]] = {
    "text": _BYTES_LIST,
    "int16": _BYTES_LIST,
    "float32": _FLOAT_LIST,
    "integer": _INT64_LIST,
    "label": _INT64_LIST,
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
        return _field(1, entries)

    def decode(self, record: bytes) -> dict[str, Value]:
        """Parse a record without TensorFlow; the inverse of `encode`.

        Raises:
            DataError: the record is not such a message, or a field is missing or has another size.
        """
        try:
            found = _parse_example(record)
            missing = [field.name for field in self.fields if field.name not in found]
            if missing:
                raise DataError(f"record without {', '.join(missing)}; it has {', '.join(sorted(found))}")
            return {field.name: _decode_value(field, found[field.name]) for field in self.fields}
        except DataError:
            raise
        except (IndexError, ValueError) as error:
            raise DataError(f"record is not a tf.train.Example of this project: {error}") from error

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


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return b"".join((bytes((number << 3 | 2,)), _varint(len(payload)), payload))


def _entry(field: Field, value: Value) -> bytes:
    """One entry of the map from feature name to feature."""
    payload = _payload(field, value)
    return _entry_head(field, len(payload)) + payload


@lru_cache(maxsize=1024)
def _entry_head(field: Field, payload_bytes: int) -> bytes:
    """All of an entry before its payload, which depends on the payload's size alone."""
    payload = bytes(payload_bytes)
    values = _field(_LIST_OF_KIND[field.kind], _field(1, payload))
    entry = _field(1, _field(1, field.name.encode()) + _field(2, values))
    return entry[: len(entry) - payload_bytes]


def _payload(field: Field, value: Value) -> bytes:
    if field.kind == "text" and isinstance(value, str):
        return value.encode()
    if field.kind in ("integer", "label") and isinstance(value, int | np.integer):
        return _varint(int(value) & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, np.ndarray) and value.shape == field.shape and value.dtype == field.kind:
        return value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    raise ValueError(f"field {field.name}: got {got}, expected {field.kind} {field.shape or ''}".rstrip())


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _read_fields(data: memoryview) -> list[tuple[int, memoryview]]:
    """The length-delimited fields of a message: (number, payload)."""
    fields, position = [], 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        size, position = _read_varint(data, position)
        if tag & 7 != 2 or position + size > len(data):
            raise DataError("record is not a tf.train.Example of lists")
        fields.append((tag >> 3, data[position : position + size]))
        position += size
    return fields


def _parse_example(record: bytes) -> dict[str, tuple[int, memoryview]]:
    """Feature name → (kind of list, payload of its values)."""
    found = {}
    for _, features in _read_fields(memoryview(record)):
        for _, entry in _read_fields(features):
            (_, name), (_, feature) = _read_fields(entry)
            ((list_kind, values),) = _read_fields(feature)
            ((_, payload),) = _read_fields(values)
            found[bytes(name).decode()] = (list_kind, payload)
    return found


def _decode_value(field: Field, found: tuple[int, memoryview]) -> Value:
    list_kind, payload = found
    if list_kind != _LIST_OF_KIND[field.kind]:
        raise DataError(f"field {field.name}: list kind {list_kind}, expected {_LIST_OF_KIND[field.kind]}")
    if field.kind == "text":
        return bytes(payload).decode()
    if field.kind in ("integer", "label"):
        value, _ = _read_varint(payload, 0)
        return value - (1 << 64) if value >> 63 else value
    array = np.frombuffer(payload, np.dtype(field.kind).newbyteorder("<"))
    if array.size != math.prod(field.shape):
        raise DataError(f"field {field.name}: {array.size} values, expected {field.shape}")
    return array.reshape(field.shape)


def _tensorflow_feature(field: Field) -> tf.io.FixedLenFeature:
    import tensorflow as tf

    if field.kind == "float32":
        return tf.io.FixedLenFeature(field.shape, tf.float32)
    return tf.io.FixedLenFeature((), tf.int64 if field.kind in ("integer", "label") else tf.string)
