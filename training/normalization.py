"""The layer that normalizes features inside a network, so that the numbers travel with the model."""

from __future__ import annotations

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
