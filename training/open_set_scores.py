"""Scores that are high for a network's commands and low for what it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, softmax

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS

Floats: TypeAlias = npt.NDArray[np.float64]

_LEAST_SHARE: Final = 1e-3
"""Of the mean variance, added to each variance, so that a covariance can be inverted."""


@dataclass(frozen=True)
class Head:
    """The last dense layer of a network, before its softmax.

    Attributes:
        kernel, bias: float64, (features, classes) and (classes,).
        classes: class names in order.
    """

    kernel: Floats
    bias: Floats
    classes: tuple[str, ...]

    @staticmethod
    def of(network: keras.Model, classes: tuple[str, ...]) -> Head:
        """That of a network whose last layer has a unit for each class."""
        kernel, bias = (np.asarray(each, np.float64) for each in network.layers[-1].get_weights())
        return Head(kernel, bias, classes)

    def logits(self, features: npt.NDArray[np.float32]) -> Floats:
        """float64, (clips, classes), of what the layer reads, (clips, features)."""
        found: Floats = features.astype(np.float64) @ self.kernel + self.bias
        return found

    def places(self, names: Sequence[str]) -> list[int]:
        """The units of some classes."""
        return [self.classes.index(name) for name in names]


@dataclass(frozen=True)
class Prototypes:
    """Where the commands lie among the features before the last layer.

    Attributes:
        means: of the train clips of each command, float64, (commands, features).
        whitening: takes features to where the commands' common covariance is the identity, (features, features).
    """

    means: Floats
    whitening: Floats


def prototypes(features: npt.NDArray[np.float32], names: npt.NDArray[np.str_], commands: Sequence[str]) -> Prototypes:
    """The prototypes of commands.

    Args:
        features: of train clips, (clips, features).
        names: the class of each clip.
        commands: names of the commands, each with a clip.
    """
    values = features.astype(np.float64)
    means = np.stack([values[names == name].mean(axis=0) for name in commands])
    apart = np.concatenate([values[names == name] - mean for name, mean in zip(commands, means, strict=True)])
    covariance = apart.T @ apart / len(apart)
    covariance += np.eye(len(covariance)) * _LEAST_SHARE * np.trace(covariance) / len(covariance)
    variances, directions = np.linalg.eigh(covariance)
    return Prototypes(means, directions / np.sqrt(variances))


def scores(
    head: Head, known: Prototypes, commands: Sequence[str], features: npt.NDArray[np.float32]
) -> dict[str, Floats]:
    """Each score of each clip, float64, (clips,).

    - softmax: the largest probability of a command (Hendrycks and Gimpel, 2017);
    - energy: log of the sum of the exponentials of the commands' logits (Liu et al., 2020);
    - cosine: the largest cosine between a clip and the mean of a command's train clips;
    - mahalanobis: minus the smallest squared Mahalanobis distance to such a mean (Lee et al., 2018);
    - trained: one minus the probabilities of the classes unknown and silence, where the network has the first.

    Args:
        head: the network's last layer.
        known: the prototypes of its commands.
        commands: their names.
        features: what the last layer reads, (clips, features).
    """
    logits, values = head.logits(features), features.astype(np.float64)
    places, probabilities = head.places(commands), softmax(logits, axis=1)
    cosines = _of_length_one(values) @ _of_length_one(known.means).T
    white = values @ known.whitening
    distances: list[Any] = [np.square(white - mean).sum(axis=1) for mean in known.means @ known.whitening]
    found = {
        "softmax": probabilities[:, places].max(axis=1),
        "energy": logsumexp(logits[:, places], axis=1),
        "cosine": cosines.max(axis=1),
        "mahalanobis": -np.min(distances, axis=0),
    }
    if UNKNOWN_CLASS in head.classes:
        others = [index for index, name in enumerate(head.classes) if name in (UNKNOWN_CLASS, SILENCE_CLASS)]
        found["trained"] = 1 - probabilities[:, others].sum(axis=1)
    return found


def _of_length_one(vectors: Floats) -> Floats:
    shorter: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return shorter
