"""A long short-term memory over frames of features or of raw samples, read at its last step or on average."""

from __future__ import annotations

from typing import Literal

import keras
from keras import layers, ops
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveInt
from results.model import FEATURES, LENGTH
from training.inputs import Inputs, plane
from training.normalization import normalization


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Units of the recurrent layer, which of its steps are read, and units of each dense layer.

    Attributes:
        reads: "last", the step after the last frame, or "mean", the average of the steps of all real frames.
        frame_samples: samples of a waveform that one step reads; null for features that are frames already.
    """

    units: PositiveInt
    reads: Literal["last", "mean"]
    dense_units: tuple[PositiveInt, ...]
    frame_samples: PositiveInt | None = None


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """An LSTM (Hochreiter and Schmidhuber, 1997; with a forget gate, Gers et al., 2000), dense layers and a softmax.

    Two known systems have this form: 250 units on 124 × 129 magnitudes, read at the last step, with dense layers of
    100 and 50; and on 35 × 64 log-mel energies of spoken digits every step returned and averaged. An average leaves the
    padding out: it reads the clip's length, masks the frames that begin behind it, and what stands there changes
    nothing. A clip of length 0 counts as one frame. Both systems fed features as they are; here they are normalized
    first. A waveform is cut into frames of `frame_samples`, one after the other: a step for each sample would be
    thousands of steps, through which hardly a gradient comes back.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients), or of a waveform where `frame_samples` is given.
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients) or (batch, samples), un-normalized, and where it
        averages from length, int32, (batch,), to probabilities, float32, (batch, classes).

    Raises:
        DataError: the features are not two-dimensional, or are no waveform of whole frames where samples are framed.
    """
    averages = numbers.reads == "mean"
    features = keras.Input(inputs.shape, name=FEATURES)
    x = _frames(features, inputs, numbers.frame_samples)
    frames = x.shape[1]
    x = layers.LSTM(numbers.units, return_sequences=averages, name="lstm")(x)
    sources = [features]
    if averages:
        length = keras.Input((), dtype="int32", name=LENGTH)
        begins = ops.arange(frames) * (numbers.frame_samples or 1)
        real = ops.expand_dims(ops.maximum(length, 1), 1) > begins
        x = layers.GlobalAveragePooling1D(dtype="float32", name="average")(x, mask=real)
        sources.append(length)
    for number, units in enumerate(numbers.dense_units, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(sources if averages else features, probabilities, name="lstm")


def _frames(features: keras.KerasTensor, inputs: Inputs, frame_samples: int | None) -> keras.KerasTensor:
    """Normalized frames, (batch, frames, coefficients or samples)."""
    if frame_samples is None:
        plane(inputs, "lstm")
        return normalization(inputs.statistics)(features)
    if len(inputs.shape) != 1 or inputs.shape[0] % frame_samples:
        raise DataError(
            f"lstm: frame_samples {frame_samples} divides waveforms into whole frames, but the view {inputs.kind} has "
            f"shape {inputs.shape}: give it a waveform of a multiple of that, or leave frame_samples out"
        )
    x = layers.Reshape((inputs.shape[0], 1), name="channel")(features)
    x = normalization(inputs.statistics)(x)
    return layers.Reshape((inputs.shape[0] // frame_samples, frame_samples), name="frames")(x)
