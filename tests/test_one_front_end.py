"""A clip has the same features from the pipeline, from a tf.data pipeline of waveforms and by itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from conftest import Call

from base import params
from features import frontend, portable_operations, tensor_operations
from features.frontend import front_end
from features.views import View
from readers.store import open_store

KINDS = ("mfcc", "logmel", "spectrogram")
TOLERANCE = 1e-5
"""Of the largest value; float32 has 6e-8."""

Features = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def views(finished: Path) -> dict[str, View]:
    declared: dict[str, View] = params.load("extract.views", dict[str, View], finished / "params.yaml")
    return declared


@pytest.fixture
def extracted(finished: Path, tmp_path: Path, call: Call) -> Path:
    """A folder in which the pipeline has made the waveform view and the three others."""
    shutil.copy(finished / "params.yaml", tmp_path)
    shutil.copytree(finished / "clips", tmp_path / "clips")
    shutil.copy(finished / "selection.parquet", tmp_path)
    for view in ("waveform", *KINDS):
        assert call(tmp_path, "extract", "clips", "selection.parquet", f"features/{view}").code == 0
    return tmp_path / "features"


def assert_equal(found: Features, expected: Features) -> None:
    assert found.shape == expected.shape and len(found) > 0
    assert np.max(np.abs(found - expected)) <= TOLERANCE * np.max(np.abs(expected))


def tensors(folder: Path, split: str) -> tuple[list[Any], npt.NDArray[Any]]:
    """Ids and tensors of a split, in order."""
    store = open_store(folder)
    records = list(store.records(split))
    return [record["id"] for record in records], np.stack([record[store.tensor] for record in records])


def test_the_pipeline_the_tf_data_path_and_the_front_end_alone_agree(extracted: Path, views: dict[str, View]) -> None:
    for kind in KINDS:
        by_tf_data = front_end(views[kind], tensor_operations)
        by_itself = tf.function(by_tf_data)
        for split in ("train", "validation", "test"):
            ids, audio = tensors(extracted / "waveform", split)
            of_pipeline, expected = tensors(extracted / kind, split)
            assert ids == of_pipeline
            batches = open_store(extracted / "waveform").dataset(split, 5, columns=("audio",))
            mapped = batches.map(lambda record, compute=by_tf_data: compute(record["audio"]))
            assert_equal(np.concatenate(list(mapped.as_numpy_iterator())), expected)
            for size in (1, 7, 256):
                assert_equal(in_batches(by_itself, audio, size), expected)


def in_batches(function: Any, audio: npt.NDArray[np.int16], size: int) -> Features:
    """The front end on batches of this size, the clips repeated until the last batch is full."""
    padding = -len(audio) % size
    padded = np.resize(audio, (len(audio) + padding, audio.shape[1]))
    starts = range(0, len(padded), size)
    return np.concatenate([function(padded[start : start + size]).numpy() for start in starts])[: len(audio)]


def test_the_operations_that_every_engine_has_give_the_same_features(views: dict[str, View]) -> None:
    generator = np.random.default_rng(0)
    loudness = np.array([[3], [300], [3_000], [12_000]])
    clips = np.clip(generator.normal(0, 1, (4, 16_000)) * loudness, -32_768, 32_767).astype(np.int16)
    clips[1, 9_000:] = 0
    portable = [name for name, view in views.items() if view.kind != "micro"]
    assert len(portable) > 8
    for name in portable:
        expected = frontend.compute(views[name], clips).astype(np.float64)
        found = front_end(views[name], portable_operations)(tf.constant(clips)).numpy()
        assert found.shape == expected.shape
        # a half-band filter in float32 rounds some samples the other way; float32 sums lose more where little is left
        allowed = 1 if views[name].dtype == "int16" else 2e-4 * np.max(np.abs(expected))
        assert np.max(np.abs(found - expected)) <= allowed, name
