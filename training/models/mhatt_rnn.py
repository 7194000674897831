"""MHAtt-RNN (Rybakov and others, 2020): bidirectional recurrent layers, and attention from the middle of the clip."""

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

KERNEL_FRAMES: Final = 5
"""The convolutions reach over time alone."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Maps of each convolution, units of each recurrent layer per direction, heads, dense units, and the dropout rate.

    Attributes:
        filters: the last should be 1, so that the recurrent layers read as many values a frame as the view has.
    """

    filters: tuple[PositiveInt, ...]
    recurrent_units: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    heads: PositiveInt
    dense_units: tuple[PositiveInt, ...]
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """Convolutions in time, bidirectional gated recurrent units, multi-head attention, dense layers and a softmax.

    "Streaming Keyword Spotting on Mobile Devices" (Rybakov et al., Interspeech 2020, arXiv 2005.06720), which extends
    "A neural attention model for speech command recognition" (de Andrade et al., 2018) by more heads and gated
    recurrent units (Cho et al., 2014). Each head asks with a projection of the middle frame and averages the frames by
    the softmax of the products. The sizes 10 and 1 maps, twice 128 units, four heads and 64 dense units are those with
    which Berg et al. (2021) trained it as a teacher. The published systems fed MFCCs as they are; here they are
    normalized first.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional.
    """
    shape = plane(inputs, "mhatt_rnn")
    features = keras.Input(shape, name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.Reshape((*shape, 1), name="image")(x)
    for number, filters in enumerate(numbers.filters, start=1):
        name = f"convolution_{number}"
        x = layers.Conv2D(filters, (KERNEL_FRAMES, 1), padding="same", activation="relu", name=name)(x)
        x = layers.BatchNormalization(name=f"normalization_{number}")(x)
    x = layers.Reshape((shape[0], -1), name="frames")(x)
    for number, units in enumerate(numbers.recurrent_units, start=1):
        x = layers.Bidirectional(layers.GRU(units, return_sequences=True), name=f"recurrent_{number}")(x)
    x = layers.Dropout(numbers.dropout, name="dropout")(_attended(x, numbers.heads))
    for number, units in enumerate(numbers.dense_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="mhatt_rnn")


def _attended(frames: keras.KerasTensor, heads: int) -> keras.KerasTensor:
    """For each head the average of the frames by softmax(query · frame), side by side; (batch, heads · width)."""
    count, width = frames.shape[1:]
    query = layers.Dense(heads * width, name="query")(frames[:, count // 2])
    query = layers.Reshape((heads, width), name="heads")(query)
    products = layers.Dot((2, 2), name="products")([query, frames])
    weights = layers.Softmax(dtype="float32", name="attention")(products)
    return layers.Flatten(name="side_by_side")(layers.Dot((2, 1), name="attended")([weights, frames]))
