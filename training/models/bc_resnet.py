"""BC-ResNet: residuals that are computed over time and broadcast over frequency (Kim et al., 2021)."""

from __future__ import annotations

from typing import Annotated, Final

import keras
from keras import layers
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT
from results.model import FEATURES
from training.inputs import Inputs, plane
from training.normalization import normalization

_SUB_BANDS: Final = 5
_HALVINGS: Final = 3
"""By the first convolution and by the first block of the second and third stage."""

_DEPTHWISE_DTYPE: Final = "float32"
"""In every precision: in bfloat16, TensorFlow 2.17's depthwise convolution can hang on a processor."""

_STAGES: Final = ((2, 1.0, 1), (2, 1.5, 2), (4, 2.0, 2), (4, 2.5, 1))
"""Blocks of each stage, channels as a multiple of those of the first, and stride over frequency of its first block."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """The width τ of BC-ResNet-τ: its stages have 8, 12, 16 and 20 times τ channels; and the dropout rate.

    Attributes:
        dropout: share of the channels that each residual loses in training.
    """

    tau: Annotated[float, Field(ge=0.5)]
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """A 5×5 convolution, twelve blocks of broadcasted residuals in four stages, two convolutions, the mean, a softmax.

    "Broadcasted Residual Learning for Efficient Keyword Spotting" (Kim, Chang, Lee and Sung, Interspeech 2021, arXiv
    2106.04140), table 1, as its authors' code has it (github.com/Qualcomm-AI-research/bcresnet). Different from there:
    features are normalized by their statistics first.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients), whose coefficients are frequencies.
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional, or their coefficients can't be halved and cut into sub-bands.
    """
    frames, coefficients = plane(inputs, "bc_resnet")
    if coefficients % (_SUB_BANDS * 2**_HALVINGS):
        raise DataError(
            f"bc_resnet: got {coefficients} coefficients, expected a multiple of {_SUB_BANDS * 2**_HALVINGS}, which "
            f"can be halved {_HALVINGS} times and cut into {_SUB_BANDS} sub-bands: give it a view of 40 mel bands"
        )
    channels = int(8 * numbers.tau)
    features = keras.Input((frames, coefficients), name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.Reshape((frames, coefficients, 1), name="image")(x)
    x = layers.ZeroPadding2D(2, name="head_padding")(x)
    x = layers.Conv2D(2 * channels, 5, strides=(1, 2), use_bias=False, name="head")(x)
    x = layers.ReLU(name="head_relu")(_batch_normalization("head")(x))
    for stage, (blocks, multiple, stride) in enumerate(_STAGES):
        for number in range(blocks):
            name = f"stage_{stage + 1}_block_{number + 1}"
            x = _block(x, int(multiple * channels), 1 if number else stride, 2**stage, numbers.dropout, name)
    x = layers.ZeroPadding2D((2, 0), name="tail_padding")(x)
    x = layers.DepthwiseConv2D(5, use_bias=False, dtype=_DEPTHWISE_DTYPE, name="tail_depthwise")(x)
    x = layers.Conv2D(4 * channels, 1, use_bias=False, name="tail")(x)
    x = layers.ReLU(name="tail_relu")(_batch_normalization("tail")(x))
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="bc_resnet")


def _block(
    x: keras.KerasTensor, channels: int, stride: int, dilation: int, dropout: float, name: str
) -> keras.KerasTensor:
    """y = x + f2(x) + broadcast(f1(mean over frequency of f2(x))); where channels change, without x (equations 2, 3).

    Args:
        x: (batch, frames, frequencies, channels).
        channels: of the result.
        stride: over frequency.
        dilation: over time.
        dropout: share of channels.
        name: of the block.
    """
    transition = x.shape[-1] != channels
    shortcuts = [] if transition else [x]
    if transition:
        x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_transition")(x)
        x = layers.ReLU(name=f"{name}_transition_relu")(_batch_normalization(f"{name}_transition")(x))
    depthwise = layers.DepthwiseConv2D(
        (1, 3), padding="same", use_bias=False, dtype=_DEPTHWISE_DTYPE, name=f"{name}_frequency"
    )
    x = depthwise(x)
    if stride > 1:  # the convolution itself can't: TensorFlow has depthwise strides for both axes only
        x = layers.AveragePooling2D(1, strides=(1, stride), name=f"{name}_stride")(x)
    x = _sub_spectral_normalization(x, name)
    over_time = _over_time(x, channels, dilation, dropout, name)
    x = layers.Add(name=f"{name}_sum")([x, over_time, *shortcuts])
    return layers.ReLU(name=f"{name}_relu")(x)


def _over_time(x: keras.KerasTensor, channels: int, dilation: int, dropout: float, name: str) -> keras.KerasTensor:
    """The mean over frequency, convolved over time and channels; (batch, frames, 1, channels)."""
    x = layers.AveragePooling2D((1, x.shape[2]), name=f"{name}_mean")(x)
    depthwise = layers.DepthwiseConv2D(
        (3, 1),
        padding="same",
        dilation_rate=(dilation, 1),
        use_bias=False,
        dtype=_DEPTHWISE_DTYPE,
        name=f"{name}_time",
    )
    x = _batch_normalization(f"{name}_time")(depthwise(x))
    x = layers.Activation("silu", name=f"{name}_swish")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_pointwise")(x)
    return layers.SpatialDropout2D(dropout, name=f"{name}_dropout")(x)


def _sub_spectral_normalization(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch normalization of each channel in each sub-band, equal stretches of frequency.

    "SubSpectral Normalization for Neural Audio Data Processing" (Chang, Park, Cho, Lee, Yun and Sung, ICASSP 2021,
    arXiv 2103.13620), equation 2, with a scale and a shift for each sub-band.
    """
    frames, frequencies, channels = x.shape[1:]
    width = frequencies // _SUB_BANDS
    x = layers.Reshape((frames, _SUB_BANDS, width, channels), name=f"{name}_cut")(x)
    x = layers.Permute((1, 3, 2, 4), name=f"{name}_bands_last")(x)
    x = layers.Reshape((frames, width, _SUB_BANDS * channels), name=f"{name}_bands_as_channels")(x)
    x = _batch_normalization(f"{name}_sub_spectral")(x)
    x = layers.Reshape((frames, width, _SUB_BANDS, channels), name=f"{name}_channels_as_bands")(x)
    x = layers.Permute((1, 3, 2, 4), name=f"{name}_bands_first")(x)
    return layers.Reshape((frames, frequencies, channels), name=f"{name}_joined")(x)


def _batch_normalization(name: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_normalization")
