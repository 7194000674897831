"""What fitting minimizes and how: the loss, the optimizer and the course of the learning rate."""

from __future__ import annotations

from typing import Any

import keras

from training.config import Fit


def compile_network(network: keras.Model, fit: Fit, steps_per_epoch: int) -> None:
    """Give a network its loss, its metric and its optimizer, AdamW (Loshchilov and Hutter, 2019)."""
    network.compile(
        optimizer=keras.optimizers.AdamW(learning_rate(fit, steps_per_epoch), weight_decay=fit.weight_decay),
        loss=SmoothedCrossEntropy(fit.label_smoothing),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )


class SmoothedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of integer labels, each smoothed over the classes (Szegedy et al., 2016)."""

    def __init__(self, smoothing: float) -> None:
        super().__init__(name="cross_entropy")
        self._smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each clip, float32, (batch,).

        Args:
            y_true: labels, int, (batch,).
            y_pred: probabilities, float32, (batch, classes).
        """
        targets = keras.ops.one_hot(y_true, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(targets, y_pred, label_smoothing=self._smoothing)


def learning_rate(fit: Fit, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by batch: constant, or a linear warm-up, then half a cosine down to zero at the end."""
    if fit.learning_rate_schedule == "constant":
        return fit.learning_rate
    warmup_epochs = min(fit.warmup_epochs, fit.epochs - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_epochs else fit.learning_rate,
        decay_steps=(fit.epochs - warmup_epochs) * steps_per_epoch,
        warmup_target=fit.learning_rate if warmup_epochs else None,
        warmup_steps=warmup_epochs * steps_per_epoch,
    )
