"""What fitting minimizes and how: the loss, the optimizer and the course of the learning rate."""

from __future__ import annotations

from typing import Any, Final

import keras

from training.config import Fit

_MOMENTUM: Final = 0.9


def compile_network(network: keras.Model, fit: Fit, steps_per_epoch: int) -> None:
    """Give a network its loss, its metrics and its optimizer."""
    network.compile(
        optimizer=optimizer(fit, steps_per_epoch),
        loss=SmoothedCrossEntropy(fit.label_smoothing),
        metrics=[keras.metrics.MeanMetricWrapper(is_right, name="accuracy"), MicroF1()],
    )


def optimizer(fit: Fit, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """What moves the weights at each batch."""
    averaging = {"use_ema": True, "ema_momentum": fit.weight_average_decay} if fit.weight_average_decay else {}
    rate = learning_rate(fit, steps_per_epoch)
    if fit.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=_MOMENTUM, weight_decay=fit.weight_decay, **averaging)
    return keras.optimizers.AdamW(rate, weight_decay=fit.weight_decay, **averaging)


def is_right(y_true: Any, y_pred: Any) -> Any:
    """Whether the most probable class is the label, or the class with the largest share; float32, (batch,)."""
    predicted = keras.ops.argmax(y_pred, axis=-1)
    return keras.ops.cast(keras.ops.equal(predicted, keras.ops.cast(_actual(y_true), predicted.dtype)), "float32")


def _actual(y_true: Any) -> Any:
    """The label, or the class with the largest share; integers, (batch,)."""
    return keras.ops.argmax(y_true, axis=-1) if len(y_true.shape) == 2 else y_true


class MicroF1(keras.metrics.F1Score):  # type: ignore[misc]
    """F1 of all clips and classes together; the accuracy again, where each clip has one class and is given one."""

    def __init__(self) -> None:
        super().__init__(average="micro", name="f1")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            y_true: labels, int, (batch,), or shares of the classes, float32, (batch, classes).
            y_pred: probabilities, float32, (batch, classes).
            sample_weight: of each clip, (batch,), or None.
        """
        super().update_state(keras.ops.one_hot(_actual(y_true), y_pred.shape[-1]), y_pred, sample_weight)


class SmoothedCrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of labels, each smoothed over the classes (Szegedy et al., 2016)."""

    def __init__(self, smoothing: float) -> None:
        super().__init__(name="cross_entropy")
        self._smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each clip, float32, (batch,).

        Args:
            y_true: labels, int, (batch,), or shares of the classes, float32, (batch, classes).
            y_pred: probabilities, float32, (batch, classes).
        """
        targets = y_true if len(y_true.shape) == 2 else keras.ops.one_hot(y_true, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(targets, y_pred, label_smoothing=self._smoothing)


def learning_rate(fit: Fit, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by batch: constant, in steps, or a linear warm-up and then half a cosine to zero at the end."""
    if fit.learning_rate_schedule == "constant":
        return fit.learning_rate
    if fit.learning_rate_schedule == "steps":
        ends = [epoch * steps_per_epoch for epoch, _ in fit.learning_rate_steps]
        rates = [fit.learning_rate, *(rate for _, rate in fit.learning_rate_steps)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    warmup_epochs = min(fit.warmup_epochs, fit.epochs - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_epochs else fit.learning_rate,
        decay_steps=(fit.epochs - warmup_epochs) * steps_per_epoch,
        warmup_target=fit.learning_rate if warmup_epochs else None,
        warmup_steps=warmup_epochs * steps_per_epoch,
    )
