"""All that the checks of a store look at: what was read of shards, tables and statistics, and the clips in parts.

No check holds all clips at once: memory grows with the largest part and with the faults, not with the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from base import files
from features.statistics import Statistics, read_statistics
from readers.store import Store
from registry.verify.addresses import Addresses
from registry.verify.catalog_rows import read_catalog
from registry.verify.clips import RECORDS_SCHEMA, Clips, repeated, rows_schema
from registry.verify.ledger import Ledger
from registry.verify.reading import Reading, read_shards
from registry.verify.sieve import Sieve, Sifted, marks
from registry.verify.sightings import KINDS, Kind, Sightings, sightings
from stores.manifest import CATALOG_FILE, REJECTS_FILE, STATISTICS_FILE


@dataclass(frozen=True)
class Evidence:
    """What a store holds.

    Attributes:
        store: the store.
        addresses: where its records are.
        reading: what its shards hold.
        records: what was read of each record.
        tables: SHA-256 (hex) of each table that the store must have or that its manifest names, None where it is
            missing.
        rows: the rows of the catalog, or None where it can't be used.
        catalog_fault: why it can't be used.
        statistics: split → statistics, as far as statistics.json can be read.
        statistics_fault: why it can't be read.
        folder: takes temporary files.
    """

    store: Store
    addresses: Addresses
    reading: Reading
    records: Ledger
    tables: Mapping[str, str | None]
    rows: Ledger | None
    catalog_fault: str
    statistics: Mapping[str, Statistics]
    statistics_fault: str
    folder: str

    def only_records(self) -> Iterator[Clips]:
        """All records in the order of the shards, some at a time, without their rows."""
        return (self._clips(records, self._no_rows) for records in self.records.batches())

    def by_address(self) -> Iterator[Clips]:
        """All clips in parts, such that a record and the rows that give its address are in one; the rows that give none
        are the last part.
        """
        for first, end in self.addresses.parts():
            rows = self._no_rows if self.rows is None else self.rows.between(first, end)
            yield self._clips(self.records.between(first, end), rows)

    def of(self, ids: pa.Array) -> Clips:
        """The clips of some ids, in the order of the shards and of the catalog."""
        rows = self._no_rows if self.rows is None else _of(ids, self.rows).sort_by("row")
        return self._clips(_of(ids, self.records), rows)

    @cached_property
    def doubtful(self) -> Clips:
        """The clips whose id stands in two parts of `by_address`, or twice among the records or the rows of one."""
        sieve, twice = self._sieve(), [pa.array([], pa.string())]
        for number, clips in enumerate(self.by_address()):
            sieve.add(marks(clips.ids, number))
            twice += map(repeated, (clips.record_ids, clips.row_ids))
        sifted, in_parts = sieve.sift(), twice[:1]
        if len(sifted.shared):
            in_parts += (clips.ids.filter(sifted.suspects(clips.ids)) for clips in self.by_address())
        return self.of(pc.unique(pa.concat_arrays([*twice, repeated(pa.concat_arrays(in_parts))])))

    def by_id(self) -> Iterator[Clips]:
        """All clips in parts, such that all records and rows of an id are in one; the doubtful ones are the last."""
        doubtful = self.doubtful.ids
        for clips in self.by_address():
            yield clips.without(doubtful) if len(doubtful) else clips
        yield self.doubtful

    def shared(self, kind: Kind) -> tuple[Sifted, Sightings]:
        """What splits share of a kind by their hashes, and all sightings of the clips that may share it."""
        sifted, ids = self._sifted[kind], [pa.array([], pa.string())]
        if len(sifted.shared):
            for seen in map(sightings, self.by_id()):
                found = kind.marks(seen)
                suspects = found.column("sighting").filter(sifted.suspects(found.column("value")))
                ids.append(seen.ids.take(suspects.combine_chunks()))
        return sifted, sightings(self.of(pc.unique(pa.concat_arrays(ids))))

    @cached_property
    def _sifted(self) -> Mapping[Kind, Sifted]:
        sieves = {kind: self._sieve(kind.reach) for kind in KINDS}
        for seen in map(sightings, self.by_id()):
            for kind, sieve in sieves.items():
                sieve.add(kind.marks(seen))
        return {kind: sieve.sift() for kind, sieve in sieves.items()}

    def _sieve(self, reach: int = 1) -> Sieve:
        return Sieve(self.folder, len(self.records) + len(self.rows or ()), reach)

    @cached_property
    def _no_rows(self) -> pa.Table:
        return rows_schema(self.store).empty_table()

    def _clips(self, records: pa.Table, rows: pa.Table) -> Clips:
        return Clips(self.store, self.addresses, records, rows)


def _of(ids: pa.Array, ledger: Ledger) -> pa.Table:
    """The rows of a table that have one of some ids."""
    tables = ledger.batches() if len(ids) else iter(())
    chosen = (table.filter(pc.is_in(table.column("id"), ids)) for table in tables)
    return pa.concat_tables([ledger.schema.empty_table(), *filter(len, chosen)])


def gather(store: Store, folder: str, advance: Callable[[int], object]) -> Evidence:
    """Read a store.

    Args:
        store: the store.
        folder: takes temporary files.
        advance: called with the number of records done.
    """
    addresses = Addresses(store)
    records = Ledger(f"{folder}/records.arrow", RECORDS_SCHEMA, addresses.of_records)
    reading = read_shards(store, records, advance)
    records.close()
    required = {CATALOG_FILE, REJECTS_FILE if store.view is None else STATISTICS_FILE}
    hashes = {name: _sha256(f"{store.path}/{name}") for name in sorted(required | store.manifest.tables.keys())}
    rows, catalog_fault = None, "it is missing"
    statistics: Mapping[str, Statistics] = {}
    statistics_fault = "it is missing"
    if hashes[CATALOG_FILE]:
        rows, catalog_fault = read_catalog(f"{store.path}/{CATALOG_FILE}", store, addresses, f"{folder}/rows.arrow")
    if hashes.get(STATISTICS_FILE):
        statistics, statistics_fault = _read_statistics(files.read_bytes(f"{store.path}/{STATISTICS_FILE}"))
    return Evidence(
        store, addresses, reading, records, hashes, rows, catalog_fault, statistics, statistics_fault, folder
    )


def _sha256(path: str) -> str | None:
    """SHA-256 (hex) of a file, or None where it can't be read."""
    try:
        return files.sha256(path)
    except OSError:
        return None


def _read_statistics(data: bytes) -> tuple[Mapping[str, Statistics], str]:
    """The statistics of each split, or none and why they can't be read."""
    try:
        return read_statistics(data.decode()), ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {}, f"it is damaged ({error!r}): make the store again"
