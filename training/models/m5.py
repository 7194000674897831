"""Stacked one-dimensional convolutions on raw waveforms: M3, M5, M11 and M18 (Dai and others, 2017)."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import keras
from keras import layers
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveInt
from results.model import FEATURES
from training.inputs import Inputs
from training.normalization import normalization

POOLING: Final = 4
"""Samples that become one."""

POOLED_STAGES: Final = 4
"""Each of the first stages ends in a pooling; a fifth is averaged over all that is left."""

LATER_KERNEL_SIZE: Final = 3


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Maps of each convolution by stage, size and stride of the first one, and what stands beyond a clip's ends.

    Attributes:
        stages: the first has the one convolution of `kernel_size` and `stride`; all others have kernels of 3.
        padding: "same" pads each convolution with zeros, "valid" shortens the clip.
    """

    stages: Annotated[tuple[Annotated[tuple[PositiveInt, ...], Field(min_length=1)], ...], Field(min_length=1)]
    kernel_size: PositiveInt
    stride: PositiveInt
    padding: Literal["same", "valid"]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """Convolutions with batch normalization and ReLU, max-pooling by 4 after stages, a global average and a softmax.

    "Very Deep Convolutional Neural Networks for Raw Waveforms" (Dai et al., ICASSP 2017, arXiv 1610.00087), table 1:
    M5 is [[128], [128], [256], [512]] and M18 [[64], [64] × 4, [128] × 4, [256] × 4, [512] × 4], both with a first
    kernel of 80, stride 4, on zero-padded waveforms of 8 kHz. The narrow M5 of PyTorch's tutorial on speech commands is
    [[32], [32], [64], [64]] with stride 16 and no padding. Waveforms are brought to mean 0 and variance 1 by the
    statistics of all clips that are fitted. Batch normalization is that of PyTorch: ε is 1e-5, and an average keeps 0.9
    of its past.

    Args:
        inputs: of a waveform.
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, samples), to probabilities, float32, (batch, classes).

    Raises:
        DataError: the features are not a waveform, or too short to be shortened so often.
    """
    samples = _waveform(inputs)
    features = keras.Input((samples,), name=FEATURES)
    x = layers.Reshape((samples, 1), name="channel")(features)
    x = normalization(inputs.statistics)(x)
    kernel_size, stride = numbers.kernel_size, numbers.stride
    for stage, maps in enumerate(numbers.stages, start=1):
        for number, filters in enumerate(maps, start=1):
            _check_length(x.shape[1], kernel_size if numbers.padding == "valid" else 1, stage)
            x = _convolution(x, filters, kernel_size, stride, numbers.padding, f"{stage}_{number}")
            kernel_size, stride = LATER_KERNEL_SIZE, 1
        if stage <= POOLED_STAGES:
            _check_length(x.shape[1], POOLING, stage)
            x = layers.MaxPooling1D(POOLING, name=f"pooling_{stage}")(x)
    x = layers.GlobalAveragePooling1D(name="average")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="m5")


def _waveform(inputs: Inputs) -> int:
    if len(inputs.shape) != 1:
        raise DataError(
            f"m5 reads waveforms, but the view {inputs.kind} has shape {inputs.shape}: give it a view of kind waveform"
        )
    return inputs.shape[0]


def _check_length(length: int, needed: int, stage: int) -> None:
    if length < needed:
        raise DataError(
            f"m5: stage {stage} needs {needed} steps, and the stages before it leave {length}: "
            "use fewer stages, padding same, a smaller stride, or a view of a higher sample rate"
        )


def _convolution(
    x: keras.KerasTensor, filters: int, kernel_size: int, stride: int, padding: str, name: str
) -> keras.KerasTensor:
    x = layers.Conv1D(filters, kernel_size, stride, padding=padding, name=f"convolution_{name}")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"normalization_{name}")(x)
    return layers.ReLU(name=f"relu_{name}")(x)
