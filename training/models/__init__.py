"""The networks that can be trained, by name: each is a function that returns a keras.Model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import keras

from features.errors import DataError
from features.store import Store
from training.models.cnn import cnn

MODELS: Final[dict[str, Callable[..., keras.Model]]] = {"cnn": cnn}
"""Name in params.yaml → function of (store, the model's section of `train`)."""


def build(name: str, store: Store, numbers: Any) -> keras.Model:
    """Make an untrained model for the features of a store.

    Args:
        name: a key of `MODELS`.
        store: a finished store of one view; shape, classes and statistics come from it.
        numbers: the section of that name in `train` of params.yaml.

    Returns:
        A model from features, float32, (batch, *view.shape), to probabilities, float32, (batch, classes).

    Raises:
        DataError: there is no such model, or it can't read such features.
    """
    if name not in MODELS:
        raise DataError(f"there is no model {name!r}; the models are {', '.join(sorted(MODELS))}")
    return MODELS[name](store, numbers)
