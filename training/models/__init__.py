"""The networks that can be trained: each other file of this folder is one, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Protocol, cast

import keras

from base.errors import DataError
from training.inputs import Inputs


class Network(Protocol):
    """What a file of this folder holds."""

    Numbers: type[Any]
    """A strict frozen dataclass of the network's own numbers; params.yaml gives each under the model's name."""

    def build(self, inputs: Inputs, numbers: Any) -> keras.Model:
        """Make an untrained network.

        Args:
            inputs: what it is built from.
            numbers: its own numbers, an instance of `Numbers`.

        Returns:
            A model from the input "features", and "length" where it wants that as well (see `training.inputs`), to
            class probabilities, float32, (batch, classes).

        Raises:
            DataError: it can't read such features.
        """


def find(name: str) -> Network:
    """The network of a name.

    Raises:
        DataError: there is none.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in names:
        raise DataError(f"there is no network {name!r}; training/models has {', '.join(names)}")
    return cast(Network, importlib.import_module(f"{__name__}.{name}"))
