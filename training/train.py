"""The stage train: a store of features to a trained model, by streaming its shards through Keras."""

from __future__ import annotations

import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import keras

from base import command
from base.errors import DataError
from base.files import to_json, write_text
from readers.store import Store, open_store
from results.model import HISTORY_FILE, MODEL_FILE, NETWORK_FILE, ModelDescription, Validation, write_description
from training import dataset, models
from training.config import Model, load_model
from training.fitting.callbacks import callbacks
from training.fitting.checkpoint import CHECKPOINT_FOLDER, Checkpoint, Row, best_epoch, is_over
from training.fitting.epochs import epochs
from training.fitting.objective import compile_network
from training.inputs import Inputs
from training.network_file import write_network
from training.normalization import pooled

HISTORY_COLUMNS: Final = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@click.command()
@click.argument("name")
@click.argument("store")
@click.argument("folder", type=click.Path(path_type=Path))
def main(name: str, store: str, folder: Path) -> None:
    """Train the model NAME of params.yaml (such as cnn) on the features of STORE; write it into FOLDER.

    A run that was interrupted is resumed at its last finished epoch when the command is given again with the same
    features and parameters. DVCLive logs into dvclive/, TensorBoard into logs/tensorboard/NAME.
    """
    model, features = load_model(name), open_store(store)
    if features.name != model.view:
        raise DataError(f"models.{name} reads the view {model.view}, but {store} holds {features.name}")
    description = train(model, features, folder)
    validation = description.validation
    outcome = (
        f"validation accuracy {validation.accuracy:.1%} of {validation.clips:,} clips"
        if validation
        else "validation was fitted as well"
    )
    command.say(f"{folder}: epoch {description.best_epoch} of {description.epochs} is kept, {outcome}")


def train(model: Model, store: Store, folder: Path, logs: Path = Path()) -> ModelDescription:
    """Train a model and write it: the network, its history and its description.

    Args:
        model: what to train and how.
        store: a finished store of the view that the model reads.
        folder: where to write; model.json comes last.
        logs: where TensorBoard's and DVCLive's logs go, the project's root.

    Returns:
        What model.json says.

    Raises:
        DataError: features that the network can't read, an empty split, or a loss that is not finite.
    """
    fit = model.fit
    keras.config.set_dtype_policy(fit.precision)
    keras.utils.set_random_seed(fit.seed)
    inputs = inputs_of(store, fit.splits)
    network = models.find(model.network).build(inputs, model.numbers)
    compile_network(network, fit, dataset.steps(store, fit.splits, fit.batch_size))
    validation_clips = dataset.clips(store, "validation") if fit.validates else 0
    clear(folder)
    checkpoint = Checkpoint(folder / CHECKPOINT_FOLDER, fingerprint(store, model))
    run(network, model, store, inputs, checkpoint, logs)
    checkpoint.restore_best(network)
    kept = best_epoch(checkpoint.rows)
    accuracy = checkpoint.rows[kept - 1].get("val_accuracy")
    validation = None if accuracy is None else Validation(accuracy=accuracy, clips=validation_clips)
    description = describe(model, store, network, len(checkpoint.rows), kept, validation)
    write_text(str(folder / HISTORY_FILE), history(checkpoint.rows))
    write_network(folder, network)
    write_description(folder, description)
    checkpoint.remove()
    return description


def inputs_of(store: Store, splits: Sequence[str]) -> Inputs:
    """What a network is built from, for a store of features of which some splits are fitted.

    Raises:
        DataError: the store has no view, or a split is missing or empty.
    """
    view = dataset.view_of(store)
    for split in splits:
        dataset.clips(store, split)
    statistics = pooled([store.statistics(split) for split in splits])
    return Inputs(view.kind, view.shape, view.step_ms, store.classes, statistics)


def fingerprint(store: Store, model: Model) -> str:
    """SHA-256 (hex) of all that decides a run: the store's manifest, the model and its numbers, Keras."""
    parts = [store.manifest.to_json(), model.name, model.network, to_json(model.parameters), keras.__version__]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def clear(folder: Path) -> None:
    """Take away what an earlier run wrote, but not its checkpoint; model.json first, so that the rest is unfinished.

    Raises:
        DataError: the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: name a folder for the model")
    for name in (MODEL_FILE, NETWORK_FILE, HISTORY_FILE):
        (folder / name).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def run(network: keras.Model, model: Model, store: Store, inputs: Inputs, checkpoint: Checkpoint, logs: Path) -> None:
    """Fit a compiled network from the checkpoint's last epoch to the end."""
    fit, names = model.fit, dataset.input_names(network)
    first_epoch = len(checkpoint.rows)
    if first_epoch:
        checkpoint.restore_last(network)
        command.say(f"resuming after epoch {first_epoch}")
    if first_epoch == fit.epochs or is_over(checkpoint.rows, fit.early_stopping_epochs):
        return
    # repeated and cut into passes by its steps: a single iterator serves all epochs, where each new one costs its start
    validation = dataset.ordered(store, "validation", fit.batch_size, names).repeat() if fit.validates else None
    network.fit(
        epochs(store, fit, model.augment, inputs.statistics, names, first_epoch),
        validation_data=validation,
        validation_steps=dataset.steps(store, ("validation",), fit.batch_size) if fit.validates else None,
        initial_epoch=first_epoch,
        epochs=fit.epochs,
        steps_per_epoch=dataset.steps(store, fit.splits, fit.batch_size),
        shuffle=False,
        callbacks=callbacks(logs, model.name, checkpoint, fit.early_stopping_epochs, fit.epochs),
        verbose=1 if sys.stderr.isatty() else 0,
    )


def describe(
    model: Model, store: Store, network: keras.Model, epochs_run: int, kept: int, validation: Validation | None
) -> ModelDescription:
    """The description of a model trained on a store."""
    manifest = store.manifest
    if manifest.task is None or manifest.definition is None:
        raise DataError(f"{store.path} holds clips, not the features of a view: give a store that `extract` made")
    return ModelDescription(
        name=model.name,
        network=model.network,
        view=manifest.name,
        view_version=manifest.version,
        definition=manifest.definition,
        classes=manifest.classes,
        task=manifest.task,
        archives=manifest.archives,
        parameters=model.parameters,
        trainable_parameters=sum(weight.shape.num_elements() for weight in network.trainable_weights),
        epochs=epochs_run,
        best_epoch=kept,
        validation=validation,
    )


def history(rows: Sequence[Row]) -> str:
    """The figures of each epoch as CSV; those of validation only where there was one."""
    text = io.StringIO()
    columns = [name for name in HISTORY_COLUMNS if name == "epoch" or name in rows[0]]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in enumerate(rows, start=1))
    return text.getvalue()


if __name__ == "__main__":
    command.run(main)
