"""A convolution on Google's speech embedding, a network that knows speech before it hears the first clip."""

from __future__ import annotations

import hashlib
import math
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import onnx
from keras import layers
from onnx import numpy_helper
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.types import STRICT, PositiveInt
from features.views import FULL_SCALE
from results.model import FEATURES
from training.inputs import Inputs

Weights: TypeAlias = list[npt.NDArray[np.float32]]

VIEW: Final[dict[str, Any]] = {
    "kind": "logmel",
    "frame_ms": 25,
    "hop_ms": 10,
    "fft_samples": 512,
    "floor_db": -80.0,
    "mel_bands": 32,
    "mel_low_hz": 60.0,
    "mel_high_hz": 3800.0,
    "mel_scale": "slaney",
}
"""What the embedding reads, as openWakeWord computes it."""

STAGES: Final = ((24, 1, (2, 2)), (48, 2, (1, 2)), (72, 2, (2, 2)), (96, 2, (1, 2)), (96, 2, (2, 2)))
"""Of each stage the maps, the pairs of convolutions over bands and over time, and its pooling."""

_DECIBELS_PER_UNIT: Final = 10.0
_AT_FULL_SCALE: Final = 2.0 + 2.0 * math.log10(FULL_SCALE)
"""What the embedding takes for 0 dB: a tenth of the decibels of the square of int16 samples, and 2."""
_SLOPE: Final = 0.2
_LOWEST: Final = -0.4
_CONTEXT_FRAMES: Final = 3
_PACKAGE: Final = "openwakeword"
_FILE: Final = "openwakeword/resources/models/embedding_model.onnx"
_SHA256: Final = "ba754db3cd768a524c655ea90655ee5e6055a43b8dfd29366a11e93716ae9e51"
_WITH_WEIGHTS: Final = ("Conv", "BatchNormalization")


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    """What is put around the embedding, and how much of it stays as it is.

    Attributes:
        frozen_stages: the first stages that are not fitted, of 5; 6 freezes the last convolution as well.
        padding_frames: silence in front of the clip and behind it, since an embedding sees 76 frames.
        filters: maps of the convolution on the embedding.
        dropout: rate, of the embedding's maps and before the softmax.
    """

    frozen_stages: Annotated[int, Field(ge=0, le=len(STAGES) + 1)]
    padding_frames: Annotated[int, Field(ge=0, le=75)]
    filters: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]


def build(inputs: Inputs, numbers: Numbers) -> keras.Model:
    """The embedding every eighth frame, a convolution over three of them, its largest and its mean value, a softmax.

    "Training Keyword Spotters with Limited and Synthesized Speech Data" (Lin, Kilgour, Roblek and Sharifi, ICASSP 2020,
    arXiv 2002.01322), whose network and weights are those of openWakeWord. What stands on the
    embedding is ours, and the embedding may be fitted further.

    Args:
        inputs: of the view `VIEW`.
        numbers: the sizes.

    Returns:
        A model from features, float32, (batch, frames, bands), in dB, to probabilities, float32, (batch, classes).

    Raises:
        DataError: the features are of another view, or the weights are missing.
    """
    if inputs.definition != VIEW:
        raise DataError(
            f"speech_embedding reads the view {VIEW}, got {inputs.definition}: declare that one and give it"
        )
    features = keras.Input(inputs.shape, name=FEATURES)
    x = embedding(scaled(features, numbers.padding_frames, VIEW["floor_db"]), numbers.frozen_stages)
    x = layers.BatchNormalization(momentum=0.9, name="embedding_normalization")(x)
    x = layers.SpatialDropout1D(numbers.dropout, name="dropout_maps")(x)
    x = layers.Conv1D(numbers.filters, _CONTEXT_FRAMES, padding="same", activation="relu", name="context")(x)
    x = layers.Concatenate(name="summary")(
        [layers.GlobalMaxPooling1D(name="largest")(x), layers.GlobalAveragePooling1D(name="mean")(x)]
    )
    x = layers.Dropout(numbers.dropout, name="dropout")(x)
    probabilities = layers.Dense(len(inputs.classes), activation="softmax", dtype="float32", name="probabilities")(x)
    network = keras.Model(features, probabilities, name="speech_embedding")
    set_pretrained(network)
    return network


def scaled(features: keras.KerasTensor, padding_frames: int, floor_db: float) -> keras.KerasTensor:
    """Decibels below full scale as the embedding takes them: a tenth of those of samples up to 32767, and 2 more."""
    lowest = floor_db / _DECIBELS_PER_UNIT
    x = layers.Rescaling(1 / _DECIBELS_PER_UNIT, -lowest, name="above_floor")(features)
    x = layers.ZeroPadding1D(padding_frames, name="padding")(x)
    return layers.Rescaling(1.0, lowest + _AT_FULL_SCALE, name="scale")(x)


def embedding(x: keras.KerasTensor, frozen_stages: int) -> keras.KerasTensor:
    """The speech embedding, without its weights; from (batch, frames, bands) to (batch, embeddings, 96)."""
    x = layers.Reshape((*x.shape[1:], 1), name="image")(x)
    for number, (filters, pairs, pooling) in enumerate(STAGES, start=1):
        fitted = number > frozen_stages
        if number == 1:
            x = _head(x, filters, fitted)
        for pair in range(1, pairs + 1):
            name = f"stage_{number}_{pair}"
            x = _convolution(x, filters, (1, 3), fitted, f"{name}_bands")
            x = _convolution(x, filters, (3, 1), fitted, f"{name}_time")
        x = layers.MaxPooling2D(pooling, name=f"stage_{number}_pooling")(x)
    fitted = frozen_stages <= len(STAGES)
    x = layers.Conv2D(filters, (3, 1), use_bias=False, trainable=fitted, name="embedding")(x)
    return layers.Reshape((-1, filters), name="embeddings")(x)


def _head(x: keras.KerasTensor, filters: int, fitted: bool) -> keras.KerasTensor:
    """The first convolution; its normalization keeps the averages of the speech that it learned from."""
    x = layers.ZeroPadding2D(((0, 0), (1, 1)), name="head_padding")(x)
    x = layers.Conv2D(filters, 3, use_bias=False, trainable=fitted, name="head")(x)
    x = layers.ReLU(name="head_relu")(x)
    x = layers.BatchNormalization(trainable=False, name="head_normalization")(x)
    return _activation(x, "head_leaky")


def _convolution(
    x: keras.KerasTensor, filters: int, kernel: tuple[int, int], fitted: bool, name: str
) -> keras.KerasTensor:
    """A convolution that keeps the bands and shortens the time by what its kernel reaches over."""
    x = layers.ZeroPadding2D((0, kernel[1] // 2), name=f"{name}_padding")(x)
    x = layers.Conv2D(filters, kernel, trainable=fitted, name=name)(x)
    return _activation(x, f"{name}_leaky")


def _activation(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """`max(leaky_relu(x), -0.4)`, the limit first: of the other order TensorFlow logs an error when it fuses them."""
    return layers.LeakyReLU(_SLOPE, name=name)(keras.ops.maximum(x, _LOWEST / _SLOPE))


def set_pretrained(network: keras.Model) -> None:
    """Give a network's embedding the published weights."""
    names = ["head", "head_normalization"]
    names += [layer.name for layer in network.layers if layer.name.endswith(("_bands", "_time"))]
    for name, weights in zip([*names, "embedding"], pretrained_weights(), strict=True):
        network.get_layer(name).set_weights(weights)


def pretrained_weights() -> list[Weights]:
    """The weights of each layer of the speech embedding that has some, in order of the layers, as Keras has them.

    "Training Keyword Spotters with Limited and Synthesized Speech Data" (Lin et al., 2020, arXiv 2002.01322), published
    on TensorFlow Hub as `google/speech_embedding` under the Apache License 2.0, read from openWakeWord's ONNX file.

    Returns:
        float32: of a convolution the kernel, (height, width, inputs, filters), and the bias where it has one; of batch
        normalization gamma, beta, mean and variance.

    Raises:
        DataError: the file is missing or not the one that was published.
    """
    graph = onnx.load_from_string(_content()).graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    return [_weights(node, values) for node in graph.node if node.op_type in _WITH_WEIGHTS]


def embedding_file() -> Path:
    """Where the speech embedding's ONNX file lies.

    Raises:
        DataError: the package that holds it is not installed.
    """
    try:
        return Path(str(metadata.distribution(_PACKAGE).locate_file(_FILE)))
    except metadata.PackageNotFoundError as error:
        raise DataError(f"the package {_PACKAGE} is missing, which holds {_FILE}: install requirements.txt") from error


def _content() -> bytes:
    path = embedding_file()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error}; install {_PACKAGE} again") from error
    if (found := hashlib.sha256(content).hexdigest()) != _SHA256:
        raise DataError(f"{path} has the SHA-256 {found}, expected {_SHA256}: install requirements.txt again")
    return content


def _weights(node: onnx.NodeProto, values: dict[str, npt.NDArray[Any]]) -> Weights:
    found = [values[name] for name in node.input[1:]]
    if node.op_type == "Conv":
        found[0] = found[0].transpose(2, 3, 1, 0)  # ONNX has (filters, inputs, height, width)
    return found
