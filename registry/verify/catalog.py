"""Checks of records against the catalog: ids, places, labels, lengths, audio, and the classes of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.labels import SILENCE_CLASS, class_of_word
from features.quality import Quality
from readers.store import Store
from registry.verify.clips import Clips
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings, Location
from stores.manifest import CATALOG_FILE, MANIFEST_FILE


def check_ids(evidence: Evidence, findings: Findings) -> None:
    """Whether no id occurs twice, among the records and among the rows."""
    findings.look(len(evidence.records) + len(evidence.rows or ()))
    clips = evidence.doubtful
    for ids, place in ((clips.record_ids, clips.record_place), (clips.row_ids, clips.row_place)):
        first: dict[str, Location] = {}
        for index, clip_id in enumerate(ids.to_pylist()):
            if clip_id in first:
                findings.blame(place(index), f"the id stands at {first[clip_id]} already")
            first.setdefault(clip_id, place(index))


def check_catalog(evidence: Evidence, findings: Findings) -> None:
    """Whether the catalog can be read, each record is that of the row with its place, and each row has a record."""
    if evidence.rows is None:
        findings.blame(Location(CATALOG_FILE), evidence.catalog_fault)
        return
    findings.look(len(evidence.rows))
    strangers: list[tuple[Location, str]] = []
    without_record = _RowsWithoutRecord(evidence)
    for clips in evidence.by_address():
        pairs = _Pairs(clips)
        for name, expected in _expected(pairs.rows, evidence.store).items():
            pairs.compare(name, expected, pairs.same_id, findings)
        strangers += pairs.strangers()
        without_record.add(pairs)
    homes = _homes(evidence.of(pa.array([place.id for place, _ in strangers], pa.string())))
    for place, message in strangers:
        findings.blame(place, f"{message}; {homes.get(place.id or '', 'it has no row for this id at all')}")
    without_record.blame(findings)


def _expected(rows: pa.Table, store: Store) -> Mapping[str, Any]:
    """What the records of some rows must say."""
    if store.view is None:
        return {
            "length": rows.column("length"),
            "word": rows.column("word"),
            "speaker": pc.fill_null(rows.column("speaker"), ""),
        }
    real_length = cache(store.view.real_length)
    lengths = [None if length is None else real_length(length) for length in rows.column("length").to_pylist()]
    return {"length": pa.array(lengths, pa.int64()), "label": rows.column("label")}


def check_audio(evidence: Evidence, findings: Findings) -> None:
    """Whether the audio of each record has the SHA-256 of its row."""
    if evidence.rows is None:
        findings.remark("not compared: the catalog, which has its SHA-256, can't be read")
        return
    for clips in evidence.by_address():
        pairs = _Pairs(clips)
        findings.look(int(pairs.same_id.sum()))
        pairs.compare("audio_sha256", pairs.rows.column("audio_sha256"), pairs.same_id, findings)


def check_quality(evidence: Evidence, findings: Findings) -> None:
    """Whether loudness, noise and edges are as the rows say, of the records that have the audio of their row."""
    if evidence.rows is None:
        findings.remark("not compared: the catalog, which says it, can't be read")
        return
    for clips in evidence.by_address():
        pairs = _Pairs(clips)
        hashes = pairs.records.column("audio_sha256"), pairs.rows.column("audio_sha256")
        same_audio = pairs.same_id & pc.fill_null(pc.equal(*hashes), False).to_numpy()
        findings.look(int(same_audio.sum()))
        for name in Quality._fields:
            pairs.compare(name, pairs.rows.column(name), same_audio, findings)


class _Pairs:
    """The records and rows that have the same place.

    Attributes:
        clips: those of a part of the addresses.
        records, rows: tables of equal length, the records in the order of the shards.
        same_id: bool, (pairs,), whether record and row have one id.
        row_has_record: bool, (rows of the clips,).
    """

    def __init__(self, clips: Clips) -> None:
        self.clips = clips
        of_records, of_rows = clips.addresses.of_records(clips.records), clips.addresses.of_rows(clips.rows)
        row_of_record = pc.index_in(pa.array(of_records), pa.array(of_rows))
        self._matched = np.flatnonzero(row_of_record.is_valid().to_numpy(zero_copy_only=False))
        self._unmatched = np.flatnonzero(row_of_record.is_null().to_numpy(zero_copy_only=False))
        self.records = clips.records.take(self._matched)
        self.rows = clips.rows.take(row_of_record.drop_null())
        self.same_id = pc.equal(self.records.column("id"), self.rows.column("id")).to_numpy()
        self.row_has_record = np.isin(of_rows, of_records)

    def compare(self, name: str, expected: Any, among: np.ndarray[Any, np.dtype[np.bool_]], findings: Findings) -> None:
        """Report where, among some pairs, a column of the records differs from what the rows make expected."""
        found = self.records.column(name)
        only_one_is_null = pc.xor(pc.is_null(found), pc.is_null(expected))
        differ = pc.if_else(only_one_is_null, True, pc.fill_null(pc.not_equal(found, expected), False)).to_numpy()
        for index in np.flatnonzero(differ & among).tolist():
            came, true = found[index].as_py(), expected[index].as_py()
            findings.blame(self._place(index), f"{name} {came!r}, the catalog has {true!r}")

    def strangers(self) -> list[tuple[Location, str]]:
        """The records that have not the row with their place, and what stands there."""
        others = np.flatnonzero(~self.same_id).tolist()
        owners = [(self._place(index), f"the catalog has {self.rows.column('id')[index]} here") for index in others]
        alone = [
            (self.clips.record_place(index), "the catalog has no row for this place")
            for index in self._unmatched.tolist()
        ]
        return owners + alone

    def _place(self, index: int) -> Location:
        """Where the record of a pair is."""
        return self.clips.record_place(int(self._matched[index]))


class _RowsWithoutRecord:
    """Of each shard how many rows have no record, and the first; those of records known to be damaged are left out."""

    def __init__(self, evidence: Evidence) -> None:
        self._shards, self._lost = evidence.store.manifest.shards, evidence.reading.lost
        self._counted = np.array([counted is not None for counted in evidence.reading.counted] + [True])
        self._number: Counter[int] = Counter()
        self._first: dict[int, tuple[int, Location]] = {}

    def add(self, pairs: _Pairs) -> None:
        """Add those of a part."""
        rows = pairs.clips.rows
        shards = pairs.clips.addresses.shards_of_rows(rows)
        for index in np.flatnonzero(~pairs.row_has_record & self._counted[shards]).tolist():
            shard, row, position = (
                int(shards[index]),
                *(rows.column(name)[index].as_py() for name in ("row", "position")),
            )
            if (shard, position) not in self._lost:
                self._number[shard] += 1
                if shard not in self._first or row < self._first[shard][0]:
                    self._first[shard] = row, pairs.clips.row_place(index)

    def blame(self, findings: Findings) -> None:
        """Report them, shard by shard, in the order of the catalog."""
        for shard, (_, place) in sorted(self._first.items(), key=lambda item: item[1][0]):
            name = "a shard or split that the store does not have" if shard < 0 else self._shards[shard].file
            findings.blame(place, f"no record for {self._number[shard]} of the rows in {name}, this one first")


def _homes(clips: Clips) -> Mapping[str, str]:
    """Where the catalog has the records of some clips, by id: the first row of each counts."""
    splits = clips.rows.column("split").to_pylist()
    if clips.store.view is None:
        splits = [clips.store.splits[0]] * len(splits)
    places = (clips.rows.column(name).to_pylist() for name in ("id", "shard", "position"))
    homes: dict[str, str] = {}
    for clip_id, shard, position, split in zip(*places, splits, strict=True):
        homes.setdefault(clip_id, f"it has this id as record {position} in shard {shard} of {split}")
    return homes


def check_classes(evidence: Evidence, findings: Findings) -> None:
    """Whether each record and each row has the label of its word, and rows the words that their ids say."""
    wrong_label = lru_cache(maxsize=1 << 12)(lambda word, label: _wrong_label(evidence.store, word, label))
    for clips in evidence.by_address():
        findings.look(len(clips.records))
        columns = (clips.records.column(name).to_pylist() for name in ("said_word", "label"))
        for index, (word, label) in enumerate(zip(*columns, strict=True)):
            if word is not None and (message := wrong_label(word, label)):
                findings.blame(clips.record_place(index), message)
        findings.look(len(clips.rows))
        said = clips.said_by_rows.column("said_word").to_pylist()
        columns = (clips.rows.column(name).to_pylist() for name in ("word", "label", "recording"))
        for index, (said_word, word, label, recording) in enumerate(zip(said, *columns, strict=True)):
            message = wrong_label(word, label)
            if said_word not in (None, word):
                message = f"word {word!r}, but the id says {said_word!r}"
            elif not message and recording is not None and word != SILENCE_CLASS:
                message = f"word {word!r} of the noise recording {recording}, expected {SILENCE_CLASS!r}"
            if message:
                findings.blame(clips.row_place(index), message)


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
    store = evidence.store
    task = store.manifest.task
    if task is None:
        return
    counts = np.zeros((len(store.splits), len(store.classes)), np.int64)
    for clips in evidence.only_records():
        labels = clips.records.column("label").to_numpy()
        splits = evidence.addresses.split_of_shard[clips.records.column("shard").to_numpy()]
        known = (labels >= 0) & (labels < len(store.classes))
        np.add.at(counts, (splits[known], labels[known]), 1)
    for split, of_split in zip(store.splits, counts.tolist(), strict=True):
        for name, number in zip(store.classes, of_split, strict=True):
            findings.look()
            expected = task.counts.get(split, {}).get(name, 0)
            if not number <= expected <= number + evidence.reading.unread[split]:
                place = Location(MANIFEST_FILE, key=f"task.counts.{split}.{name}")
                findings.blame(place, f"{expected} were selected, but {number} records have this class")
