"""The layer that normalizes features inside a network, so that the numbers travel with the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import layers

from features.statistics import Statistics


def normalization(statistics: Statistics) -> layers.Layer:
    """A layer that takes each coefficient (last axis) to mean 0, and all together to standard deviation 1.

    One scale for all keeps the distances between spectra: MFCCs are a rotation of the log-mel bands, and a scale for
    each would make the high coefficients, mostly noise, as loud as the low ones.

    Args:
        statistics: of the clips that are fitted.
    """
    variance = float(np.mean(np.square(statistics.std))) or 1.0
    variances = np.full_like(statistics.mean, variance)
    return layers.Normalization(
        axis=-1, mean=statistics.mean, variance=variances, dtype="float32", name="normalization"
    )


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of several splits together; those of one split come back as they are.

    Args:
        parts: of distinct clips of one view, at least one.
    """
    if len(parts) == 1:
        return parts[0]
    values = np.array([part.values for part in parts], np.float64)
    means = np.stack([part.mean for part in parts])
    variances = np.square(np.stack([part.std for part in parts]))
    mean = np.average(means, axis=0, weights=values)
    variance = np.average(variances + np.square(means - mean), axis=0, weights=values)
    return Statistics(
        clips=sum(part.clips for part in parts),
        values=sum(part.values for part in parts),
        mean=mean,
        std=np.sqrt(variance),
        min=np.min([part.min for part in parts], axis=0),
        max=np.max([part.max for part in parts], axis=0),
    )
