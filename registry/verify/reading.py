"""Reads the shards of a store once, each to its end, and writes down what the checks need of every record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np

from base import files
from base.errors import DataError
from features.audio import Samples
from features.labels import SILENCE_CLASS
from features.quality import Quality, measure
from features.statistics import Totals, merge, no_totals, totals_of
from features.views import CLIP_SAMPLES, View
from readers.store import Store
from registry.verify.clips import records_table
from registry.verify.findings import Location, Problem
from registry.verify.ledger import Ledger
from stores.framing import WRONG_DATA, frames
from stores.manifest import Shard

_CHUNK_BYTES: Final = 1 << 20
_DECODED_AT_ONCE: Final = 16
RECORDS_AT_ONCE: Final = 1 << 12
"""Records of a shard that are written down together."""

_OWN_FIELDS: Final = ("id", "label", "length", "word", "speaker")
_NO_AUDIO: Final = (None,) * (1 + len(Quality._fields))


@dataclass
class Reading:
    """What one pass over the shards found.

    Attributes:
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


def read_shards(store: Store, ledger: Ledger, advance: Callable[[int], object]) -> Reading:
    """Read every shard of the manifest that is there.

    Args:
        store: the store.
        ledger: takes the readable records, with the columns of `RECORDS_SCHEMA`.
        advance: called with the number of records done.
    """
    reading = Reading(
        unread=dict.fromkeys(store.splits, 0),
        not_finite=dict.fromkeys(store.splits, 0),
        totals={} if store.view is None else {split: no_totals(store.view) for split in store.splits},
    )
    sizes = files.sizes(store.path, [shard.file for shard in store.manifest.shards])
    for index, shard in enumerate(store.manifest.shards):
        if (size := sizes[shard.file]) is not None:
            reading.sizes.append(size)
            _ShardReading(store, index, reading, ledger, advance).read()
        else:
            for of_shard in (reading.sizes, reading.sha256, reading.counted):
                of_shard.append(None)
            reading.unread[shard.split] += shard.records
            advance(shard.records)
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


class _Whole(NamedTuple):
    """A record whose checksums match: its position, the byte at which it begins, and its data."""

    position: int
    byte: int
    data: bytes


class _ShardReading:
    """One shard while it is read."""

    def __init__(
        self, store: Store, index: int, reading: Reading, ledger: Ledger, advance: Callable[[int], object]
    ) -> None:
        self._store, self._index, self._reading, self._ledger, self._advance = store, index, reading, ledger, advance
        self._shard: Shard = store.manifest.shards[index]
        self._waiting: list[_Whole] = []
        self._known: list[tuple[Any, ...]] = []
        self._has_clip_audio = holds_clip_audio(store.view)

    def read(self) -> None:
        """Read the shard to its end."""
        reading, expected = self._reading, self._shard.records
        number, complete = 0, True
        with files.open_for_reading(files.join(self._store.path, self._shard.file)) as opened:
            file = _HashingFile(opened)
            for number, (byte, record, fault) in enumerate(frames(file), start=1):
                if record is None:
                    complete = fault == WRONG_DATA
                    rest = 0 if complete else expected - number
                    more = f"; {rest} more records of the shard can't be reached" if rest > 0 else ""
                    self._lose(number - 1, byte, reading.damaged, f"{fault}{more}")
                else:
                    self._waiting.append(_Whole(number - 1, byte, record))
                    if len(self._waiting) == _DECODED_AT_ONCE:
                        self._look()
                self._advance(int(number <= expected))
            self._look()
            self._write_down()
            reading.sha256.append(file.sha256())
        unseen = max(expected - number, 0)
        reading.seen += number
        reading.unread[self._shard.split] += 0 if complete else unseen
        reading.counted.append(number if complete else None)
        self._advance(unseen)

    def _lose(self, position: int, byte: int, problems: list[Problem], message: str) -> None:
        problems.append(Problem(Location(self._shard.file, position, byte), message))
        self._reading.lost.add((self._index, position))
        self._reading.unread[self._shard.split] += 1

    def _look(self) -> None:
        """Look at the values of the records that wait, and keep what is known of each."""
        records, fields = self._decoded()
        ids, tensors = fields["id"].tolist(), fields[self._store.tensor]
        if self._store.view is not None and records:
            self._total(records, ids, tensors, self._store.view)
        audio: list[tuple[Any, ...]] = [_NO_AUDIO] * len(records)
        if self._has_clip_audio:
            lengths, spoken = fields["length"].tolist(), self._spoken(fields)
            audio = list(map(_heard, tensors, lengths, spoken))
            for index, length in enumerate(lengths):
                if tensors[index, max(length, 0) :].any():
                    message = f"samples after the real length {length}, expected zeros"
                    self._blame(records[index], ids[index], message)
        places = ((self._index, record.position, record.byte) for record in records)
        own = (fields[name].tolist() if name in fields else [None] * len(records) for name in _OWN_FIELDS)
        self._known += ((*place, *rest, *heard) for place, *rest, heard in zip(places, *own, audio, strict=True))
        if len(self._known) >= RECORDS_AT_ONCE:
            self._write_down()

    def _spoken(self, fields: dict[str, np.ndarray[Any, Any]]) -> list[bool]:
        """Which of some records are of speech."""
        if self._store.view is None:
            return [word != SILENCE_CLASS for word in fields["word"]]
        silence = self._store.classes.index(SILENCE_CLASS) if SILENCE_CLASS in self._store.classes else None
        return [label != silence for label in fields["label"].tolist()]

    def _write_down(self) -> None:
        known, self._known = self._known, []
        if known:
            self._ledger.append(records_table(known))

    def _decoded(self) -> tuple[list[_Whole], dict[str, np.ndarray[Any, Any]]]:
        """The records that wait and their fields, without those that have not the fields of the store."""
        records, self._waiting = self._waiting, []
        spec = self._store.record
        try:
            return records, spec.decode_batch([record.data for record in records])
        except DataError:
            records = [record for record in records if self._is_decodable(record)]
            return records, spec.decode_batch([record.data for record in records])

    def _is_decodable(self, record: _Whole) -> bool:
        try:
            self._store.record.decode(record.data)
        except DataError as error:
            self._lose(record.position, record.byte, self._reading.undecodable, str(error))
            return False
        return True

    def _total(self, records: list[_Whole], ids: list[str], values: np.ndarray[Any, Any], view: View) -> None:
        """Add some records to the totals of their split, without those that are not finite."""
        split = self._shard.split
        finite = np.isfinite(values).reshape(len(records), -1).all(axis=1)
        for index in np.flatnonzero(~finite).tolist():
            self._blame(records[index], ids[index], _not_finite(values[index]))
        self._reading.not_finite[split] += int((~finite).sum())
        if finite.any():
            totals = totals_of(values if finite.all() else values[finite], view)
            self._reading.totals[split] = merge((self._reading.totals[split], totals), view)

    def _blame(self, record: _Whole, clip_id: str, message: str) -> None:
        place = Location(self._shard.file, record.position, record.byte, clip_id)
        self._reading.wrong_values.append(Problem(place, message))


def _heard(samples: Samples, length: int, spoken: bool) -> tuple[Any, ...]:
    """What the catalog has of a clip's audio: its SHA-256 and what is measured."""
    return hashlib.sha256(samples.data).hexdigest(), *measure(samples[: max(length, 0)], spoken)


def _not_finite(tensor: np.ndarray[Any, Any]) -> str:
    wrong = np.argwhere(~np.isfinite(tensor))
    first = tuple(int(index) for index in wrong[0])
    return f"value {tensor[first]} at {list(first)}, {len(wrong)} of {tensor.size} values are not finite"
