"""What one clip costs a model: its multiply-adds, and its latency on one core, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import keras
import numpy as np
import tensorflow as tf

from base import command
from base.errors import DataError
from base.files import to_json
from features import tensor_operations
from features.frontend import front_end
from features.views import CLIP_SAMPLES, View
from results.cost import Cost, latency, read_costs
from results.model import FEATURES, LENGTH, read_description
from results.network_file import read_network
from training import dataset
from training.multiply_adds import multiply_adds

RUNS: Final = 1000


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--runs", type=click.IntRange(min=1), default=RUNS, show_default=True, help="Clips to time, one by one.")
def main(models: tuple[Path, ...], runs: int) -> None:
    """Print as JSON what one clip costs each of the MODELS, folders that train wrote, on one core without a GPU."""
    use_one_core()
    click.echo(to_json({str(folder): asdict(cost(folder, runs)) for folder in models}))


def measured(models: Sequence[Path], runs: int) -> dict[Path, Cost]:
    """The costs of models by their folders, measured in another process, which has one thread.

    Raises:
        DataError: it failed; it has said why.
    """
    arguments = [sys.executable, "-m", "training.cost", *map(str, models), "--runs", str(runs)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise DataError(f"measuring the models ended with exit code {done.returncode}: the lines above say why")
    return {Path(folder): found for folder, found in read_costs(done.stdout).items()}


def use_one_core() -> None:
    """Bind this process, in which TensorFlow has not yet computed anything, to one core and one thread."""
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def cost(folder: Path, runs: int) -> Cost:
    """What one clip costs a model in this process.

    Args:
        folder: of a finished model.
        runs: clips to time.

    Raises:
        DataError: the model is unfinished or damaged.
    """
    view, network = read_description(folder).feature_view, read_network(folder)
    samples = np.random.default_rng(0).integers(-(2**12), 2**12, (1, CLIP_SAMPLES), np.int16)
    clip = tf.constant(samples)
    inputs = inputs_of(clip, view, network)
    from_features = traced(lambda inputs: network(inputs, training=False), inputs)
    from_samples = traced(lambda clip: network(inputs_of(clip, view, network), training=False), clip)
    command.say(f"{folder}: timing {runs:,} clips")
    return Cost(
        multiply_adds=multiply_adds(network),
        network=latency(lambda: from_features(inputs).numpy(), runs),
        with_front_end=latency(lambda: from_samples(clip).numpy(), runs),
    )


def traced(function: Callable[[Any], tf.Tensor], example: Any) -> Callable[[Any], tf.Tensor]:
    """A function as a TensorFlow graph for inputs like an example."""
    concrete: Callable[[Any], tf.Tensor] = tf.function(function).get_concrete_function(example)
    return concrete


def inputs_of(clip: tf.Tensor, view: View, network: keras.Model) -> Any:
    """What a network reads of one clip, int16, (1, 16000), that has no padding."""
    features = tf.cast(front_end(view, tensor_operations)(clip), tf.float32) * view.scale
    steps = view.real_steps(view.real_length(CLIP_SAMPLES))
    return dataset.arranged(dataset.input_names(network), {FEATURES: features, LENGTH: tf.constant([steps], tf.int32)})


if __name__ == "__main__":
    command.run(main)
