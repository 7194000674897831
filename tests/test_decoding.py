"""Records are decoded one by one and in batches to what TensorFlow reads in them, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from record_tools import SOME, SPEC, Record, assert_same, by_tensorflow, records

from base.errors import DataError
from stores.schema import Field, RecordSpec
from stores.wire import BYTES_LIST, FLOAT_LIST, INT64_LIST, delimited, varint


def row(batch: dict[str, np.ndarray], index: int) -> Record:
    """One record of a batch, as `decode` gives it."""
    found = {name: values[index] for name, values in batch.items()}
    return {name: value.item() if np.ndim(value) == 0 and name != "word" else value for name, value in found.items()}


@given(records)
def test_decoding_undoes_encoding(record: Record) -> None:
    assert_same(SPEC.decode(SPEC.encode(record)), record)


@given(st.lists(records, max_size=4))
def test_decoding_a_batch_undoes_encoding(batch: list[Record]) -> None:
    found = SPEC.decode_batch([SPEC.encode(record) for record in batch])
    assert {name: (values.dtype, values.shape) for name, values in found.items()} == {
        "audio": (np.int16, (len(batch), 5)),
        "features": (np.float32, (len(batch), 2, 3)),
        "label": (np.int64, (len(batch),)),
        "length": (np.int64, (len(batch),)),
        "word": (object, (len(batch),)),
    }
    for index, record in enumerate(batch):
        assert_same(row(found, index), record)
        assert type(found["word"][index]) is str


@given(st.lists(records, min_size=1, max_size=4))
def test_a_batch_is_what_tensorflow_parses(batch: list[Record]) -> None:
    encoded = [SPEC.encode(record) for record in batch]
    parsed = {name: tensor.numpy() for name, tensor in SPEC.parse(tf.constant(encoded)).items()}
    found = SPEC.decode_batch(encoded)
    assert [word.encode() for word in found.pop("word")] == parsed.pop("word").tolist()
    assert_same(found, parsed)


@pytest.mark.parametrize("around", [0, 128, 16_384, 2_097_152])
def test_texts_of_every_length_are_decoded_where_a_length_before_them_takes_a_byte_more(around: int) -> None:
    for size in range(max(around - 30, 0), around + 5):
        word = "ü" * (size // 2) + "u" * (size % 2)
        assert_same(SPEC.decode(SPEC.encode({**SOME, "word": word})), {**SOME, "word": word})


def test_a_batch_has_the_wanted_columns_and_may_be_written_to() -> None:
    batch = SPEC.decode_batch([SPEC.encode(SOME)] * 2, ("features", "label"))
    assert batch.keys() == {"features", "label"}
    batch["features"][1] += 1
    assert batch["features"].sum() == 18.0


def floats(values: np.ndarray, packed: bool) -> bytes:
    data = values.ravel().astype("<f4")
    inner = delimited(1, data.tobytes()) if packed else b"".join(b"\x0d" + each.tobytes() for each in data)
    return delimited(FLOAT_LIST, inner)


def integer(number: bytes) -> bytes:
    return delimited(INT64_LIST, delimited(1, number))


def words(*values: bytes) -> bytes:
    return delimited(BYTES_LIST, b"".join(delimited(1, value) for value in values))


FEATURES = {
    "audio": words(SOME["audio"].tobytes()),
    "features": floats(SOME["features"], packed=True),
    "label": integer(varint(SOME["label"])),
    "length": integer(varint(SOME["length"])),
    "word": words(SOME["word"].encode()),
}


def message(features: dict[str, bytes]) -> bytes:
    """A `tf.train.Example` with its features in this order."""
    entries = (delimited(1, delimited(1, name.encode()) + delimited(2, each)) for name, each in features.items())
    return delimited(1, b"".join(entries))


def test_the_features_written_by_hand_are_those_of_the_record() -> None:
    assert message(FEATURES) == SPEC.encode(SOME)


OTHER_LAYOUTS = {
    "another order": (dict(reversed(FEATURES.items())), "field audio: no int16 .5,. of this version at byte 2"),
    "floats that are not packed": ({**FEATURES, "features": floats(SOME["features"], packed=False)}, "field features"),
    "an integer that is not packed": ({**FEATURES, "label": delimited(INT64_LIST, b"\x08\x03")}, "field label"),
    "a field more": ({**FEATURES, "zero": words(b"a")}, r"record of \d+ bytes, expected \d+"),
    "a field less": ({name: FEATURES[name] for name in ("audio", "features", "label", "length")}, "field word"),
}


@pytest.mark.parametrize("layout", OTHER_LAYOUTS)
def test_a_message_that_is_laid_out_otherwise_is_refused_though_tensorflow_reads_it(layout: str) -> None:
    features, said = OTHER_LAYOUTS[layout]
    encoded = message(features)
    assert set(tf.train.Example.FromString(encoded).features.feature) == set(features)
    for decode in (SPEC.decode, lambda record: SPEC.decode_batch([SPEC.encode(SOME), record])):
        with pytest.raises(DataError, match=rf"{said}.*: make the store again"):
            decode(encoded)


WRONG_VALUES = {
    "two integers": ({"label": integer(b"\x01\x02")}, "several integers"),
    "no integer": ({"label": integer(b"")}, "a number is not complete"),
    "an integer of 70 bits": ({"label": integer(b"\xff" * 9 + b"\x7f")}, "more than 64 bits"),
    "two texts": ({"word": words(b"a", b"b")}, "field word: no text of this version"),
    "no text": ({"word": words()}, "field word: no text of this version"),
    "text that is not UTF-8": ({"word": words(b"\xff")}, "field word is not UTF-8 text"),
    "a list of another kind": ({"word": integer(b"\x01")}, "field word: no text of this version"),
    "too many floats": ({"features": floats(np.ones(7), packed=True)}, r"field features: no float32 \(2, 3\)"),
    "too few samples": ({"audio": words(bytes(8))}, r"field audio: no int16 \(5,\)"),
}


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_a_value_that_is_not_the_fields_is_refused(wrong: str) -> None:
    change, said = WRONG_VALUES[wrong]
    encoded = message({**FEATURES, **change})
    for decode in (SPEC.decode, lambda record: SPEC.decode_batch([SPEC.encode(SOME), record])):
        with pytest.raises(DataError, match=said):
            decode(encoded)


def test_a_record_of_other_fields_is_refused_by_the_first_field_that_it_lacks() -> None:
    other = RecordSpec((Field("word", "text"),))
    with pytest.raises(DataError, match="field audio: no int16"):
        SPEC.decode(other.encode({"word": "yes"}))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError):
        SPEC.decode(data)


@pytest.mark.parametrize("size", [0, 1, 2, 127, 128, 129, 130, 131, 16_386, 16_387, 16_388, 2_097_156])
def test_bytes_of_every_length_around_which_a_header_grows_are_refused(size: int) -> None:
    for byte in (b"\0", b"\n"):
        with pytest.raises(DataError, match=r"no record of this version|record of|field"):
            SPEC.decode(byte * size)


def test_a_length_beyond_the_record_is_refused_before_memory_is_taken() -> None:
    encoded = SPEC.encode(SOME)
    entry = encoded.index(b"word") - 4
    damaged = encoded[:entry] + b"\x0a" + varint(1 << 60) + encoded[entry + 10 :]
    assert len(damaged) == len(encoded)
    with pytest.raises(DataError, match="field word: no text"):
        SPEC.decode(damaged)


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
