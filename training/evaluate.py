"""The stage evaluate: a trained model and every test clip once, to predictions, figures and tables for plots."""

from __future__ import annotations

from pathlib import Path

import click
import keras
import numpy as np
from pydantic.dataclasses import dataclass

from base import command, params
from base.errors import DataError
from base.types import STRICT, PositiveInt
from readers.store import Store, open_store
from results.evaluation import Evaluation, Figures, figures, write_evaluation
from results.model import check_fit, read_description
from results.predictions import Predictions
from training import dataset
from training.network_file import read_network


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

    MODEL is the folder that train wrote, STORE any features of its view and classes. Where STORE differs in other ways
    from the store that the model was trained on, each difference is named.
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
        store: features of the model's view, labeled with its classes.
        folder: where to write.
        batch_size: clips at once.

    Returns:
        The figures of metrics.json.

    Raises:
        DataError: the model is unfinished, the store has another view or other classes, or it has no test clip.
    """
    description = read_description(model)
    differences = check_fit(description, store.manifest, store.path)
    for difference in differences:
        command.say(f"differs from the training of {description.name}: {difference}")
    evaluation = Evaluation(
        model=description.name,
        store=store.name,
        store_manifest_sha256=store.manifest.sha256,
        differences=differences,
        predictions=predict(read_network(model), store, batch_size),
        counts=store.manifest.task.counts if store.manifest.task else {},
    )
    write_evaluation(folder, evaluation)
    return figures(evaluation.predictions)


def predict(network: keras.Model, store: Store, batch_size: int) -> Predictions:
    """The probabilities of every test clip, in order of id.

    Args:
        network: from features to probabilities.
        store: features of the view that it reads.
        batch_size: clips at once; the last batch may be smaller.

    Raises:
        DataError: there is no test clip, or the shards hold other clips than the manifest says.
    """
    expected, names, view = dataset.clips(store, "test"), dataset.input_names(network), dataset.view_of(store)
    ids: list[str] = []
    labels, probabilities = [], []
    records = store.dataset("test", batch_size, columns=("id", *dataset.columns(store, names)))
    for record in command.with_progress(records, dataset.steps(store, ("test",), batch_size), "batch", "evaluate"):
        inputs, label = dataset.arranged(names, *dataset.example(view, names, record))
        ids += [name.decode() for name in record["id"].numpy()]
        labels.append(label.numpy())
        probabilities.append(network.predict_on_batch(inputs))
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


if __name__ == "__main__":
    command.run(main)
