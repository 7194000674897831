"""Addresses of records as numbers, and the parts of neighboring addresses into which a store is divided."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from readers.store import Store

Integers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

RECORDS_AT_ONCE: Final = 1 << 12
"""The most records of a part."""

NOWHERE: Final = (1 << 63) - 2
"""The address of a row whose shard or split the store does not have."""

_POSITION_BITS: Final = 32


class Addresses:
    """Where records are: an address is the place of a shard in the manifest, and the position of a record in it.

    Attributes:
        splits: names of the splits.
        split_of_shard: the split of each shard of the manifest as its number, int64, (shards,).
    """

    def __init__(self, store: Store) -> None:
        shards, code = store.manifest.shards, {split: number for number, split in enumerate(store.splits)}
        self.splits = store.splits
        self.split_of_shard: Integers = np.array([code[shard.split] for shard in shards], np.int64)
        self._records = [shard.records for shard in shards]
        self._has_view = store.view is not None
        counts = np.bincount(self.split_of_shard, minlength=len(code))
        # one more split and one more number, which have no shards
        self._shard_of = np.full((len(code) + 1, counts.max(initial=0) + 1), -1, np.int64)
        for split in range(len(code)):
            self._shard_of[split, : counts[split]] = np.flatnonzero(self.split_of_shard == split)

    def of_records(self, records: pa.Table) -> Integers:
        """The address of each record."""
        return _addresses(records.column("shard").to_numpy().astype(np.int64), records.column("position").to_numpy())

    def of_rows(self, rows: pa.Table) -> Integers:
        """The address that each row of the catalog gives, `NOWHERE` where it gives none."""
        shards, positions = self.shards_of_rows(rows), _integers(rows.column("position"))
        return np.where((shards < 0) | (positions < 0), NOWHERE, _addresses(shards, positions))

    def shards_of_rows(self, rows: pa.Table) -> Integers:
        """The shard of the manifest that each row of the catalog gives, -1 where the store has none such."""
        numbers, most = _integers(rows.column("shard")), self._shard_of.shape[1] - 1
        numbers = np.where((numbers < 0) | (numbers > most), most, numbers)
        shards: Integers = self._shard_of[self.splits_of_rows(rows), numbers]
        return shards

    def splits_of_rows(self, rows: pa.Table) -> Integers:
        """The split of each row as its number, -1 where the store has no such split; a store of clips has only one."""
        if not self._has_view:
            return np.zeros(len(rows), np.int64)
        return _integers(pc.index_in(rows.column("split"), pa.array(self.splits)))

    def parts(self) -> list[tuple[int, int]]:
        """The first address of each part and the first one after it; the last part is `NOWHERE`."""
        starts, held = [0], 0
        for shard, records in enumerate(self._records):
            if held and held + records > RECORDS_AT_ONCE:
                starts.append(shard << _POSITION_BITS)
                held = 0
            held += records
            starts += [(shard << _POSITION_BITS) + place for place in range(RECORDS_AT_ONCE, records, RECORDS_AT_ONCE)]
        return list(pairwise([*starts, len(self._records) << _POSITION_BITS, NOWHERE + 1]))


def shards_of(addresses: Integers) -> Integers:
    """The shard of each address; one of its own for `NOWHERE`."""
    return addresses >> _POSITION_BITS


def _addresses(shards: Integers, positions: Integers) -> Integers:
    return (shards << _POSITION_BITS) + positions


def _integers(column: pa.ChunkedArray) -> Integers:
    """A column as int64, -1 where it has no value."""
    integers: Integers = pc.fill_null(column, -1).to_numpy().astype(np.int64)
    return integers
