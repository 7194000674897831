"""MatchboxNet: separable convolutions over time in residual blocks (Majumdar and Ginsburg, 2020)."""

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

_PROLOGUE_KERNEL: Final = 11
_EPILOGUE_KERNEL: Final = 29
_EPILOGUE_DILATION: Final = 2
_OUTER_FILTERS: Final = 128
_DEPTHWISE_DTYPE: Final = "float32"
"""In every precision: in bfloat16, TensorFlow 2.17's depthwise convolution can hang on a processor."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """MatchboxNet-B×R×C: the kernels of its B blocks, R and C.

    Attributes:
        kernel_sizes: of each block, in frames.
        repeats: separable convolutions in each block.
        filters: maps of each block.
    """

    kernel_sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    repeats: PositiveInt
    filters: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """A separable convolution, residual blocks of them, a dilated and a pointwise one, the mean over time, a softmax.

    "MatchboxNet: 1D Time-Channel Separable Convolutional Neural Network Architecture for Speech Commands Recognition"
    (Majumdar and Ginsburg, Interspeech 2020, arXiv 2004.08531), table 1, as NVIDIA's NeMo has it
    (`matchboxnet_3x1x64_v2.yaml`): all strides are 1. Different from there: features are normalized by their statistics
    first, and clips are not padded to 128 frames, since all of them have the same length.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional.
    """
    features = keras.Input(plane(inputs, "matchboxnet"), name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = _separable(x, _OUTER_FILTERS, _PROLOGUE_KERNEL, 1, "prologue")
    x = _relu_dropout(x, numbers.dropout, "prologue")
    for number, kernel_size in enumerate(numbers.kernel_sizes, start=1):
        x = _block(x, numbers, kernel_size, f"block_{number}")
    x = _separable(x, _OUTER_FILTERS, _EPILOGUE_KERNEL, _EPILOGUE_DILATION, "dilated")
    x = _relu_dropout(x, numbers.dropout, "dilated")
    x = _pointwise(x, _OUTER_FILTERS, "epilogue")
    x = _relu_dropout(x, numbers.dropout, "epilogue")
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="matchboxnet")


def _block(x: keras.KerasTensor, numbers: Numbers, kernel_size: int, name: str) -> keras.KerasTensor:
    """Separable convolutions beside a pointwise one, added before the last ReLU (the paper's figure 1)."""
    shortcut = _pointwise(x, numbers.filters, f"{name}_shortcut")
    for repeat in range(1, numbers.repeats + 1):
        x = _separable(x, numbers.filters, kernel_size, 1, f"{name}_{repeat}")
        if repeat < numbers.repeats:
            x = _relu_dropout(x, numbers.dropout, f"{name}_{repeat}")
    x = layers.Add(name=f"{name}_sum")([x, shortcut])
    return _relu_dropout(x, numbers.dropout, name)


def _separable(x: keras.KerasTensor, filters: int, kernel_size: int, dilation: int, name: str) -> keras.KerasTensor:
    """A convolution over time in each channel, then a normalized one over channels."""
    depthwise = layers.DepthwiseConv1D(
        kernel_size,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        dtype=_DEPTHWISE_DTYPE,
        name=f"{name}_depthwise",
    )
    return _pointwise(depthwise(x), filters, name)


def _pointwise(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """A convolution over channels, then batch normalization."""
    x = layers.Conv1D(filters, 1, use_bias=False, name=f"{name}_pointwise")(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_normalization")(x)


def _relu_dropout(x: keras.KerasTensor, rate: float, name: str) -> keras.KerasTensor:
    x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.Dropout(rate, name=f"{name}_dropout")(x)
