"""The evaluation as one self-contained HTML page for people: figures, charts, clips to see and errors to hear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
import numpy.typing as npt

from features import frontend
from features.audio import encode_audio
from features.errors import DataError
from features.pictures import style
from features.store import Store
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, View
from training import pictures
from training.artifact import ModelInfo
from training.outputs import Predictions

REPORT_FILE: Final = "report.html"
_TEMPLATE: Final = Path(__file__).with_name("report.html.j2")
_SHOWN_KINDS: Final = ("spectrogram", "logmel", "mfcc")
_THUMBNAIL_KINDS: Final = ("logmel", "mfcc", "spectrogram")


@dataclass(frozen=True)
class Clip:
    """One clip of the clip store: int16 samples, (16000,), and how many of them are real."""

    samples: npt.NDArray[np.int16]
    length: int
    word: str


def write_report(
    folder: Path,
    info: ModelInfo,
    figures: Mapping[str, Any],
    predictions: Predictions,
    history: Sequence[Mapping[str, str]],
    counts: Mapping[str, Sequence[int]],
    store: Store,
    views: Mapping[str, View],
    worst_errors: int,
) -> None:
    """Write report.html.

    Args:
        folder: where to write.
        info: the model.
        figures: what metrics.json says.
        predictions: what the model said of the test clips.
        history: rows of the model's history.csv.
        counts: for each split, the clips of each class.
        store: the clips with their audio.
        views: views by name, for pictures of clips.
        worst_errors: how many errors to show at most.

    Raises:
        DataError: a clip to show is not in the store of clips.
    """
    examples = surest_of_each_class(predictions)
    errors = worst(predictions, worst_errors)
    clips = load_clips(store, {predictions.ids[i] for i in (*examples, *errors)})
    with style():
        page = {
            "info": info,
            "figures": figures,
            "corpus": corpus_name(info.source),
            "errors_total": predictions.confusion.clips - predictions.confusion.correct,
            **charts(info, predictions, history, counts),
            "gallery": gallery(predictions, examples, clips, views),
            "worst": worst_rows(predictions, errors, clips, views),
        }
    (folder / REPORT_FILE).write_text(render(page), encoding="utf-8")


def render(page: Mapping[str, Any]) -> str:
    """The page as HTML; all text is escaped, pictures are not."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(page)


def charts(
    info: ModelInfo,
    predictions: Predictions,
    history: Sequence[Mapping[str, str]],
    counts: Mapping[str, Sequence[int]],
) -> dict[str, str | None]:
    """The charts as SVG, by their name in the template."""
    curve = predictions.unknown_roc
    return {
        "confusion": pictures.confusion_matrix(predictions.confusion, predictions.classes),
        "curves": pictures.training_curves(history, info.best_epoch),
        "roc": pictures.roc_curve(curve) if curve else None,
        "counts": pictures.class_bars(counts, predictions.classes),
    }


def corpus_name(source: Mapping[str, Any]) -> str:
    """The names of the archives that a store was made from."""
    archives = source.get("archives") or ()
    names = [str(archive.get("file", "")).rpartition("/")[2] for archive in archives]
    return ", ".join(name for name in names if name) or "of unknown name"


def surest_of_each_class(predictions: Predictions) -> list[int]:
    """For each class that has clips, the place of the one to which the model gives the class's highest probability."""
    places = []
    for label in range(len(predictions.classes)):
        members = np.flatnonzero(predictions.labels == label)
        if members.size:
            places.append(int(members[predictions.probabilities[members, label].argmax()]))
    return places


def worst(predictions: Predictions, number: int) -> list[int]:
    """Places of the errors of which the model was surest, at most so many, the surest first."""
    wrong = np.flatnonzero(predictions.predictions != predictions.labels)
    confidence = predictions.probabilities[wrong].max(axis=1)
    chosen: list[int] = wrong[np.argsort(-confidence, kind="stable")][:number].tolist()
    return chosen


def load_clips(store: Store, wanted: set[str]) -> dict[str, Clip]:
    """Clips by id.

    Args:
        store: a finished store of clips.
        wanted: their ids.

    Raises:
        DataError: the store is not one of clips, or one is not in it.
    """
    if store.view is not None:
        raise DataError(f"{store.path} holds the view {store.view.kind}, expected a store of clips, such as data/clips")
    found: dict[str, Clip] = {}
    for split in store.splits:
        for record in store.records(split):
            if len(found) == len(wanted):
                return found
            if record["id"] in wanted:
                samples, length = np.asarray(record["audio"], np.int16), int(str(record["length"]))
                found[str(record["id"])] = Clip(samples, length, str(record["word"]))
    if missing := sorted(wanted - set(found)):
        raise DataError(
            f"{store.path} has no clip {missing[0]!r} ({len(missing)} of {len(wanted)} are missing): "
            "give the clips that the features were made from"
        )
    return found


def shown_views(views: Mapping[str, View], kinds: Sequence[str]) -> dict[str, View]:
    """The first declared view of each kind, in the order of kinds."""
    first = {}
    for kind in kinds:
        named = next(((name, view) for name, view in views.items() if view.kind == kind), None)
        if named:
            first[named[0]] = named[1]
    return first


def gallery(
    predictions: Predictions, places: Sequence[int], clips: Mapping[str, Clip], views: Mapping[str, View]
) -> list[dict[str, str]]:
    """One row for each clip: class, id, what the model said, picture and sound."""
    shown = shown_views(views, _SHOWN_KINDS)
    chosen = [clips[predictions.ids[place]] for place in places]
    features = _features(shown, chosen)
    rows = []
    for row, (place, clip) in enumerate(zip(places, chosen, strict=True)):
        seen = {name: values[row] for name, values in features.items()}
        picture = pictures.clip_row(clip.samples, clip.length, seen, shown)
        rows.append({**_said(predictions, place), **_heard(clip), "picture": picture})
    return rows


def worst_rows(
    predictions: Predictions, places: Sequence[int], clips: Mapping[str, Clip], views: Mapping[str, View]
) -> list[dict[str, str]]:
    """One card for each error: id, classes, probability, small picture and sound."""
    first = dict(list(shown_views(views, _THUMBNAIL_KINDS).items())[:1])
    chosen = [clips[predictions.ids[place]] for place in places]
    thumbnails = [pictures.thumbnail(each) for values in _features(first, chosen).values() for each in values]
    return [
        {**_said(predictions, place), **_heard(clip), "picture": thumbnails[row] if thumbnails else ""}
        for row, (place, clip) in enumerate(zip(places, chosen, strict=True))
    ]


def _features(views: Mapping[str, View], clips: Sequence[Clip]) -> dict[str, npt.NDArray[np.generic]]:
    if not clips:
        return {}
    samples = np.stack([clip.samples for clip in clips])
    return {name: frontend.compute(view, samples) for name, view in views.items()}


def _said(predictions: Predictions, place: int) -> dict[str, str]:
    label, predicted = int(predictions.labels[place]), int(predictions.predictions[place])
    probability = predictions.probabilities[place]
    return {
        "id": predictions.ids[place],
        "actual": predictions.classes[label],
        "predicted": predictions.classes[predicted],
        "probability": f"{probability[predicted]:.0%}",
        "actual_probability": f"{probability[label]:.1%}",
    }


def _heard(clip: Clip) -> dict[str, str]:
    length = f"{clip.length / SAMPLE_RATE_HZ:.2f} s" if clip.length < CLIP_SAMPLES else "1 s"
    return {
        "audio": pictures.data_uri("audio/wav", encode_audio(clip.samples, SAMPLE_RATE_HZ)),
        "length": length,
        "word": clip.word,
    }
