"""Trains a linear classifier of scikit-learn on the shards of a store, a batch at a time, without TensorFlow.

python -m examples.sklearn_linear data/features/mfcc --epochs 10
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import SGDClassifier

from base.errors import DataError
from readers.store import Store, open_store

BATCH, PARTS = 256, 14


def vectors(batch: dict[str, npt.NDArray[Any]], store: Store) -> npt.NDArray[np.float64]:
    """A vector for each clip: the standardized coefficients, averaged over each of fourteen parts of the clip."""
    statistics, features = store.statistics(), batch[store.tensor]
    standardized = (features - statistics.mean) / np.maximum(statistics.std, 1e-6)
    parts = [part.mean(axis=1) for part in np.array_split(standardized, PARTS, axis=1)]
    return np.concatenate(parts, axis=1)


def train(store: Store, epochs: int, seed: int) -> SGDClassifier:
    model = SGDClassifier(loss="log_loss", alpha=1e-2, average=True, random_state=seed)
    reader = store.numpy("train", (store.tensor, "label"))
    for epoch in range(epochs):
        for batch in reader.batches(BATCH, shuffle=True, seed=seed, epoch=epoch):
            model.partial_fit(vectors(batch, store), batch["label"], range(len(store.classes)))
    return model


def test(model: SGDClassifier, store: Store) -> tuple[int, int]:
    """(right, all) clips of the test split."""
    reader = store.numpy("test", (store.tensor, "label"))
    right = sum(np.sum(model.predict(vectors(batch, store)) == batch["label"]) for batch in reader.batches(BATCH))
    return int(right), len(reader)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a linear classifier on a store of features.")
    parser.add_argument("store", type=Path, help="folder of a view of frames, such as mfcc")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        opened = open_store(arguments.store)
    except DataError as error:
        parser.error(str(error))
    correct, clips = test(train(opened, arguments.epochs, arguments.seed), opened)
    print(f"test accuracy {correct / clips:.1%} on N = {clips} clips")
