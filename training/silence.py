"""A detector of silence that stands in front of a recognizer: a linear discriminant of how features vary in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from readers.store import Store
from training import dataset

Floats: TypeAlias = npt.NDArray[np.float64]

_LEAST_SHARE: Final = 1e-3
_BATCH_CLIPS: Final = 256


@dataclass(frozen=True)
class Detector:
    """A direction in the space of summaries, float64, (values,), along which speech lies above silence."""

    direction: Floats

    def speech(self, values: Floats) -> Floats:
        """How much each clip is like speech, float64, (clips,).

        Args:
            values: what `summaries` makes of the clips.
        """
        found: Floats = values @ self.direction
        return found


def summaries(store: Store, split: str) -> tuple[tuple[str, ...], npt.NDArray[np.int64], Floats]:
    """Mean and standard deviation over time of each coefficient of each clip, in order of id.

    Args:
        store: features of any view.
        split: "train", "validation" or "test".

    Returns:
        The ids, the labels, int64, (clips,), and the values, float64, (clips, 2 × coefficients).

    Raises:
        DataError: the split is missing or empty.
    """
    view = dataset.source(store).view
    dataset.clips(store, split)
    ids: list[str] = []
    labels: list[Any] = []
    values: list[Any] = []
    for record in store.dataset(split, _BATCH_CLIPS, columns=("id", store.tensor, "label")).as_numpy_iterator():
        frames = record[store.tensor].reshape(len(record["id"]), -1, view.width).astype(np.float64) * view.scale
        ids += [name.decode() for name in record["id"]]
        labels.append(record["label"])
        values.append(np.concatenate([frames.mean(axis=1), frames.std(axis=1)], axis=1))
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return tuple(ids[index] for index in order), np.concatenate(labels)[order], np.concatenate(values)[order]


def detector(values: Floats, silent: npt.NDArray[np.bool_]) -> Detector:
    """Fisher's linear discriminant (Fisher, 1936) between silence and speech.

    Args:
        values: of train clips, (clips, values).
        silent: which of them are silence; some are, and some are not.
    """
    parts = [values[silent], values[~silent]]
    apart = np.concatenate([part - part.mean(axis=0) for part in parts])
    covariance = apart.T @ apart / len(apart)
    scale = np.sqrt(np.diag(covariance)) + 1e-12
    correlation = covariance / np.outer(scale, scale) + _LEAST_SHARE * np.eye(len(scale))
    difference = (parts[1].mean(axis=0) - parts[0].mean(axis=0)) / scale
    return Detector(np.linalg.solve(correlation, difference) / scale)
