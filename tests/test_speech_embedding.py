"""Claims about the network on Google's speech embedding: it computes what openWakeWord's files do, and is fitted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from corpus_tools import ROOT

from base import params
from base.errors import DataError
from features.frontend import compute
from features.statistics import Statistics
from features.views import definition, from_definition
from results.network_file import read_network, write_network
from training.fitting.fused import fused
from training.inputs import Inputs
from training.models import speech_embedding
from training.models.speech_embedding import VIEW, Numbers

Array = npt.NDArray[Any]
NUMBERS = Numbers(frozen_stages=3, padding_frames=0, filters=8, dropout=0.2)
EMBEDDING_FRAMES, EMBEDDING_HOP = 76, 8


def inputs(view: dict[str, Any] = VIEW) -> Inputs:
    """Of a store of the view; the network looks at no statistics."""
    zero = np.zeros(32)
    return Inputs("logmel", (98, 32), 10.0, ("a", "b", "c"), Statistics(1, 98, zero, zero + 1, zero, zero), view)


def clips(number: int = 2) -> Array:
    """Tones that glide, over noise, int16, (clips, 16000)."""
    generator, time = np.random.default_rng(7), np.arange(16_000) / 16_000
    tones = [np.sin(2 * np.pi * (200 + 300 * clip + 900 * time) * time) for clip in range(number)]
    noisy: Array = 8_000 * np.stack(tones) * np.hanning(16_000) + generator.normal(scale=30, size=(number, 16_000))
    return noisy.astype(np.int16)


def onnx_session(name: str) -> onnxruntime.InferenceSession:
    path = speech_embedding.embedding_file().with_name(name)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def mel_of_openwakeword(samples: Array) -> Array:
    """Its mel bands of a clip, (frames, 32), scaled as `AudioFeatures` does; its frames begin 56 samples before."""
    around = np.pad(samples, 56).astype(np.float32)
    bands: Array = onnx_session("melspectrogram.onnx").run(None, {"input": around[None]})[0]
    return bands.squeeze() / 10 + 2


def embeddings_of_openwakeword(bands: Array) -> Array:
    """Its embeddings, a window of 76 frames each eighth frame; (windows, 96)."""
    starts = range(0, len(bands) - EMBEDDING_FRAMES + 1, EMBEDDING_HOP)
    windows = np.stack([bands[start : start + EMBEDDING_FRAMES] for start in starts]).astype(np.float32)
    found: Array = onnx_session("embedding_model.onnx").run(None, {"input_1": windows[..., None]})[0]
    return found.reshape(-1, 96)


def part(network: keras.Model, layer: str) -> keras.Model:
    return keras.Model(network.inputs, network.get_layer(layer).output)


def test_the_view_of_params_yaml_is_the_networks() -> None:
    declared = params.read_yaml(ROOT / "params.yaml")["extract"]["views"]["speech_embedding"]
    assert definition(from_definition(declared)) == VIEW


def test_features_and_embeddings_equal_those_of_openwakewords_files() -> None:
    network = speech_embedding.build(inputs(), NUMBERS)
    samples = clips()
    features = compute(from_definition(VIEW), samples)
    bands = np.stack([mel_of_openwakeword(clip) for clip in samples])
    np.testing.assert_allclose(part(network, "scale")([features]), bands, atol=2e-4)
    found = np.asarray(part(network, "embeddings")([features]))
    for clip, expected in zip(found, bands, strict=True):
        np.testing.assert_allclose(clip, embeddings_of_openwakeword(expected), atol=2e-3)


def test_padding_is_silence_on_both_sides() -> None:
    padded = speech_embedding.build(inputs(), dataclasses.replace(NUMBERS, padding_frames=20))
    features = compute(from_definition(VIEW), clips(1))
    around = np.pad(features[0], ((20, 20), (0, 0)), constant_values=-80.0) / 10 + 2 + np.log10(32768.0**2)
    found = part(padded, "embeddings")([features])
    np.testing.assert_allclose(found[0], embeddings_of_openwakeword(around), atol=2e-3)


@pytest.mark.parametrize(("frozen", "embedding_weights"), [(0, 38), (3, 17), (5, 1), (6, 0)])
def test_frozen_stages_are_not_fitted(frozen: int, embedding_weights: int) -> None:
    network = speech_embedding.build(inputs(), dataclasses.replace(NUMBERS, frozen_stages=frozen))
    own = {"context", "probabilities", "embedding_normalization"}
    fitted = [layer.name for layer in network.layers for _ in layer.trainable_weights if layer.name not in own]
    assert len(fitted) == embedding_weights
    before = [weight.copy() for weight in network.get_weights()]
    copy = fused(network)
    copy.compile("sgd", "sparse_categorical_crossentropy")
    copy.fit(compute(from_definition(VIEW), clips(6)), np.arange(6) % 3, verbose=0)
    network.set_weights(copy.get_weights())
    changed = {
        weight.path.split("/")[0]
        for weight, old, new in zip(network.weights, before, network.get_weights(), strict=True)
        if not np.array_equal(old, new)
    }
    assert changed == {*fitted, *own}


def test_a_network_is_read_back_without_the_package_that_had_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = speech_embedding.build(inputs(), NUMBERS)
    write_network(tmp_path, network)
    monkeypatch.setattr(speech_embedding, "_PACKAGE", "a-package-that-is-missing")
    features = compute(from_definition(VIEW), clips())
    np.testing.assert_array_equal(read_network(tmp_path)([features]), network(features))


def test_another_view_is_refused() -> None:
    louder = {**VIEW, "floor_db": -60.0}
    with pytest.raises(DataError, match=r"speech_embedding reads the view .*-80.*, got .*-60.*: declare that one"):
        speech_embedding.build(inputs(louder), NUMBERS)


def test_weights_that_are_missing_or_others_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(speech_embedding, "_PACKAGE", "a-package-that-is-missing")
        with pytest.raises(DataError, match=r"a-package-that-is-missing is missing, .*: install requirements.txt"):
            speech_embedding.pretrained_weights()
    monkeypatch.setattr(speech_embedding, "embedding_file", lambda: tmp_path / "embedding_model.onnx")
    with pytest.raises(DataError, match=r"embedding_model.onnx can't be read: .*; install openwakeword again"):
        speech_embedding.pretrained_weights()
    (tmp_path / "embedding_model.onnx").write_bytes(b"another network")
    with pytest.raises(DataError, match=r"has the SHA-256 \w{64}, expected ba754d\w+: install requirements.txt again"):
        speech_embedding.pretrained_weights()
