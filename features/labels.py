"""A task's class names, in the order of their labels, and the class of each word."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from typing import Final

SILENCE_CLASS: Final = "_silence_"
UNKNOWN_CLASS: Final = "_unknown_"
OTHER_SPEECH: Final = "_other_"
"""The word of clips that a corpus knows as none of its keywords, without saying what they are."""
UNLABELED: Final = "_unlabeled_"
"""The word of clips of which nothing is known; a task has them under this name only."""


def is_line(name: str) -> bool:
    """Whether a name can stand in a line of its own: it is not empty, and has neither ends of lines nor other control
    characters, lone surrogates, or blanks around it."""
    kinds = {unicodedata.category(character) for character in name}
    return name == name.strip() != "" and not kinds & {"Cc", "Cs", "Zl", "Zp"}


def class_names(words: Iterable[str], silence: bool, unknown: bool) -> tuple[str, ...]:
    """The classes of a task: silence and unknown first, where it has them, then its words as given.

    Args:
        words: the task's words, in order.
        silence: whether background noise is a class.
        unknown: whether all other words together are a class.
    """
    extra = [name for name, wanted in ((SILENCE_CLASS, silence), (UNKNOWN_CLASS, unknown)) if wanted]
    return (*extra, *words)


def class_of_word(word: str, classes: Collection[str]) -> str | None:
    """The class that a task puts a word into.

    Args:
        word: the word spoken, `SILENCE_CLASS` for background noise.
        classes: the task's class names.

    Returns:
        The word's own class where it has one, else the unknown class, except for background noise and clips without a
        label; None where the task has no such class.
    """
    if word in classes:
        return word
    return UNKNOWN_CLASS if word not in (SILENCE_CLASS, UNLABELED) and UNKNOWN_CLASS in classes else None
