"""Some clips of a store: what was read of their records, and their rows of the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features import clip_id
from features.quality import Quality
from readers.store import Store
from registry.verify.addresses import Addresses
from registry.verify.findings import Location
from stores.catalog import CATALOG_SCHEMA, VIEW_CATALOG_SCHEMA
from stores.manifest import CATALOG_FILE

ID_SCHEMA: Final = pa.schema(
    [
        ("said_word", pa.string()),
        ("said_speaker", pa.string()),
        ("said_recording", pa.string()),
        ("said_start", pa.int64()),
        ("said_parent", pa.string()),
    ]
)
"""What an id says, null for what it does not say."""

READ_SCHEMA: Final = pa.schema(
    [
        ("shard", pa.int32()),
        ("position", pa.int32()),
        ("byte", pa.int64()),
        ("id", pa.string()),
        ("label", pa.int64()),
        ("length", pa.int64()),
        ("word", pa.string()),
        ("speaker", pa.string()),
        ("audio_sha256", pa.string()),
        *((name, CATALOG_SCHEMA.field(name).type) for name in Quality._fields),
    ]
)
"""What is read of a record, or measured of its audio; `shard` is its shard's place in the manifest, and what a record
lacks is null."""

RECORDS_SCHEMA: Final = pa.schema([*READ_SCHEMA, *ID_SCHEMA])
"""What is kept of a record."""

_ROW_COLUMNS: Final = frozenset(
    (
        *("id", "word", "speaker", "label", "split", "length", "audio_sha256", "recording", "start", "parent"),
        *("shard", "position"),
        *Quality._fields,
    )
)


def catalog_schema(store: Store) -> pa.Schema:
    """The columns of a store's catalog."""
    return CATALOG_SCHEMA if store.view is None else VIEW_CATALOG_SCHEMA


def rows_schema(store: Store) -> pa.Schema:
    """What is kept of a row of the catalog: its number, and the columns that are looked at."""
    columns = [column.remove_metadata() for column in catalog_schema(store) if column.name in _ROW_COLUMNS]
    return pa.schema([pa.field("row", pa.int64()), *columns])


@dataclass(frozen=True)
class Clips:
    """Some clips of a store.

    Attributes:
        store: the store.
        addresses: where its records are.
        records: of the clips, columns of `RECORDS_SCHEMA`.
        rows: of the clips, columns of `rows_schema`; none where the catalog can't be used.
    """

    store: Store
    addresses: Addresses
    records: pa.Table
    rows: pa.Table

    def record_place(self, record: int) -> Location:
        """Where a record is."""
        shard, position, byte, name = (
            self.records.column(column)[record].as_py() for column in ("shard", "position", "byte", "id")
        )
        return Location(self.store.manifest.shards[shard].file, position, byte, name)

    def row_place(self, row: int) -> Location:
        """Where a row of the catalog is."""
        return Location(CATALOG_FILE, id=self.row_ids[row].as_py())

    @cached_property
    def record_ids(self) -> pa.Array:
        """The id of each record."""
        return self.records.column("id").combine_chunks()

    @cached_property
    def row_ids(self) -> pa.Array:
        """The id of each row."""
        return self.rows.column("id").combine_chunks()

    @property
    def ids(self) -> pa.Array:
        """The different ids of records and rows."""
        return pc.unique(pa.concat_arrays([self.record_ids, self.row_ids]))

    @property
    def said_by_records(self) -> pa.Table:
        """What the id of each record says, columns of `ID_SCHEMA`."""
        return self.records.select(ID_SCHEMA.names)

    @cached_property
    def said_by_rows(self) -> pa.Table:
        """What the id of each row says, columns of `ID_SCHEMA`; it was read already where a record has the same id."""
        record = pc.index_in(self.row_ids, self.record_ids)
        alone = record.is_null().to_numpy(zero_copy_only=False)
        taken = pc.fill_null(record, 0).to_numpy().copy()
        taken[alone] = len(self.records) + np.arange(alone.sum())
        parsed = pa.table(_what_ids_say(self.row_ids.filter(alone).to_pylist()), ID_SCHEMA)
        return pa.concat_tables([self.said_by_records, parsed]).take(taken)

    def without(self, ids: pa.Array) -> Clips:
        """Those of other ids."""
        records = self.records.filter(pc.invert(pc.is_in(self.record_ids, ids)))
        return replace(self, records=records, rows=self.rows.filter(pc.invert(pc.is_in(self.row_ids, ids))))


def repeated(ids: pa.Array) -> pa.Array:
    """The ids that are there more than once."""
    counts = pc.value_counts(ids)
    return counts.field("values").filter(pc.greater(counts.field("counts"), 1))


def records_table(records: Sequence[tuple[Any, ...]]) -> pa.Table:
    """A table of `RECORDS_SCHEMA`.

    Args:
        records: of each record what was read of it, values of `READ_SCHEMA`.
    """
    read = dict(zip(READ_SCHEMA.names, zip(*records, strict=True), strict=True))
    return pa.table({**read, **_what_ids_say(read["id"])}, RECORDS_SCHEMA)


def _what_ids_say(ids: Iterable[str]) -> dict[str, list[Any]]:
    """What some ids say, columns of `ID_SCHEMA`."""
    parsed = [clip_id.parse(each) for each in ids]
    return {name: [getattr(each, name.removeprefix("said_")) for each in parsed] for name in ID_SCHEMA.names}
