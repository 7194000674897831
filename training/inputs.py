"""What a network is built from: shapes, classes and statistics, without a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from base.errors import DataError
from features.statistics import Statistics


@dataclass(frozen=True)
class Inputs:
    """What a network may know of the features that it is to read.

    Attributes:
        kind: of the view, such as "mfcc".
        shape: of one clip's features: (steps,) or (steps, coefficients).
        step_ms: time per step of the first axis.
        classes: class names in order of label.
        statistics: of each coefficient, over the splits that are fitted.
        definition: the view's parameters, as manifests have them, for networks that read one view alone.
    """

    kind: str
    shape: tuple[int, ...]
    step_ms: float
    classes: tuple[str, ...]
    statistics: Statistics
    definition: Mapping[str, Any] = field(default_factory=dict)


def plane(inputs: Inputs, network: str) -> tuple[int, int]:
    """The (frames, coefficients) of two-dimensional features.

    Args:
        inputs: what the network is built from.
        network: its name, for the error.

    Raises:
        DataError: the features are not two-dimensional.
    """
    if len(inputs.shape) != 2:
        raise DataError(
            f"{network} reads two-dimensional features, but the view {inputs.kind} has shape {inputs.shape}: "
            "give it a view whose features are frames of coefficients"
        )
    return inputs.shape[0], inputs.shape[1]
