"""The stage evaluate: a trained model and every test clip once, to figures, tables for plots and a report."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

import command
import params
from features.errors import DataError
from features.store import Store
from features.store import open as open_store
from features.views import View
from params import Evaluate
from training import dataset
from training.artifact import HISTORY_FILE, check_fit, read_info, read_network
from training.outputs import Predictions, write_outputs
from training.report import REPORT_FILE, write_report

_SPLITS = ("train", "validation", "test")


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("store")
@click.argument("clips")
@click.argument("folder", type=click.Path(path_type=Path))
def main(model: Path, store: str, clips: str, folder: Path) -> None:
    """Evaluate MODEL on the test split of STORE and write figures, plots and report into FOLDER.

    MODEL is the folder that train wrote, STORE the features of the view that it reads, CLIPS the store of audio from
    which the report draws its pictures.
    """
    numbers = params.load()
    figures = evaluate(model, open_store(store), open_store(clips), folder, numbers.evaluate, numbers.extract.views)
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    command.say(
        f"{folder}: accuracy {figures['accuracy']:.1%} of {figures['clips']:,} test clips "
        f"(95 % interval {low:.1%} to {high:.1%}), report in {folder / REPORT_FILE}"
    )


def evaluate(
    model: Path, store: Store, clips: Store, folder: Path, numbers: Evaluate, views: Mapping[str, View]
) -> dict[str, Any]:
    """Let a model classify every test clip once, and write what comes of it.

    Args:
        model: folder of a finished model.
        store: features of the view that the model reads, of the same task.
        clips: the clips that the features were made from.
        folder: where to write.
        numbers: batch size and size of the report.
        views: views by name, for the report's pictures.

    Returns:
        The figures of metrics.json.

    Raises:
        DataError: the model is unfinished, the store does not fit it or has no test clip, or a clip has no audio.
    """
    info = read_info(model)
    check_fit(info, store)
    predictions = predict(read_network(model), store, numbers.batch_size)
    history = read_history(model / HISTORY_FILE)
    counts = {split: class_counts(store, split) for split in _SPLITS}
    folder.mkdir(parents=True, exist_ok=True)
    figures = write_outputs(folder, predictions, counts)
    write_report(folder, info, figures, predictions, history, counts, clips, views, numbers.worst_errors)
    return figures


def predict(network: keras.Model, store: Store, batch_size: int) -> Predictions:
    """The probabilities of every test clip, in order of id.

    Args:
        network: from features to probabilities.
        store: features of the view that it reads.
        batch_size: clips at once; the last batch is as small as it comes.

    Raises:
        DataError: there is no test clip, or the shards hold other clips than the manifest says.
    """
    expected = dataset.clips(store, "test")
    ids: list[str] = []
    labels, probabilities = [], []
    records = store.dataset("test", batch_size, columns=("id", "label", store.tensor))
    for record in command.with_progress(records, dataset.steps(store, "test", batch_size), "batch", "evaluate"):
        features, label = dataset.example(store.tensor, record)
        ids += [name.decode() for name in record["id"].numpy()]
        labels.append(label.numpy())
        probabilities.append(network.predict_on_batch(features))
    if len(ids) != expected or len(set(ids)) != expected:
        raise DataError(
            f"{store.path}: the test shards hold {len(ids)} clips, {len(set(ids))} of them distinct, but its manifest "
            f"says {expected}; make the store again"
        )
    order = sorted(range(expected), key=ids.__getitem__)
    return Predictions(
        ids=tuple(ids[i] for i in order),
        labels=np.concatenate(labels)[order],
        probabilities=np.concatenate(probabilities)[order].astype(np.float32),
        classes=store.classes,
    )


def class_counts(store: Store, split: str) -> list[int]:
    """Clips of each class in a split, in order of label."""
    total = np.zeros(len(store.classes), np.int64)
    if split in store.splits:
        for record in store.dataset(split, 4096, columns=("label",)):
            total += np.bincount(record["label"].numpy(), minlength=len(total))
    counts: list[int] = total.tolist()
    return counts


def read_history(path: Path) -> list[dict[str, str]]:
    """The rows of a model's history.csv.

    Raises:
        DataError: there is none.
    """
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; train again") from error


if __name__ == "__main__":
    command.run(main)
