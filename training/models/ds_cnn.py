"""DS-CNN: a small network of depthwise separable convolutions (Zhang et al., 2017), as MLPerf Tiny has it."""

from __future__ import annotations

from typing import Annotated, Final

import keras
from keras import layers
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveInt
from results.model import FEATURES
from training.inputs import Inputs, plane
from training.normalization import normalization

_FIRST_KERNEL: Final = (10, 4)
_DEPTHWISE_DTYPE: Final = "float32"
"""In every precision: in bfloat16, TensorFlow 2.17's depthwise convolution can hang on a processor."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Maps of each convolution, the number of separable convolutions, and two dropout rates.

    Attributes:
        dropout_first: after the first convolution.
        dropout_last: before the mean over the plane.
    """

    filters: PositiveInt
    separable_convolutions: PositiveInt
    dropout_first: Annotated[float, Field(ge=0, lt=1)]
    dropout_last: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """A 10×4 convolution of stride 2, separable 3×3 convolutions, the mean over the plane, a softmax.

    "Hello Edge: Keyword Spotting on Microcontrollers" (Zhang, Suda, Lai and Chandra, arXiv 1711.07128), section 4.1,
    as the benchmark of MLPerf Tiny (github.com/mlcommons/tiny, `keras_model.py`) has it: 64 maps, four separable
    convolutions, dropout 0.2 and 0.4. Like there, the mean leaves out the last row of a plane whose half is odd (24 of
    25 rows of 49 frames). Different from there: features are normalized by their statistics first, weights are decayed
    by the optimizer alone, and moving averages keep 0.9 of their value at each batch instead of 0.99, which settles
    too slowly on a small corpus.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional, or smaller than the first kernel.
    """
    frames, coefficients = plane(inputs, "ds_cnn")
    if frames < _FIRST_KERNEL[0] or coefficients < _FIRST_KERNEL[1]:
        raise DataError(
            f"ds_cnn: got features of shape {inputs.shape}, expected at least {_FIRST_KERNEL}, the size of the first "
            "kernel: give it a larger view"
        )
    features = keras.Input((frames, coefficients), name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.Reshape((frames, coefficients, 1), name="image")(x)
    x = layers.Conv2D(numbers.filters, _FIRST_KERNEL, strides=2, padding="same", name="convolution")(x)
    x = _normalized_relu(x, "convolution")
    x = layers.Dropout(numbers.dropout_first, name="dropout_first")(x)
    for number in range(1, numbers.separable_convolutions + 1):
        depthwise = layers.DepthwiseConv2D(3, padding="same", dtype=_DEPTHWISE_DTYPE, name=f"depthwise_{number}")
        x = _normalized_relu(depthwise(x), f"depthwise_{number}")
        pointwise = layers.Conv2D(numbers.filters, 1, name=f"pointwise_{number}")
        x = _normalized_relu(pointwise(x), f"pointwise_{number}")
    x = layers.Dropout(numbers.dropout_last, name="dropout_last")(x)
    x = layers.AveragePooling2D((frames // 2, coefficients // 2), name="mean")(x)
    x = layers.Flatten(name="flatten")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="ds_cnn")


def _normalized_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalization, then max(x, 0)."""
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_normalization")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
