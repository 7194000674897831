"""Checks of records against the catalogue: ids, places, labels, lengths, audio, and the classes of words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.catalog import CATALOG_SCHEMA, VIEW_CATALOG_SCHEMA
from features.errors import DataError
from features.labels import SILENCE_CLASS
from features.manifest import CATALOG_FILE, MANIFEST_FILE
from features.registry.findings import Ledger, Place, shown
from features.registry.names import class_of_word, parse_id
from features.registry.walk import Reading
from features.store import Store
from features.views import real_length

Integers: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"
Matches: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"
PlaceOf: TypeAlias = "Callable[[int], Place]"

_SPLIT_BITS: Final = 48
_SHARD_BITS: Final = 24


def read_catalogue(store: Store, ledger: Ledger) -> pa.Table | None:
    """The catalogue, or None where it can't be read or lacks columns."""
    schema = CATALOG_SCHEMA if store.view is None else VIEW_CATALOG_SCHEMA
    place = Place(CATALOG_FILE)
    try:
        table = store.catalog()
        table.validate(full=True)
    except (DataError, pa.ArrowException) as error:
        ledger.blame("catalogue", place, str(error))
        return None
    if nameless := table.column("id").null_count if "id" in table.column_names else 0:
        ledger.blame("catalogue", place, f"{nameless} rows have no id")
        return None
    if table.schema.equals(schema, check_metadata=False):
        return table.combine_chunks()
    found = ", ".join(f"{each.name}: {each.type}" for each in table.schema)
    ledger.blame("catalogue", place, f"columns {found}, expected {', '.join(schema.names)} of the documented types")
    return None


def place_of_record(store: Store, found: pa.Table) -> PlaceOf:
    """A function: row of the found records → its place."""
    columns = [found.column(name) for name in ("shard", "position", "byte", "id")]

    def place(row: int) -> Place:
        shard, position, byte, clip_id = (column[row].as_py() for column in columns)
        return Place(store.manifest.shards[shard].file, position, byte, clip_id)

    return place


def check_ids(store: Store, found: pa.Table, rows: pa.Table | None, ledger: Ledger) -> None:
    """Whether no id occurs twice, among the records and among the rows."""
    sources: list[tuple[pa.Table, PlaceOf]] = [(found, place_of_record(store, found))]
    if rows is not None:
        sources.append((rows, lambda row: Place(CATALOG_FILE, id=rows.column("id")[row].as_py())))
    for table, place in sources:
        ids = table.column("id")
        ledger.look("ids", len(ids))
        counts = pc.value_counts(ids.combine_chunks())
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        first: dict[str, int] = {}
        for row in np.flatnonzero(pc.is_in(ids, repeated).to_numpy()):
            clip_id = ids[int(row)].as_py()
            if first.setdefault(clip_id, int(row)) != row:
                ledger.blame("ids", place(int(row)), f"the id stands at {place(first[clip_id])} already")


def check_catalogue(store: Store, reading: Reading, rows: pa.Table, ledger: Ledger) -> None:
    """Whether each record is that of the row with its place, and each row has a record."""
    found = reading.found
    place = place_of_record(store, found)
    record_keys, row_keys = _record_keys(store, found), _row_keys(store, rows)
    matches = pc.index_in(pa.array(record_keys), pa.array(row_keys))
    ledger.look("catalogue", len(rows))
    matched = np.flatnonzero(matches.is_valid().to_numpy(zero_copy_only=False))
    row_of_match = matches.drop_null().to_numpy()
    _compare(store, found.take(matched), rows.take(row_of_match), rows, lambda row: place(int(matched[row])), ledger)
    for record in np.flatnonzero(matches.is_null().to_numpy(zero_copy_only=False)):
        home = _home_of(store, rows, found.column("id")[int(record)].as_py())
        ledger.blame("catalogue", place(int(record)), f"the catalogue has no row for this place; {home}")
    _check_rows_have_records(store, reading, rows, row_keys, np.isin(row_keys, record_keys), ledger)
    if None not in reading.counted:
        ledger.look("counts")
        total = sum(counted or 0 for counted in reading.counted)
        if total != len(rows):
            ledger.blame("counts", Place(CATALOG_FILE), f"{len(rows)} rows, but the shards have {total} records")


def _compare(
    store: Store, records: pa.Table, rows: pa.Table, catalogue: pa.Table, place: PlaceOf, ledger: Ledger
) -> None:
    """Compare records with the rows of the same places."""
    same = pc.equal(records.column("id"), rows.column("id")).to_numpy()
    for index in np.flatnonzero(~same):
        home = _home_of(store, catalogue, records.column("id")[int(index)].as_py())
        owner = rows.column("id")[int(index)].as_py()
        ledger.blame("catalogue", place(int(index)), f"the catalogue has {owner} here; {home}")
    lengths = rows.column("length").to_pylist()
    if store.view is not None:
        lengths = [None if length is None else real_length(store.view, length) for length in lengths]
    expected = {"length": pa.array(lengths, pa.int64())}
    if store.view is None:
        expected |= {"word": rows.column("word"), "speaker": pc.fill_null(rows.column("speaker"), "")}
    else:
        expected["label"] = rows.column("label")
    for name, column in expected.items():
        _compare_column("catalogue", name, records, column, same, place, ledger)
    if len(records) and records.column("audio_sha256").null_count == 0:
        ledger.look("audio", int(same.sum()))
        _compare_column("audio", "audio_sha256", records, rows.column("audio_sha256"), same, place, ledger)


def _compare_column(
    check: Any, name: str, records: pa.Table, expected: Any, where: Any, place: PlaceOf, ledger: Ledger
) -> None:
    differ = pc.fill_null(pc.not_equal(records.column(name), expected), True).to_numpy()
    for index in np.flatnonzero(differ & where):
        came, true = records.column(name)[int(index)].as_py(), expected[int(index)].as_py()
        ledger.blame(check, place(int(index)), f"{name} {came!r}, the catalogue has {true!r}")


def _check_rows_have_records(
    store: Store, reading: Reading, rows: pa.Table, keys: Integers, matched: Matches, ledger: Ledger
) -> None:
    """Report the rows without a record, shard by shard, save those whose record is known to be damaged."""
    shard_of_key = {_key(store, shard, 0) >> _SHARD_BITS: shard for shard in range(len(store.manifest.shards))}
    damaged = {_key(store, shard, position) for shard, position in reading.damaged}
    lost: dict[int | None, list[int]] = {}
    for row in np.flatnonzero(~matched):
        shard = shard_of_key.get(int(keys[row]) >> _SHARD_BITS)
        if int(keys[row]) not in damaged and (shard is None or reading.counted[shard] is not None):
            lost.setdefault(shard, []).append(int(row))
    for shard, of_shard in lost.items():
        name = "a shard or split that the store does not have" if shard is None else store.manifest.shards[shard].file
        place = Place(CATALOG_FILE, id=rows.column("id")[of_shard[0]].as_py())
        ledger.blame("catalogue", place, f"no record for {len(of_shard)} of the rows in {name}, this one first")


def _home_of(store: Store, rows: pa.Table, clip_id: str) -> str:
    """Where the catalogue has the record of a clip."""
    row = pc.index(rows.column("id"), clip_id).as_py()
    if row < 0:
        return "it has no row for this id at all"
    split = store.splits[0] if store.view is None else rows.column("split")[row].as_py()
    shard, position = (rows.column(name)[row].as_py() for name in ("shard", "position"))
    return f"it has this id as record {position} in shard {shard} of {split}"


def _key(store: Store, shard: int, position: int) -> int:
    split = store.manifest.shards[shard].split
    number = store.shards(split).index(store.manifest.shards[shard])
    return store.splits.index(split) << _SPLIT_BITS | number << _SHARD_BITS | position


def _record_keys(store: Store, found: pa.Table) -> Integers:
    bases = np.array([_key(store, shard, 0) for shard in range(len(store.manifest.shards))], np.int64)
    keys: Integers = bases[found.column("shard").to_numpy()] + found.column("position").to_numpy()
    return keys


def _row_keys(store: Store, rows: pa.Table) -> Integers:
    """The place of each row as one number, as that of a record; a negative one matches none."""
    if store.view is None:
        splits = np.zeros(len(rows), np.int64)
    else:
        splits = pc.fill_null(pc.index_in(rows.column("split"), pa.array(store.splits)), -1).to_numpy().astype(np.int64)
    shards, positions = (
        pc.fill_null(rows.column(name), -1).to_numpy().astype(np.int64) for name in ("shard", "position")
    )
    keys: Integers = (splits << _SPLIT_BITS) + (shards << _SHARD_BITS) + positions
    return keys


def check_classes(store: Store, found: pa.Table, rows: pa.Table | None, ledger: Ledger) -> None:
    """Whether each record and each row has the label of its word, and rows the words that their ids say."""
    if store.manifest.task.get("classes") not in (None, list(store.classes)):
        place, came = Place(MANIFEST_FILE, key="task.classes"), shown(store.manifest.task["classes"])
        ledger.blame("classes", place, f"{came}, expected {shown(list(store.classes))} as in classes")
    labels = {name: label for label, name in enumerate(store.classes)}
    place_of = place_of_record(store, found)
    ledger.look("classes", len(found))
    pairs = zip(found.column("id").to_pylist(), found.column("label").to_pylist(), strict=True)
    for index, (clip_id, label) in enumerate(pairs):
        word = parse_id(clip_id).word
        if word is not None and labels.get(class_of_word(word, store.classes)) != label:
            ledger.blame("classes", place_of(index), _wrong_label(store, word, label))
    if rows is not None:
        _check_classes_of_rows(store, rows, labels, ledger)


def _check_classes_of_rows(store: Store, rows: pa.Table, labels: dict[str, int], ledger: Ledger) -> None:
    ledger.look("classes", len(rows))
    columns = (rows.column(name).to_pylist() for name in ("id", "word", "label", "recording"))
    for clip_id, word, label, recording in zip(*columns, strict=True):
        place, said = Place(CATALOG_FILE, id=clip_id), parse_id(clip_id).word
        if said not in (None, word):
            ledger.blame("classes", place, f"word {word!r}, but the id says {said!r}")
        elif labels.get(class_of_word(word, store.classes)) != label:
            ledger.blame("classes", place, _wrong_label(store, word, label))
        elif recording is not None and word != SILENCE_CLASS:
            message = f"word {word!r} of the noise recording {recording}, expected {SILENCE_CLASS!r}"
            ledger.blame("classes", place, message)


def _wrong_label(store: Store, word: str, label: int | None) -> str:
    name = store.classes[label] if label is not None and 0 <= label < len(store.classes) else "no class"
    expected = class_of_word(word, store.classes)
    if expected not in store.classes:
        return f"label {label} ({name}), but the word {word!r} belongs to no class of the task"
    return f"label {label} ({name}), but the word {word!r} has {store.classes.index(expected)} ({expected})"


def check_balance(store: Store, reading: Reading, ledger: Ledger) -> None:
    """Whether each split has as many records of each class as were selected; records that can't be read may be any."""
    wanted = store.manifest.task.get("counts")
    if not isinstance(wanted, dict):
        ledger.remark("balance", "the manifest does not say how many clips of each class were selected")
        return
    labels, shards = reading.found.column("label").to_numpy(), reading.found.column("shard").to_numpy()
    split_of_shard = np.array([store.splits.index(shard.split) for shard in store.manifest.shards])
    for code, split in enumerate(store.splits):
        of_split = labels[split_of_shard[shards] == code]
        selected = wanted[split] if isinstance(wanted.get(split), dict) else {}
        for label, name in enumerate(store.classes):
            ledger.look("balance")
            number, expected = int((of_split == label).sum()), selected.get(name, 0)
            if not number <= expected <= number + reading.unread[split]:
                place = Place(MANIFEST_FILE, key=f"task.counts.{split}.{name}")
                ledger.blame("balance", place, f"{expected} were selected, but {number} records have this class")
