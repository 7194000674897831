"""Reads the catalog of a store to its end, and writes down what the checks need of every row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from base import files
from base.errors import DataError
from readers.store import Store
from registry.verify.addresses import Addresses
from registry.verify.clips import catalog_schema, rows_schema
from registry.verify.ledger import Ledger

ROWS_AT_ONCE: Final = 1 << 12
_BUFFER_BYTES: Final = 1 << 16


def read_catalog(catalog: str, store: Store, addresses: Addresses, path: str) -> tuple[Ledger | None, str]:
    """Write the rows of the catalog into a ledger.

    Args:
        catalog: the file.
        store: its store.
        addresses: those of the store's records.
        path: where to put the ledger.

    Returns:
        The ledger, or None and why the catalog can't be used.
    """
    if files.is_remote(catalog):
        with files.local_copy(catalog) as copy:
            return read_catalog(copy, store, addresses, path)
    expected, nameless = catalog_schema(store), 0
    ledger = Ledger(path, rows_schema(store), addresses.of_rows)
    try:
        found, tables = _open(catalog)
        fits = found.equals(expected, check_metadata=False)
        for table in tables:
            nameless += table.column("id").null_count if "id" in found.names else 0
            if fits:
                numbers = np.arange(len(ledger), len(ledger) + len(table))
                ledger.append(table.append_column("row", pa.array(numbers)).select(ledger.schema.names))
    except DataError as error:
        return None, str(error)
    finally:
        ledger.close()
    if nameless:
        return None, f"{nameless} rows have no id"
    if not fits:
        columns = ", ".join(f"{each.name}: {each.type}" for each in found)
        return None, f"columns {columns}, expected {', '.join(expected.names)} of the documented types"
    return ledger, ""


def _open(catalog: str) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """The columns of a Parquet file, and its rows some at a time.

    Raises:
        DataError: it is damaged; while the rows are read, too.
    """
    with _naming_damage():
        # a local file is Arrow's own: one of Python may abort the process at its end (apache/arrow#50482)
        file = pq.ParquetFile(pa.OSFile(catalog), buffer_size=_BUFFER_BYTES, page_checksum_verification=True)
        return file.schema_arrow, _tables(file)


def _tables(file: pq.ParquetFile) -> Iterator[pa.Table]:
    with _naming_damage():
        # without threads, which more often abort a process
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            batch.validate(full=True)
            yield pa.Table.from_batches([batch])


@contextmanager
def _naming_damage() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise DataError(f"it is damaged ({error}): make the store again") from error
