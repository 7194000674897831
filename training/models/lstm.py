"""A long short-term memory over frames, read at its last step or on average over the clip's real frames."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers, ops
from pydantic.dataclasses import dataclass

from base.types import STRICT, PositiveInt
from training.inputs import FEATURES, LENGTH, Inputs, plane
from training.normalization import normalization


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Units of the recurrent layer, which of its steps are read, and units of each dense layer.

    Attributes:
        reads: "last", the step after the last frame, or "mean", the average of the steps of all real frames.
    """

    units: PositiveInt
    reads: Literal["last", "mean"]
    dense_units: tuple[PositiveInt, ...]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """An LSTM (Hochreiter and Schmidhuber, 1997; with a forget gate, Gers et al., 2000), dense layers and a softmax.

    Two known systems have this form: 250 units on 124 × 129 magnitudes, read at the last step, with dense layers of
    100 and 50; and on 35 × 64 log-mel energies of spoken digits every step returned and averaged. An average leaves the
    padding out: it reads the clip's length, and what stands behind it changes nothing. A clip of length 0 counts as one
    frame. Both systems fed features as they are; here they are normalized first.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, and where it averages from
        length, int32, (batch,), to probabilities, float32, (batch, classes).

    Raises:
        DataError: the features are not two-dimensional.
    """
    shape, averages = plane(inputs, "lstm"), numbers.reads == "mean"
    features = keras.Input(shape, name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.LSTM(numbers.units, return_sequences=averages, name="lstm")(x)
    sources = [features]
    if averages:
        length = keras.Input((), dtype="int32", name=LENGTH)
        real = ops.expand_dims(ops.maximum(length, 1), 1) > ops.arange(shape[0])
        x = layers.GlobalAveragePooling1D(dtype="float32", name="average")(x, mask=real)
        sources.append(length)
    for number, units in enumerate(numbers.dense_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(sources if averages else features, probabilities, name="lstm")
