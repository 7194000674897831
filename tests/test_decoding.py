"""Records are decoded one by one and in batches to what TensorFlow reads in them, whoever wrote them, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.errors import DataError
from features.schema import Field, RecordSpec
from features.wire import BYTES_LIST, FLOAT_LIST, INT64_LIST, delimited, varint

SPEC = RecordSpec(
    (
        Field("audio", "int16", (5,)),
        Field("features", "float32", (2, 3)),
        Field("label", "label"),
        Field("length", "integer"),
        Field("word", "text"),
    )
)
Record = dict[str, Any]
records_of_values = st.fixed_dictionaries(
    {
        "audio": arrays.arrays(np.int16, 5),
        "features": arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32, allow_nan=False)),
        "label": st.integers(0, 2**63 - 1),
        "length": st.integers(-(2**63), 2**63 - 1),
        "word": st.text(st.characters(exclude_categories=["Cs"]), max_size=150),
    }
)
SOME: Record = {
    "audio": np.arange(5, dtype=np.int16),
    "features": np.ones((2, 3), np.float32),
    "label": 3,
    "length": 16_000,
    "word": "yes",
}


def assert_same(found: Record, expected: Record) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.asarray(found[name]).tobytes() == np.asarray(value).tobytes(), name
        assert np.asarray(found[name]).dtype == np.asarray(value).dtype


def row(batch: dict[str, np.ndarray], place: int) -> Record:
    """One record of a batch, as `decode` gives it."""
    found = {name: values[place] for name, values in batch.items()}
    return {name: value.item() if np.ndim(value) == 0 and name != "word" else value for name, value in found.items()}


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


@given(st.lists(records_of_values, max_size=4))
def test_decoding_a_batch_undoes_encoding(records: list[Record]) -> None:
    batch = SPEC.decode_batch([SPEC.encode(record) for record in records])
    assert {name: (values.dtype, values.shape) for name, values in batch.items()} == {
        "audio": (np.int16, (len(records), 5)),
        "features": (np.float32, (len(records), 2, 3)),
        "label": (np.int64, (len(records),)),
        "length": (np.int64, (len(records),)),
        "word": (object, (len(records),)),
    }
    for place, record in enumerate(records):
        assert_same(row(batch, place), record)
        assert type(batch["word"][place]) is str


@given(st.lists(records_of_values, min_size=1, max_size=4))
def test_a_batch_is_what_tensorflow_parses(records: list[Record]) -> None:
    encoded = [SPEC.encode(record) for record in records]
    parsed = {name: tensor.numpy() for name, tensor in SPEC.parse(tf.constant(encoded)).items()}
    batch = SPEC.decode_batch(encoded)
    assert [word.encode() for word in batch.pop("word")] == parsed.pop("word").tolist()
    assert_same(batch, parsed)


def test_a_batch_has_the_wanted_columns_and_may_be_written_to() -> None:
    batch = SPEC.decode_batch([SPEC.encode(SOME)] * 2, ("features", "label"))
    assert batch.keys() == {"features", "label"}
    batch["features"][1] += 1
    assert batch["features"].sum() == 18.0


def floats(values: np.ndarray, packed: list[bool]) -> bytes:
    """A list of floats in two parts, each packed or not."""
    halves = np.split(values.ravel().astype("<f4"), [2])
    parts = [
        delimited(1, half.tobytes()) if is_packed else b"".join(b"\x0d" + each.tobytes() for each in half)
        for half, is_packed in zip(halves, packed, strict=True)
    ]
    return delimited(FLOAT_LIST, b"".join(parts))


def integers(value: int, packed: bool) -> bytes:
    number = varint(value & 0xFFFFFFFFFFFFFFFF)
    return delimited(INT64_LIST, delimited(1, number) if packed else b"\x08" + number)


def texts(*values: bytes) -> bytes:
    return delimited(BYTES_LIST, b"".join(delimited(1, value) for value in values))


def message(features: list[tuple[str, bytes]]) -> bytes:
    """A `tf.train.Example` with its features in this order."""
    entries = (delimited(1, delimited(1, name.encode()) + delimited(2, feature)) for name, feature in features)
    return delimited(1, b"".join(entries))


def features_of(record: Record, packed: list[bool]) -> dict[str, bytes]:
    return {
        "audio": texts(record["audio"].tobytes()),
        "features": floats(record["features"], packed[:2]),
        "label": integers(record["label"], packed[2]),
        "length": integers(record["length"], packed[3]),
        "word": texts(record["word"].encode()),
    }


@given(records_of_values, st.lists(st.booleans(), min_size=4, max_size=4), st.data())
def test_other_valid_messages_of_the_same_values_are_decoded(
    record: Record, packed: list[bool], data: st.DataObject
) -> None:
    extra = {"": texts(b"1", b"2"), "empty": b"", "more": floats(np.ones(9), [True, False]), "wor": texts()}
    features = data.draw(st.permutations([*features_of(record, packed).items(), *extra.items()]))
    encoded = message([("word", texts(b"of an entry that a later one replaces")), *features])
    assert_same(SPEC.decode(encoded), record)
    assert_same(row(SPEC.decode_batch([SPEC.encode(SOME), encoded, SPEC.encode(SOME)]), 1), record)
    assert_same(by_tensorflow(encoded), record)
    if not any(packed[:2]):  # tf.io.parse_example refuses lists in several packed pieces
        parsed = {name: tensor[0].numpy() for name, tensor in SPEC.parse(tf.constant([encoded])).items()}
        assert_same({**parsed, "word": parsed["word"].decode()}, {**record, **integers_of(record)})


def integers_of(record: Record) -> Record:
    return {name: np.int64(record[name]) for name in ("label", "length")}


WRONG: dict[str, tuple[dict[str, bytes], str]] = {
    "two integers in one piece": ({"label": delimited(INT64_LIST, delimited(1, b"\x01\x02"))}, "several integers"),
    "two integers apart": ({"label": delimited(INT64_LIST, b"\x08\x01\x08\x02")}, "several integers"),
    "no integer": ({"label": delimited(INT64_LIST, b"")}, "ends inside a number"),
    "an integer of 70 bits": ({"label": delimited(INT64_LIST, delimited(1, b"\xff" * 9 + b"\x7f"))}, "64 bits"),
    "two texts": ({"word": texts(b"a", b"b")}, "field word: 2 values, expected one"),
    "no text": ({"word": texts()}, "field word: 0 values, expected one"),
    "text that is not UTF-8": ({"word": texts(b"\xff")}, "field word is no text"),
    "a list of another kind": ({"word": integers(1, True)}, "field word: list kind 3, expected 1"),
    "no list": ({"word": b""}, "field word: list kind , expected 1"),
    "two lists": ({"word": texts(b"a") + texts(b"b")}, "field word: list kind 1, 1, expected 1"),
    "too many floats": ({"features": floats(np.ones(7), [True, False])}, "28 bytes, expected 24"),
    "too few samples": ({"audio": texts(bytes(8))}, "8 bytes, expected 10"),
    "an unknown number in a list": ({"word": delimited(BYTES_LIST, delimited(2, b"a"))}, "something else"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_that_is_not_the_fields_is_refused(wrong: str) -> None:
    change, said = WRONG[wrong]
    encoded = message(list({**features_of(SOME, [True] * 4), **change}.items()))
    for decode in (SPEC.decode, lambda record: SPEC.decode_batch([SPEC.encode(SOME), record])):
        with pytest.raises(DataError, match=said):
            decode(encoded)


@given(st.data())
def test_a_changed_record_is_refused_or_decoded_as_tensorflow_reads_it(data: st.DataObject) -> None:
    encoded = bytearray(SPEC.encode(SOME))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    changed = bytes(encoded[: data.draw(st.sampled_from([len(encoded), len(encoded) - 1]))])
    try:
        found = SPEC.decode(changed)
    except DataError:
        return
    try:
        expected = by_tensorflow(changed)
    except DecodeError:
        pytest.fail(f"TensorFlow refuses {changed.hex()}")
    assert_same(
        {name: np.asarray(value) for name, value in found.items()}, {n: np.asarray(v) for n, v in expected.items()}
    )
    batch = row(SPEC.decode_batch([changed]), 0)
    assert all(np.array_equal(batch[name], value, equal_nan=name == "features") for name, value in found.items())
