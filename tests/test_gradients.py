"""Histograms of gradients: one for each weight and epoch, after a resume too, without a trace in the training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from training_store import feature_store
from training_tools import FIT, MODEL, NO_CHANGE

from readers.store import Store
from results.network_file import read_network
from training import dataset
from training.fitting.checkpoint import Checkpoint
from training.train import train

EPOCHS = 3
FITTED = dataclasses.replace(FIT, epochs=EPOCHS, splits=("train", "validation"), gradient_histograms=True)
LOOKED_AT = dataclasses.replace(MODEL, fit=FITTED, augment=NO_CHANGE)
UNSEEN = dataclasses.replace(LOOKED_AT, fit=dataclasses.replace(FITTED, gradient_histograms=False))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return feature_store(tmp_path_factory.mktemp("features") / "small")


@pytest.fixture(scope="module")
def root(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which a model was trained with histograms, and interrupted after its second epoch."""
    folder, save = tmp_path_factory.mktemp("project"), Checkpoint.save

    def save_then_stop(self: Checkpoint, network: object, row: dict[str, float]) -> None:
        save(self, network, row)
        if len(self.rows) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_then_stop)
        with pytest.raises(KeyboardInterrupt):
            train(LOOKED_AT, store, folder / "model", folder)
    train(LOOKED_AT, store, folder / "model", folder)
    return folder


def histograms(root: Path) -> dict[tuple[str, int], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """(weight, epoch from 0) → buckets, (buckets, 3): left edge, right edge, count."""
    found = {}
    for file in sorted((root / "logs" / "tensorboard" / MODEL.name / "gradients").iterdir()):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag, event.step] = tf.make_ndarray(value.tensor)
    return found


def test_there_is_a_histogram_for_each_weight_and_epoch_though_the_run_was_interrupted(root: Path) -> None:
    weights = read_network(root / "model").trainable_weights
    found = histograms(root)
    assert found.keys() == {(weight.path, epoch) for weight in weights for epoch in range(EPOCHS)}
    for weight in weights:
        assert found[weight.path, 0][:, 2].sum() == weight.shape.num_elements()


def test_a_gradient_is_that_of_the_smoothed_cross_entropy(root: Path, store: Store) -> None:
    """Of the last layer's offsets it is the mean of what the probabilities exceed the smoothed labels by."""
    network = read_network(root / "model")
    features, labels = next(iter(dataset.ordered(dataset.source(store), "train", FIT.batch_size)))
    targets = np.eye(4)[labels.numpy()] * (1 - FIT.label_smoothing) + FIT.label_smoothing / 4
    expected = (network.predict_on_batch(features) - targets).mean(axis=0)
    path = next(weight.path for weight in network.trainable_weights if weight.path.startswith("probabilities/bias"))
    buckets = histograms(root)[path, EPOCHS - 1]
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx((expected.min(), expected.max()), abs=1e-6)


def test_looking_changes_no_weight(root: Path, store: Store, tmp_path: Path) -> None:
    train(UNSEEN, store, tmp_path / "model", tmp_path)
    assert (tmp_path / "model" / "model.keras").read_bytes() == (root / "model" / "model.keras").read_bytes()
    assert not (tmp_path / "logs" / "tensorboard" / MODEL.name / "gradients").exists()
