"""Batch normalization as one operation of TensorFlow while a network is fitted, where Keras takes a dozen."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers


def fused(network: keras.Model) -> keras.Model:
    """A copy of an untrained network that computes the same and is fitted faster; weights come in the same order.

    Keras normalizes by a dozen passes over a batch and as many for the gradient; TensorFlow has one operation for each
    that reads a batch twice. The copy is for fitting alone: its weights go back into the network, which is made of
    Keras's own layers and opens without this project. A network without batch normalization comes back as it is.
    """
    if not any(type(layer) is layers.BatchNormalization for layer in network.layers):
        return network
    copy = keras.models.clone_model(network, clone_function=_fused_layer)
    copy.set_weights(network.get_weights())
    return copy


def _fused_layer(layer: layers.Layer) -> layers.Layer:
    kind = _FusedBatchNormalization if type(layer) is layers.BatchNormalization else type(layer)
    return kind.from_config(layer.get_config())


class _FusedBatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """`keras.layers.BatchNormalization` of the last axis of 2 to 4 axes."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize a batch, by its own statistics while fitting; float, the shape of the inputs."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        shape = tf.shape(inputs)
        images = tf.reshape(inputs, tf.concat([shape[:1], [-1, 1], shape[-1:]], 0))  # the operation wants four axes
        values = tf.cast(images, self.compute_dtype)
        normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            values, tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta), epsilon=self.epsilon
        )
        count = tf.cast(tf.size(inputs[..., 0]), tf.float32)
        biased = variance * (count - 1) / count  # Keras averages the variance of the batch, not that of its source
        self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1 - self.momentum))
        self.moving_variance.assign(self.moving_variance * self.momentum + biased * (1 - self.momentum))
        return tf.ensure_shape(tf.reshape(normalized, shape), inputs.shape)
