"""Histograms of the loss's gradients for TensorBoard, one of each weight at the end of each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import tensorflow as tf

from training.dataset import Batch

GRADIENTS_FOLDER: Final = "gradients"


class GradientHistograms(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the gradients of the loss of one fixed batch, with the weights that an epoch ends with.

    The network reads the batch as it does in prediction, without dropout and with the averages of its batch
    normalization, so that looking changes neither weights nor random states. A resumed run goes on in the same folder.
    """

    def __init__(self, folder: Path, batch: Batch) -> None:
        """Set the batch to look at.

        Args:
            folder: of the model's TensorBoard logs; they go into its `gradients/`.
            batch: (inputs, labels).
        """
        super().__init__()
        self._folder = folder / GRADIENTS_FOLDER
        self._batch = batch

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self._folder))
        self._gradients = tf.function(self._compute)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        with self._writer.as_default(step=epoch):
            for weight, gradient in zip(self.model.trainable_weights, self._gradients(), strict=True):
                tf.summary.histogram(weight.path, gradient)
        self._writer.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._writer.close()

    def _compute(self) -> list[tf.Tensor]:
        """The gradient of each trainable weight, in the shape of the weight; zeros where the loss does not meet it."""
        inputs, labels = self._batch
        with tf.GradientTape() as tape:
            loss = self.model.compute_loss(inputs, labels, self.model(inputs, training=False), training=False)
        weights = [weight.value for weight in self.model.trainable_weights]
        return list(tape.gradient(loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO))
