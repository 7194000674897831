"""The weights of Google's speech embedding, which learned from much other speech what tells words apart."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from base.errors import DataError

Weights: TypeAlias = list[npt.NDArray[np.float32]]

_PACKAGE: Final = "openwakeword"
_FILE: Final = "openwakeword/resources/models/embedding_model.onnx"
_SHA256: Final = "ba754db3cd768a524c655ea90655ee5e6055a43b8dfd29366a11e93716ae9e51"
_WITH_WEIGHTS: Final = ("Conv", "BatchNormalization")


def speech_embedding() -> list[Weights]:
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
