"""A convolutional network on spectral features, in the spirit of Sainath and Parada (2015)."""

from __future__ import annotations

from typing import Annotated

import keras
from keras import layers
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveInt
from results.model import FEATURES
from training.inputs import Inputs, plane
from training.normalization import normalization


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Maps of each convolution, the side of their square kernels, units of each dense layer, and the dropout rate."""

    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    kernel_size: PositiveInt
    dense_units: tuple[PositiveInt, ...]
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """Convolutions, each followed by 2×2 max-pooling, then dense layers and a softmax.

    By default two 7×7 convolutions (56 and 112 maps) and two dense layers. "Convolutional Neural Networks for
    Small-footprint Keyword Spotting" (Sainath and Parada, Interspeech 2015) has larger kernels in time, pools once and
    in frequency only, and puts a low-rank layer before the dense ones.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional, or too small to be pooled so often.
    """
    shape, poolings = plane(inputs, "cnn"), len(numbers.filters)
    if min(shape) < 2**poolings:
        raise DataError(
            f"cnn: {poolings} filters mean as many poolings by 2, which leave nothing of features of shape {shape}: "
            "use fewer filters"
        )
    features = keras.Input(shape, name=FEATURES)
    x = normalization(inputs.statistics)(features)
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
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="cnn")
