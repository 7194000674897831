"""A store of whole numbers keeps them through every reader and export, and networks read them scaled."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from export_tools import export_to, same
from PIL import Image
from test_store import assert_same_records, tensorflow_datasets
from training_store import feature_store
from training_tools import MODEL

from features.views import Micro
from readers.store import Store
from registry.export.clip_files import gray_levels
from registry.export.plan import make_plan
from results.model import read_description
from training.dataset import ordered, source
from training.train import train

MICRO = Micro(kind="micro", hop_ms=20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return feature_store(tmp_path_factory.mktemp("features") / "small", MICRO)


def expected(store: Store, split: str) -> np.ndarray[Any, Any]:
    """The tensors of a split, decoded without TensorFlow; uint16, (clips, 49, 40)."""
    tensors = np.stack([np.asarray(record["micro"]) for record in store.records(split)])
    assert tensors.dtype == np.uint16 and tensors.shape[1:] == (49, 40) and tensors.max() > 255
    return tensors


def test_every_reader_gives_the_same_numbers(store: Store) -> None:
    tensors = expected(store, "train")
    assert same(store.numpy("train").load()["micro"], tensors)
    batches = [batch["micro"] for batch in store.dataset("train", 7).as_numpy_iterator()]
    assert same(np.concatenate(batches), tensors)
    assert_same_records(tensorflow_datasets(Path(store.path), "test"), list(store.records("test")))


def test_statistics_and_networks_have_the_scale_of_the_view(store: Store) -> None:
    scaled = expected(store, "train") * np.float32(0.0390625)
    assert np.allclose(store.statistics().mean, scaled.mean(axis=(0, 1)), rtol=1e-6)
    inputs = np.concatenate([inputs for inputs, _ in ordered(source(store), "train", 10).as_numpy_iterator()])
    assert same(inputs, scaled)


def test_exports_keep_the_numbers_and_their_type(store: Store, tmp_path: Path) -> None:
    tensors = expected(store, "test")
    arrays = export_to(tmp_path / "numpy", store, "numpy", "test")
    assert same(np.load(arrays / "test" / "micro.npy"), tensors)
    tables = export_to(tmp_path / "parquet", store, "parquet", "test")
    rows = [row for path in sorted(tables.rglob("*.parquet")) for row in pq.read_table(path)["micro"].to_pylist()]
    assert np.array_equal(np.array(rows), tensors)
    texts = export_to(tmp_path / "csv", store, "csv", "test")
    found = sorted(np.loadtxt(path, delimiter=",").tobytes() for path in texts.rglob("*.csv") if path.stem != "labels")
    assert found == sorted(tensor.astype(np.float64).tobytes() for tensor in tensors)


def test_a_picture_spans_the_range_of_the_stored_numbers(store: Store, tmp_path: Path) -> None:
    made = make_plan(store, "png", ("train",))
    assert made.gray is not None
    tensors = expected(store, "train")
    assert (made.gray[0][0], made.gray[1][0]) == (tensors.min(), tensors.max())
    folder = export_to(tmp_path / "png", store, "png", "train")
    drawn = {np.asarray(Image.open(path)).tobytes() for path in folder.rglob("*.png")}
    assert drawn == {gray_levels(tensor, *made.gray).tobytes() for tensor in tensors}


def test_a_network_learns_from_them(store: Store, tmp_path: Path) -> None:
    train(dataclasses.replace(MODEL, definition=MICRO), store, tmp_path / "models" / "small", tmp_path)
    assert read_description(tmp_path / "models" / "small").validation.accuracy > 0.9
