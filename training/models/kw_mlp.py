"""Keyword-MLP of Morshed and Ahsan (2021): gated multilayer perceptrons along time instead of attention."""

from __future__ import annotations

from typing import Annotated, Final

import keras
from keras import initializers, layers
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.types import STRICT, PositiveInt
from results.model import FEATURES
from training.inputs import Inputs, plane
from training.normalization import normalization

EPSILON: Final = 1e-5
"""Of all layer normalizations, as in PyTorch."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Number of blocks, width of each frame, units of each half of a gate, and how often a block is kept in training.

    Attributes:
        survival: probability, drawn per clip and block; a block that is dropped passes its input on, and one that is
            kept counts 1 / survival as much.
    """

    blocks: PositiveInt
    width: PositiveInt
    gate_units: PositiveInt
    survival: Annotated[float, Field(gt=0, le=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """Frames projected, gated blocks with a residual sum, layer normalization, the mean over time and a softmax.

    "Attention-Free Keyword Spotting" (Morshed and Ahsan, 2021, arXiv 2110.07749), section 2: KW-MLP is 12 blocks of
    width 64 with gates of 128 on 98 frames of 40 MFCCs; the block is that of gMLP (Liu et al., 2021, section 2), its
    output normalized before the sum. The published code drops a block for a whole batch and never rescales; here each
    clip draws on its own (Huang et al., 2016). The published system fed MFCCs as they are; here they are normalized
    first.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional.
    """
    features = keras.Input(plane(inputs, "kw_mlp"), name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = layers.Dense(numbers.width, name="projection")(x)
    for block in range(1, numbers.blocks + 1):
        y = layers.Dense(2 * numbers.gate_units, activation="gelu", name=f"block_{block}_in")(x)
        y = layers.Dense(numbers.width, name=f"block_{block}_out")(_gated(y, numbers.gate_units, f"gate_{block}"))
        y = layers.LayerNormalization(epsilon=EPSILON, name=f"normalization_{block}")(y)
        y = layers.Dropout(1 - numbers.survival, noise_shape=(None, 1, 1), name=f"survival_{block}")(y)
        x = layers.Add(name=f"sum_{block}")([x, y])
    x = layers.LayerNormalization(epsilon=EPSILON, name="normalization_after")(x)
    x = layers.GlobalAveragePooling1D(name="average")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    return keras.Model(features, probabilities, name="kw_mlp")


def _gated(x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
    """The first half of the units times a mixture over time of the second, normalized (gMLP, equation 2).

    A gate begins at almost exactly one: a bias of one, and weights within ±1e-3 / frames.
    """
    frames = x.shape[1]
    gate = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_normalization")(x[:, :, units:])
    mixture = layers.EinsumDense(
        "bsu,st->btu",
        output_shape=(frames, units),
        bias_axes="t",
        kernel_initializer=initializers.RandomUniform(-1e-3 / frames, 1e-3 / frames),
        bias_initializer="ones",
        name=name,
    )(gate)
    return layers.Multiply(name=f"{name}_product")([x[:, :, :units], mixture])
