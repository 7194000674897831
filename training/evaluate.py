"""The stage evaluate: a trained model and every test clip once, to predictions, figures and tables for plots."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

from pathlib import Path

import click
import keras
import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from base import command, params
from base.claim import claimed, work_of_folder
from base.errors import DataError
from base.types import STRICT, PositiveInt
from readers.store import Store, open_store
from results.evaluation import Evaluation, Figures, figures, foreign_file, write_evaluation
from results.model import check_fit, read_description
from results.network_file import read_network
from results.predictions import Predictions
from training import dataset
from training.dataset import Source


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Evaluate:
    """Model to figures: how many clips are classified at once."""

    batch_size: PositiveInt


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("store")
@click.argument("folder", type=click.Path(path_type=Path))
def main(model: Path, store: str, folder: Path) -> None:
    """Evaluate MODEL on the test split of STORE and write predictions, figures and tables into FOLDER.

    MODEL is the folder that train wrote, STORE any features of its view, or waveforms at 16 kHz, with its classes.
    Where STORE differs in other ways from the store that the model was trained on, each difference is named.
    """
    numbers: Evaluate = params.load("evaluate", Evaluate)
    found = evaluate(model, open_store(store), folder, numbers.batch_size)
    command.say(
        f"{folder}: accuracy {found.accuracy:.1%} of {found.clips:,} test clips "
        f"(95 % interval {found.low:.1%} to {found.high:.1%})"
    )


def evaluate(model: Path, store: Store, folder: Path, batch_size: int) -> Figures:
    """Let a model classify every test clip once, and write its predictions and the figures that follow.

    Args:
        model: folder of a finished model.
        store: features of the model's view, or waveforms at 16 kHz, labeled with its classes.
        folder: where to write.
        batch_size: clips at once.

    Returns:
        The figures of metrics.json.

    Raises:
        DataError: the model is unfinished, the store has another view or other classes, it has no test clip, or the
            folder holds what no evaluation has written.
    """
    with claimed(str(folder), work_of_folder(str(folder)), lambda: foreign_file(folder)):
        description = read_description(model)
        differences = check_fit(description, store.manifest, store.path)
        for difference in differences:
            command.say(f"differs from the training of {description.name}: {difference}")
        evaluation = Evaluation(
            model=description.name,
            store=store.name,
            store_manifest_sha256=store.manifest.sha256,
            differences=differences,
            predictions=predict(read_network(model), dataset.source(store, description.feature_view), batch_size),
            counts=store.manifest.task.counts if store.manifest.task else {},
        )
        write_evaluation(folder, evaluation)
    return figures(evaluation.predictions)


def predict(network: keras.Model, source: Source, batch_size: int) -> Predictions:
    """The probabilities of every test clip, in order of id.

    Args:
        network: from features to probabilities.
        source: the store, and what the network reads of it.
        batch_size: clips at once; the last batch may be smaller.

    Raises:
        DataError: there is no test clip, or the shards hold other clips than the manifest says.
    """
    return Predictions(*classify(network, source, batch_size), source.store.classes)


def classify(
    network: keras.Model, source: Source, batch_size: int, split: str = "test"
) -> tuple[tuple[str, ...], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """What a network gives for every clip of a split, in order of id.

    Args:
        network: from features to anything.
        source: the store, and what the network reads of it.
        batch_size: clips at once; the last batch may be smaller.
        split: "train", "validation" or "test".

    Returns:
        The ids, the labels, int64, (clips,), and the network's outputs, float32, (clips, ...).

    Raises:
        DataError: there is no clip, or the shards hold other clips than the manifest says.
    """
    store, names = source.store, dataset.input_names(network)
    expected = dataset.clips(store, split)
    ids: list[str] = []
    labels, outputs = [], []
    records = store.dataset(split, batch_size, columns=("id", *source.columns(names)))
    with dataset.told_of(store):
        for record in command.with_progress(records, dataset.steps(store, (split,), batch_size), "batch", split):
            inputs = dataset.arranged(names, source.inputs(source.stored(names, record)))
            ids += [name.decode() for name in record["id"].numpy()]
            labels.append(record["label"].numpy())
            outputs.append(network.predict_on_batch(inputs))
    if len(ids) != expected or len(set(ids)) != expected:
        raise DataError(
            f"{store.path}: the {split} shards hold {len(ids)} clips, {len(set(ids))} of them distinct, but its "
            f"manifest says {expected}; make the store again"
        )
    order = sorted(range(expected), key=ids.__getitem__)
    found = np.concatenate(outputs)[order].astype(np.float32)
    return tuple(ids[i] for i in order), np.concatenate(labels)[order], found


if __name__ == "__main__":
    command.run(main)
