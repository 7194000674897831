"""Claims about DS-CNN, BC-ResNet, MatchboxNet, ResNet and the CNN with batch normalization: as published, trainable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from training_store import feature_store
from training_tools import FIT, NO_CHANGE

from base.errors import DataError
from features.statistics import Statistics
from features.views import LogMel
from results.model import read_history
from results.network_file import read_network, write_network
from training import models
from training.config import Model
from training.inputs import Inputs
from training.models import batchnorm_cnn, bc_resnet, ds_cnn, matchboxnet, resnet
from training.train import train

Array = npt.NDArray[Any]

DS_CNN = ds_cnn.Numbers(filters=64, separable_convolutions=4, dropout_first=0.2, dropout_last=0.4)
BC_RESNET_1 = bc_resnet.Numbers(tau=1, dropout=0.1)
MATCHBOXNET = matchboxnet.Numbers(kernel_sizes=(13, 15, 17), repeats=1, filters=64, dropout=0.0)
RESNET = resnet.Numbers(filters=(16, 32, 64), blocks=2, dropout=0.0)
BATCHNORM_CNN = batchnorm_cnn.Numbers(
    side=32, filters=(32, 64), dense_units=(1024, 128), dropout_convolutions=0.25, dropout_dense=0.5
)
SMALLER_CNN = dataclasses.replace(BATCHNORM_CNN, side=12, filters=(4, 6), dense_units=(16,))
CASES: dict[str, tuple[tuple[int, int], Any]] = {
    "ds_cnn": ((49, 10), DS_CNN),
    "bc_resnet": ((31, 40), BC_RESNET_1),
    "matchboxnet": ((40, 20), dataclasses.replace(MATCHBOXNET, repeats=2, filters=16, dropout=0.1)),
    "resnet": ((21, 16), resnet.Numbers(filters=(4, 8), blocks=2, dropout=0.1)),
    "batchnorm_cnn": ((20, 16), SMALLER_CNN),
}
SEED = 3


@pytest.fixture(autouse=True)
def single_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


def network(name: str, shape: tuple[int, int], numbers: Any, classes: int = 12, mean: float = 0.0) -> keras.Model:
    """An untrained network on made-up statistics."""
    width = np.full(shape[1], mean)
    statistics = Statistics(1, shape[0], width, np.ones(shape[1]), width, width)
    names = tuple(f"word{number}" for number in range(classes))
    return models.find(name).build(Inputs("logmel", shape, 10.0, names, statistics), numbers)


def count(weights: list[keras.Variable]) -> int:
    return int(sum(np.prod(weight.shape) for weight in weights))


def clips(shape: tuple[int, int], number: int = 3) -> Array:
    """Features of as many clips, (number, *shape)."""
    return np.random.default_rng(SEED).normal(size=(number, *shape)).astype(np.float32)


def with_random_weights(built: keras.Model) -> keras.Model:
    """The network with other weights and moving averages than those it begins with; variances are positive."""
    generator = np.random.default_rng(SEED)
    for weight in built.weights:
        values = generator.normal(scale=0.3, size=weight.shape)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name or "gamma" in weight.name else values)
    return built


@pytest.mark.parametrize(("tau", "published"), [(1, 9_232), (1.5, 17_154), (2, 27_284), (3, 54_168), (8, 321_068)])
def test_bc_resnet_has_the_parameters_of_the_paper(tau: float, published: int) -> None:
    built = network("bc_resnet", (101, 40), bc_resnet.Numbers(tau=tau, dropout=0.1))
    assert count(built.trainable_weights) == published


@pytest.mark.parametrize(
    ("name", "shape", "numbers", "classes", "trainable", "moving"),
    [
        ("ds_cnn", (49, 10), DS_CNN, 12, 24_908 - 9 * 128, 9 * 128),
        ("matchboxnet", (101, 64), MATCHBOXNET, 12, 74_892, 2 * (3 * 128 + 6 * 64)),
        ("matchboxnet", (101, 64), dataclasses.replace(MATCHBOXNET, repeats=2), 12, 90_444, 2 * (3 * 128 + 9 * 64)),
        ("batchnorm_cnn", (32, 128), BATCHNORM_CNN, 35, 13_000_803, 2 * 96),
    ],
)
def test_networks_have_the_parameters_that_were_published(
    name: str, shape: tuple[int, int], numbers: Any, classes: int, trainable: int, moving: int
) -> None:
    built = network(name, shape, numbers, classes)
    assert (count(built.trainable_weights), count(built.non_trainable_weights)) == (trainable, moving)


@pytest.mark.parametrize("name", CASES)
def test_probabilities_come_out_for_any_number_of_clips_and_gradients_reach_every_weight(name: str) -> None:
    shape, numbers = CASES[name]
    built = with_random_weights(network(name, shape, numbers, classes=5))
    for number in (1, 4):
        found = built(clips(shape, number))
        assert (found.shape, found.dtype) == ((number, 5), tf.float32)
        np.testing.assert_allclose(np.sum(found, axis=1), 1.0, rtol=1e-5)
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(np.arange(4), built(clips(shape, 4), training=True))
    gradients = tape.gradient(loss, [weight.value for weight in built.trainable_weights])
    for weight, gradient in zip(built.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        assert np.any(gradient), weight.path


@pytest.mark.parametrize("name", CASES)
def test_the_same_seed_gives_the_same_weights_and_features_are_normalized_inside(name: str) -> None:
    shape, numbers = CASES[name]
    first, second, other = (
        (keras.utils.set_random_seed(seed), network(name, shape, numbers, mean=mean))[1]
        for seed, mean in ((1, 0.0), (1, -40.0), (2, 0.0))
    )
    for one, same in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])
    np.testing.assert_allclose(first(clips(shape)), second(clips(shape) - 40.0), atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_a_network_is_read_back_in_safe_mode_with_equal_outputs(name: str, tmp_path: Path) -> None:
    shape, numbers = CASES[name]
    built = with_random_weights(network(name, shape, numbers))
    write_network(tmp_path, built)
    np.testing.assert_array_equal(read_network(tmp_path)([clips(shape)]), built(clips(shape)))


@pytest.mark.parametrize("name", CASES)
def test_half_precision_changes_probabilities_little(name: str) -> None:
    shape, numbers = CASES[name]
    keras.utils.set_random_seed(SEED)
    exact = network(name, shape, numbers)
    keras.config.set_dtype_policy("mixed_bfloat16")
    rounded = network(name, shape, numbers)
    rounded.set_weights(exact.get_weights())
    found = rounded(clips(shape), training=True)
    assert found.dtype == tf.float32
    assert all(weight.dtype == "float32" for weight in rounded.weights)
    np.testing.assert_allclose(rounded(clips(shape)), exact(clips(shape)), atol=0.05)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("ds_cnn", (9, 10), r"ds_cnn: got features of shape \(9, 10\), expected at least \(10, 4\)"),
        ("bc_resnet", (101, 64), "bc_resnet: got 64 coefficients, expected a multiple of 40"),
        *((name, (8_000,), f"{name} reads two-dimensional features") for name in CASES),
    ],
)
def test_features_that_do_not_fit_are_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    one = np.ones(1)
    inputs = Inputs("logmel", shape, 10.0, ("a", "b"), Statistics(1, 1, one, one, one, one))
    with pytest.raises(DataError, match=message):
        models.find(name).build(inputs, CASES[name][1])


# The networks once more in NumPy, channels first as PyTorch has them, from the weights of Keras by name.


def weights_of(built: keras.Model) -> dict[str, Array]:
    """All weights in double precision by layer and name, such as "head/kernel"."""
    return {
        f"{layer.name}/{weight.name}": np.asarray(weight, np.float64)
        for layer in built.layers
        for weight in layer.weights
    }


def convolved(
    x: Array,
    kernel: Array,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """What torch.nn.functional.conv2d gives for (clips, channels, rows, columns).

    Args:
        x: (clips, channels, rows, columns).
        kernel: (out, channels, height, width), or (channels, height, width) for one in each channel.
        stride, padding, dilation: over rows and columns.
    """
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    height, width = kernel.shape[-2:]
    rows = (x.shape[2] - dilation[0] * (height - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation[1] * (width - 1) - 1) // stride[1] + 1
    total: Array = np.zeros(())
    for row in range(height):
        for column in range(width):
            top, left = row * dilation[0], column * dilation[1]
            seen = x[:, :, top : top + rows * stride[0] : stride[0], left : left + columns * stride[1] : stride[1]]
            tap = kernel[..., row, column]
            total = total + (seen * tap[:, None, None] if kernel.ndim == 3 else np.einsum("bcrt,oc->bort", seen, tap))
    return total


def normalized(x: Array, weights: dict[str, Array], layer: str, epsilon: float) -> Array:
    """Batch normalization of (clips, channels, …) by the moving averages."""
    gamma, beta, mean, variance = (
        weights[f"{layer}/{name}"].reshape(-1, *(1,) * (x.ndim - 2))
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def classified(x: Array, weights: dict[str, Array]) -> Array:
    """A dense layer, then the softmax."""
    scores = np.exp(x @ weights["probabilities/kernel"] + weights["probabilities/bias"])
    return scores / scores.sum(axis=1, keepdims=True)


def full(kernel: Array) -> Array:
    """A kernel of Keras, (height, width, in, out), as PyTorch's (out, in, height, width)."""
    return kernel.transpose(3, 2, 0, 1)


def depthwise(kernel: Array) -> Array:
    """A depthwise kernel of Keras, (height, width, channels, 1), as (channels, height, width)."""
    return kernel[..., 0].transpose(2, 0, 1)


def reference_bc_resnet(features: Array, weights: dict[str, Array]) -> Array:
    """The forward pass of the authors' bcresnet.py, whose rows are frequencies and whose columns are frames."""
    weights = {key: value.swapaxes(0, 1) if value.ndim == 4 else value for key, value in weights.items()}

    def batch(x: Array, name: str) -> Array:
        return normalized(x, weights, f"{name}_normalization", 1e-5)

    x = features.transpose(0, 2, 1)[:, None]
    x = relu(batch(convolved(x, full(weights["head/kernel"]), (2, 1), (2, 2)), "head"))
    for stage, (blocks, stride) in enumerate(((2, 1), (2, 2), (4, 2), (4, 1))):
        for number in range(blocks):
            name = f"stage_{stage + 1}_block_{number + 1}"
            shortcut, transition = x, number == 0
            if transition:
                x = relu(batch(convolved(x, full(weights[f"{name}_transition/kernel"])), f"{name}_transition"))
            rows = (stride if transition else 1, 1)
            x = convolved(x, depthwise(weights[f"{name}_frequency/kernel"]), rows, (1, 0))
            size, channels, height, width = x.shape
            banded = x.reshape(size, channels * 5, height // 5, width)
            order = np.arange(5 * channels).reshape(5, channels).T.ravel()  # PyTorch counts channels first, then bands
            by_band = {key: value[order] for key, value in weights.items() if key.startswith(f"{name}_sub_spectral")}
            auxiliary = normalized(banded, by_band, f"{name}_sub_spectral_normalization", 1e-5).reshape(x.shape)
            x = auxiliary.mean(axis=2, keepdims=True)
            kernel = depthwise(weights[f"{name}_time/kernel"])
            x = batch(convolved(x, kernel, (1, 1), (0, 2**stage), (1, 2**stage)), f"{name}_time")
            x = convolved(x / (1 + np.exp(-x)), full(weights[f"{name}_pointwise/kernel"])) + auxiliary
            x = relu(x if transition else x + shortcut)
    x = convolved(x, depthwise(weights["tail_depthwise/kernel"]), (1, 1), (0, 2))
    x = relu(batch(convolved(x, full(weights["tail/kernel"])), "tail"))
    return classified(x.mean(axis=(2, 3)), weights)


def reference_resnet(features: Array, weights: dict[str, Array], stages: int, blocks: int) -> Array:
    """The forward pass of figure 2 and section 4.2 of the paper, padded as TensorFlow does for strides."""

    def convolution(x: Array, name: str, stride: int) -> Array:
        kernel = full(weights[f"{name}/kernel"])
        missing = [max((-(-size // stride) - 1) * stride + kernel.shape[-1] - size, 0) for size in x.shape[2:]]
        x = np.pad(x, ((0, 0), (0, 0), *((each // 2, each - each // 2) for each in missing)))
        return normalized(convolved(x, kernel, (stride, stride)), weights, f"{name}_normalization", 1e-3)

    x = relu(convolution(features[:, None], "head", 2))
    for stage in range(1, stages + 1):
        for block in range(1, blocks + 1):
            name, stride = f"stage_{stage}_block_{block}", 2 if stage > 1 and block == 1 else 1
            shortcut = convolution(x, f"{name}_shortcut", stride) if stride > 1 else x
            x = relu(convolution(relu(convolution(x, f"{name}_1", stride)), f"{name}_2", 1) + shortcut)
    return classified(x.mean(axis=(2, 3)), weights)


def reference_matchboxnet(features: Array, weights: dict[str, Array], blocks: int, repeats: int) -> Array:
    """The forward pass of NeMo's ConvASREncoder and ConvASRDecoderClassification with matchboxnet_3x1x64_v2.yaml."""

    def pointwise(x: Array, name: str) -> Array:
        x = np.einsum("bct,co->bot", x, weights[f"{name}_pointwise/kernel"][0])
        return normalized(x, weights, f"{name}_normalization", 1e-3)

    def separable(x: Array, name: str, dilation: int = 1) -> Array:
        kernel = weights[f"{name}_depthwise/kernel"][:, :, 0].T[:, None]
        padding = dilation * (kernel.shape[-1] - 1) // 2
        return pointwise(convolved(x[:, :, None], kernel, (1, 1), (0, padding), (1, dilation))[:, :, 0], name)

    x = relu(separable(features.transpose(0, 2, 1), "prologue"))
    for number in range(1, blocks + 1):
        y = x
        for repeat in range(1, repeats + 1):
            y = separable(y if repeat == 1 else relu(y), f"block_{number}_{repeat}")
        x = relu(y + pointwise(x, f"block_{number}_shortcut"))
    x = relu(separable(x, "dilated", 2))
    return classified(relu(pointwise(x, "epilogue")).mean(axis=2), weights)


def reference_ds_cnn(features: Array, weights: dict[str, Array]) -> Array:
    """The forward pass of `ds_cnn` in MLPerf Tiny's keras_model.py, TensorFlow's padding for stride 2 written out."""

    def layer(x: Array, name: str) -> Array:
        return relu(normalized(x + weights[f"{name}/bias"][:, None, None], weights, f"{name}_normalization", 1e-3))

    padded = np.pad(features[:, None], ((0, 0), (0, 0), (4, 5), (1, 1)))  # 25·2 + 8 and 5·2 + 2 cells are read
    x = layer(convolved(padded, full(weights["convolution/kernel"]), (2, 2)), "convolution")
    for number in range(1, 5):
        kernel = depthwise(weights[f"depthwise_{number}/kernel"])
        x = layer(convolved(x, kernel, (1, 1), (1, 1)), f"depthwise_{number}")
        x = layer(convolved(x, full(weights[f"pointwise_{number}/kernel"])), f"pointwise_{number}")
    return classified(x[:, :, :24, :5].mean(axis=(2, 3)), weights)


def reference_batchnorm_cnn(features: Array, weights: dict[str, Array]) -> Array:
    """Two convolutions without padding, pooling, dense layers, on features that need no resizing."""
    x = features[:, None]
    for number in (1, 2):
        x = convolved(x, full(weights[f"convolution_{number}/kernel"]))
        x = relu(x + weights[f"convolution_{number}/bias"][:, None, None])
        x = normalized(x, weights, f"normalization_{number}", 1e-5)
    size, channels, height, width = x.shape
    x = x.reshape(size, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
    x = x.transpose(0, 2, 3, 1).reshape(size, -1)
    return classified(relu(x @ weights["dense_1/kernel"] + weights["dense_1/bias"]), weights)


def test_bc_resnet_equals_its_authors_computation() -> None:
    built = with_random_weights(network("bc_resnet", (31, 40), BC_RESNET_1))
    features = clips((31, 40))
    np.testing.assert_allclose(built(features), reference_bc_resnet(features, weights_of(built)), atol=1e-4)


@pytest.mark.parametrize("repeats", [1, 2])
def test_matchboxnet_equals_nemos_computation(repeats: int) -> None:
    numbers = dataclasses.replace(MATCHBOXNET, repeats=repeats, filters=16)
    built = with_random_weights(network("matchboxnet", (40, 20), numbers))
    features = clips((40, 20))
    expected = reference_matchboxnet(features, weights_of(built), blocks=3, repeats=repeats)
    np.testing.assert_allclose(built(features), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(21, 16), (24, 15)])
def test_resnet_equals_an_independent_computation(shape: tuple[int, int]) -> None:
    built = with_random_weights(network("resnet", shape, CASES["resnet"][1]))
    features = clips(shape)
    np.testing.assert_allclose(built(features), reference_resnet(features, weights_of(built), 2, 2), atol=1e-4)


def test_resnet_has_the_parameters_that_its_paper_leads_to() -> None:
    stages = sum(9 * wide * (before + 3 * wide) for before, wide in ((16, 16), (16, 32), (32, 64)))
    shortcuts = 16 * 32 + 32 * 64
    normalizations = 2 * (16 + 4 * (16 + 32 + 64) + 32 + 64)
    built = network("resnet", (101, 40), RESNET)
    assert count(built.trainable_weights) == 5 * 5 * 16 + stages + shortcuts + normalizations + 64 * 12 + 12


def test_ds_cnn_equals_the_computation_of_mlperf_tiny() -> None:
    built = with_random_weights(network("ds_cnn", (49, 10), DS_CNN))
    features = clips((49, 10))
    np.testing.assert_allclose(built(features), reference_ds_cnn(features, weights_of(built)), atol=1e-4)


def test_the_cnn_with_batch_normalization_equals_an_independent_computation() -> None:
    built = with_random_weights(network("batchnorm_cnn", (12, 12), SMALLER_CNN))
    features = clips((12, 12))
    np.testing.assert_allclose(built(features), reference_batchnorm_cnn(features, weights_of(built)), atol=1e-4)


def test_the_cnn_with_batch_normalization_resizes_as_tensorflow_does() -> None:
    built = network("batchnorm_cnn", (20, 16), SMALLER_CNN)
    until_resized = keras.Model(built.inputs, built.get_layer("convolution_1").input)
    features = clips((20, 16))
    expected = tf.image.resize(features[..., None], (12, 12))
    np.testing.assert_allclose(until_resized([features]), expected, atol=1e-5)


def test_batches_in_training_are_normalized_in_each_sub_band_of_bc_resnet() -> None:
    built = network("bc_resnet", (31, 40), BC_RESNET_1)
    block = keras.Model(
        built.inputs, [built.get_layer(f"stage_1_block_1_{name}").output for name in ("frequency", "joined")]
    )
    before, after = (np.asarray(each, np.float64) for each in block([clips((31, 40), 8)], training=True))
    for band in range(5):
        rows = slice(4 * band, 4 * band + 4)
        seen = before[:, :, rows]
        expected = (seen - seen.mean(axis=(0, 1, 2))) / np.sqrt(seen.var(axis=(0, 1, 2)) + 1e-5)
        np.testing.assert_allclose(after[:, :, rows], expected, atol=1e-3)


FORTY_BANDS = LogMel(
    kind="logmel", frame_ms=40, hop_ms=40, floor_db=-80.0, mel_bands=40, mel_low_hz=20.0, mel_high_hz=7600.0,
    mel_scale="slaney",
)  # fmt: skip


TINY = {
    **{name: numbers for name, (_, numbers) in CASES.items()},
    "ds_cnn": ds_cnn.Numbers(filters=16, separable_convolutions=1, dropout_first=0.0, dropout_last=0.0),
    "matchboxnet": matchboxnet.Numbers(kernel_sizes=(3,), repeats=1, filters=8, dropout=0.0),
    "batchnorm_cnn": dataclasses.replace(SMALLER_CNN, dropout_convolutions=0.0, dropout_dense=0.0),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "bc_resnet" else name for name in CASES]
)
def test_training_lowers_the_loss(name: str, tmp_path: Path) -> None:
    few = {"train": 24, "validation": 4, "test": 4}
    store = feature_store(tmp_path / "features", FORTY_BANDS, few)
    fit = dataclasses.replace(FIT, epochs=4, batch_size=8, warmup_epochs=0)
    model = Model(
        name="tiny",
        network=name,
        view="small",
        source="small",
        definition=FORTY_BANDS,
        fit=fit,
        augment=NO_CHANGE,
        numbers=TINY[name],
    )
    train(model, store, tmp_path / "model", tmp_path)
    losses = [float(row["loss"]) for row in read_history(tmp_path / "model")]
    assert losses[-1] < 0.8 * losses[0]
