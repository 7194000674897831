"""The convolutional network on spectral features, after Sainath and Parada (2015), wider and with larger kernels."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from features.errors import DataError
from features.statistics import Statistics
from features.store import Store
from params import Cnn


def cnn(store: Store, numbers: Cnn) -> keras.Model:
    """Convolutions with 2x2 max-pooling after each, then dense layers and a softmax.

    The block order is that of "Convolutional Neural Networks for Small-footprint Keyword Spotting" (Sainath and Parada,
    Interspeech 2015), with square kernels.

    Args:
        store: store of a two-dimensional view; gives shape, classes, and the mean and deviation of each coefficient.
        numbers: filters, kernel size, dense units and dropout.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalised, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the view is not two-dimensional, or too small for so many poolings.
    """
    shape = _plane(store, poolings=len(numbers.filters))
    inputs = keras.Input(shape, name="features")
    x = normalization(store.statistics())(inputs)
    x = layers.Reshape((*shape, 1), name="image")(x)
    for number, filters in enumerate(numbers.filters, start=1):
        convolution = layers.Conv2D(
            filters, numbers.kernel_size, padding="same", activation="relu", name=f"convolution_{number}"
        )
        x = layers.MaxPooling2D(2, name=f"pooling_{number}")(convolution(x))
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(numbers.dropout, name="dropout_before")(x)
    for number, units in enumerate(numbers.dense_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
    x = layers.Dropout(numbers.dropout, name="dropout_after")(x)
    outputs = layers.Dense(len(store.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(inputs, outputs, name="cnn")


def normalization(statistics: Statistics) -> layers.Layer:
    """A layer that takes each coefficient (last axis) to mean 0, and all together to deviation 1, over the train split.

    One scale for all keeps the distances between spectra: MFCCs are a rotation of the log-mel bands, and a scale for
    each would make the high coefficients, mostly noise, as loud as the low ones.

    Args:
        statistics: of the train split.
    """
    variance = float(np.mean(np.square(statistics.std))) or 1.0
    variances = np.full_like(statistics.mean, variance)
    return layers.Normalization(
        axis=-1, mean=statistics.mean, variance=variances, dtype="float32", name="normalization"
    )


def _plane(store: Store, poolings: int) -> tuple[int, int]:
    """The view's (frames, coefficients)."""
    shape = () if store.view is None else store.view.shape
    if len(shape) != 2:
        kind = "clips" if store.view is None else f"the view {store.view.kind}"
        raise DataError(
            f"cnn reads two-dimensional features, but {store.path} holds {kind} of shape {shape or (16000,)}: "
            "give it a store of mfcc, logmel or spectrogram"
        )
    if min(shape) < 2**poolings:
        raise DataError(
            f"train.cnn.filters: {poolings} poolings by 2 leave nothing of features of shape {shape}: use fewer filters"
        )
    return shape[0], shape[1]
