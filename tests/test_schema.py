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
from record_tools import SOME, SPEC, Record, assert_same, example, records

from features.views import Mfcc, Spectrogram, View, Waveform
from stores.records import CLIP_RECORD, view_record
from stores.schema import Field, RecordSpec
from stores.tfds import features_json

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
    Waveform(kind="waveform", sample_rate_hz=16_000, clip_ms=500),
]


@given(records)
def test_a_record_is_the_example_that_tensorflow_builds(record: Record) -> None:
    assert tf.train.Example.FromString(SPEC.encode(record)) == example(record)


@given(records)
def test_a_record_has_the_bytes_that_tensorflow_writes_with_its_keys_in_order(record: Record) -> None:
    assert SPEC.encode(record) == example(record).SerializeToString(deterministic=True)


@given(st.lists(records, min_size=1, max_size=3))
def test_parsing_a_batch_with_tensorflow_gives_the_values(batch: list[Record]) -> None:
    parsed = SPEC.parse(tf.constant([SPEC.encode(record) for record in batch]))
    for number, record in enumerate(batch):
        found = {name: tensor[number].numpy() for name, tensor in parsed.items()}
        integers = {name: int(found[name]) for name in ("label", "length")}
        assert_same({**found, "word": found["word"].decode(), **integers}, record)


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


def test_fields_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order of name"):
        RecordSpec((Field("b", "text"), Field("a", "text")))


@pytest.mark.parametrize(
    ("spec", "rate_hz"),
    [(CLIP_RECORD, 16_000), *[(view_record(view), view.sample_rate_hz) for view in VIEWS]],
    ids=["clip", "mfcc", "spectrogram", "waveform at 8 kHz", "half a second of waveform"],
)
def test_tensorflow_datasets_reads_features_json_and_the_records(
    spec: RecordSpec, rate_hz: int, tmp_path: Path
) -> None:
    (tmp_path / "features.json").write_text(features_json(spec, ["a", "b", "c", "d"], rate_hz))
    features = tfds.features.FeaturesDict.from_config(str(tmp_path))
    assert "audio" not in features or features["audio"].sample_rate == rate_hz
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


def test_a_views_record_says_what_its_tensor_and_its_length_are() -> None:
    said = [
        {field.name: (field.kind, field.shape, field.meaning) for field in view_record(view).fields} for view in VIEWS
    ]
    mfcc, spectrogram, at_8_khz, half = said
    assert mfcc["mfcc"] == ("float32", (98, 13), "98 frames × 13 cepstral coefficients")
    assert spectrogram["spectrogram"] == ("float32", (99, 161), "99 frames × 161 frequency bins, dB")
    assert at_8_khz["audio"] == ("int16", (8_000,), "8,000 samples at 8,000 Hz")
    assert half["audio"] == ("int16", (8_000,), "8,000 samples at 16,000 Hz")
    assert [record["length"][2].partition("at ")[2] for record in said] == [
        "16,000 Hz",
        "16,000 Hz",
        "8,000 Hz",
        "16,000 Hz",
    ]
