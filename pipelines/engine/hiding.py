"""Hides libraries from others that import them wherever they are installed, and that do without them where not.

Importing this module settles one such case for the process: pyarrow imports pandas at its first array, for arguments
that are its series, which takes a third of a second and which no stage gives.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa


class _Hiding(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is hidden here", name=fullname)
        return None


@contextlib.contextmanager
def hidden(names: Sequence[str]) -> Iterator[None]:
    """Let the import of some modules fail in the block, as where they are not installed.

    Args:
        names: full names of modules; those that are imported already stay.
    """
    finder = _Hiding(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


with hidden(("pandas",)):
    pa.array([0])
