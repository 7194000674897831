"""The stage train: a store of features to a trained model, by streaming its shards through Keras."""

from __future__ import annotations

import csv
import hashlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import keras

import command
import params
from features.errors import DataError
from features.metadata import to_json
from features.store import Store
from features.store import open as open_store
from params import Fit
from training import dataset, models
from training.artifact import HISTORY_FILE, MODEL_FILE, NETWORK_FILE, ModelInfo, describe, write_model
from training.callbacks import DVCLIVE_FOLDER, TENSORBOARD_FOLDER, callbacks
from training.checkpoint import CHECKPOINT_FOLDER, Checkpoint, Row, best_epoch, is_over

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")


@click.command()
@click.argument("model")
@click.argument("store")
@click.argument("folder", type=click.Path(path_type=Path))
def main(model: str, store: str, folder: Path) -> None:
    """Train MODEL (such as cnn) on the features of STORE; write it into FOLDER.

    A run that was interrupted is resumed at its last finished epoch when the command is given again with the same
    features and parameters.
    """
    numbers = params.load().train
    info = train(model, open_store(store), folder, numbers.fit, getattr(numbers, model, None))
    accuracy, clips = info.validation["accuracy"], info.validation["clips"]
    command.say(
        f"{folder}: best epoch {info.best_epoch} of {info.epochs}, "
        f"validation accuracy {accuracy:.1%} of {clips:,} clips"
    )


def train(model: str, store: Store, folder: Path, fit: Fit, numbers: Any) -> ModelInfo:
    """Train a model and write it: the network, its description, the history and the logs.

    Args:
        model: name of the network.
        store: a finished store of the view that the network reads.
        folder: where to write; model.json comes last.
        fit: how to train.
        numbers: the model's own section of `train`.

    Returns:
        What model.json says.

    Raises:
        DataError: unknown model, features that it can't read, an empty split, or a loss that is not finite.
    """
    parameters = {"fit": asdict(fit), model: asdict(numbers) if numbers else {}}
    keras.config.set_dtype_policy(fit.precision)
    keras.utils.set_random_seed(fit.seed)
    network = models.build(model, store, numbers)
    compile_network(network, fit, dataset.steps(store, "train", fit.batch_size))
    validation_clips = dataset.clips(store, "validation")
    clear(folder)
    checkpoint = Checkpoint(folder / CHECKPOINT_FOLDER, fingerprint(store, model, parameters))
    run(network, store, folder, fit, checkpoint)
    checkpoint.restore_best(network)
    best = best_epoch(checkpoint.rows)
    validation = {"accuracy": checkpoint.rows[best - 1]["val_accuracy"], "clips": validation_clips}
    info = describe(
        model, store, network, parameters, epochs=len(checkpoint.rows), best_epoch=best, validation=validation
    )
    write_history(folder / HISTORY_FILE, checkpoint.rows)
    write_model(folder, info, network)
    checkpoint.remove()
    return info


def compile_network(network: keras.Model, fit: Fit, steps_per_epoch: int) -> None:
    """Give a network its loss, its metric and Adam (Loshchilov and Hutter's AdamW where weight decay is positive)."""
    network.compile(
        optimizer=keras.optimizers.AdamW(learning_rate(fit, steps_per_epoch), weight_decay=fit.weight_decay),
        loss=SmoothedCrossEntropy(fit.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )


@keras.saving.register_keras_serializable("training")
class SmoothedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of integer labels, each smoothed over the classes (Szegedy et al., 2016)."""

    def __init__(self, smoothing: float) -> None:
        super().__init__(name="cross_entropy")
        self._smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each clip, float32, (batch,).

        Args:
            y_true: labels, int, (batch,).
            y_pred: probabilities, float32, (batch, classes).
        """
        targets = keras.ops.one_hot(y_true, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(targets, y_pred, label_smoothing=self._smoothing)


def learning_rate(fit: Fit, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by batch: constant, or a linear warm-up, then half a cosine down to zero at the end."""
    if fit.learning_rate_schedule == "constant":
        return fit.learning_rate
    warmup_epochs = min(fit.warmup_epochs, fit.epochs - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_epochs else fit.learning_rate,
        decay_steps=(fit.epochs - warmup_epochs) * steps_per_epoch,
        warmup_target=fit.learning_rate if warmup_epochs else None,
        warmup_steps=warmup_epochs * steps_per_epoch,
    )


def fingerprint(store: Store, model: str, parameters: dict[str, Any]) -> str:
    """SHA-256 (hex) of all that decides a run: the store's manifest and statistics, the model and its parameters."""
    parts = [
        store.manifest.to_json(),
        to_json(store.statistics().to_dict()),
        model,
        to_json(parameters),
        keras.__version__,
    ]
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
    shutil.rmtree(folder / DVCLIVE_FOLDER, ignore_errors=True)
    if not (folder / CHECKPOINT_FOLDER).exists():
        shutil.rmtree(folder / TENSORBOARD_FOLDER, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def run(network: keras.Model, store: Store, folder: Path, fit: Fit, checkpoint: Checkpoint) -> None:
    """Fit a compiled network from the checkpoint's last epoch to the end."""
    first_epoch = len(checkpoint.rows)
    if first_epoch:
        checkpoint.restore_last(network)
        command.say(f"resuming after epoch {first_epoch}")
    if first_epoch == fit.epochs or is_over(checkpoint.rows, fit.early_stopping_epochs):
        return
    network.fit(
        dataset.training(store, fit, first_epoch),
        validation_data=dataset.ordered(store, "validation", fit.batch_size),
        initial_epoch=first_epoch,
        epochs=fit.epochs,
        steps_per_epoch=dataset.steps(store, "train", fit.batch_size),
        shuffle=False,
        callbacks=callbacks(folder, checkpoint, fit.early_stopping_epochs, fit.epochs),
        verbose=1 if sys.stderr.isatty() else 0,
    )


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write the figures of each epoch as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY_COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows({"epoch": epoch, **row} for epoch, row in enumerate(rows, start=1))


if __name__ == "__main__":
    command.run(main)
