"""A table in a temporary file, written in any order and read in parts: the records, or the rows of the catalog."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa

from registry.verify.addresses import Integers, shards_of


class Ledger:
    """A table that may be too long for memory.

    Attributes:
        schema: its columns.
    """

    def __init__(self, path: str, schema: pa.Schema, addresses: Callable[[pa.Table], Integers]) -> None:
        """
        Args:
            path: the file.
            schema: the columns.
            addresses: the address of each row of a table.
        """
        self.schema = schema
        self._path, self._addresses, self._length = path, addresses, 0
        self._firsts, self._lasts = array("q"), array("q")
        self._writer = pa.ipc.new_file(path, schema)

    def __len__(self) -> int:
        return self._length

    def append(self, table: pa.Table) -> None:
        """Write some rows, of each shard by themselves, in the order of their addresses."""
        if not len(table):
            return
        addresses = self._addresses(table)
        order = np.argsort(addresses, kind="stable")
        table, addresses = table.take(order), addresses[order]
        self._length += len(table)
        starts = np.flatnonzero(np.diff(shards_of(addresses), prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(table)], strict=True):
            self._writer.write_table(table.slice(start, end - start))
            self._firsts.append(addresses[start])
            self._lasts.append(addresses[end - 1])

    def close(self) -> None:
        """End the writing; from now on the table can be read."""
        self._writer.close()

    def batches(self) -> Iterator[pa.Table]:
        """All rows as they were written, some at a time."""
        return map(self._batch, range(len(self._firsts)))

    def between(self, first: int, end: int) -> pa.Table:
        """The rows of a part: those from its first address to the first one after it."""
        firsts, lasts = (np.frombuffer(each, np.int64) for each in (self._firsts, self._lasts))
        found = [self.schema.empty_table()]
        for index in np.flatnonzero((firsts < end) & (lasts >= first)).tolist():
            table = self._batch(index)
            if firsts[index] < first or lasts[index] >= end:
                addresses = self._addresses(table)
                table = table.filter((addresses >= first) & (addresses < end))
            found.append(table)
        return pa.concat_tables(found)

    @cached_property
    def _reader(self) -> pa.ipc.RecordBatchFileReader:
        return pa.ipc.open_file(pa.OSFile(self._path))

    def _batch(self, index: int) -> pa.Table:
        return pa.Table.from_batches([self._reader.get_batch(index)])
