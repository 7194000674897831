"""The stage train: a store of features to a trained model, by streaming its shards through Keras."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

import csv
import hashlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import keras

from base import command
from base.claim import claimed, work_of_folder
from base.errors import DataError
from base.files import to_json, write_text
from base.processor import processor
from features.views import definition, version
from readers.cache import cached
from readers.store import Store, open_store
from results.model import (
    HISTORY_FILE,
    MODEL_FILE,
    NETWORK_FILE,
    ModelDescription,
    Validation,
    foreign_file,
    read_description,
    write_description,
)
from results.network_file import read_network, write_network
from training import dataset, models
from training.config import Fit, Model, cache_folder, load_model
from training.dataset import Source, told_of
from training.fitting.callbacks import TENSORBOARD_FOLDER, callbacks
from training.fitting.checkpoint import CHECKPOINT_FOLDER, Checkpoint, Row, best_epoch, foreign_checkpoint, is_over
from training.fitting.epochs import epochs
from training.fitting.fused import fused
from training.fitting.gradients import GradientHistograms
from training.fitting.objective import compile_network
from training.fitting.teacher import Teacher, teacher
from training.inputs import Inputs
from training.statistics import statistics_of

TIMES_FOLDER: Final = "logs/training"
WRITTEN_PRECISION: Final = "float32"
"""Of every network that is written, in whatever precision it was fitted."""
HISTORY_COLUMNS: Final = ("epoch", "loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "learning_rate")


@click.command()
@click.argument("name")
@click.argument("store")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--teacher", "teacher_folder", type=click.Path(path_type=Path), help="A trained model to learn from.")
def main(name: str, store: str, folder: Path, teacher_folder: Path | None) -> None:
    """Train the model NAME of params.yaml (such as cnn) on STORE, its source; write it into FOLDER.

    A run that was interrupted is resumed at its last finished epoch when the command is given again with the same
    features and parameters. DVCLive logs into dvclive/, TensorBoard into logs/tensorboard/NAME.
    """
    model, features = load_model(name), open_store(store)
    if features.name != model.source:
        raise DataError(f"models.{name} reads {model.source}, but {store} holds {features.name}")
    if cache := cache_folder():
        features = cached(features, cache, [each for each in features.splits if each != "test"])
    if (teacher_folder is not None) != (model.fit.distillation_weight > 0):
        raise DataError(f"{name}: give --teacher where the model has a teacher in params.yaml, and only there")
    description = train(model, features, folder, teacher_folder=teacher_folder)
    validation = description.validation
    outcome = (
        f"validation accuracy {validation.accuracy:.1%} of {validation.clips:,} clips"
        if validation
        else "validation was fitted as well"
    )
    command.say(f"{folder}: epoch {description.best_epoch} of {description.epochs} is kept, {outcome}")


def train(
    model: Model, store: Store, folder: Path, logs: Path = Path(), teacher_folder: Path | None = None
) -> ModelDescription:
    """Train a model and write it: the network, its history and its description.

    Args:
        model: what to train and how.
        store: a finished store of the view that the model reads, or of the waveforms that it is computed from.
        folder: where to write; model.json comes last.
        logs: where TensorBoard's and DVCLive's logs and the time that it took go, the project's root.
        teacher_folder: of a finished model to learn from, or None.

    Returns:
        What model.json says.

    Raises:
        DataError: features that the network can't read, an empty split, or a loss that is not finite.
    """
    prepare(model.fit)
    source = dataset.source(store, model.definition)
    inputs = inputs_of(source, model.fit.splits)
    build = models.find(model.network).build
    fitted = build(inputs, model.numbers)
    network = fitted
    if model.fit.precision != WRITTEN_PRECISION:
        keras.config.set_dtype_policy(WRITTEN_PRECISION)
        network = build(inputs, model.numbers)
    learned = None if teacher_folder is None else teacher_of(teacher_folder, source, model.fit)
    made_from = fingerprint(store, model, teacher_folder)
    return fit_and_write(network, fused(fitted), model, source, inputs, folder, logs, made_from, learned)


def prepare(fit: Fit) -> None:
    """Set what Keras keeps for the whole process: the precision of layers, the seed of first weights and dropout."""
    keras.config.set_dtype_policy(fit.precision)
    keras.utils.set_random_seed(fit.seed)


def fit_and_write(
    network: keras.Model,
    fitted: keras.Model,
    model: Model,
    source: Source,
    inputs: Inputs,
    folder: Path,
    logs: Path,
    made_from: str,
    learned: Teacher | None = None,
) -> ModelDescription:
    """Fit a network and write it.

    Args:
        network: what is written, in float32.
        fitted: what is fitted: the network, or one with the same weights in the same order.
        model: how it is fitted.
        source: the store, and what the network reads of it.
        inputs: what the network is built from.
        folder, logs: as for `train`.
        made_from: fingerprint of the run.
        learned: the teacher, if any.

    Returns:
        What model.json says.

    Raises:
        DataError: an empty split, a loss that is not finite, or a folder that another run writes or that holds what no
            run has made.
    """
    fit, store = model.fit, source.store
    compile_network(fitted, fit, dataset.steps(store, fit.splits, fit.batch_size))
    validation_clips = dataset.clips(store, "validation") if fit.validates else 0
    with claimed(str(folder), work_of_folder(str(folder)), lambda: foreign_file(folder) or foreign_checkpoint(folder)):
        clear(folder)
        checkpoint = Checkpoint(folder / CHECKPOINT_FOLDER, made_from)
        with told_of(store):
            run(fitted, model, source, inputs, checkpoint, logs, learned)
        checkpoint.restore_best(fitted)
        network.set_weights(fitted.get_weights())
        kept = best_epoch(checkpoint.rows)
        accuracy = checkpoint.rows[kept - 1].get("val_accuracy")
        validation = None if accuracy is None else Validation(accuracy=accuracy, clips=validation_clips)
        description = describe(model, store, network, len(checkpoint.rows), kept, validation)
        write_text(str(folder / HISTORY_FILE), history(checkpoint.rows), lasting=True)
        write_text(str(logs / TIMES_FOLDER / f"{model.name}.json"), to_json(times(model, source, checkpoint.rows)))
        write_network(folder, network)
        write_description(folder, description)
        checkpoint.remove()
    return description


def inputs_of(source: Source, splits: Sequence[str]) -> Inputs:
    """What a network is built from, for a store of which some splits are fitted.

    Raises:
        DataError: a split is missing or empty.
    """
    view = source.view
    statistics = statistics_of(source, splits)
    return Inputs(view.kind, view.shape, view.step_ms, source.store.classes, statistics, definition(view))


def teacher_of(folder: Path, pupil: Source, fit: Fit) -> Teacher:
    """The teacher that a finished model is.

    Raises:
        DataError: the model is unfinished, knows other classes, or reads what the store does not have.
    """
    model = read_description(folder)
    weight, temperature = fit.distillation_weight, fit.distillation_temperature
    return teacher(read_network(folder), model.feature_view, model.classes, pupil, weight, temperature)


def fingerprint(store: Store, model: Model, learned_from: Path | None) -> str:
    """SHA-256 (hex) of all that decides a run: the store's manifest, the model, what it learned from, Keras."""
    learned = "" if learned_from is None else hashlib.sha256((learned_from / NETWORK_FILE).read_bytes()).hexdigest()
    view = to_json(definition(model.definition))
    parts = [store.manifest.to_json(), model.name, model.network, view, to_json(model.parameters), learned]
    parts.append(keras.__version__)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def clear(folder: Path) -> None:
    """Take away what an earlier run wrote, but not its checkpoint; model.json first, so that the rest is unfinished."""
    for name in (MODEL_FILE, NETWORK_FILE, HISTORY_FILE):
        (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def run(
    network: keras.Model,
    model: Model,
    source: Source,
    inputs: Inputs,
    checkpoint: Checkpoint,
    logs: Path,
    learned: Teacher | None,
) -> None:
    """Fit a compiled network from the checkpoint's last epoch to the end."""
    fit, store, names = model.fit, source.store, dataset.input_names(network)
    first_epoch = len(checkpoint.rows)
    if first_epoch:
        checkpoint.restore_last(network)
        command.say(f"resuming after epoch {first_epoch}")
    if first_epoch == fit.epochs or is_over(checkpoint.rows, fit.early_stopping_epochs):
        return
    # repeated and cut into passes by its steps: a single iterator serves all epochs, where each new one costs its start
    validation = dataset.ordered(source, "validation", fit.batch_size, names).repeat() if fit.validates else None
    around = callbacks(logs, model.name, checkpoint, fit, store.check_current)
    if fit.gradient_histograms:
        first_batch = next(iter(dataset.ordered(source, "train", fit.batch_size, names)))
        around.insert(0, GradientHistograms(logs / TENSORBOARD_FOLDER / model.name, first_batch))
    network.fit(
        epochs(source, fit, model.augment, inputs.statistics, names, first_epoch, learned),
        validation_data=validation,
        validation_steps=dataset.steps(store, ("validation",), fit.batch_size) if fit.validates else None,
        initial_epoch=first_epoch,
        epochs=fit.epochs,
        steps_per_epoch=dataset.steps(store, fit.splits, fit.batch_size),
        shuffle=False,
        callbacks=around,
        verbose=1 if sys.stderr.isatty() else 0,
    )


def describe(
    model: Model, store: Store, network: keras.Model, epochs_run: int, kept: int, validation: Validation | None
) -> ModelDescription:
    """The description of a model trained on a store."""
    manifest = store.manifest
    if manifest.task is None:
        raise DataError(f"{store.path} holds clips, not the features of a view: give a store that `extract` made")
    return ModelDescription(
        name=model.name,
        network=model.network,
        view=model.view,
        view_version=version(model.definition),
        definition=definition(model.definition),
        source=manifest.name,
        classes=manifest.classes,
        task=manifest.task,
        archives=manifest.archives,
        parameters=model.parameters,
        trainable_parameters=sum(weight.shape.num_elements() for weight in network.trainable_weights),
        epochs=epochs_run,
        best_epoch=kept,
        validation=validation,
    )


def times(model: Model, source: Source, rows: Sequence[Row]) -> dict[str, Any]:
    """What a run took: its epochs with their validation, without the start; of a resumed run all parts."""
    return {
        "model": model.name,
        "epochs": len(rows),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in rows), 1),
        "clips_per_epoch": sum(dataset.clips(source.store, split) for split in model.fit.splits),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


def history(rows: Sequence[Row]) -> str:
    """The figures of each epoch as CSV; those of validation only where there was one."""
    text = io.StringIO()
    columns = [name for name in HISTORY_COLUMNS if name == "epoch" or name in rows[0]]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in enumerate(rows, start=1))
    return text.getvalue()


if __name__ == "__main__":
    command.run(main)
