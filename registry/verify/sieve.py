"""Finds the values that stand in two groups, among any number of them, in memory that does not grow with their number.

Values are known by a hash. Equal values have equal hashes, so no value in two groups is missed; others may have equal
ones too, so whoever asks looks again at the values that were found. The hashes wait in temporary files, each of which
takes a share of the values that is small enough to be sorted in memory.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.verify.addresses import Integers

ENTRIES_AT_ONCE: Final = 1 << 18
"""About how many hashes a file takes."""

MARKS_SCHEMA: Final = pa.schema([("value", pa.string()), ("at", pa.int32()), ("group", pa.int32())])
"""A mark is a value, a place on it (0 on values that are no stretches), and the group that the value stands in."""

_ENTRY: Final = np.dtype([("key", np.int64), ("at", np.int32), ("group", np.int32)])


@dataclass(frozen=True)
class Sifted:
    """What came out of a sieve.

    Attributes:
        shared: hashes of the values in two groups, int64, in order.
        values: how many different values there were, by their hashes.
        of_group: how many different marks each group has, those at negative places left out.
    """

    shared: Integers
    values: int
    of_group: Mapping[int, int]

    def suspects(self, values: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Of each value whether two groups may share it: true of all that they share, false of nearly all others."""
        found: np.ndarray[Any, np.dtype[np.bool_]] = np.isin(_hashes(values), self.shared)
        return found


class Sieve:
    """Takes marks and finds the values that two groups share."""

    def __init__(self, folder: str, expected: int, reach: int = 1) -> None:
        """
        Args:
            folder: takes temporary files.
            expected: about how many different marks will come.
            reach: two groups share a value where their places on it are less than this apart.
        """
        own = Path(tempfile.mkdtemp(dir=folder))
        self._paths = [own / str(number) for number in range(1 + expected // ENTRIES_AT_ONCE)]
        self._reach = reach

    def add(self, marks: pa.Table) -> None:
        """Take some marks: columns of `MARKS_SCHEMA`, and any others; one without a value says nothing."""
        entries = _entries(marks)
        file_of_entry = entries["key"] % len(self._paths)
        entries = entries[np.argsort(file_of_entry, kind="stable")]
        ends = np.bincount(file_of_entry, minlength=len(self._paths)).cumsum()
        for path, of_file in zip(self._paths, np.split(entries, ends[:-1]), strict=True):
            if len(of_file):
                with path.open("ab") as file:
                    file.write(of_file.tobytes())

    def sift(self) -> Sifted:
        """What the groups share; the sieve is empty afterwards."""
        shared, values, of_group = [np.empty(0, np.int64)], 0, Counter[int]()
        for path in filter(Path.exists, self._paths):
            entries = np.fromfile(path, _ENTRY)
            path.unlink()
            entries = entries[np.lexsort((entries["group"], entries["at"], entries["key"]))]
            keys, at, groups = entries["key"], entries["at"], entries["group"]
            same, near, other = keys[1:] == keys[:-1], np.diff(at) < self._reach, groups[1:] != groups[:-1]
            # where two places of different groups are near, so are two that follow each other
            shared.append(np.unique(keys[1:][same & near & other]))
            values += len(keys) - int(same.sum())
            repeated = np.concatenate([[False], same & ~other & (np.diff(at) == 0)])
            of_group.update(dict(enumerate(np.bincount(groups[~repeated & (at >= 0)]).tolist())))
        return Sifted(np.sort(np.concatenate(shared)), values, of_group)


def marks(values: pa.Array, group: int) -> pa.Table:
    """Marks of values of one group."""
    groups = np.full(len(values), group, np.int32)
    return pa.table([values, np.zeros_like(groups), groups], MARKS_SCHEMA)


def _entries(marks: pa.Table) -> np.ndarray[Any, Any]:
    """The different marks of a table as hashes; structured, (marks,)."""
    marks = marks.filter(pc.is_valid(marks.column("value")))
    values = marks.column("value").combine_chunks().dictionary_encode()
    numbers, at, groups = (each.to_numpy() for each in (values.indices, marks.column("at"), marks.column("group")))
    axes = (numbers, at - at.min(initial=0), groups)
    _, first = np.unique(np.ravel_multi_index(axes, [axis.max(initial=0) + 1 for axis in axes]), return_index=True)
    entries = np.empty(len(first), _ENTRY)
    entries["key"] = _hashes(values.dictionary)[numbers[first]]
    entries["at"], entries["group"] = at[first], groups[first]
    return entries


def _hashes(values: pa.Array) -> Integers:
    """Python's own hashes: another process has others, but they decide nothing that anybody sees."""
    return np.fromiter(map(hash, values.to_pylist()), np.int64, len(values))
