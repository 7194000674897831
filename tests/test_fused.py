"""The faster batch normalization of fitting against Keras's own, and its way back into the network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from training.fitting.fused import fused


def network(shape: tuple[int, ...]) -> keras.Model:
    """Two batch normalizations around a dense layer, from data to the mean of each channel."""
    inputs = keras.Input(shape)
    x = layers.BatchNormalization(momentum=0.8, epsilon=1e-3, name="first")(inputs)
    x = layers.Dense(3, name="dense")(x)
    x = layers.BatchNormalization(name="second")(x)
    return keras.Model(inputs, layers.Dense(2, activation="softmax", name="out")(layers.Flatten()(x)))


@pytest.mark.parametrize("shape", [(6,), (5, 4), (4, 3, 2)])
def test_fitting_gives_the_weights_of_keras_own_layers(shape: tuple[int, ...]) -> None:
    keras.utils.set_random_seed(0)
    own = network(shape)
    fast = fused(own)
    generator = np.random.default_rng(0)
    values: Any = generator.normal(2.0, 3.0, (16, *shape)).astype(np.float32)
    labels = generator.integers(0, 2, 16)
    for each in (own, fast):
        each.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
        each.fit(values, labels, batch_size=16, epochs=3, shuffle=False, verbose=0)
    for expected, found in zip(own.get_weights(), fast.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fast.predict_on_batch(values), own.predict_on_batch(values), atol=1e-4)


def test_a_network_without_batch_normalization_is_fitted_as_it_is() -> None:
    plain = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    assert fused(plain) is plain
