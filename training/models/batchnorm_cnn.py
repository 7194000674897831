"""A convolutional network with batch normalization on a mel spectrogram that is resized like a picture."""

from __future__ import annotations

from typing import Annotated, Final

import keras
from keras import layers
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.types import STRICT, PositiveInt
from results.model import FEATURES
from training.inputs import Inputs, plane
from training.normalization import normalization

_KERNEL: Final = 3


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """The side of the resized features, maps of each convolution, units of each dense layer, and the dropout rates.

    Attributes:
        side: rows and columns after resizing.
        dropout_convolutions: after the pooling.
        dropout_dense: after each dense layer.
    """

    side: Annotated[int, Field(ge=8, le=256)]
    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=3)]
    dense_units: tuple[PositiveInt, ...]
    dropout_convolutions: Annotated[float, Field(ge=0, lt=1)]
    dropout_dense: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """Features resized to a square, 3×3 convolutions, each followed by batch normalization, pooling, dense layers.

    The network of TensorFlow's tutorial on simple audio (tensorflow.org/tutorials/audio/simple_audio) with batch
    normalization and a wider head. With 32×32 cells, 32 and 64 maps, 1024 and 128 units it has 13,000,803 trainable
    parameters for 35 classes: the convolutions have biases and no padding (32 → 30 → 28), one 2×2 max-pooling follows
    both (14), so that the first dense layer reads 14 · 14 · 64 = 12,544 values. Each convolution goes through a ReLU,
    then through batch normalization.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients), whose coefficients are frequencies.
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional.
    """
    shape = plane(inputs, "batchnorm_cnn")
    features = keras.Input(shape, name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.Reshape((*shape, 1), dtype="float32", name="image")(x)
    x = keras.ops.image.resize(x, (numbers.side, numbers.side), interpolation="bilinear")
    for number, filters in enumerate(numbers.filters, start=1):
        x = layers.Conv2D(filters, _KERNEL, activation="relu", name=f"convolution_{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"normalization_{number}")(x)
    x = layers.MaxPooling2D(2, name="pooling")(x)
    x = layers.Dropout(numbers.dropout_convolutions, name="dropout_convolutions")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(numbers.dense_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
        x = layers.Dropout(numbers.dropout_dense, name=f"dropout_{number}")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="batchnorm_cnn")
