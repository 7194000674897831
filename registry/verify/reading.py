"""Reads the shards of a store once, each to its end, and keeps what the checks need of every record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from base.errors import DataError
from features.statistics import Totals, merge, no_totals, totals_of
from features.views import CLIP_SAMPLES, View
from readers.store import Store
from registry.verify.findings import Location, Problem
from stores.framing import WRONG_DATA, frames
from stores.manifest import Shard

_CHUNK_BYTES: Final = 1 << 20
_RECORDS_AT_ONCE: Final = 64

RECORDS_SCHEMA: Final = pa.schema(
    [
        pa.field("shard", pa.int32()),
        pa.field("position", pa.int32()),
        pa.field("byte", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("label", pa.int64()),
        pa.field("length", pa.int64()),
        pa.field("word", pa.string()),
        pa.field("speaker", pa.string()),
        pa.field("audio_sha256", pa.string()),
    ]
)
"""What is kept of a record; `shard` is its shard's place in the manifest, and what a record lacks is null."""


@dataclass
class Reading:
    """What one pass over the shards found.

    Attributes:
        records: the readable records, columns of `RECORDS_SCHEMA`.
        seen: how many records there were, readable or not.
        damaged: the records that are cut or do not match their checksums.
        undecodable: the records that are whole but have not the fields of the store.
        wrong_values: the records with values that are not finite, or with sound after the clip's end.
        sizes: bytes of each shard of the manifest, None where it is missing.
        sha256: SHA-256 (hex) of each shard, None where it is missing.
        counted: records of each shard, None where it could not be read to its end.
        lost: (shard, position) of the records that were there and could not be read.
        unread: of each split, how many records could not be read.
        not_finite: of each split, how many records have values that are not finite; totals leave them out.
        totals: of each split; empty for a store of clips.
    """

    records: pa.Table
    unread: dict[str, int]
    not_finite: dict[str, int]
    totals: dict[str, Totals]
    seen: int = 0
    damaged: list[Problem] = field(default_factory=list)
    undecodable: list[Problem] = field(default_factory=list)
    wrong_values: list[Problem] = field(default_factory=list)
    sizes: list[int | None] = field(default_factory=list)
    sha256: list[str | None] = field(default_factory=list)
    counted: list[int | None] = field(default_factory=list)
    lost: set[tuple[int, int]] = field(default_factory=set)

    def place(self, store: Store, row: int) -> Location:
        """Where the record in a row of `records` is."""
        shard, position, byte, clip_id = (
            self.records.column(name)[row].as_py() for name in ("shard", "position", "byte", "id")
        )
        return Location(store.manifest.shards[shard].file, position, byte, clip_id)


def read_shards(store: Store, advance: Callable[[int], object]) -> Reading:
    """Read every shard of the manifest that is there.

    Args:
        store: the store, in a local folder.
        advance: called with the number of records done.
    """
    reading = Reading(
        records=RECORDS_SCHEMA.empty_table(),
        unread=dict.fromkeys(store.splits, 0),
        not_finite=dict.fromkeys(store.splits, 0),
        totals={} if store.view is None else {split: no_totals(store.view) for split in store.splits},
    )
    tables = [reading.records]
    for index, shard in enumerate(store.manifest.shards):
        if (Path(store.path) / shard.file).is_file():
            tables.append(_ShardReading(store, index, reading, advance).read())
        else:
            for of_shard in (reading.sizes, reading.sha256, reading.counted):
                of_shard.append(None)
            reading.unread[shard.split] += shard.records
            advance(shard.records)
    reading.records = pa.concat_tables(tables)
    return reading


def holds_clip_audio(view: View | None) -> bool:
    """Whether records hold the clip's own 16,000 samples, whose SHA-256 is in the catalog."""
    return view is None or view.shape == (CLIP_SAMPLES,)


class _HashingFile:
    """A file that hashes what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def sha256(self) -> str:
        """SHA-256 (hex) of the whole file."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hash.hexdigest()


class _ShardReading:
    """One shard while it is read."""

    def __init__(self, store: Store, index: int, reading: Reading, advance: Callable[[int], object]) -> None:
        self._store, self._index, self._reading, self._advance = store, index, reading, advance
        self._shard: Shard = store.manifest.shards[index]
        self._columns: dict[str, list[Any]] = {name: [] for name in RECORDS_SCHEMA.names}
        self._batch: list[tuple[Location, np.ndarray[Any, Any]]] = []
        self._has_clip_audio = holds_clip_audio(store.view)

    def read(self) -> pa.Table:
        """Read the shard; returns what its readable records say."""
        path, reading, expected = Path(self._store.path) / self._shard.file, self._reading, self._shard.records
        number, complete = 0, True
        with path.open("rb") as opened:
            file = _HashingFile(opened)
            for number, (byte, record, fault) in enumerate(frames(file), start=1):
                place = Location(self._shard.file, number - 1, byte)
                if record is None:
                    complete = fault == WRONG_DATA
                    rest = 0 if complete else expected - number
                    more = f"; {rest} more records of the shard can't be reached" if rest > 0 else ""
                    self._lose(place, reading.damaged, f"{fault}{more}")
                else:
                    self._take(place, record)
                self._advance(int(number <= expected))
            self._total()
            reading.sha256.append(file.sha256())
        unseen = max(expected - number, 0)
        reading.seen += number
        reading.unread[self._shard.split] += 0 if complete else unseen
        reading.counted.append(number if complete else None)
        reading.sizes.append(path.stat().st_size)
        self._advance(unseen)
        return pa.table(self._columns, RECORDS_SCHEMA)

    def _lose(self, place: Location, problems: list[Problem], message: str) -> None:
        problems.append(Problem(place, message))
        self._reading.lost.add((self._index, place.record or 0))
        self._reading.unread[self._shard.split] += 1

    def _take(self, place: Location, data: bytes) -> None:
        try:
            record: dict[str, Any] = self._store.record.decode(data)
        except DataError as error:
            self._lose(place, self._reading.undecodable, str(error))
            return
        place = Location(place.file, place.record, place.byte, record["id"])
        tensor = record[self._store.tensor]
        sha256 = hashlib.sha256(tensor.tobytes()).hexdigest() if self._has_clip_audio else None
        own = {"shard": self._index, "position": place.record, "byte": place.byte, "audio_sha256": sha256}
        for name, column in self._columns.items():
            column.append(own[name] if name in own else record.get(name))
        if self._has_clip_audio and tensor[max(record["length"], 0) :].any():
            message = f"samples after the real length {record['length']}, expected zeros"
            self._reading.wrong_values.append(Problem(place, message))
        if self._store.view is not None:
            self._batch.append((place, tensor))
            if len(self._batch) == _RECORDS_AT_ONCE:
                self._total()

    def _total(self) -> None:
        """Add the records that wait to the totals of their split, without those that are not finite."""
        view, split, batch = self._store.view, self._shard.split, self._batch
        self._batch = []
        if view is None or not batch:
            return
        values = np.stack([tensor for _, tensor in batch])
        finite = np.isfinite(values).reshape(len(batch), -1).all(axis=1)
        for place, tensor in (each for each, sound in zip(batch, finite, strict=True) if not sound):
            self._reading.wrong_values.append(Problem(place, _not_finite(tensor)))
        self._reading.not_finite[split] += int((~finite).sum())
        if finite.any():
            totals = totals_of(values[finite], view)
            self._reading.totals[split] = merge((self._reading.totals[split], totals), view)


def _not_finite(tensor: np.ndarray[Any, Any]) -> str:
    wrong = np.argwhere(~np.isfinite(tensor))
    first = tuple(int(index) for index in wrong[0])
    return f"value {tensor[first]} at {list(first)}, {len(wrong)} of {tensor.size} values are not finite"
