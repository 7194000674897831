"""The small files of an evaluation: metrics, predictions and the rows of DVC's plots."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from features.metadata import to_json
from training.metrics import Confusion, Roc, roc, wilson_interval

METRICS_FILE: Final = "metrics.json"
CONFUSION_FILE: Final = "confusion.csv"
ROC_FILE: Final = "roc_unknown.csv"
COUNTS_FILE: Final = "class_counts.csv"
PREDICTIONS_FILE: Final = "predictions.parquet"

_CUT_SILENCE: Final = re.compile(r"_silence_/(?P<recording>.+)_\d{8}")


@dataclass(frozen=True)
class Predictions:
    """What a model said of the test clips, in order of id.

    Attributes:
        ids: names of the clips.
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
        """The likeliest class of each clip, (clips,)."""
        likeliest: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return likeliest

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


def silence_origin(ids: Sequence[str]) -> str:
    """Where silence clips come from, as a text such as "noise recordings running_tap, white_noise"."""
    found = [_CUT_SILENCE.fullmatch(name) for name in ids]
    recordings = sorted({match["recording"] for match in found if match})
    named = [f"cut from the noise recordings {', '.join(recordings)}"] if recordings else []
    ready = ["clips that the archive brings"] if None in found else []
    return " and ".join(named + ready) or "none"


def metrics(predictions: Predictions) -> dict[str, Any]:
    """The figures of metrics.json, shares in 0..1, each with the number of clips that it is of.

    Args:
        predictions: what the model said of the test clips.
    """
    confusion = predictions.confusion
    low, high = wilson_interval(confusion.correct, confusion.clips)
    curve = predictions.unknown_roc
    support, recall, precision = confusion.support, confusion.recall, confusion.precision
    return {
        "clips": confusion.clips,
        "accuracy": confusion.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": confusion.macro_f1,
        "micro_f1": confusion.accuracy,
        **({"unknown_auc": curve.area} if curve else {}),
        "silence": {"clips": len(predictions.silence_ids), "origin": silence_origin(predictions.silence_ids)},
        "classes": {
            name: {"precision": float(precision[i]), "recall": float(recall[i]), "clips": int(support[i])}
            for i, name in enumerate(predictions.classes)
        },
    }


def write_outputs(folder: Path, predictions: Predictions, counts: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Write all files but the report.

    Args:
        folder: where to write; it exists.
        predictions: what the model said of the test clips.
        counts: for each split, the clips of each class.

    Returns:
        What metrics.json says.
    """
    figures = metrics(predictions)
    names = predictions.classes
    pairs = ((names[a], names[p]) for a, p in zip(predictions.labels, predictions.predictions, strict=True))
    write_csv(folder / CONFUSION_FILE, ("actual", "predicted"), pairs)
    write_csv(folder / ROC_FILE, ("fpr", "tpr", "threshold"), _points(predictions.unknown_roc))
    rows = ((split, name, count) for split in counts for name, count in zip(names, counts[split], strict=True))
    write_csv(folder / COUNTS_FILE, ("split", "class", "clips"), rows)
    write_predictions(folder / PREDICTIONS_FILE, predictions)
    (folder / METRICS_FILE).write_text(to_json(figures))
    return figures


def _points(curve: Roc | None) -> Iterable[tuple[float, float, float]]:
    if curve is None:
        return ()
    thresholds = np.where(np.isinf(curve.threshold), 1.0, curve.threshold)
    return zip(curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist(), thresholds.tolist(), strict=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with its header."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


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
        metadata={"classes": ",".join(predictions.classes)},
    )
    pq.write_table(table, path)
