"""What a model said of the clips of a split, in memory and as predictions.parquet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from base.errors import DataError
from base.files import published_path
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from results.metrics import Confusion, Roc, roc

PREDICTIONS_FILE: Final = "predictions.parquet"
_CLASSES_KEY: Final = b"classes"


@dataclass(frozen=True)
class Predictions:
    """What a model said of the test clips, in order of id.

    Attributes:
        ids: ids of the clips.
        labels: actual classes, int64, (clips,).
        probabilities: float32, (clips, classes).
        classes: class names in order of label.
    """

    ids: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The most probable class of each clip, (clips,)."""
        highest: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return highest

    def found_among(self, number: int) -> npt.NDArray[np.bool_]:
        """Whether the class of each clip is among its most probable ones, (clips,).

        Args:
            number: how many classes count; equal probabilities rank in order of label, so that 1 is `predictions`.
        """
        ranked = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :number]
        found: npt.NDArray[np.bool_] = (ranked == self.labels[:, None]).any(axis=1)
        return found

    @property
    def confusion(self) -> Confusion:
        """Actual against predicted classes."""
        return Confusion.of(self.labels, self.predictions, len(self.classes))

    @property
    def unknown_roc(self) -> Roc | None:
        """How the probability of the unknown class tells its clips from all others; None where there are none."""
        if UNKNOWN_CLASS not in self.classes:
            return None
        unknown = self.classes.index(UNKNOWN_CLASS)
        return roc(self.labels == unknown, self.probabilities[:, unknown])

    @property
    def silence_ids(self) -> tuple[str, ...]:
        """The clips of the silence class."""
        if SILENCE_CLASS not in self.classes:
            return ()
        silence = self.classes.index(SILENCE_CLASS)
        return tuple(name for name, label in zip(self.ids, self.labels, strict=True) if label == silence)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write one row for each clip: id, label and prediction (class names), probabilities (list of float32)."""
    names = np.array(predictions.classes, dtype=object)
    table = pa.table(
        {
            "id": pa.array(predictions.ids, pa.string()),
            "label": pa.array(names[predictions.labels], pa.string()),
            "prediction": pa.array(names[predictions.predictions], pa.string()),
            "probabilities": pa.array(list(predictions.probabilities), pa.list_(pa.float32())),
        },
        metadata={_CLASSES_KEY: json.dumps(predictions.classes)},
    )
    with published_path(str(path)) as part:
        pq.write_table(table, part)


def read_predictions(path: Path) -> Predictions:
    """The inverse of `write_predictions`.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        table = pq.read_table(path, use_threads=False)
        classes = tuple(json.loads(table.schema.metadata[_CLASSES_KEY]))
        labels = [classes.index(name) for name in table["label"].to_pylist()]
        probabilities = np.array(table["probabilities"].to_pylist(), np.float32).reshape(len(table), len(classes))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path} is missing or damaged: evaluate the model again") from error
    return Predictions(tuple(table["id"].to_pylist()), np.array(labels, np.int64), probabilities, classes)
