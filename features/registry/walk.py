"""Reads the shards of a store once, each to its end: checksums, hash, values, totals, and what each record says."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from features.errors import DataError
from features.manifest import Shard
from features.records import LONGEST_RECORD_BYTES, masked_crc32c
from features.registry.findings import Ledger, Place
from features.statistics import Totals, merge, no_totals, totals_of
from features.store import Store
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, View, Waveform

_HEADER: Final = struct.Struct("<QI")
_LENGTH_BYTES: Final = 8
_CRC_BYTES: Final = 4
_CHUNK_BYTES: Final = 1 << 20
_RECORDS_AT_ONCE: Final = 64

FOUND_SCHEMA: Final = pa.schema(
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


@dataclass(frozen=True)
class Frame:
    """One record as it stands in a file: its data, or its fault; `last` where nothing after it can be read."""

    number: int
    byte: int
    data: bytes | None
    fault: str = ""
    last: bool = False


@dataclass
class Reading:
    """What one pass over the shards brought.

    Attributes:
        found: the readable records, columns of `FOUND_SCHEMA`.
        counted: of each shard of the manifest, its records, or None where it could not be read to its end.
        intact: of each shard, whether its SHA-256 is that of the manifest.
        damaged: (shard, position) of the records that were there and could not be read.
        unread: of each split, how many records could not be read.
        not_finite: of each split, how many records have values that are not finite; totals leave them out.
        totals: of each split; empty for a store of clips.
    """

    found: pa.Table = field(default_factory=FOUND_SCHEMA.empty_table)
    counted: list[int | None] = field(default_factory=list)
    intact: list[bool] = field(default_factory=list)
    damaged: set[tuple[int, int]] = field(default_factory=set)
    unread: dict[str, int] = field(default_factory=dict)
    not_finite: dict[str, int] = field(default_factory=dict)
    totals: dict[str, Totals] = field(default_factory=dict)


def frames(read: Callable[[int], bytes], size: int) -> Iterator[Frame]:
    """The records of a TFRecord file, each with what is wrong with it; goes on after a record whose length is sound.

    Args:
        read: reads so many bytes of the file, from its beginning on.
        size: bytes of the file.
    """
    number = byte = 0
    while header := read(_HEADER.size):
        if len(header) < _HEADER.size:
            yield Frame(number, byte, None, "the file ends inside the record's length", last=True)
            return
        length, crc = _HEADER.unpack(header)
        end = byte + _HEADER.size + length + _CRC_BYTES
        if crc != masked_crc32c(header[:_LENGTH_BYTES]):
            yield Frame(number, byte, None, f"the record's length {length} does not match its checksum", last=True)
            return
        if length > LONGEST_RECORD_BYTES or end > size:
            yield Frame(number, byte, None, f"the file ends at byte {size}, inside the record", last=True)
            return
        content = read(length + _CRC_BYTES)
        data = content[:length]
        sound = int.from_bytes(content[length:], "little") == masked_crc32c(data)
        yield Frame(number, byte, data if sound else None, "" if sound else "the data does not match its checksum")
        number, byte = number + 1, end


class _Hashing:
    """A file that hashes what is read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def sha256(self) -> str:
        """SHA-256 (hex) of the whole file."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hash.hexdigest()


def read_shards(store: Store, ledger: Ledger, advance: Callable[[int], object]) -> Reading:
    """Read every shard of the manifest that is there.

    Args:
        store: the store, local.
        ledger: takes the problems of single records and of the shards' hashes.
        advance: called with the number of records done.
    """
    reading = Reading(unread=dict.fromkeys(store.splits, 0), not_finite=dict.fromkeys(store.splits, 0))
    if store.view is not None:
        reading.totals = {split: no_totals(store.view) for split in store.splits}
    tables = []
    for index, shard in enumerate(store.manifest.shards):
        walk = _ShardWalk(store, index, ledger, reading, advance)
        if (Path(store.path) / shard.file).is_file():
            tables.append(walk.read())
        else:
            reading.counted.append(None)
            reading.intact.append(False)
            reading.unread[shard.split] += shard.records
            advance(shard.records)
    reading.found = pa.concat_tables([reading.found, *tables])
    return reading


class _ShardWalk:
    """One shard on its way through the checks of single records."""

    def __init__(
        self, store: Store, index: int, ledger: Ledger, reading: Reading, advance: Callable[[int], object]
    ) -> None:
        self._store, self._index, self._ledger, self._reading = store, index, ledger, reading
        self._advance = advance
        self._shard: Shard = store.manifest.shards[index]
        self._rows: dict[str, list[Any]] = {name: [] for name in FOUND_SCHEMA.names}
        self._batch: list[tuple[Place, np.ndarray[Any, Any]]] = []
        self._hashes_audio = holds_clip_audio(store.view)
        self._longest = CLIP_SAMPLES if store.view is None or store.tensor != "audio" else store.view.shape[0]

    def read(self) -> pa.Table:
        """Read the shard; returns what its readable records say."""
        path = Path(self._store.path) / self._shard.file
        seen, whole = 0, True
        with path.open("rb") as opened:
            file = _Hashing(opened)
            for frame in frames(file.read, path.stat().st_size):
                self._take(frame)
                self._advance(int(frame.number < self._shard.records))
                seen, whole = seen + 1, not frame.last
            self._flush()
            self._hash(file.sha256())
        unseen = max(self._shard.records - seen, 0)
        self._reading.unread[self._shard.split] += 0 if whole else unseen
        self._reading.counted.append(seen if whole else None)
        self._advance(unseen)
        return pa.table(self._rows, FOUND_SCHEMA)

    def _hash(self, sha256: str) -> None:
        shards = self._store.manifest.shards
        self._ledger.look("hashes")
        self._reading.intact.append(sha256 == self._shard.sha256)
        if sha256 != self._shard.sha256:
            owners = [other.file for other in shards if other.sha256 == sha256]
            content = f"the content of {owners[0]}, SHA-256 {sha256}" if owners else f"SHA-256 {sha256}"
            expected = f"expected {self._shard.sha256}"
            self._ledger.blame("hashes", Place(self._shard.file), f"it has {content}, {expected}")

    def _take(self, frame: Frame) -> None:
        self._ledger.look("checksums")
        place = Place(self._shard.file, frame.number, frame.byte)
        if frame.data is None:
            rest = self._shard.records - frame.number - 1
            lost = f"; {rest} more records of the shard can't be reached" if frame.last and rest > 0 else ""
            self._ledger.blame("checksums", place, f"{frame.fault}{lost}")
            self._drop(frame.number)
            return
        self._ledger.look("records")
        try:
            record: dict[str, Any] = self._store.record.decode(frame.data)
        except DataError as error:
            self._ledger.blame("records", place, str(error))
            self._drop(frame.number)
            return
        self._keep(record, frame)

    def _drop(self, number: int) -> None:
        self._reading.damaged.add((self._index, number))
        self._reading.unread[self._shard.split] += 1

    def _keep(self, record: dict[str, Any], frame: Frame) -> None:
        place = Place(self._shard.file, frame.number, frame.byte, record["id"])
        tensor = record[self._store.tensor]
        hashed = hashlib.sha256(tensor.tobytes()).hexdigest() if self._hashes_audio else None
        kept = {"shard": self._index, "position": frame.number, "byte": frame.byte, "audio_sha256": hashed}
        for name, column in self._rows.items():
            column.append(kept[name] if name in kept else record.get(name))
        self._check_ranges(place, record)
        self._ledger.look("values")
        if self._hashes_audio and tensor[max(record["length"], 0) :].any():
            self._ledger.blame("values", place, f"samples after the real length {record['length']}, expected zeros")
        self._batch.append((place, tensor))
        if len(self._batch) == _RECORDS_AT_ONCE:
            self._flush()

    def _check_ranges(self, place: Place, record: dict[str, Any]) -> None:
        self._ledger.look("ranges")
        if not 0 <= record["length"] <= self._longest:
            self._ledger.blame("ranges", place, f"length {record['length']}, expected 0 to {self._longest}")
        classes = self._store.classes
        if "label" in record and not 0 <= record["label"] < len(classes):
            self._ledger.blame("ranges", place, f"label {record['label']}, expected 0 to {len(classes) - 1}")

    def _flush(self) -> None:
        """Check and total the records that wait."""
        view, split, batch = self._store.view, self._shard.split, self._batch
        self._batch = []
        if view is None or not batch:
            return
        values = np.stack([tensor for _, tensor in batch])
        if not np.isfinite(values).all():
            finite = np.isfinite(values).reshape(len(batch), -1).all(axis=1)
            for place, tensor in (each for each, sound in zip(batch, finite, strict=True) if not sound):
                self._ledger.blame("values", place, _not_finite(tensor))
            self._reading.not_finite[split] += int((~finite).sum())
            values = values[finite]
        if len(values):
            self._reading.totals[split] = merge((self._reading.totals[split], totals_of(values, view)), view)


def _not_finite(tensor: np.ndarray[Any, Any]) -> str:
    wrong = np.argwhere(~np.isfinite(tensor))
    first = tuple(int(index) for index in wrong[0])
    return f"value {tensor[first]} at {list(first)}, {len(wrong)} of {tensor.size} values are not finite"


def holds_clip_audio(view: View | None) -> bool:
    """Whether records hold the clip's own 16,000 samples, which the catalogue has the SHA-256 of."""
    return view is None or (isinstance(view, Waveform) and view.sample_rate_hz == SAMPLE_RATE_HZ)
