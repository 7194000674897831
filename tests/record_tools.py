"""Records with every kind of field, and the same by TensorFlow's own classes, for the tests of the record contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stores.schema import Field, RecordSpec

Record = dict[str, Any]

SPEC = RecordSpec(
    (
        Field("audio", "int16", (5,)),
        Field("features", "float32", (2, 3)),
        Field("label", "label"),
        Field("length", "integer"),
        Field("word", "text"),
    )
)
SOME: Record = {
    "audio": np.arange(5, dtype=np.int16),
    "features": np.ones((2, 3), np.float32),
    "label": 3,
    "length": 16_000,
    "word": "yes",
}
characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=150) | st.builds(lambda each, size: each * size, characters, st.integers(0, 9_000))
"""Texts of any length: the lengths that stand before them take one, two or three bytes."""
records = st.fixed_dictionaries(
    {
        "audio": arrays.arrays(np.int16, 5),
        "features": arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False)),
        "label": st.integers(0, 2**63 - 1),
        "length": st.integers(-(2**63), 2**63 - 1),
        "word": texts,
    }
)


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


def by_tensorflow(record: bytes) -> Record:
    """What `tf.train.Example` holds of the fields of `SPEC`."""
    feature = tf.train.Example.FromString(record).features.feature
    (audio,), (word,) = feature["audio"].bytes_list.value, feature["word"].bytes_list.value
    (label,), (length,) = feature["label"].int64_list.value, feature["length"].int64_list.value
    return {
        "audio": np.frombuffer(audio, np.int16),
        "features": np.array(feature["features"].float_list.value, np.float32).reshape(2, 3),
        "label": label,
        "length": length,
        "word": word.decode(),
    }


def assert_same(found: Record, expected: Record) -> None:
    """Equal names, dtypes and bytes."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(found[name]).tobytes() == np.asarray(value).tobytes(), name
        assert np.asarray(found[name]).dtype == np.asarray(value).dtype
