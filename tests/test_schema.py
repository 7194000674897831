"""Records are tf.train.Example messages: TensorFlow, TensorFlow Datasets and this code read the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.errors import DataError
from features.metadata import features_json
from features.schema import CLIP_RECORD, Field, RecordSpec, view_record
from features.views import Mfcc, Spectrogram, View, Waveform

SPEC = RecordSpec(
    (
        Field("audio", "int16", (5,)),
        Field("features", "float32", (2, 3)),
        Field("label", "label"),
        Field("length", "integer"),
        Field("word", "text"),
    )
)
values = st.fixed_dictionaries(
    {
        "audio": arrays.arrays(np.int16, 5),
        "features": arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False)),
        "label": st.integers(0, 2**63 - 1),
        "length": st.integers(-(2**63), 2**63 - 1),
        "word": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    }
)
Record = dict[str, Any]
SOME: Record = {
    "audio": np.arange(5, dtype=np.int16),
    "features": np.ones((2, 3), np.float32),
    "label": 3,
    "length": 4,
    "word": "yes",
}
MFCC = Mfcc(
    kind="mfcc",
    frame_ms=30,
    hop_ms=10,
    floor_db=-80.0,
    mel_bands=40,
    mel_low_hz=20.0,
    mel_high_hz=7600.0,
    mel_scale="slaney",
    coefficients=13,
)
VIEWS: list[View] = [
    MFCC,
    Spectrogram(kind="spectrogram", frame_ms=20, hop_ms=10, floor_db=-80.0),
    Waveform(kind="waveform", sample_rate_hz=8_000),
]


def example(record: Record) -> tf.train.Example:
    """The same record, built with TensorFlow's own classes."""

    def feature(value: Any) -> tf.train.Feature:
        match value:
            case str():
                return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
            case int():
                return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
            case _ if value.dtype == np.int16:
                return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.tobytes()]))
            case _:
                return tf.train.Feature(float_list=tf.train.FloatList(value=value.ravel()))

    return tf.train.Example(
        features=tf.train.Features(feature={name: feature(value) for name, value in record.items()})
    )


def assert_same(left: Record, right: Record) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert np.array_equal(value, right[name]), name
        assert np.asarray(value).dtype == np.asarray(right[name]).dtype


@given(values)
def test_a_record_is_the_example_that_tensorflow_builds(record: Record) -> None:
    assert tf.train.Example.FromString(SPEC.encode(record)) == example(record)


@given(values)
def test_decoding_undoes_encoding(record: Record) -> None:
    assert_same(SPEC.decode(SPEC.encode(record)), record)


@given(values)
def test_tensorflows_own_bytes_are_decoded(record: Record) -> None:
    assert_same(SPEC.decode(example(record).SerializeToString()), record)


@given(st.lists(values, min_size=1, max_size=3))
def test_parsing_a_batch_with_tensorflow_gives_the_values(records: list[Record]) -> None:
    parsed = SPEC.parse(tf.constant([SPEC.encode(record) for record in records]))
    for number, record in enumerate(records):
        found = {name: tensor[number].numpy() for name, tensor in parsed.items()}
        assert_same(
            {**found, "word": found["word"].decode(), **{n: int(found[n]) for n in ("label", "length")}}, record
        )


def test_equal_values_give_equal_bytes_in_whatever_order_they_come() -> None:
    assert SPEC.encode(dict(reversed(SOME.items()))) == SPEC.encode(SOME)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("audio", np.arange(5)),
        ("audio", np.arange(4, dtype=np.int16)),
        ("features", np.ones((3, 2), np.float32)),
        ("features", np.ones((2, 3))),
        ("label", "3"),
        ("word", 3),
        ("word", b"yes"),
    ],
)
def test_a_value_of_another_shape_or_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        SPEC.encode({**SOME, field: value})


def test_a_record_without_a_field_is_refused_by_name() -> None:
    other = RecordSpec((Field("word", "text"),))
    with pytest.raises(DataError, match="without audio, features, label, length; it has word"):
        SPEC.decode(other.encode({"word": "yes"}))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError):
        SPEC.decode(data)


def test_a_damaged_record_is_a_data_error_or_other_values_and_never_another_exception() -> None:
    record = SPEC.encode(SOME)
    refused = 0
    for place in range(len(record)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(record)
            damaged[place] ^= mask
            try:
                assert SPEC.decode(bytes(damaged)).keys() == SOME.keys()
            except DataError:
                refused += 1
    assert refused > len(record)


def test_fields_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order of name"):
        RecordSpec((Field("b", "text"), Field("a", "text")))


@pytest.mark.parametrize(
    "spec", [CLIP_RECORD, *[view_record(view) for view in VIEWS]], ids=["clip", "mfcc", "spectrogram", "waveform"]
)
def test_tensorflow_datasets_reads_features_json_and_the_records(spec: RecordSpec, tmp_path: Path) -> None:
    (tmp_path / "features.json").write_text(features_json(spec, ["a", "b", "c", "d"]))
    features = tfds.features.FeaturesDict.from_config(str(tmp_path))
    generator = np.random.default_rng(0)
    record: Record = {}
    for field in spec.fields:
        match field.kind:
            case "text":
                record[field.name] = "word/0a_nohash_1"
            case "label" | "integer":
                record[field.name] = 3
            case _:
                record[field.name] = generator.normal(0, 99, field.shape).astype(field.kind)
    decoded = features.deserialize_example(tf.constant(spec.encode(record)))
    found = {name: tensor.numpy() for name, tensor in decoded.items()}
    for field in spec.fields:
        expected = record[field.name].encode() if field.kind == "text" else record[field.name]
        assert np.array_equal(found[field.name], expected)
        assert np.asarray(found[field.name]).shape == field.shape
