"""What an evaluation leaves in its folder: predictions, headline figures, each class's figures, tables for plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pydantic
from pydantic import TypeAdapter, ValidationError

from base.errors import DataError
from base.files import read_bytes, to_json, write_text
from base.types import STRICT
from features import clip_id
from features.splits import SPLITS
from results.metrics import Roc, wilson_interval
from results.predictions import PREDICTIONS_FILE, Predictions, read_predictions, write_predictions

METRICS_FILE: Final = "metrics.json"
CLASSES_FILE: Final = "classes.csv"
CONFUSION_FILE: Final = "confusion.csv"
ROC_FILE: Final = "roc_unknown.csv"
COUNTS_FILE: Final = "class_counts.csv"
DETAILS_FILE: Final = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model's predictions of the test clips of a store.

    Attributes:
        model: name of the model.
        store: name of the store.
        store_manifest_sha256: SHA-256 (hex) of the store's manifest.
        differences: in what the store differs from the one that the model was trained on.
        predictions: what the model said.
        counts: split → class → clips of the store.
    """

    model: str
    store: str
    store_manifest_sha256: str
    differences: tuple[str, ...]
    predictions: Predictions
    counts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The headline figures, shares in 0..1.

    Attributes:
        accuracy: share of the test clips whose class was found.
        low, high: its 95 % interval (Wilson).
        macro_f1: mean F1 of the classes.
        top3: share of the test clips whose class is among the three most probable.
        auc: area under the ROC curve of the unknown class; None where there is no such clip.
        clips: number of test clips.
    """

    accuracy: float
    low: float
    high: float
    macro_f1: float
    top3: float
    auc: float | None
    clips: int


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """How well the clips of one class are told from the others, shares in 0..1, with the number of its test clips."""

    name: str
    precision: float
    recall: float
    f1: float
    clips: int


@pydantic.dataclasses.dataclass(frozen=True, config=STRICT, kw_only=True)
class _Details:
    """The content of evaluation.json."""

    model: str
    store: str
    store_manifest_sha256: str
    differences: tuple[str, ...]
    silence_clips: int
    silence_origin: str
    counts: dict[str, dict[str, int]]


def figures(predictions: Predictions) -> Figures:
    """The headline figures of some predictions."""
    confusion, curve = predictions.confusion, predictions.unknown_roc
    low, high = wilson_interval(confusion.correct, confusion.clips)
    return Figures(
        accuracy=confusion.accuracy,
        low=low,
        high=high,
        macro_f1=confusion.macro_f1,
        top3=float(predictions.found_among(3).mean()) if confusion.clips else 0.0,
        auc=curve.area if curve else None,
        clips=confusion.clips,
    )


def class_figures(predictions: Predictions) -> list[ClassFigures]:
    """The figures of each class, in order of label."""
    confusion = predictions.confusion
    columns = (confusion.precision, confusion.recall, confusion.f1, confusion.support)
    rows = zip(predictions.classes, *(column.tolist() for column in columns), strict=True)
    return [
        ClassFigures(name=name, precision=precision, recall=recall, f1=f1, clips=clips)
        for name, precision, recall, f1, clips in rows
    ]


def silence_origin(ids: Sequence[str]) -> str:
    """Where silence clips come from, as a text such as "cut from the noise recordings running_tap, white_noise"."""
    parsed = [clip_id.parse(name) for name in ids]
    recordings = sorted({each.recording for each in parsed if each.recording})
    cut = [f"cut from the noise recordings {', '.join(recordings)}"] if recordings else []
    ready = ["clips that the archive contains"] if any(each.recording is None for each in parsed) else []
    return " and ".join(cut + ready) or "none"


def foreign_file(folder: Path) -> str | None:
    """A file that has the name of an evaluation's in a folder that holds no finished evaluation, or None."""
    names = (PREDICTIONS_FILE, METRICS_FILE, CLASSES_FILE, CONFUSION_FILE, ROC_FILE, COUNTS_FILE, DETAILS_FILE)
    found = [folder / name for name in names if (folder / name).exists()]
    try:
        TypeAdapter(_Details).validate_json(read_bytes(str(folder / DETAILS_FILE)))
    except (OSError, ValidationError):
        return str(found[0]) if found else None
    return None


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write all files of an evaluation, evaluation.json last; while they are written there is none.

    Args:
        folder: where to write; it is made where it is missing.
        evaluation: what the model said, and of what.
    """
    predictions = evaluation.predictions
    names = predictions.classes
    headline = {name: value for name, value in asdict(figures(predictions)).items() if value is not None}
    pairs = ((names[a], names[p]) for a, p in zip(predictions.labels, predictions.predictions, strict=True))
    classes = [(each.name, each.precision, each.recall, each.f1, each.clips) for each in class_figures(predictions)]
    counts: dict[str, dict[str, int]] = {
        split: {name: evaluation.counts.get(split, {}).get(name, 0) for name in names}
        for split in SPLITS
        if split in evaluation.counts
    }
    counted = ((split, name, clips) for split, of_split in counts.items() for name, clips in of_split.items())
    (folder / DETAILS_FILE).unlink(missing_ok=True)
    write_predictions(folder / PREDICTIONS_FILE, predictions)
    write_text(str(folder / METRICS_FILE), to_json(headline))
    write_csv(folder / CLASSES_FILE, ("class", "precision", "recall", "f1", "clips"), classes)
    write_csv(folder / CONFUSION_FILE, ("actual", "predicted"), pairs)
    write_csv(folder / ROC_FILE, ("fpr", "tpr", "threshold"), _points(predictions.unknown_roc))
    write_csv(folder / COUNTS_FILE, ("split", "class", "clips"), counted)
    details = _Details(
        model=evaluation.model,
        store=evaluation.store,
        store_manifest_sha256=evaluation.store_manifest_sha256,
        differences=evaluation.differences,
        silence_clips=len(predictions.silence_ids),
        silence_origin=silence_origin(predictions.silence_ids),
        counts=counts,
    )
    write_text(str(folder / DETAILS_FILE), to_json(asdict(details)))


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder.

    Raises:
        DataError: there is none, or a file of it is missing or damaged.
    """
    place = folder / DETAILS_FILE
    try:
        details: _Details = TypeAdapter(_Details).validate_json(read_bytes(str(place)))
    except (OSError, ValidationError) as error:
        raise DataError(f"{place} is missing or damaged: evaluate the model again") from error
    return Evaluation(
        model=details.model,
        store=details.store,
        store_manifest_sha256=details.store_manifest_sha256,
        differences=details.differences,
        predictions=read_predictions(folder / PREDICTIONS_FILE),
        counts=details.counts,
    )


def _points(curve: Roc | None) -> Iterable[tuple[float, float, float]]:
    if curve is None:
        return ()
    thresholds = np.where(np.isinf(curve.threshold), 1.0, curve.threshold)
    return zip(curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist(), thresholds.tolist(), strict=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with its header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(str(path), text.getvalue())
