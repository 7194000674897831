"""Reads a split with NumPy alone: batches and single records from memory-mapped shards, every checksum checked."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from mmap import ACCESS_READ, mmap
from typing import Any, BinaryIO, Final, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from readers.current import Current
from stores.framing import record_at, record_positions
from stores.manifest import Shard
from stores.schema import Array, RecordSpec

Columns: TypeAlias = dict[str, Array]

MOST_MAPPED_SHARDS: Final = 256
"""Each takes a file descriptor, of which a process has 1,024 by default."""

_LOADED_AT_ONCE: Final = 256


class ShardReader:
    """The data of the records of a split by shard and place, from memory that the system maps to the files.

    A shard's index is made when one of its records is first asked for. At most `MOST_MAPPED_SHARDS` stay mapped.
    """

    def __init__(self, folder: str, shards: Sequence[Shard]) -> None:
        self.shards = shards
        self._current = Current(folder, shards)
        self._mapped: dict[int, mmap | bytes] = {}
        self._positions: dict[int, array[int]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}

    def record(self, shard: int, place: int) -> bytes:
        """A record's data, checked.

        Raises:
            DataError: the shard is missing or damaged, or has another number of records than the manifest says.
        """
        data = self._mapped.get(shard) or self._map(shard)
        return record_at(data, self._positions[shard][place], self.shards[shard].file)

    def _map(self, number: int) -> mmap | bytes:
        while len(self._mapped) >= MOST_MAPPED_SHARDS:
            del self._mapped[next(iter(self._mapped))]
        shard = self.shards[number]
        with self._current.open(shard) as file:
            data = self._mapped[number] = _map_file(file)
        if number not in self._positions:
            positions = array("Q", record_positions(data, shard.file))
            if len(positions) != shard.records:
                raise DataError(f"{shard.file} has {len(positions)} records, expected {shard.records}: make it again")
            self._positions[number] = positions
        return data


class ArrayReader:
    """The records of a split as arrays; `Store.numpy` makes it.

    Only what is asked for is read. A reader can be pickled and sent to other processes.
    """

    def __init__(self, folder: str, shards: Sequence[Shard], spec: RecordSpec, columns: Sequence[str]) -> None:
        self._reader, self._spec, self._columns = ShardReader(folder, shards), spec, tuple(columns)
        self._ends = np.cumsum([shard.records for shard in shards])
        self._starts = self._ends - [shard.records for shard in shards]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: SupportsIndex | slice | npt.ArrayLike) -> Columns:
        """Records by their place in the split, in the order of the shards.

        Args:
            index: a number, a slice, or integers (n,) in any order, repeated or not; those below zero count from the
                end.

        Returns:
            Field name → array (n, *shape) as `RecordSpec.decode_batch` makes it; for a number an array (*shape), an
            int64, or a str.

        Raises:
            IndexError: there is no such place.
            DataError: a shard is missing or damaged.
        """
        if isinstance(index, slice):
            chosen = range(len(self))[index]
            return self._read(np.arange(chosen.start, chosen.stop, chosen.step))
        places = _places(index, len(self))
        if places.ndim == 0:
            return {name: values[0] for name, values in self._read(places[None]).items()}
        return self._read(places)

    def batches(self, batch: int, *, shuffle: bool = False, seed: int = 0, epoch: int = 0) -> Iterator[Columns]:
        """The whole split once, a batch at a time.

        Args:
            batch: records a batch; the last one may be smaller.
            shuffle: draw the order from all orders of the split's records, else keep that of the shards.
            seed, epoch: from 0; the order is a function of these two alone.

        Returns:
            An iterator of field name → array (batch, *shape).

        Raises:
            DataError: the batch has no records; while iterating, a shard is missing or damaged.
        """
        if batch < 1:
            raise DataError(f"a batch of {batch} records; it needs at least one")
        count = len(self)
        order = np.random.default_rng((seed, epoch)).permutation(count) if shuffle else range(count)
        return (self._read(np.asarray(order[start : start + batch])) for start in range(0, count, batch))

    def load(self) -> Columns:
        """The whole split in memory: field name → array (records, *shape).

        Raises:
            DataError: a shard is missing or damaged.
        """
        none = self._spec.decode_batch([], self._columns)
        loaded = {name: np.empty((len(self), *values.shape[1:]), values.dtype) for name, values in none.items()}
        for number, columns in enumerate(self.batches(_LOADED_AT_ONCE)):
            for name, values in columns.items():
                loaded[name][number * _LOADED_AT_ONCE :][: len(values)] = values
        return loaded

    def _read(self, places: npt.NDArray[np.int64]) -> Columns:
        shards = np.searchsorted(self._ends, places, side="right")
        places = places - self._starts[shards]
        records = [self._reader.record(*place) for place in zip(shards.tolist(), places.tolist(), strict=True)]
        return self._spec.decode_batch(records, self._columns)


def _places(index: SupportsIndex | npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """Places from 0 to count - 1, of any that numpy would take."""
    given = np.asarray(index)
    if given.size == 0:
        given = given.astype(np.int64)
    if given.ndim > 1 or given.dtype.kind not in "iu":
        raise IndexError(f"index of {given.dtype} {given.shape}, expected a number, a slice or integers (n,)")
    wrong = given[(given < -count) | (given >= count)]
    if wrong.size:
        raise IndexError(f"there is no record {wrong.flat[0]}; the split has {count}")
    return np.where(given < 0, given + count, given).astype(np.int64)


def _map_file(file: BinaryIO) -> mmap | bytes:
    try:
        return mmap(file.fileno(), 0, access=ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return file.read()
