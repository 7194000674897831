"""The stage report: an evaluation as one self-contained HTML page, with charts, clips to see and errors to hear."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import click
import jinja2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pydantic
from pydantic import Field

from base import command, params
from base.errors import DataError
from base.files import write_text
from base.types import STRICT
from features import frontend
from features.audio import encode_audio
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, Spectrogram, View
from readers.belonging import check_belonging
from readers.store import Store, open_store
from reports import evaluation_charts as charts
from reports.pictures import style
from results.evaluation import (
    ClassFigures,
    Evaluation,
    Figures,
    class_figures,
    figures,
    read_evaluation,
    silence_origin,
)
from results.model import ModelDescription, read_description, read_history
from results.parity import Parity, read_parity
from results.predictions import Predictions

_TEMPLATE: Final = Path(__file__).with_name("evaluation.html.j2")
LOG_SPECTROGRAM: Final = Spectrogram(kind="spectrogram", frame_ms=20, hop_ms=10, floor_db=-80.0)
"""Every clip is shown in this view, whatever the model reads."""


@pydantic.dataclasses.dataclass(frozen=True, config=STRICT, kw_only=True)
class Report:
    """Evaluation to page: how many of the worst errors it shows."""

    worst_errors: Annotated[int, Field(ge=0, le=200)]


@dataclass(frozen=True)
class Clip:
    """A clip of the store of clips.

    Attributes:
        samples: int16, (16000,).
        length: how many of them are real.
        word: the word spoken.
    """

    samples: npt.NDArray[np.int16]
    length: int
    word: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A clip on the page: what it is, what the model said, and data URIs of its picture and sound."""

    id: str
    word: str
    length: str
    actual: str
    predicted: str
    probability: str
    actual_probability: str
    picture: str
    audio: str


@dataclass(frozen=True, kw_only=True)
class Charts:
    """The charts of the page as <svg> elements."""

    confusion: str
    curves: str
    roc: str | None
    counts: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that the template shows."""

    model: ModelDescription
    figures: Figures
    classes: Sequence[ClassFigures]
    charts: Charts
    corpus: str
    store: str
    task: str
    differences: Sequence[str]
    errors: int
    silence_clips: int
    silence_origin: str
    shown_views: str
    hides_level: bool
    gallery: Sequence[Card]
    worst: Sequence[Card]
    formats: Sequence[Parity]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("features")
@click.argument("clips")
@click.argument("evaluation", type=click.Path(path_type=Path))
@click.argument("page", type=click.Path(path_type=Path))
@click.option("--export", type=click.Path(path_type=Path), help="Folder of the model's export, to show its formats.")
def main(model: Path, features: str, clips: str, evaluation: Path, page: Path, export: Path | None) -> None:
    """Write PAGE about the EVALUATION of MODEL on FEATURES, with pictures and sound from CLIPS.

    MODEL is the folder that train wrote, EVALUATION the one that evaluate wrote, FEATURES the store that was evaluated,
    CLIPS the store of clips that the features were made from.
    """
    numbers: Report = params.load("report", Report)
    write_report(page, model, open_store(features), open_store(clips), evaluation, numbers.worst_errors, export)
    command.say(f"{page}: {os.path.getsize(page) / 1e6:.1f} MB")


def write_report(
    page: Path,
    model: Path,
    features: Store,
    clips: Store,
    folder: Path,
    worst_errors: int,
    export: Path | None = None,
) -> None:
    """Write the page about an evaluation.

    Args:
        page: the file to write.
        model: folder of the model.
        features: the store that was evaluated.
        clips: the store of clips that it was made from.
        folder: folder of the evaluation.
        worst_errors: how many errors to show at most.
        export: folder of the model's export, or None.

    Raises:
        DataError: an input is missing or unfinished, or they do not belong together.
    """
    description, evaluation = read_description(model), read_evaluation(folder)
    if evaluation.model != description.name:
        raise DataError(f"{folder} evaluates the model {evaluation.model}, not {description.name} of {model}")
    if evaluation.store_manifest_sha256 != features.manifest.sha256:
        raise DataError(f"{folder} evaluates another store than {features.path}: evaluate the model again")
    check_belonging(clips, features)
    formats = _formats(export, evaluation) if export else []
    with style():
        content = page_of(description, read_history(model), evaluation, features, clips, worst_errors, formats)
    write_text(str(page), render(content))


def _formats(export: Path, evaluation: Evaluation) -> list[Parity]:
    """What the formats of an export say of the clips of an evaluation, after the trained model.

    Raises:
        DataError: the table is missing or damaged, or of another evaluation.
    """
    formats, found = read_parity(export), figures(evaluation.predictions)
    if [(each.clips, each.accuracy) for each in formats[:1]] != [(found.clips, found.accuracy)]:
        raise DataError(f"{export} compares its formats with another evaluation: export the model again")
    return formats


def page_of(
    model: ModelDescription,
    history: Sequence[Mapping[str, str]],
    evaluation: Evaluation,
    features: Store,
    clips: Store,
    worst_errors: int,
    formats: Sequence[Parity] = (),
) -> Page:
    """What the page shows.

    Args:
        model: the model.
        history: rows of its history.csv.
        evaluation: its evaluation.
        features: the store that was evaluated.
        clips: the clips that the store was made from.
        worst_errors: how many errors to show at most.
        formats: of its export, after the trained model.
    """
    predictions = evaluation.predictions
    examples, errors = most_probable_of_each_class(predictions), worst(predictions, worst_errors)
    loaded = load_clips(clips, {predictions.ids[place] for place in (*examples, *errors)})
    views = shown_views(model.feature_view)
    curve = predictions.unknown_roc
    confusion = predictions.confusion
    return Page(
        model=model,
        figures=figures(predictions),
        classes=class_figures(predictions),
        charts=Charts(
            confusion=charts.confusion_matrix(confusion, predictions.classes),
            curves=charts.training_curves(history, model.best_epoch),
            roc=charts.roc_curve(curve) if curve else None,
            counts=charts.class_bars(evaluation.counts, predictions.classes),
        ),
        corpus=", ".join(archive.file for archive in features.manifest.archives) or "of unknown name",
        store=evaluation.store,
        task=features.manifest.task.name if features.manifest.task else "",
        differences=evaluation.differences,
        errors=confusion.clips - confusion.correct,
        silence_clips=len(predictions.silence_ids),
        silence_origin=silence_origin(predictions.silence_ids),
        shown_views=", ".join(["waveform", *(view.title for view in views[:-1])]) + f" and {views[-1].title}",
        hides_level=any(view.first_is_level for view in views),
        gallery=cards(predictions, examples, loaded, views, whole=True),
        worst=cards(predictions, errors, loaded, views[:1], whole=False),
        formats=formats,
    )


def render(page: Page) -> str:
    """The page as HTML; all text is escaped, charts are not."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(page=page)


def most_probable_of_each_class(predictions: Predictions) -> list[int]:
    """For each class that has clips, the place of the one to which the model gives the class's highest probability."""
    places = []
    for label in range(len(predictions.classes)):
        members = np.flatnonzero(predictions.labels == label)
        if members.size:
            places.append(int(members[predictions.probabilities[members, label].argmax()]))
    return places


def worst(predictions: Predictions, number: int) -> list[int]:
    """Places of the errors with the highest probability of a wrong class, at most `number`, the highest first."""
    wrong = np.flatnonzero(predictions.predictions != predictions.labels)
    confidence = predictions.probabilities[wrong].max(axis=1)
    chosen: list[int] = wrong[np.argsort(-confidence, kind="stable")][:number].tolist()
    return chosen


def load_clips(store: Store, wanted: set[str]) -> dict[str, Clip]:
    """Clips by id, each read from its place in its shard.

    Args:
        store: a finished store of clips.
        wanted: their ids.

    Raises:
        DataError: one is not in the store.
    """
    catalog = store.catalog(("id", "shard", "position"))
    rows = catalog.filter(pc.is_in(catalog["id"], value_set=pa.array(sorted(wanted), pa.string()))).to_pylist()
    if missing := sorted(wanted - {row["id"] for row in rows}):
        raise DataError(
            f"{store.path} has no clip {missing[0]!r} ({len(missing)} of {len(wanted)} are missing): "
            "give the clips that the features were made from"
        )
    found = {}
    for row in rows:
        record = store.record_at(store.splits[0], row["shard"], row["position"])
        if record["id"] != row["id"]:
            raise DataError(f"{store.path}: {record['id']} is where the catalog says {row['id']}: make the store again")
        samples, length = np.asarray(record["audio"], np.int16), int(str(record["length"]))
        found[row["id"]] = Clip(samples, length, str(record["word"]))
    return found


def shown_views(view: View) -> tuple[View, ...]:
    """The views in which clips are shown, next to their waveform: the model's own, where it is one, and another."""
    own = (view,) if len(view.shape) == 2 and view != LOG_SPECTROGRAM else ()
    return (*own, LOG_SPECTROGRAM)


def cards(
    predictions: Predictions, places: Sequence[int], clips: Mapping[str, Clip], views: Sequence[View], *, whole: bool
) -> list[Card]:
    """One card for each clip.

    Args:
        predictions: what the model said.
        places: of the clips among the predictions.
        clips: the clips by id.
        views: those to draw, at least one.
        whole: whether pictures show the waveform and all views with axes, or the last view alone, small.
    """
    chosen = [clips[predictions.ids[place]] for place in places]
    if not chosen:
        return []
    samples = np.stack([clip.samples for clip in chosen])
    seen = list(zip(*(frontend.compute(view, samples) for view in views), strict=True))
    return [
        _card(
            predictions,
            place,
            clip,
            charts.clip_row(clip.samples, clip.length, features, views) if whole else charts.thumbnail(features[-1]),
        )
        for place, clip, features in zip(places, chosen, seen, strict=True)
    ]


def _card(predictions: Predictions, place: int, clip: Clip, picture: str) -> Card:
    label, predicted = int(predictions.labels[place]), int(predictions.predictions[place])
    probability = predictions.probabilities[place]
    return Card(
        id=predictions.ids[place],
        word=clip.word,
        length=f"{clip.length / SAMPLE_RATE_HZ:.2f} s" if clip.length < CLIP_SAMPLES else "1 s",
        actual=predictions.classes[label],
        predicted=predictions.classes[predicted],
        probability=f"{probability[predicted]:.0%}",
        actual_probability=f"{probability[label]:.1%}",
        picture=picture,
        audio=charts.data_uri("audio/wav", encode_audio(clip.samples, SAMPLE_RATE_HZ)),
    )


if __name__ == "__main__":
    command.run(main)
