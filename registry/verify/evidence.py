"""All that the checks of a store look at, read once: shards, catalog, statistics, hashes, and what the ids say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import clip_id
from features.statistics import Statistics, read_statistics
from readers.store import Store
from registry.verify.reading import Reading, read_shards
from stores.catalog import CATALOG_SCHEMA, VIEW_CATALOG_SCHEMA
from stores.manifest import CATALOG_FILE, REJECTS_FILE, STATISTICS_FILE

_IDS_AT_ONCE: Final = 1 << 16
_ID_SCHEMA: Final = pa.schema(
    [("word", pa.string()), ("speaker", pa.string()), ("recording", pa.string()), ("start", pa.int64())]
)


@dataclass(frozen=True)
class Evidence:
    """What a store holds.

    Attributes:
        store: the store.
        reading: what its shards hold.
        tables: SHA-256 (hex) of each table that the store must have or that its manifest names, None where it is
            missing.
        catalog: the catalog, or None where it can't be used.
        catalog_fault: why it can't be used.
        statistics: split → statistics, as far as statistics.json can be read.
        statistics_fault: why it can't be read.
    """

    store: Store
    reading: Reading
    tables: Mapping[str, str | None]
    catalog: pa.Table | None
    catalog_fault: str
    statistics: Mapping[str, Statistics]
    statistics_fault: str

    @cached_property
    def said_by_records(self) -> pa.Table:
        """What the id of each record says: word, speaker, recording and start, null for what it does not say."""
        return self._said(self.reading.records.column("id").combine_chunks())

    @cached_property
    def said_by_rows(self) -> pa.Table:
        """What the id of each row of the catalog says."""
        return self._said(_ids_of(self.catalog))

    def _said(self, ids: pa.Array) -> pa.Table:
        known, said = self._parsed_ids
        return said.take(pc.index_in(ids, known))

    @cached_property
    def _parsed_ids(self) -> tuple[pa.Array, pa.Table]:
        """The distinct ids of records and rows, each parsed once, and what they say."""
        ids = pc.unique(pa.concat_arrays([_ids_of(self.reading.records), _ids_of(self.catalog)]))
        parts = [_ID_SCHEMA.empty_table()]
        for start in range(0, len(ids), _IDS_AT_ONCE):
            parsed = [clip_id.parse(each) for each in ids[start : start + _IDS_AT_ONCE].to_pylist()]
            columns = {name: [getattr(each, name) for each in parsed] for name in _ID_SCHEMA.names}
            parts.append(pa.table(columns, _ID_SCHEMA))
        return ids, pa.concat_tables(parts).combine_chunks()


def _ids_of(table: pa.Table | None) -> pa.Array:
    return pa.array([], pa.string()) if table is None else table.column("id").combine_chunks()


def gather(store: Store, advance: Callable[[int], object]) -> Evidence:
    """Read a store.

    Args:
        store: the store, in a local folder.
        advance: called with the number of records done.
    """
    reading = read_shards(store, advance)
    required = {CATALOG_FILE, REJECTS_FILE if store.view is None else STATISTICS_FILE}
    hashes: dict[str, str | None] = {}
    catalog, catalog_fault = None, "it is missing"
    statistics: Mapping[str, Statistics] = {}
    statistics_fault = "it is missing"
    for name in sorted(required | store.manifest.tables.keys()):
        try:
            data = (Path(store.path) / name).read_bytes()
        except OSError:
            hashes[name] = None
            continue
        hashes[name] = hashlib.sha256(data).hexdigest()
        if name == CATALOG_FILE:
            catalog, catalog_fault = _read_catalog(data, store)
        elif name == STATISTICS_FILE:
            statistics, statistics_fault = _read_statistics(data)
    return Evidence(store, reading, hashes, catalog, catalog_fault, statistics, statistics_fault)


def _read_catalog(data: bytes, store: Store) -> tuple[pa.Table | None, str]:
    """The catalog, or None and why it can't be used."""
    schema = CATALOG_SCHEMA if store.view is None else VIEW_CATALOG_SCHEMA
    try:
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        return None, f"it is damaged ({error}): make the store again"
    if nameless := table.column("id").null_count if "id" in table.column_names else 0:
        return None, f"{nameless} rows have no id"
    if not table.schema.equals(schema, check_metadata=False):
        found = ", ".join(f"{each.name}: {each.type}" for each in table.schema)
        return None, f"columns {found}, expected {', '.join(schema.names)} of the documented types"
    return table.combine_chunks(), ""


def _read_statistics(data: bytes) -> tuple[Mapping[str, Statistics], str]:
    """The statistics of each split, or none and why they can't be read."""
    try:
        return read_statistics(data.decode()), ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {}, f"it is damaged ({error!r}): make the store again"
