"""The stage before_after: what fine-tuning changed for the old words and for the new ones."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import numpy as np

from base import command, params
from base.errors import DataError
from readers.store import Store, open_store
from results.evaluation import write_csv
from results.metrics import wilson_interval
from results.model import ModelDescription, read_description
from results.network_file import read_network
from results.predictions import PREDICTIONS_FILE, Predictions, read_predictions, write_predictions
from training import dataset
from training.evaluate import Evaluate, classify

FIGURES_FILE: Final = "before_after.csv"
BEFORE_FOLDER: Final = "before"
AFTER_FOLDER: Final = "after"


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("store")
@click.argument("evaluation", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(model: Path, store: str, evaluation: Path, folder: Path) -> None:
    """Compare the MODEL that was fine-tuned with what became of it, on the test clips of STORE; write into FOLDER.

    STORE is the one that fine-tuning read, EVALUATION what `training.evaluate` said of the fine-tuned model on it.
    """
    numbers: Evaluate = params.load("evaluate", Evaluate)
    before = predictions_before(read_description(model), model, open_store(store), numbers.batch_size)
    after = read_predictions(evaluation / PREDICTIONS_FILE)
    if (before.ids, before.classes) != (after.ids, after.classes):
        raise DataError(f"{evaluation} is of other clips or classes than {store}: evaluate the fine-tuned model on it")
    known = read_description(model).classes
    write_predictions(folder / BEFORE_FOLDER / PREDICTIONS_FILE, before)
    write_predictions(folder / AFTER_FOLDER / PREDICTIONS_FILE, after)
    rows = [row for name, found in (("before", before), ("after", after)) for row in figures(name, found, known)]
    write_csv(folder / FIGURES_FILE, ("model", "words", "correct", "clips", "accuracy", "low", "high"), rows)
    for name, words, correct, clips, accuracy, low, high in rows:
        command.say(
            f"{name}, {words} words: {correct} of {clips} ({accuracy:.1%}, 95 % interval {low:.1%} to {high:.1%})"
        )


def predictions_before(description: ModelDescription, folder: Path, store: Store, batch_size: int) -> Predictions:
    """What a model says of the test clips of a store that has more classes than the model.

    Returns:
        Predictions in the classes of the store; those that the model does not know have no probability.

    Raises:
        DataError: the store lacks a class of the model or has another view.
    """
    absent = [name for name in description.classes if name not in store.classes]
    if absent:
        raise DataError(f"{store.path} lacks the classes {', '.join(absent)} of the model {description.name}")
    source = dataset.source(store, description.feature_view)
    ids, labels, known = classify(read_network(folder), source, batch_size)
    probabilities = np.zeros((len(ids), len(store.classes)), np.float32)
    probabilities[:, [store.classes.index(name) for name in description.classes]] = known
    return Predictions(ids, labels, probabilities, store.classes)


def figures(
    name: str, predictions: Predictions, known: tuple[str, ...]
) -> Iterator[tuple[str, str, int, int, float, float, float]]:
    """How many clips of the old classes, of the new ones and of all are recognized.

    Args:
        name: of the model.
        predictions: in all classes.
        known: the old classes.

    Yields:
        (name, "old", "new" or "all", correct, clips, accuracy, lower and upper end of its 95 % interval).
    """
    old = np.isin(predictions.labels, [predictions.classes.index(each) for each in known])
    right = predictions.labels == predictions.predictions
    for words, chosen in (("old", old), ("new", ~old), ("all", np.ones_like(old))):
        correct, clips = int(right[chosen].sum()), int(chosen.sum())
        yield name, words, correct, clips, correct / max(clips, 1), *wilson_interval(correct, clips)


if __name__ == "__main__":
    command.run(main)
