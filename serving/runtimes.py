"""Runs the formats of an export; the view, where a format takes it, is computed by the front end of the pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from features import frontend
from features.views import FULL_SCALE, View
from serving.description import Export, ExportedModel, Format, Quantization, checked_file
from serving.quiet import quiet

Clips: TypeAlias = npt.NDArray[np.int16]
Floats: TypeAlias = npt.NDArray[np.float32]
Classify: TypeAlias = Callable[[Clips], Floats]
"""From clips, int16, (clips, 16000), to probabilities, float32, (clips, classes)."""
FromFeatures: TypeAlias = Callable[[Floats], Floats]
"""From one clip's features, float32, view.shape, to probabilities, float32, (classes,)."""


def classifier(folder: Path, export: Export, name: Format) -> Classify:
    """A format of an export, ready to run on one core.

    Args:
        folder: of the export.
        export: what it says of itself.
        name: the format.

    Raises:
        DataError: the export lacks the format, or its files are not those that it describes.
    """
    place = checked_file(folder, export, name)
    if name == "saved_model":
        return _saved_model(place)
    if name == "onnx":
        return run_onnx(place)
    if name == "litert":
        run = run_litert(place, export.models[name])
        return lambda clips: np.stack([run(clip.astype(np.float32) / np.float32(FULL_SCALE)) for clip in clips])
    from_features, view = network(folder, export, name), export.feature_view
    return lambda clips: np.stack([from_features(each) for each in features_of(view, clips)])


def network(folder: Path, export: Export, name: Format = "litert_network") -> FromFeatures:
    """The network alone of an export, for those who compute the view themselves.

    Raises:
        DataError: the export lacks the format, or its files are not those that it describes.
    """
    return run_litert(checked_file(folder, export, name), export.models[name])


def features_of(view: View, clips: Clips) -> Floats:
    """What a network reads of some clips: the view's tensor times its scale; float32, (clips, *view.shape)."""
    features: Floats = frontend.compute(view, clips).astype(np.float32) * np.float32(view.scale)
    return features


def run_litert(place: Path, model: ExportedModel) -> FromFeatures:
    """A LiteRT file of one clip, on one core: from audio or features, float32, to probabilities, (classes,)."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(str(place), num_threads=1)
        interpreter.allocate_tensors()
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(values: Floats) -> Floats:
        interpreter.set_tensor(inputs["index"], quantized(values, model.inputs)[None])
        interpreter.invoke()
        return real(interpreter.get_tensor(outputs["index"])[0], model.outputs)

    return run


def quantized(values: Floats, quantization: Quantization | None) -> npt.NDArray[Any]:
    """Real numbers as whole ones, int8 or int16, those beyond their range at its end; as they are without a scale."""
    if quantization is None:
        return values
    kind = np.dtype(f"int{quantization.bits}")
    whole: npt.NDArray[np.float32] = np.rint(values / np.float32(quantization.scale)) + quantization.zero_point
    numbers: npt.NDArray[Any] = np.clip(whole, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)
    return numbers


def real(values: npt.NDArray[Any], quantization: Quantization | None) -> Floats:
    """The inverse of `quantized`."""
    if quantization is None:
        same: Floats = values.astype(np.float32)
        return same
    found: Floats = (values.astype(np.float32) - quantization.zero_point) * np.float32(quantization.scale)
    return found


def _saved_model(place: Path) -> Classify:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(place))
    signature = loaded.signatures["serving_default"]

    def classify(clips: Clips) -> Floats:
        audio = tf.constant(clips.astype(np.float32) / np.float32(FULL_SCALE))
        probabilities: Floats = signature(audio=audio)["probabilities"].numpy()
        return probabilities

    classify.loaded = loaded  # type: ignore[attr-defined]  # the signature does not keep its variables alive
    return classify


def run_onnx(place: Path) -> Classify:
    """An ONNX file from audio to probabilities, on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(place), options, providers=["CPUExecutionProvider"])

    def classify(clips: Clips) -> Floats:
        audio = clips.astype(np.float32) / np.float32(FULL_SCALE)
        return np.concatenate([session.run(None, {"audio": clip[None]})[0] for clip in audio])

    return classify
