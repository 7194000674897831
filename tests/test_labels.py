"""The class of a word follows from the task's classes alone."""

from __future__ import annotations

import pytest

from features.labels import class_names, class_of_word


def test_silence_and_unknown_come_first_where_a_task_has_them() -> None:
    assert class_names(("yes", "no"), silence=True, unknown=True) == ("_silence_", "_unknown_", "yes", "no")
    assert class_names(("yes", "no"), silence=False, unknown=False) == ("yes", "no")


@pytest.mark.parametrize(
    ("word", "classes", "expected"),
    [
        ("yes", ("_silence_", "_unknown_", "yes"), "yes"),
        ("cat", ("_silence_", "_unknown_", "yes"), "_unknown_"),
        ("cat", ("_silence_", "yes"), None),
        ("_silence_", ("_silence_", "_unknown_", "yes"), "_silence_"),
        ("_silence_", ("_unknown_", "yes"), None),
        ("_other_", ("_unknown_", "yes"), "_unknown_"),
        ("_unlabeled_", ("_unknown_", "yes"), None),
        ("_unlabeled_", ("_unlabeled_",), "_unlabeled_"),
    ],
)
def test_a_word_has_its_own_class_or_the_unknown_one_or_none(
    word: str, classes: tuple[str, ...], expected: str | None
) -> None:
    assert class_of_word(word, classes) == expected
