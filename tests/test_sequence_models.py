"""Claims about the networks over sequences: sizes as published, and outputs as computed from the equations in NumPy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_store import SMALL_MFCC, feature_store
from training_tools import FIT, MODEL, NO_CHANGE

from base.errors import DataError
from features.statistics import Statistics
from features.views import View, Waveform
from results.model import read_history
from results.network_file import read_network, write_network
from training import models
from training.inputs import Inputs
from training.models import kw_mlp, kwt, lstm, m5, mhatt_rnn
from training.train import train

Array = np.ndarray[Any, Any]

CLIPS: Final = {"train": 24, "validation": 4, "test": 4}
SMALL_WAVEFORM: Final = Waveform(kind="waveform", sample_rate_hz=8000)

LAST: Final = lstm.Numbers(units=5, reads="last", dense_units=(6, 4))
MEAN: Final = lstm.Numbers(units=5, reads="mean", dense_units=())
FRAMED: Final = lstm.Numbers(units=5, reads="mean", dense_units=(), frame_samples=8)
SMALL_M5: Final = m5.Numbers(stages=((4,), (3, 5)), kernel_size=8, stride=3, padding="valid")
PADDED_M5: Final = m5.Numbers(stages=((3,), (4,), (4,), (4,), (5, 4)), kernel_size=80, stride=2, padding="same")
SMALL_KWT: Final = kwt.Numbers(blocks=2, width=8, heads=2, dense_units=12)
SMALL_KW_MLP: Final = kw_mlp.Numbers(blocks=2, width=8, gate_units=6, survival=0.9)
SMALL_MHATT: Final = mhatt_rnn.Numbers(filters=(3, 2), recurrent_units=(4, 5), heads=2, dense_units=(6,), dropout=0.2)

SMALL: Final = {
    "last": ("lstm", LAST, (11, 7)),
    "mean": ("lstm", MEAN, (11, 7)),
    "framed": ("lstm", FRAMED, (48,)),
    "valid": ("m5", SMALL_M5, (200,)),
    "same": ("m5", PADDED_M5, (600,)),
    "kwt": ("kwt", SMALL_KWT, (11, 7)),
    "kw_mlp": ("kw_mlp", SMALL_KW_MLP, (11, 7)),
    "mhatt_rnn": ("mhatt_rnn", SMALL_MHATT, (11, 7)),
}
"""Name of the file, numbers and shape of the features of a small network of each form."""

MASKED: Final = ("mean", "framed")
"""The forms that read the real length of a clip."""


def made_up(shape: tuple[int, ...], classes: int) -> Inputs:
    """Inputs with statistics that differ from coefficient to coefficient."""
    width = shape[1] if len(shape) == 2 else 1
    mean, std = np.linspace(-1.0, 2.0, width), np.linspace(1.0, 3.0, width)
    statistics = Statistics(clips=3, values=3 * shape[0], mean=mean, std=std, min=mean - 3 * std, max=mean + 3 * std)
    return Inputs("made_up", shape, 10.0, tuple(f"class_{number}" for number in range(classes)), statistics)


def small(form: str) -> keras.Model:
    """An untrained small network of a form, with four classes."""
    name, numbers, shape = SMALL[form]
    return models.find(name).build(made_up(shape, 4), numbers)


def stirred(form: str) -> keras.Model:
    """A small network all of whose weights are random, so that none hides behind a zero or a one."""
    network, draw = small(form), np.random.default_rng(5)
    for weight in network.weights:
        is_variance = weight.name == "moving_variance"
        weight.assign(draw.uniform(0.1, 0.9, weight.shape) if is_variance else draw.normal(0, 0.7, weight.shape))
    return network


def clips(form: str, count: int) -> list[Array]:
    """The inputs of some clips: random features, each clip at its own level, and real lengths where they are read."""
    shape, draw = SMALL[form][2], np.random.default_rng(7)
    offsets = np.linspace(-3, 3, count).reshape(count, *[1] * len(shape))
    features = offsets + draw.normal(0.0, 2.0, (count, *shape))
    lengths = np.linspace(0, shape[0], count).round().astype(np.int32)
    return [features.astype(np.float32), *([lengths] if form in MASKED else [])]


def normalized(features: Array) -> Array:
    """Features as `made_up` statistics normalize them, float64."""
    statistics = made_up(features.shape[1:], 4).statistics
    if features.ndim == 2:
        return (features[..., None] - statistics.mean) / statistics.std
    found: Array = (features - statistics.mean) / np.sqrt(np.mean(statistics.std**2))
    return found


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    found: Array = powers / powers.sum(axis=-1, keepdims=True)
    return found


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def gelu(x: Array) -> Array:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


class Weights:
    """The weights of a network's layers by their names, as float64."""

    def __init__(self, network: keras.Model) -> None:
        self._network = network

    def __getitem__(self, name: str) -> list[Array]:
        return [weight.astype(np.float64) for weight in self._network.get_layer(name).get_weights()]

    def dense(self, name: str, x: Array) -> Array:
        kernel, *bias = self[name]
        found: Array = x @ kernel + sum(bias)
        return found

    def layer_normalized(self, name: str, x: Array, epsilon: float) -> Array:
        scale, offset = self[name]
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)
        found: Array = (x - x.mean(axis=-1, keepdims=True)) / spread * scale + offset
        return found

    def batch_normalized(self, name: str, x: Array, epsilon: float) -> Array:
        scale, offset, mean, variance = self[name]
        found: Array = (x - mean) / np.sqrt(variance + epsilon) * scale + offset
        return found


def lstm_steps(x: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """The states after each frame; Keras's order of gates is input, forget, cell, output."""
    state = cell = np.zeros((len(x), len(recurrent)))
    states = []
    for frame in x.swapaxes(0, 1):
        entry, forget, new, out = np.split(frame @ kernel + state @ recurrent + bias, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(entry) * np.tanh(new)
        state = sigmoid(out) * np.tanh(cell)
        states.append(state)
    return np.stack(states, axis=1)


def gru_steps(x: Array, kernel: Array, recurrent: Array, biases: Array) -> Array:
    """The states after each frame; the gates are update, reset and candidate, the reset after the product."""
    state = np.zeros((len(x), len(recurrent)))
    states = []
    for frame in x.swapaxes(0, 1):
        update, reset, new = np.split(frame @ kernel + biases[0], 3, axis=1)
        past_update, past_reset, past_new = np.split(state @ recurrent + biases[1], 3, axis=1)
        kept = sigmoid(update + past_update)
        state = kept * state + (1 - kept) * np.tanh(new + sigmoid(reset + past_reset) * past_new)
        states.append(state)
    return np.stack(states, axis=1)


def convolved(x: Array, kernel: Array, bias: Array, stride: int) -> Array:
    """A convolution of (clips, steps, maps) without padding, as a product for each place."""
    size = len(kernel)
    places = range(0, x.shape[1] - size + 1, stride)
    found: Array = np.stack([np.einsum("bsi,sio->bo", x[:, at : at + size], kernel) for at in places], axis=1) + bias
    return found


def lstm_by_hand(network: keras.Model, features: Array, length: Array | None = None) -> Array:
    weights, x = Weights(network), normalized(features)
    if features.ndim == 2 and length is not None:
        x, length = x.reshape(len(x), -1, FRAMED.frame_samples), -(-length // FRAMED.frame_samples)
    steps = lstm_steps(x, *weights["lstm"])
    if length is None:
        x = relu(weights.dense("dense_2", relu(weights.dense("dense_1", steps[:, -1]))))
    else:
        x = np.stack([clip[: max(real, 1)].mean(axis=0) for clip, real in zip(steps, length, strict=True)])
    return softmax(weights.dense("probabilities", x))


def m5_by_hand(network: keras.Model, features: Array, numbers: m5.Numbers) -> Array:
    weights, x = Weights(network), normalized(features)
    for stage, maps in enumerate(numbers.stages, start=1):
        for number in range(1, len(maps) + 1):
            kernel, bias = weights[f"convolution_{stage}_{number}"]
            stride = numbers.stride if stage == 1 else 1
            if numbers.padding == "same":
                missing = max((-(-x.shape[1] // stride) - 1) * stride + len(kernel) - x.shape[1], 0)
                x = np.pad(x, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))
            x = convolved(x, kernel, bias, stride)
            x = relu(weights.batch_normalized(f"normalization_{stage}_{number}", x, 1e-5))
        if stage <= 4:
            whole = x.shape[1] // 4 * 4
            x = x[:, :whole].reshape(len(x), -1, 4, x.shape[2]).max(axis=2)
    return softmax(weights.dense("probabilities", x.mean(axis=1)))


def kwt_by_hand(network: keras.Model, features: Array) -> Array:
    weights = Weights(network)
    x = weights.dense("projection", normalized(features))
    token = np.broadcast_to(weights["class_token"][0], (len(x), 1, x.shape[2]))
    x = np.concatenate([token, x], axis=1) + weights["positions"][0]
    for block in range(1, SMALL_KWT.blocks + 1):
        query, key, value = (
            np.split(weights.dense(f"attention_{block}_{role}", x), SMALL_KWT.heads, axis=2)
            for role in ("query", "key", "value")
        )
        heads = [
            softmax(q @ k.swapaxes(1, 2) / math.sqrt(q.shape[2])) @ v for q, k, v in zip(query, key, value, strict=True)
        ]
        attended = weights.dense(f"attention_{block}_out", np.concatenate(heads, axis=2))
        x = weights.layer_normalized(f"normalization_attention_{block}", x + attended, 1e-6)
        y = weights.dense(f"dense_{block}_out", gelu(weights.dense(f"dense_{block}_in", x)))
        x = weights.layer_normalized(f"normalization_dense_{block}", x + y, 1e-6)
    return softmax(weights.dense("probabilities", x[:, 0]))


def kw_mlp_by_hand(network: keras.Model, features: Array) -> Array:
    weights = Weights(network)
    x = weights.dense("projection", normalized(features))
    for block in range(1, SMALL_KW_MLP.blocks + 1):
        kept, gate = np.split(gelu(weights.dense(f"block_{block}_in", x)), 2, axis=2)
        mixing, offsets = weights[f"gate_{block}"]
        gate = weights.layer_normalized(f"gate_{block}_normalization", gate, 1e-5)
        mixed = np.stack([mixing.T @ clip for clip in gate]) + offsets.reshape(-1, 1)
        y = weights.dense(f"block_{block}_out", kept * mixed)
        x = x + weights.layer_normalized(f"normalization_{block}", y, 1e-5)
    x = weights.layer_normalized("normalization_after", x, 1e-5).mean(axis=1)
    return softmax(weights.dense("probabilities", x))


def mhatt_rnn_by_hand(network: keras.Model, features: Array) -> Array:
    weights, x = Weights(network), normalized(features)[..., None]
    for number in range(1, len(SMALL_MHATT.filters) + 1):
        kernel, bias = weights[f"convolution_{number}"]
        padded = np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0)))
        bands = [convolved(padded[:, :, band], kernel[:, 0], bias, 1) for band in range(x.shape[2])]
        x = weights.batch_normalized(f"normalization_{number}", relu(np.stack(bands, axis=2)), 1e-3)
    x = x.reshape(len(x), x.shape[1], -1)
    for number in range(1, len(SMALL_MHATT.recurrent_units) + 1):
        there_and_back = weights[f"recurrent_{number}"]
        back = gru_steps(x[:, ::-1], *there_and_back[3:])[:, ::-1]
        x = np.concatenate([gru_steps(x, *there_and_back[:3]), back], axis=2)
    queries = np.split(weights.dense("query", x[:, x.shape[1] // 2]), SMALL_MHATT.heads, axis=1)
    shares = [softmax(np.einsum("bw,btw->bt", query, x)) for query in queries]
    heads = np.concatenate([np.einsum("bt,btw->bw", share, x) for share in shares], axis=1)
    return softmax(weights.dense("probabilities", relu(weights.dense("dense_1", heads))))


def by_hand(form: str, network: keras.Model, values: list[Array]) -> Array:
    """A network's probabilities from its weights and the published equations, in float64."""
    match form:
        case "last" | "mean" | "framed":
            return lstm_by_hand(network, *values)
        case "valid" | "same":
            return m5_by_hand(network, values[0], SMALL[form][1])
        case "kwt":
            return kwt_by_hand(network, values[0])
        case "kw_mlp":
            return kw_mlp_by_hand(network, values[0])
    return mhatt_rnn_by_hand(network, values[0])


@pytest.fixture
def half_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


LSTM_BY_HAND: Final = 4 * 250 * (129 + 250 + 1) + 100 * 251 + 50 * 101 + 12 * 51


@pytest.mark.parametrize(
    ("name", "numbers", "shape", "classes", "trainable", "fixed"),
    [
        ("lstm", {"units": 250, "reads": "last", "dense_units": (100, 50)}, (124, 129), 12, LSTM_BY_HAND, 0),
        ("kwt", {"blocks": 12, "width": 64, "heads": 1, "dense_units": 256}, (98, 40), 12, 607_308, 0),
        ("kw_mlp", {"blocks": 12, "width": 64, "gate_units": 128, "survival": 0.9}, (98, 40), 35, 424_811, 0),
        (
            "mhatt_rnn",
            {"filters": (10, 1), "recurrent_units": (128, 128), "heads": 4, "dense_units": (64,), "dropout": 0.2},
            (98, 40),
            12,
            756_689,
            22,
        ),
        (
            "m5",
            {"stages": ((32,), (32,), (64,), (64,)), "kernel_size": 80, "stride": 16, "padding": "valid"},
            (8000,),
            35,
            26_915,
            384,
        ),
    ],
)
def test_a_published_network_has_the_published_number_of_weights(
    name: str, numbers: dict[str, Any], shape: tuple[int, ...], classes: int, trainable: int, fixed: int
) -> None:
    """KWT-1, MHAtt-RNN: summaries of Berg et al.; KW-MLP: 0.424 million; M5: PyTorch's tutorial; LSTM: by hand."""
    file = models.find(name)
    network = file.build(made_up(shape, classes), file.Numbers(**numbers))
    assert sum(weight.shape.num_elements() for weight in network.trainable_weights) == trainable
    assert network.count_params() == trainable + fixed
    assert network.output_shape == (None, classes)


@pytest.mark.parametrize(
    ("stages", "millions"),
    [
        (((256,), (256,)), 0.2),
        (((128,), (128,), (256,), (512,)), 0.5),
        (((64,), (64,) * 2, (128,) * 2, (256,) * 3, (512,) * 2), 1.8),
        (((64,), (64,) * 4, (128,) * 4, (256,) * 4, (512,) * 4), 3.7),
    ],
)
def test_m3_m5_m11_and_m18_have_the_published_number_of_weights_for_ten_classes(
    stages: tuple[tuple[int, ...], ...], millions: float
) -> None:
    numbers = m5.Numbers(stages=stages, kernel_size=80, stride=4, padding="same")
    network = m5.build(made_up((32_000,), 10), numbers)
    kernels = sum(weight.shape.num_elements() for weight in network.trainable_weights if weight.name == "kernel")
    assert kernels / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("form", SMALL)
def test_outputs_equal_those_of_the_published_equations_for_the_same_weights(form: str) -> None:
    network, values = stirred(form), clips(form, 5)
    probabilities = np.asarray(network(values if form in MASKED else values[0], training=False))
    np.testing.assert_allclose(probabilities, by_hand(form, network, values), atol=1e-4)
    assert np.ptp(probabilities, axis=0).max() > 0.02, "all clips look alike, so that equality would show little"


@pytest.mark.parametrize("form", SMALL)
def test_every_trainable_weight_has_a_part_in_the_loss(form: str) -> None:
    network, values = stirred(form), clips(form, 5)
    with tf.GradientTape() as tape:
        probabilities = network(values if form in MASKED else values[0], training=False)
        loss = -tf.reduce_mean(tf.math.log(probabilities[:, 1]))
    weights = [weight.value for weight in network.trainable_weights]
    for weight, gradient in zip(network.trainable_weights, tape.gradient(loss, weights), strict=True):
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, weight.path


@pytest.mark.parametrize("form", SMALL)
def test_a_clips_probabilities_do_not_depend_on_its_batch(form: str) -> None:
    network, values = stirred(form), clips(form, 5)
    together = np.asarray(network(values if form in MASKED else values[0], training=False))
    alone = [each[3:4] for each in values]
    found = np.asarray(network(alone if form in MASKED else alone[0], training=False))
    np.testing.assert_allclose(found[0], together[3], atol=1e-5)


@pytest.mark.parametrize("form", SMALL)
def test_a_network_reads_in_half_precision_and_is_the_same_after_it_was_stored(
    form: str, tmp_path: Path, half_precision: None
) -> None:
    network, values = small(form), clips(form, 3)
    probabilities = network(values if form in MASKED else values[0], training=False)
    assert probabilities.dtype == tf.float32
    np.testing.assert_allclose(np.sum(probabilities, axis=1), 1.0, atol=1e-5)
    write_network(tmp_path, network)
    np.testing.assert_array_equal(read_network(tmp_path)(values, training=False), probabilities)


@pytest.mark.parametrize("form", SMALL)
def test_the_seed_decides_the_weights(form: str) -> None:
    drawn = []
    for seed in (3, 3, 4):
        keras.utils.set_random_seed(seed)
        drawn.append(np.concatenate([weight.ravel() for weight in small(form).get_weights()]))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("form", MASKED)
def test_what_stands_behind_the_real_frames_changes_nothing(form: str) -> None:
    network, (features, length) = stirred(form), clips(form, 5)
    frame, changed = SMALL[form][1].frame_samples or 1, features.copy()
    for clip, real in zip(changed, length, strict=True):
        clip[max(-(-real // frame), 1) * frame :] = 100.0
    np.testing.assert_array_equal(network([features, length]), network([changed, length]))


def test_a_block_of_kw_mlp_is_dropped_or_kept_for_each_clip_on_its_own() -> None:
    numbers = dataclasses.replace(SMALL_KW_MLP, blocks=1, survival=0.5)
    network = kw_mlp.build(made_up((11, 7), 4), numbers)
    layers = [network.get_layer(name).output for name in ("projection", "normalization_1", "sum_1")]
    parts = keras.Model(network.inputs, layers)(clips("kw_mlp", 40), training=True)
    before, block, after = (np.asarray(part) for part in parts)
    kept = np.isclose(after, before + 2 * block, atol=1e-5).all(axis=(1, 2))
    dropped = np.isclose(after, before, atol=1e-5).all(axis=(1, 2))
    assert (kept ^ dropped).all() and kept.any() and dropped.any()


def test_a_gate_of_kw_mlp_begins_almost_open() -> None:
    numbers = dataclasses.replace(SMALL_KW_MLP, blocks=1)
    mixing, offsets = Weights(kw_mlp.build(made_up((11, 7), 4), numbers))["gate_1"]
    assert np.abs(mixing).max() <= 1e-3 / 11
    assert (offsets == 1).all()


@pytest.mark.parametrize(
    ("name", "numbers", "view"),
    [
        ("lstm", dataclasses.replace(LAST, dense_units=(6,)), SMALL_MFCC),
        ("lstm", MEAN, SMALL_MFCC),
        pytest.param("lstm", dataclasses.replace(FRAMED, frame_samples=400), SMALL_WAVEFORM, marks=pytest.mark.slow),
        ("m5", m5.Numbers(stages=((4,), (4,)), kernel_size=80, stride=40, padding="valid"), SMALL_WAVEFORM),
        pytest.param("kwt", dataclasses.replace(SMALL_KWT, blocks=1), SMALL_MFCC, marks=pytest.mark.slow),
        pytest.param("kw_mlp", dataclasses.replace(SMALL_KW_MLP, blocks=1), SMALL_MFCC, marks=pytest.mark.slow),
        pytest.param(
            "mhatt_rnn",
            dataclasses.replace(SMALL_MHATT, filters=(2,), recurrent_units=(5,), dense_units=()),
            SMALL_MFCC,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_training_lowers_the_loss(name: str, numbers: Any, view: View, tmp_path: Path) -> None:
    """Without a split for validation, whose graph takes as long to build as all else."""
    fit = dataclasses.replace(
        FIT, splits=("train", "validation"), epochs=4, batch_size=8, learning_rate_schedule="constant"
    )
    model = dataclasses.replace(MODEL, network=name, definition=view, numbers=numbers, fit=fit, augment=NO_CHANGE)
    train(model, feature_store(tmp_path / "features", view, CLIPS), tmp_path / "model", tmp_path)
    losses = [float(row["loss"]) for row in read_history(tmp_path / "model")]
    assert losses[-1] < 0.97 * losses[0]
    assert read_network(tmp_path / "model").name == name


@pytest.mark.parametrize(
    ("name", "numbers", "shape", "message"),
    [
        ("lstm", LAST, (8000,), r"lstm reads two-dimensional features, but the view made_up has shape \(8000,\)"),
        ("lstm", FRAMED, (98, 40), r"frame_samples 8 divides waveforms .* the view made_up has shape \(98, 40\)"),
        ("lstm", FRAMED, (8001,), r"shape \(8001,\): give it a waveform of a multiple"),
        ("kwt", SMALL_KWT, (8000,), "kwt reads two-dimensional features"),
        ("kw_mlp", SMALL_KW_MLP, (8000,), "kw_mlp reads two-dimensional features"),
        ("mhatt_rnn", SMALL_MHATT, (8000,), "mhatt_rnn reads two-dimensional features"),
        ("m5", SMALL_M5, (98, 40), r"m5 reads waveforms, but the view made_up has shape \(98, 40\)"),
        ("m5", SMALL_M5, (7,), "m5: stage 1 needs 8 steps, and the stages before it leave 7"),
        ("m5", SMALL_M5, (16,), "m5: stage 1 needs 4 steps, and the stages before it leave 3"),
        ("m5", PADDED_M5, (500,), "m5: stage 4 needs 4 steps, and the stages before it leave 3"),
        ("kwt", dataclasses.replace(SMALL_KWT, heads=3), (11, 7), "kwt: 3 heads can't share a width of 8"),
    ],
)
def test_features_that_do_not_fit_are_refused_in_one_sentence(
    name: str, numbers: Any, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        models.find(name).build(made_up(shape, 4), numbers)
