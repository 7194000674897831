"""Finds where two JSON values differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def json_differences(first: Any, second: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, in the order of the first: (key, value of the first, value of the second).

    Args:
        first, second: the values; lists of different lengths differ as a whole, and None stands for what is absent.
        key: a prefix of the keys that are found: "a.b" is the value b of the object a, "a[0]" the first of a list.
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for name in dict.fromkeys((*first, *second)):
            yield from json_differences(first.get(name), second.get(name), f"{key}.{name}" if key else name)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, pair in enumerate(zip(first, second, strict=True)):
            yield from json_differences(*pair, f"{key}[{index}]")
    elif first != second:
        yield key, first, second
