"""The multiply-adds counted from a graph are those that one works out by hand, and those of the literature."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from features.statistics import Statistics
from training import models
from training.inputs import Inputs
from training.multiply_adds import multiply_adds

BY_HAND: dict[str, tuple[str, tuple[int, ...], dict[str, Any], int, int]] = {
    "the 7×7 CNN": (
        "cnn",
        (98, 40),
        {"filters": (56, 112), "kernel_size": 7, "dense_units": (256, 256), "dropout": 0.4},
        12,
        98 * 40 * 56 * 49 + 49 * 20 * 112 * 49 * 56 + 24 * 10 * 112 * 256 + 256 * 256 + 256 * 12,
    ),
    "DS-CNN": (
        "ds_cnn",
        (49, 10),
        {"filters": 64, "separable_convolutions": 4, "dropout_first": 0.2, "dropout_last": 0.4},
        12,
        25 * 5 * (64 * 10 * 4 + 4 * 64 * (9 + 64)) + 64 * 12,
    ),
    "an LSTM read at its last step": (
        "lstm",
        (124, 129),
        {"units": 250, "reads": "last", "dense_units": (100, 50)},
        12,
        124 * 4 * 250 * (129 + 250) + 250 * 100 + 100 * 50 + 50 * 12,
    ),
    "an LSTM that knows the length": (
        "lstm",
        (35, 64),
        {"units": 128, "reads": "mean", "dense_units": ()},
        10,
        35 * 4 * 128 * (64 + 128) + 128 * 10,
    ),
    "MHAtt-RNN": (
        "mhatt_rnn",
        (98, 40),
        {"filters": (10, 1), "recurrent_units": (128, 128), "heads": 4, "dense_units": (64,), "dropout": 0.2},
        12,
        98 * 40 * 5 * (10 + 10)  # convolutions
        + 98 * 2 * 3 * 128 * (40 + 128 + 256 + 128)  # two bidirectional layers
        + 256 * 4 * 256 + 2 * 4 * 98 * 256  # queries, products with the frames, averages of them
        + 4 * 256 * 64 + 64 * 12,
    ),
    "KWT-1": (
        "kwt",
        (98, 40),
        {"blocks": 12, "width": 64, "heads": 1, "dense_units": 256},
        12,
        98 * 40 * 64 + 12 * (99 * (4 * 64 * 64 + 2 * 64 * 256) + 2 * 99 * 99 * 64) + 64 * 12,
    ),
    "two blocks of KW-MLP": (
        "kw_mlp",
        (98, 40),
        {"blocks": 2, "width": 64, "gate_units": 128, "survival": 0.9},
        35,
        98 * 40 * 64 + 2 * (98 * 64 * 256 + 98 * 98 * 128 + 98 * 128 * 64) + 64 * 35,
    ),
    "M5": (
        "m5",
        (8000,),
        {"stages": ((32,), (32,), (64,), (64,)), "kernel_size": 80, "stride": 16, "padding": "valid"},
        35,
        496 * 32 * 80 + (124 - 2) * 32 * 32 * 3 + (30 - 2) * 64 * 32 * 3 + (7 - 2) * 64 * 64 * 3 + 64 * 35,
    ),
    "the CNN with batch normalization": (
        "batchnorm_cnn",
        (32, 128),
        {
            "side": 32, "filters": (32, 64), "dense_units": (1024, 128),
            "dropout_convolutions": 0.25, "dropout_dense": 0.5,
        },
        35,
        30 * 30 * 32 * 9 + 28 * 28 * 64 * 9 * 32 + 14 * 14 * 64 * 1024 + 1024 * 128 + 128 * 35,
    ),
}  # fmt: skip
"""Network, shape of the features, numbers, classes and multiply-adds."""

PUBLISHED: dict[str, tuple[str, tuple[int, int], dict[str, Any], float]] = {
    "BC-ResNet-1": ("bc_resnet", (101, 40), {"tau": 1, "dropout": 0.1}, 2.5e6),
    "MatchboxNet-3×1×64": (
        "matchboxnet", (128, 64), {"kernel_sizes": (13, 15, 17), "repeats": 1, "filters": 64, "dropout": 0.0}, 9.2e6,
    ),
}  # fmt: skip
"""Network, shape of the features, numbers and multiply-adds of the definition, whose strides come before a convolution
that the graph computes in full."""


def network(name: str, shape: tuple[int, ...], numbers: dict[str, Any], classes: int) -> keras.Model:
    found, one = models.find(name), np.ones(shape[-1] if len(shape) == 2 else 1)
    labels = tuple(map(str, range(classes)))
    inputs = Inputs("a view", shape, 10.0, labels, Statistics(1, 1, one, one, one, one))
    return found.build(inputs, found.Numbers(**numbers))


@pytest.mark.parametrize("what", BY_HAND)
def test_multiply_adds_are_those_worked_out_by_hand(what: str) -> None:
    name, shape, numbers, classes, expected = BY_HAND[what]
    assert multiply_adds(network(name, shape, numbers, classes)) == expected


@pytest.mark.parametrize("what", PUBLISHED)
def test_multiply_adds_are_close_to_those_of_the_published_definition(what: str) -> None:
    name, shape, numbers, expected = PUBLISHED[what]
    assert multiply_adds(network(name, shape, numbers, 12)) == pytest.approx(expected, rel=0.025)


def test_a_loop_counts_each_of_its_steps() -> None:
    def recurrent(steps: int) -> int:
        features = keras.Input((steps, 3))
        return multiply_adds(keras.Model(features, layers.Bidirectional(layers.GRU(5))(features)))

    assert [recurrent(steps) for steps in (1, 7, 20)] == [steps * 2 * 3 * 5 * (3 + 5) for steps in (1, 7, 20)]


def test_transposed_and_batched_products_count_the_inner_dimension() -> None:
    first, second = keras.Input((4, 6)), keras.Input((5, 6))
    product = layers.Dot((2, 2))([first, second])
    assert multiply_adds(keras.Model([first, second], product)) == 4 * 6 * 5
