"""What a random change of a batch is, and how several become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

Inputs: TypeAlias = dict[str, tf.Tensor]
Change: TypeAlias = Callable[[Inputs, tf.Tensor], Inputs]
"""From inputs by name and a seed, int, (2,), to inputs of the same shapes; the same seed makes the same change."""


def changing(changes: Sequence[Change]) -> Change:
    """Changes one after the other, each with a seed of its own."""

    def change(inputs: Inputs, seed: tf.Tensor) -> Inputs:
        for number, each in enumerate(changes):
            inputs = each(inputs, tf.random.experimental.stateless_fold_in(seed, number))
        return inputs

    return change
