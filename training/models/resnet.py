"""ResNet: two convolutions and a shortcut to a block, wider and coarser from stage to stage (He et al., 2016)."""

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

_HEAD_KERNEL: Final = 5
_HEAD_STRIDE: Final = 2


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Maps of each stage, blocks of each stage, and the dropout rate before the softmax."""

    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    blocks: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """A 5×5 convolution by strides of 2, stages of basic blocks, the mean over time and frequency, a softmax.

    "Deep Residual Learning for Image Recognition" (He, Zhang, Ren and Sun, CVPR 2016, arXiv 1512.03385), section 4.2:
    with 16, 32 and 64 maps and two blocks a stage its ResNet-14. Every stage but the first halves both axes by the
    stride of its first convolution, and its first shortcut is a normalized 1×1 convolution (option B there). Different
    from there: the first convolution is larger and has strides, since a clip has 4,000 values where 1,024 do, and
    features are normalized by their statistics first.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients), whose coefficients are frequencies.
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional.
    """
    shape = plane(inputs, "resnet")
    features = keras.Input(shape, name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.Reshape((*shape, 1), name="image")(x)
    x = _convolution(x, numbers.filters[0], _HEAD_KERNEL, _HEAD_STRIDE, "head")
    x = layers.ReLU(name="head_relu")(x)
    for stage, filters in enumerate(numbers.filters, start=1):
        for block in range(1, numbers.blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, filters, stride, f"stage_{stage}_block_{block}")
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Dropout(numbers.dropout, name="dropout")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="resnet")


def _block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    """Two 3×3 convolutions beside a shortcut, added before the last ReLU (the paper's figure 2)."""
    shortcut = _convolution(x, filters, 1, stride, f"{name}_shortcut") if stride > 1 else x
    x = layers.ReLU(name=f"{name}_relu_1")(_convolution(x, filters, 3, stride, f"{name}_1"))
    x = layers.Add(name=f"{name}_sum")([_convolution(x, filters, 3, 1, f"{name}_2"), shortcut])
    return layers.ReLU(name=f"{name}_relu_2")(x)


def _convolution(x: keras.KerasTensor, filters: int, kernel_size: int, stride: int, name: str) -> keras.KerasTensor:
    """A convolution without a bias, then batch normalization."""
    x = layers.Conv2D(filters, kernel_size, strides=stride, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_normalization")(x)
