"""Checks of records against the catalog: ids, places, labels, lengths, audio, and the classes of words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.labels import SILENCE_CLASS, class_of_word
from readers.store import Store
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings, Location
from stores.manifest import CATALOG_FILE, MANIFEST_FILE

Integers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_SPLIT_BITS: Final = 48
_SHARD_BITS: Final = 24


def row_place(catalog: pa.Table, row: int) -> Location:
    """Where a row of the catalog is."""
    return Location(CATALOG_FILE, id=catalog.column("id")[row].as_py())


def check_ids(evidence: Evidence, findings: Findings) -> None:
    """Whether no id occurs twice, among the records and among the rows."""
    for table in (evidence.reading.records, evidence.catalog):
        if table is None:
            continue
        ids = table.column("id").combine_chunks()
        findings.look(len(ids))
        counts = pc.value_counts(ids)
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        first: dict[str, Location] = {}
        for row in np.flatnonzero(pc.is_in(ids, repeated).to_numpy(zero_copy_only=False)).tolist():
            is_row = table is evidence.catalog
            place = row_place(table, row) if is_row else evidence.reading.place(evidence.store, row)
            clip_id = ids[row].as_py()
            if clip_id in first:
                findings.blame(place, f"the id stands at {first[clip_id]} already")
            first.setdefault(clip_id, place)


def check_catalog(evidence: Evidence, findings: Findings) -> None:
    """Whether the catalog can be read, each record is that of the row with its place, and each row has a record."""
    catalog, store, reading = evidence.catalog, evidence.store, evidence.reading
    if catalog is None:
        findings.blame(Location(CATALOG_FILE), evidence.catalog_fault)
        return
    findings.look(len(catalog))
    pairs = _Pairs(evidence, catalog)
    for index in np.flatnonzero(~pairs.same_id).tolist():
        home = _home_of(store, catalog, pairs.records.column("id")[index].as_py())
        owner = pairs.rows.column("id")[index].as_py()
        findings.blame(pairs.place(index), f"the catalog has {owner} here; {home}")
    lengths = pairs.rows.column("length").to_pylist()
    if store.view is not None:
        lengths = [None if length is None else store.view.real_length(length) for length in lengths]
    expected = {"length": pa.array(lengths, pa.int64())}
    if store.view is None:
        expected |= {"word": pairs.rows.column("word"), "speaker": pc.fill_null(pairs.rows.column("speaker"), "")}
    else:
        expected["label"] = pairs.rows.column("label")
    for name, column in expected.items():
        pairs.compare(name, column, findings)
    for record in pairs.records_without_row:
        home = _home_of(store, catalog, reading.records.column("id")[record].as_py())
        findings.blame(reading.place(store, record), f"the catalog has no row for this place; {home}")
    _check_rows_without_record(evidence, catalog, pairs, findings)


def check_audio(evidence: Evidence, findings: Findings) -> None:
    """Whether the audio of each record has the SHA-256 of its row."""
    if evidence.catalog is None:
        findings.remark("not compared: the catalog, which has its SHA-256, can't be read")
        return
    pairs = _Pairs(evidence, evidence.catalog)
    findings.look(int(pairs.same_id.sum()))
    pairs.compare("audio_sha256", pairs.rows.column("audio_sha256"), findings)


class _Pairs:
    """The records and rows that have the same place.

    Attributes:
        records, rows: tables of equal length, the records in the order of the shards.
        same_id: bool, (pairs,), whether record and row have one id.
        records_without_row: rows of `Reading.records` whose place the catalog does not have.
        row_keys: the place of each row of the catalog as a number.
        row_has_record: bool, (rows of the catalog,).
    """

    def __init__(self, evidence: Evidence, catalog: pa.Table) -> None:
        store, found = evidence.store, evidence.reading.records
        bases = np.array([_key(store, shard, 0) for shard in range(len(store.manifest.shards))], np.int64)
        record_keys = bases[found.column("shard").to_numpy()] + found.column("position").to_numpy()
        self.row_keys = _row_keys(store, catalog)
        row_of_record = pc.index_in(pa.array(record_keys), pa.array(self.row_keys))
        self._matched = np.flatnonzero(row_of_record.is_valid().to_numpy(zero_copy_only=False))
        self.records = found.take(self._matched)
        self.rows = catalog.take(row_of_record.drop_null())
        self.same_id = pc.equal(self.records.column("id"), self.rows.column("id")).to_numpy()
        self.records_without_row = np.flatnonzero(row_of_record.is_null().to_numpy(zero_copy_only=False)).tolist()
        self.row_has_record = np.isin(self.row_keys, record_keys)
        self._evidence = evidence

    def place(self, index: int) -> Location:
        """Where the record of a pair is."""
        return self._evidence.reading.place(self._evidence.store, int(self._matched[index]))

    def compare(self, name: str, expected: Any, findings: Findings) -> None:
        """Report where a column of the records differs from what the rows of the same ids make expected."""
        differ = pc.fill_null(pc.not_equal(self.records.column(name), expected), True).to_numpy()
        for index in np.flatnonzero(differ & self.same_id).tolist():
            came, true = self.records.column(name)[index].as_py(), expected[index].as_py()
            findings.blame(self.place(index), f"{name} {came!r}, the catalog has {true!r}")


def _check_rows_without_record(evidence: Evidence, catalog: pa.Table, pairs: _Pairs, findings: Findings) -> None:
    """Report the rows without a record, shard by shard, except those whose record is known to be damaged."""
    store, reading = evidence.store, evidence.reading
    shard_of_key = {_key(store, shard, 0) >> _SHARD_BITS: shard for shard in range(len(store.manifest.shards))}
    lost = {_key(store, shard, position) for shard, position in reading.lost}
    rows_of_shard: dict[int | None, list[int]] = {}
    for row in np.flatnonzero(~pairs.row_has_record).tolist():
        key = int(pairs.row_keys[row])
        shard = shard_of_key.get(key >> _SHARD_BITS)
        if key not in lost and (shard is None or reading.counted[shard] is not None):
            rows_of_shard.setdefault(shard, []).append(row)
    for shard, rows in rows_of_shard.items():
        name = "a shard or split that the store does not have" if shard is None else store.manifest.shards[shard].file
        message = f"no record for {len(rows)} of the rows in {name}, this one first"
        findings.blame(row_place(catalog, rows[0]), message)


def _home_of(store: Store, catalog: pa.Table, clip_id: str) -> str:
    """Where the catalog has the record of a clip."""
    row = pc.index(catalog.column("id"), clip_id).as_py()
    if row < 0:
        return "it has no row for this id at all"
    split = store.splits[0] if store.view is None else catalog.column("split")[row].as_py()
    shard, position = (catalog.column(name)[row].as_py() for name in ("shard", "position"))
    return f"it has this id as record {position} in shard {shard} of {split}"


def _key(store: Store, shard: int, position: int) -> int:
    """The place of a record in a shard of the manifest as one number: split, shard of the split, position."""
    split = store.manifest.shards[shard].split
    number = store.shards(split).index(store.manifest.shards[shard])
    return store.splits.index(split) << _SPLIT_BITS | number << _SHARD_BITS | position


def _row_keys(store: Store, catalog: pa.Table) -> Integers:
    """The place of each row as one number, as `_key` makes it for a record; a negative one matches none."""
    if store.view is None:
        splits = np.zeros(len(catalog), np.int64)
    else:
        found = pc.index_in(catalog.column("split"), pa.array(store.splits))
        splits = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    shards, positions = (
        pc.fill_null(catalog.column(name), -1).to_numpy().astype(np.int64) for name in ("shard", "position")
    )
    keys: Integers = (splits << _SPLIT_BITS) + (shards << _SHARD_BITS) + positions
    return keys


def check_classes(evidence: Evidence, findings: Findings) -> None:
    """Whether each record and each row has the label of its word, and rows the words that their ids say."""
    store, records, catalog = evidence.store, evidence.reading.records, evidence.catalog
    findings.look(len(records))
    for row, word, label in _each(evidence.said_by_records.column("word"), records.column("label")):
        if word is not None and (message := _wrong_label(store, word, label)):
            findings.blame(evidence.reading.place(store, row), message)
    if catalog is None:
        return
    findings.look(len(catalog))
    columns = (catalog.column(name) for name in ("word", "label", "recording"))
    for row, said, word, label, recording in _each(evidence.said_by_rows.column("word"), *columns):
        message = _wrong_label(store, word, label)
        if said not in (None, word):
            message = f"word {word!r}, but the id says {said!r}"
        elif not message and recording is not None and word != SILENCE_CLASS:
            message = f"word {word!r} of the noise recording {recording}, expected {SILENCE_CLASS!r}"
        if message:
            findings.blame(row_place(catalog, row), message)


def _each(*columns: pa.ChunkedArray) -> Iterator[tuple[Any, ...]]:
    """The number of each row and its values, a part of the columns at a time."""
    row = 0
    for batch in pa.table(columns, [str(number) for number in range(len(columns))]).to_batches(max_chunksize=1 << 16):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield row, *values
            row += 1


def _wrong_label(store: Store, word: str, label: int | None) -> str:
    """What is wrong with the label of a word, "" where nothing is."""
    expected = class_of_word(word, store.classes)
    if expected is not None and label == store.classes.index(expected):
        return ""
    name = store.classes[label] if label is not None and 0 <= label < len(store.classes) else "no class"
    if expected is None:
        return f"label {label} ({name}), but the word {word!r} belongs to no class of the task"
    return f"label {label} ({name}), but the word {word!r} has {store.classes.index(expected)} ({expected})"


def check_balance(evidence: Evidence, findings: Findings) -> None:
    """Whether each split has as many records of each class as were selected; records that can't be read may be any."""
    store, reading = evidence.store, evidence.reading
    task = store.manifest.task
    if task is None:
        return
    labels, shards = reading.records.column("label").to_numpy(), reading.records.column("shard").to_numpy()
    split_of_shard = np.array([store.splits.index(shard.split) for shard in store.manifest.shards])
    for code, split in enumerate(store.splits):
        of_split = labels[split_of_shard[shards] == code]
        for label, name in enumerate(store.classes):
            findings.look()
            number, expected = int((of_split == label).sum()), task.counts.get(split, {}).get(name, 0)
            if not number <= expected <= number + reading.unread[split]:
                place = Location(MANIFEST_FILE, key=f"task.counts.{split}.{name}")
                findings.blame(place, f"{expected} were selected, but {number} records have this class")
