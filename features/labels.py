"""A task's class names, in the order of their labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SILENCE_CLASS: Final = "_silence_"
UNKNOWN_CLASS: Final = "_unknown_"


def class_names(words: Iterable[str], silence: bool, unknown: bool) -> tuple[str, ...]:
    """The classes of a task: silence and unknown first, where it has them, then its words as given.

    Args:
        words: the task's words, in order.
        silence: whether background noise is a class.
        unknown: whether all other words together are a class.
    """
    extra = [name for name, wanted in ((SILENCE_CLASS, silence), (UNKNOWN_CLASS, unknown)) if wanted]
    return (*extra, *words)
