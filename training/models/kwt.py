"""The Keyword Transformer (Berg and others, 2021): attention between the frames of a clip."""

from __future__ import annotations

import keras
from keras import initializers, layers, ops
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveInt
from results.model import FEATURES
from training.inputs import Inputs, plane
from training.normalization import normalization


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """Number of blocks, width of each token, attention heads that share it, and units of each block's dense layer."""

    blocks: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    dense_units: PositiveInt


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """Frames as tokens behind a class token, with learned positions; encoder blocks; a softmax on the class token.

    "Keyword Transformer: A Self-Attention Model for Keyword Spotting" (Berg et al., Interspeech 2021, arXiv
    2104.00769), section 2, with attention in time: KWT-1 is 12 blocks of width 64 with one head and 256 dense units on
    98 frames of 40 MFCCs. Each block is normalized after its sums, as in the paper. Dropout is left out, as in the
    paper's runs. The published system fed MFCCs as they are; here they are normalized first.

    Args:
        inputs: of a two-dimensional view, (frames, coefficients).
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, coefficients), un-normalized, to probabilities, float32,
        (batch, classes).

    Raises:
        DataError: the features are not two-dimensional, or the heads can't share the width.
    """
    shape = plane(inputs, "kwt")
    if numbers.width % numbers.heads:
        raise DataError(
            f"kwt: {numbers.heads} heads can't share a width of {numbers.width}: choose a multiple of heads"
        )
    features = keras.Input(shape, name=FEATURES)
    x = normalization(inputs.statistics)(features)
    x = _dense(numbers.width, "projection")(x)
    x = _with_class_token_and_positions(x, shape[0], numbers.width)
    for block in range(1, numbers.blocks + 1):
        x = _sum_normalized(x, _attention(x, numbers, f"attention_{block}"), f"normalization_attention_{block}")
        y = _dense(numbers.dense_units, f"dense_{block}_in", activation="gelu")(x)
        y = _dense(numbers.width, f"dense_{block}_out")(y)
        x = _sum_normalized(x, y, f"normalization_dense_{block}")
    probabilities = _dense(len(inputs.classes), "probabilities", activation="softmax", dtype="float32")(x[:, 0])
    return keras.Model(features, probabilities, name="kwt")


def _with_class_token_and_positions(x: keras.KerasTensor, frames: int, width: int) -> keras.KerasTensor:
    """A learned token before the frames, and a learned vector added at each place (equation 1)."""
    first = ops.zeros_like(x[:, :1, 0], dtype="int32")
    token = layers.Embedding(1, width, _truncated_normal(), name="class_token")(first)
    places = first + ops.arange(frames + 1, dtype="int32")
    positions = layers.Embedding(frames + 1, width, _truncated_normal(), name="positions")(places)
    return layers.Add(name="tokens")([layers.Concatenate(axis=1, name="with_class_token")([token, x]), positions])


def _attention(x: keras.KerasTensor, numbers: Numbers, name: str) -> keras.KerasTensor:
    """softmax(Q·Kᵀ/√d)·V of each head, side by side, and a projection (Vaswani et al., 2017)."""
    tokens, width = x.shape[1], numbers.width
    by_head = (tokens, numbers.heads, width // numbers.heads)
    query, key, value = (
        layers.Reshape(by_head, name=f"{name}_{role}_heads")(_dense(width, f"{name}_{role}", use_bias=False)(x))
        for role in ("query", "key", "value")
    )
    attended = ops.dot_product_attention(query, key, value)
    return _dense(width, f"{name}_out")(layers.Reshape((tokens, width), name=f"{name}_heads")(attended))


def _sum_normalized(x: keras.KerasTensor, y: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=1e-6, name=name)(layers.Add(name=f"{name}_sum")([x, y]))


def _dense(
    units: int, name: str, activation: str | None = None, use_bias: bool = True, dtype: str | None = None
) -> layers.Layer:
    return layers.Dense(units, activation, use_bias, _truncated_normal(), dtype=dtype, name=name)


def _truncated_normal() -> initializers.Initializer:
    return initializers.TruncatedNormal(stddev=0.02)
