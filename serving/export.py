"""The stage export: a trained model to files that take raw audio and say a word, each compared with the model."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

import importlib.metadata
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import click
import keras
import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.dataclasses import dataclass
from tabulate import tabulate

from base import command, params
from base.claim import claimed, work_of_folder
from base.errors import DataError
from base.files import sha256, to_json, write_text
from base.types import STRICT, PositiveInt
from features import tensor_operations
from features.splits import hash64
from features.views import View
from readers.audio import audio_of
from readers.belonging import check_belonging
from readers.store import Store, open_store
from results.evaluation import read_evaluation
from results.model import NETWORK_FILE, ModelDescription, check_fit, read_description
from results.network_file import read_network
from results.parity import PARITY_FILE, write_parity
from results.predictions import Predictions
from serving import formats, parity
from serving.audio_model import network_inputs
from serving.cost import FormatCost, measured
from serving.description import (
    EXPORT_FILE,
    FORMATS,
    PLACES,
    Calibration,
    Export,
    ExportedModel,
    Format,
    foreign_file,
    write_export,
)
from serving.quiet import quiet
from serving.runtimes import classifier, features_of
from serving.threshold import threshold

COSTS_FOLDER: Final = "logs/export"
_LIBRARIES: Final = ("tensorflow-cpu", "keras", "ai-edge-litert", "tf2onnx")
_CLIPS_AT_ONCE: Final = 64


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ExportNumbers:
    """Model to files.

    Attributes:
        calibration_clips: train clips by which the ranges of whole numbers are chosen.
        false_accepts: share of the validation clips without a word that may pass the threshold.
        max_points_lost: percentage points of test accuracy that a format may lose.
        latency_runs: clips that each format is timed on.
    """

    calibration_clips: PositiveInt
    false_accepts: Annotated[float, Field(ge=0, le=1)]
    max_points_lost: Annotated[float, Field(ge=0, le=100)]
    latency_runs: PositiveInt


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("features")
@click.argument("clips")
@click.argument("evaluation", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(model: Path, features: str, clips: str, evaluation: Path, folder: Path) -> None:
    """Write MODEL into FOLDER as files for other programs, and compare each with MODEL on all test clips.

    MODEL is a folder that train wrote, FEATURES the store that it was trained on, CLIPS the store of clips that
    FEATURES were made from, EVALUATION what evaluate wrote of MODEL. A format that MODEL can't have is left out, and
    export.json says why. One that is much worse than MODEL is an error.
    """
    numbers: ExportNumbers = params.load("export", ExportNumbers)
    stores = open_store(features), open_store(clips)
    with claimed(str(folder), work_of_folder(str(folder)), lambda: foreign_file(folder)):
        export = write(model, *stores, evaluation, folder, numbers)
        trained = read_evaluation(evaluation).predictions
        audio = audio_of(stores[1], trained.ids)
        models = ((name, classifier(folder, export, name)) for name in export.models)
        table = parity.rows(models, export, audio, trained)
        write_parity(folder, table)
    costs: dict[str, FormatCost] = {name: measured(folder, name, numbers.latency_runs) for name in export.models}
    content = {name: asdict(cost) for name, cost in costs.items()}
    write_text(f"{COSTS_FOLDER}/{export.model}.json", to_json(content))
    click.echo(tabulate(parity.for_people(table, costs), parity.COLUMNS, disable_numparse=True, colalign=("left",)))
    for name, reason in export.omitted.items():
        command.say(f"{folder}: no {name}: {reason}")
    parity.check(table, numbers.max_points_lost)


def write(model: Path, features: Store, clips: Store, evaluation: Path, folder: Path, numbers: ExportNumbers) -> Export:
    """Write every format that a model can have, and export.json.

    Args:
        model: folder of a finished model.
        features: the store that it was trained on, or waveforms of the same clips.
        clips: the store of clips that the features were made from.
        evaluation: folder of what `evaluate` wrote of the model.
        folder: where to write; what an earlier export wrote there goes.
        numbers: the section `export` of params.yaml.

    Returns:
        What export.json says.

    Raises:
        DataError: the model, a store or the evaluation is unfinished, or they do not belong together.
    """
    description = read_description(model)
    check_fit(description, features.manifest, features.path)
    check_belonging(clips, features)
    evaluated = read_evaluation(evaluation)
    if evaluated.model != description.name or evaluated.store_manifest_sha256 != features.manifest.sha256:
        raise DataError(
            f"{evaluation} is not the evaluation of {description.name} on {features.path}; run evaluate again"
        )
    clear(folder)
    network, view = read_network(model), description.feature_view
    calibration = calibration_clips(features, numbers.calibration_clips)
    made, omitted = written(folder, network, view, description.classes, audio_of(clips, calibration.ids))
    validation = classified(network, view, features, clips, description)
    export = Export(
        model=description.name,
        network=description.network,
        classes=description.classes,
        view=description.view,
        view_version=description.view_version,
        definition=description.definition,
        threshold=threshold(validation, numbers.false_accepts),
        models=made,
        omitted=omitted,
        calibration=calibration,
        task=description.task,
        archives=description.archives,
        network_sha256=sha256(str(model / NETWORK_FILE)),
        made_with={name: importlib.metadata.version(name) for name in _LIBRARIES},
    )
    write_export(folder, export)
    return export


def clear(folder: Path) -> None:
    """Take away what an earlier export wrote into a folder, export.json first."""
    for name in (EXPORT_FILE, PARITY_FILE, *PLACES.values()):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def written(
    folder: Path, network: keras.Model, view: View, classes: tuple[str, ...], calibration: npt.NDArray[np.int16]
) -> tuple[dict[Format, ExportedModel], dict[Format, str]]:
    """Write a network in each format that it can have.

    Returns:
        The formats written, and for the others the reasons.
    """
    made: dict[Format, ExportedModel] = {}
    omitted: dict[Format, str] = {}
    for name in command.with_progress(FORMATS, len(FORMATS), "format", "export"):
        try:
            with quiet():
                made[name] = write_format(name, folder, network, view, classes, calibration)
        except formats.Refused as error:
            omitted[name] = str(error)
    return made, omitted


def write_format(
    name: Format,
    folder: Path,
    network: keras.Model,
    view: View,
    classes: tuple[str, ...],
    calibration: npt.NDArray[np.int16],
) -> ExportedModel:
    """Write a network in one format.

    Raises:
        Refused: it can't have it.
    """
    match name:
        case "saved_model":
            return formats.write_saved_model(folder, network, view, classes)
        case "litert":
            return formats.write_litert(folder, network, view)
        case "litert_network":
            return formats.write_litert_network(folder, network, view)
        case "litert_int8":
            return formats.write_litert_int8(folder, network, view, features_of(view, calibration))
        case "onnx":
            return formats.write_onnx(folder)


def calibration_clips(features: Store, number: int) -> Calibration:
    """The train clips of lowest hash: the same ones each time, whatever the order of the shards.

    Raises:
        DataError: there is no train clip.
    """
    catalog = features.catalog(("id", "split"))
    ids = [row["id"] for row in catalog.to_pylist() if row["split"] == "train"]
    if not ids:
        raise DataError(f"{features.path} has no train clip to choose the ranges of whole numbers by")
    chosen = sorted(ids, key=lambda name: hash64("calibration", name))[:number]
    return Calibration(rule=f"the {len(chosen)} train clips of lowest hash", ids=tuple(chosen))


def classified(
    network: keras.Model, view: View, features: Store, clips: Store, description: ModelDescription
) -> Predictions:
    """What a network says of the validation clips."""
    catalog = features.catalog(("id", "split", "label")).to_pylist()
    rows = sorted((row["id"], row["label"]) for row in catalog if row["split"] == "validation")
    ids, labels = tuple(name for name, _ in rows), np.array([label for _, label in rows], np.int64)
    audio = audio_of(clips, ids)
    said = [
        network.predict_on_batch(
            network_inputs(network, view, tensor_operations, audio[start : start + _CLIPS_AT_ONCE])
        )
        for start in range(0, len(audio), _CLIPS_AT_ONCE)
    ]
    return Predictions(ids, labels, np.concatenate(said), description.classes)


if __name__ == "__main__":
    command.run(main)
