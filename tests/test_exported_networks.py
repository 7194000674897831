"""Each network of docs/models.md in every format that it can have: the same probabilities from the same clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_models_page import ROWS, entries, loaded, views

from features import frontend, tensor_operations
from features.statistics import Statistics
from features.views import View, Waveform, definition, from_definition
from serving import formats
from serving.audio_model import from_audio
from serving.quiet import quiet
from serving.runtimes import run_litert, run_onnx
from training import models
from training.inputs import Inputs

pytestmark = pytest.mark.slow

CLASSES = ("a", "b", "c", "d")
FIRST_ROWS = [*{entries()[name]["network"]: name for name in reversed(ROWS)}.values(), "lstm_raw"]
"""One model of each network, and one that reads lengths."""
NO_INT8 = {"lstm_spectrogram", "lstm_raw", "mhatt_rnn"}
"""Recurrent layers."""
NO_NETWORK = {"lstm_raw"}
"""They read lengths."""
NO_ONNX = {"kwt_1"}
"""GELU."""
NOTHING = {"kw_mlp"}
"""The converter fails on its mixture over time."""


def clips() -> np.ndarray[Any, Any]:
    """Noise of several levels, one clip half empty; int16, (8, 16000)."""
    generator = np.random.default_rng(0)
    levels = generator.uniform(30, 6000, (8, 1))
    found = np.clip(generator.normal(0, 1, (8, 16_000)) * levels, -32_768, 32_767).astype(np.int16)
    found[3, 9_000:] = 0
    return found


def stirred(name: str, view: View, folder: Path) -> keras.Model:
    """A network whose weights are not those of a first draw, so that each of them counts."""
    model = loaded(name, folder)
    features = frontend.compute(view, clips()).astype(np.float64) * view.scale
    flat = features.reshape(-1, view.width)
    mean, std, lowest, highest = flat.mean(axis=0), flat.std(axis=0) + 1e-6, flat.min(axis=0), flat.max(axis=0)
    statistics = Statistics(8, len(flat), mean, std, lowest, highest)
    inputs = Inputs(view.kind, view.shape, view.step_ms, CLASSES, statistics, definition(view))
    keras.utils.set_random_seed(0)
    network = models.find(model.network).build(inputs, model.numbers)
    generator = np.random.default_rng(1)
    for layer in network.layers:
        if not isinstance(layer, keras.layers.Normalization):
            layer.set_weights([each * generator.uniform(0.9, 1.1, each.shape) for each in layer.get_weights()])
    return network


def compare(network: keras.Model, view: View, folder: Path) -> dict[str, str]:
    """Write and run each format; the reasons of those that can't be made."""
    omitted: dict[str, str] = {}
    audio = clips()
    expected = from_audio(network, view, tensor_operations, None)(tf.constant(audio / np.float32(32_768))).numpy()
    features = frontend.compute(view, audio).astype(np.float32) * np.float32(view.scale)
    writers = {
        "litert": lambda: formats.write_litert(folder, network, view),
        "litert_network": lambda: formats.write_litert_network(folder, network, view),
        "litert_int8": lambda: formats.write_litert_int8(folder, network, view, features),
        "onnx": lambda: formats.write_onnx(folder),
    }
    for name, write in writers.items():
        try:
            with quiet():
                made = write()
        except formats.Refused as error:
            omitted[name] = str(error)
            continue
        place = folder / made.files[0].path
        if name == "onnx":
            found = run_onnx(place)(audio)
        else:
            run = run_litert(place, made)
            given = audio / np.float32(32_768) if made.takes == "audio" else features
            found = np.stack([run(each) for each in given])
        np.testing.assert_allclose(found, expected, atol=tolerance(name, view), err_msg=name)
        if name == "litert_int8":
            assert made.inputs and made.outputs
            assert {made.inputs.bits, made.outputs.bits} == ({16} if isinstance(view, Waveform) else {8})
    return omitted


def tolerance(name: str, view: View) -> float:
    """The largest difference of a probability; whole numbers of 16 bits are nearer than those of 8."""
    if name != "litert_int8":
        return 2e-3
    return 0.02 if isinstance(view, Waveform) else 0.15


@pytest.mark.parametrize("name", FIRST_ROWS)
def test_each_format_of_a_network_gives_its_probabilities(name: str, tmp_path: Path) -> None:
    view = from_definition(views()[ROWS[name][0]])
    omitted = compare(stirred(name, view, tmp_path), view, tmp_path)
    expected = {"litert_int8"} if name in NO_INT8 else set()
    expected |= {"litert_network"} if name in NO_NETWORK else set()
    expected |= {"onnx"} if name in NO_ONNX else set()
    if name in NOTHING:
        expected = {"litert", "litert_network", "litert_int8", "onnx"}
    assert set(omitted) == expected
    assert all(omitted.values())


@pytest.mark.parametrize("view_name", ["micro", "pcen", "mlperf_tiny", "waveform_8khz"])
def test_a_network_on_another_front_end(view_name: str, tmp_path: Path) -> None:
    view = from_definition(views()[view_name])
    name = "m5" if view_name == "waveform_8khz" else "ds_cnn"
    omitted = compare(stirred(name, view, tmp_path), view, tmp_path)
    if view_name == "micro":
        assert set(omitted) == {"litert", "onnx"} and "RightShift" in omitted["litert"]
    else:
        assert not omitted
