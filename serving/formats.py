"""Writes a trained network in the formats of an export: SavedModel, LiteRT, LiteRT of whole numbers, ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from features import portable_operations, tensor_operations
from features.views import View, Waveform
from results.model import FEATURES, LENGTH
from serving.audio_model import AUDIO, PROBABILITIES, from_audio, from_view
from serving.description import PLACES, ExportedModel, Format, Quantization, exported_files

Floats = npt.NDArray[np.float32]

ONNX_OPSET: Final = 17
_UNCONVERTED: Final = "TFL_"
"""How the names of operators begin that tf2onnx leaves as they are."""
_CLASSES: Final = "classes"
_INT16: Final = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


class Refused(Exception):
    """A network can't be written in a format; the message says why, for people."""


def write_saved_model(folder: Path, network: keras.Model, view: View, classes: tuple[str, ...]) -> ExportedModel:
    """A SavedModel whose signature takes audio and gives probabilities and class names.

    Args:
        folder: of the export.
        network: from the view to probabilities.
        view: what it reads.
        classes: class names in order of the probabilities.
    """
    module = tf.Module()
    module.network = network  # so that its weights are saved
    classify = from_audio(network, view, tensor_operations, clips=None)
    names = tf.constant(classes)

    def serve(audio: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PROBABILITIES: classify(audio), _CLASSES: names}

    signature = tf.function(serve, input_signature=[classify.structured_input_signature[0][0]])
    place = PLACES["saved_model"]
    tf.saved_model.save(module, str(folder / place), signatures=signature.get_concrete_function())
    return ExportedModel(takes="audio", files=exported_files(folder, place))


def write_litert(folder: Path, network: keras.Model, view: View) -> ExportedModel:
    """One LiteRT file from audio to probabilities, in float32, of built-in operators alone.

    Raises:
        Refused: the converter lacks an operator.
    """
    return _write(folder, "litert", _converter(from_audio(network, view, portable_operations, clips=1)), "audio")


def write_litert_network(folder: Path, network: keras.Model, view: View) -> ExportedModel:
    """A LiteRT file from the view to probabilities, in float32.

    Raises:
        Refused: the network reads lengths, or the converter lacks an operator.
    """
    return _write(folder, "litert_network", _of_view(network, view), "view")


def write_litert_int8(folder: Path, network: keras.Model, view: View, calibration: Floats) -> ExportedModel:
    """A LiteRT file from the view to probabilities in whole numbers: weights of 8 bits, inputs and outputs, too.

    Where the view is a waveform, all but the weights have 16 bits: in 8, what is quiet is not there any more.

    Args:
        folder, network, view: as above.
        calibration: features of some train clips, float32, (clips, *view.shape), by which ranges are chosen.

    Raises:
        Refused: the network reads lengths or has recurrent layers, or the converter lacks an operator.
    """
    if any(isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional) for layer in network.layers):
        raise Refused("TensorFlow 2.17's converter crashes on recurrent layers in whole numbers")
    converter = _of_view(network, view)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([clip[None]] for clip in calibration)
    wide = isinstance(view, Waveform)
    converter.target_spec.supported_ops = [_INT16 if wide else tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int16 if wide else tf.int8
    return _write(folder, "litert_int8", converter, "view")


def write_onnx(folder: Path) -> ExportedModel:
    """An ONNX file from audio to probabilities, made of the LiteRT file, which has to be there.

    Raises:
        Refused: the LiteRT file is not there, or ONNX lacks an operator.
    """
    source = folder / PLACES["litert"]
    if not source.exists():
        raise Refused("it is made of the LiteRT file from audio, which could not be made")
    import tf2onnx

    try:
        model, _ = tf2onnx.convert.from_tflite(str(source), opset=ONNX_OPSET)
    except (ValueError, RuntimeError, KeyError, AssertionError) as error:
        raise Refused(_first_line(error)) from error
    if unknown := sorted({node.op_type for node in model.graph.node if node.op_type.startswith(_UNCONVERTED)}):
        raise Refused(f"the converter to ONNX does not know LiteRT's operator {unknown[0].removeprefix(_UNCONVERTED)}")
    _rename(model.graph)
    place = PLACES["onnx"]
    (folder / place).write_bytes(model.SerializeToString(deterministic=True))
    return ExportedModel(takes="audio", files=exported_files(folder, place))


def _of_view(network: keras.Model, view: View) -> Any:
    """A converter of a network alone.

    Raises:
        Refused: the network reads lengths.
    """
    if [each.name for each in network.inputs] != [FEATURES]:
        raise Refused(f"the network reads the {LENGTH} of clips as well, which only a model of audio can know")
    return _converter(from_view(network, view))


def _converter(function: tf.types.experimental.ConcreteFunction) -> Any:
    """A converter of a function whose variables are constants."""
    return tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])


def _write(folder: Path, name: Format, converter: Any, takes: Any) -> ExportedModel:
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = converter.convert()
    except Exception as error:  # the converter raises what its compiler does, of many types
        raise Refused(_first_line(error)) from error
    interpreter = Interpreter(model_content=content)
    place = PLACES[name]
    (folder / place).write_bytes(content)
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()
    return ExportedModel(
        takes=takes,
        files=exported_files(folder, place),
        operators=operators(interpreter),
        inputs=_quantization(inputs),
        outputs=_quantization(outputs),
    )


def operators(interpreter: Any) -> tuple[str, ...]:
    """Names of the operators of a LiteRT file, in alphabetical order."""
    names = {detail["op_name"] for detail in interpreter._get_ops_details()}
    return tuple(sorted(names - {"DELEGATE"}))


def _quantization(detail: dict[str, Any]) -> Quantization | None:
    kind = np.dtype(detail["dtype"])
    if kind.kind != "i":
        return None
    scale, zero_point = detail["quantization"]
    return Quantization(scale=float(scale), zero_point=int(zero_point), bits=16 if kind.itemsize == 2 else 8)


def _rename(graph: Any) -> None:
    """Number the tensors and nodes of an ONNX graph by their first use; the converter's own names and order vary."""
    names = {graph.input[0].name: AUDIO, graph.output[0].name: PROBABILITIES, "": ""}
    for number, node in enumerate(graph.node):
        node.name = f"node_{number}"
        for ends in (node.input, node.output):
            ends[:] = [names.setdefault(name, f"tensor_{len(names)}") for name in ends]
    for tensor in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        tensor.name = names[tensor.name]
    graph.initializer.sort(key=lambda tensor: int(tensor.name.rpartition("_")[2]))


def _first_line(error: Exception) -> str:
    """The first thing that a compiler calls an error, or the first line that it says."""
    _, found, told = str(error).partition("error: ")
    return ((told if found else str(error)).strip().splitlines() or [type(error).__name__])[0][:300]
