"""Measures how long the input pipeline and the network each take for a batch of training, alone and together."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import keras
import tensorflow as tf
from tabulate import tabulate

from base import command, params
from benchmarks.measure import machine
from readers.store import Store, open_store
from training import dataset, models
from training.config import Model, load_model
from training.fitting.epochs import epochs
from training.fitting.fused import fused
from training.fitting.objective import compile_network
from training.train import inputs_of

_WARM_UP_BATCHES: Final = 5
HEADERS: Final = (
    "model",
    "source",
    "clips a batch",
    "input, ms",
    "step, ms",
    "input / step",
    "together, ms",
    "clips/s",
)


@dataclass(frozen=True)
class Times:
    """Milliseconds that a batch takes, medians.

    Attributes:
        model: what was fitted, and how.
        input_ms: of the input pipeline alone.
        step_ms: of the network alone, on one batch again and again.
        together_ms: of the network on what the input pipeline makes at the same time.
    """

    model: Model
    input_ms: float
    step_ms: float
    together_ms: float


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--stores", default="data/features", type=click.Path(path_type=Path), help="Folder of the stores.")
@click.option("--parameters", default=params.PARAMS_FILE, type=click.Path(path_type=Path), help="The params.yaml.")
@click.option("--batches", type=click.IntRange(min=2), default=40, show_default=True, help="To time of each.")
def main(names: tuple[str, ...], stores: Path, parameters: Path, batches: int) -> None:
    """Print a table of the models NAMES of params.yaml, each measured on the store of its source in STORES."""
    facts = machine()
    found = []
    for name in names:
        model = load_model(name, parameters)
        found.append(measured(model, open_store(stores / model.source), batches))
    click.echo(f"{facts['cores']} cores, {facts['cpu']}, load {facts['load_before']:.1f} before the start\n")
    click.echo(tabulate([_row(each) for each in found], HEADERS, disable_numparse=True))


def measured(model: Model, store: Store, batches: int) -> Times:
    """The times of one model.

    Args:
        model: what is fitted, and how.
        store: its source.
        batches: how many to time.
    """
    keras.config.set_dtype_policy(model.fit.precision)
    source = dataset.source(store, model.definition)
    inputs = inputs_of(source, model.fit.splits)
    network = fused(models.find(model.network).build(inputs, model.numbers))
    per_epoch = dataset.steps(store, model.fit.splits, model.fit.batch_size)
    compile_network(network, model.fit, per_epoch)
    fit = dataclasses.replace(model.fit, epochs=1 + 2 * (batches + _WARM_UP_BATCHES) // per_epoch)
    stream = iter(epochs(source, fit, model.augment, inputs.statistics, dataset.input_names(network)))
    first = next(stream)
    input_ms = median_ms(lambda: next(stream), batches)
    repeated = tf.data.Dataset.from_tensors(first).repeat()
    again = iter(repeated)
    network.make_train_function()
    step_ms = median_ms(lambda: network.train_function(again), batches)
    return Times(model, input_ms, step_ms, median_ms(lambda: network.train_function(stream), batches))


def median_ms(call: Callable[[], Any], times: int) -> float:
    """The median time of a call in milliseconds, after some that don't count."""
    taken = []
    for _ in range(_WARM_UP_BATCHES - 1 + times):
        started = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(itertools.islice(taken, _WARM_UP_BATCHES - 1, None))


def _row(found: Times) -> tuple[str, ...]:
    clips = found.model.fit.batch_size
    return (
        found.model.name,
        found.model.source,
        str(clips),
        f"{found.input_ms:.1f}",
        f"{found.step_ms:.1f}",
        f"{found.input_ms / found.step_ms:.0%}",
        f"{found.together_ms:.1f}",
        f"{1000 * clips / found.together_ms:,.0f}",
    )


if __name__ == "__main__":
    command.run(main)
