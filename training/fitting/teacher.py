"""A trained model to whose probabilities another is fitted: distillation (Hinton et al., 2015, arXiv 1503.02531)."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import tensorflow as tf

from base.errors import DataError
from features.views import View
from results.model import FEATURES
from training.dataset import Source, input_names, source


@dataclass(frozen=True)
class Teacher:
    """A network that says the shares of the classes.

    Attributes:
        network: from features to probabilities.
        source: the store of the pupil, and what the teacher reads of it.
        weight: share of what it says, 0..1; the label has the rest.
        temperature: at least 1; its logits are divided by it.
    """

    network: keras.Model
    source: Source
    weight: float
    temperature: float

    def targets(self, stored: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """What the pupil is fitted to.

        Args:
            stored: the tensor of the pupil's store as the pupil sees it, waveforms changed; (batch, ...).
            labels: float32, (batch, classes).

        Returns:
            Shares of the classes, float32, (batch, classes).
        """
        probabilities = self.network([self.source.features(stored)], training=False)
        said = tf.nn.softmax(tf.math.log(tf.maximum(probabilities, 1e-30)) / self.temperature)
        return labels + (said - labels) * self.weight


def teacher(
    network: keras.Model, view: View, classes: tuple[str, ...], pupil: Source, weight: float, temperature: float
) -> Teacher:
    """A teacher for a model that is fitted on a store.

    Args:
        network: the teacher's.
        view: what it reads.
        classes: its own, in order.
        pupil: the store, and what the pupil reads of it.
        weight, temperature: as `Teacher` has them.

    Raises:
        DataError: it tells other classes apart, can't read the store, or wants more than the features.
    """
    if classes != pupil.store.classes:
        raise DataError(
            f"the teacher knows the classes {', '.join(classes)}, but {pupil.store.path} has "
            f"{', '.join(pupil.store.classes)}: give a teacher of the same task"
        )
    if input_names(network) != (FEATURES,):
        raise DataError("the teacher reads the length of clips as well: give one that reads the features alone")
    return Teacher(network, source(pupil.store, view), weight, temperature)
