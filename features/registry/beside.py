"""Checks of what stands beside a store's records: names and sizes of files, hashes, counts, metadata, statistics."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from features.errors import DataError
from features.manifest import (
    CATALOG_FILE,
    DATASET_INFO_FILE,
    LABELS_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    STATISTICS_FILE,
    VERSION,
    Manifest,
    metadata_files,
    shard_file,
)
from features.registry.findings import Ledger, Place, shown
from features.registry.json_values import differences
from features.registry.walk import Reading
from features.schema import CLIPS_VERSION
from features.statistics import Floats, Statistics, finish
from features.store import Store
from features.views import definition_hash, version

STATISTICS_TOLERANCE: Final = 1e-6
"""Of mean and standard deviation, as a share of the standard deviation; sums in another order differ by far less."""

_SHARD_PATTERN: Final = "*.tfrecord-*"


def check_files(store: Store, ledger: Ledger) -> None:
    """Whether each shard is there, named after its split and place and of its size, and no other one is there."""
    folder = Path(store.path)
    for split in store.splits:
        shards = store.shards(split)
        for number, shard in enumerate(shards):
            ledger.look("files")
            expected = shard_file(store.name, split, number, len(shards))
            if shard.file != expected:
                ledger.blame("files", Place(shard.file), f"shard {number} of {split} is expected as {expected}")
            size = (folder / shard.file).stat().st_size if (folder / shard.file).is_file() else None
            if size != shard.bytes:
                found = "it is missing" if size is None else f"it has {size} bytes"
                ledger.blame("files", Place(shard.file), f"{found}, expected {shard.bytes} bytes")
    known = {shard.file for shard in store.manifest.shards}
    for stray in sorted(path.name for path in folder.glob(_SHARD_PATTERN) if path.name not in known):
        ledger.look("files")
        ledger.blame("files", Place(stray), "the manifest does not name this file: remove it")


def check_tables(store: Store, ledger: Ledger) -> None:
    """Whether each table beside the shards has the SHA-256 of the manifest."""
    tables = store.manifest.tables
    required = {CATALOG_FILE, REJECTS_FILE if store.view is None else STATISTICS_FILE}
    for name in sorted(required | tables.keys()):
        ledger.look("hashes")
        path = Path(store.path) / name
        if name not in tables:
            ledger.blame("hashes", Place(MANIFEST_FILE, key="tables"), f"no SHA-256 of {name}, expected one")
        elif not path.is_file():
            ledger.blame("hashes", Place(name), "it is missing")
        elif (found := hashlib.sha256(path.read_bytes()).hexdigest()) != tables[name]:
            ledger.blame("hashes", Place(name), f"it has SHA-256 {found}, expected {tables[name]}")


def check_counts(store: Store, reading: Reading, ledger: Ledger) -> None:
    """Whether the manifest counts the records that each shard has."""
    for index, (shard, counted) in enumerate(zip(store.manifest.shards, reading.counted, strict=True)):
        if counted is None:
            continue
        ledger.look("counts")
        if counted != shard.records:
            place = Place(MANIFEST_FILE, key=f"shards[{index}].records")
            ledger.blame("counts", place, f"{shard.records}, but {shard.file} has {counted} records")


def check_metadata(store: Store, reading: Reading, ledger: Ledger) -> None:
    """Whether the files that follow from the manifest, and from the records where it miscounts them, say just that."""
    try:
        files = dict(metadata_files(_with_true_counts(store, reading)))
    except KeyError as error:
        ledger.blame("metadata", Place(MANIFEST_FILE, key="task"), f"it lacks {error}")
        return
    del files[MANIFEST_FILE]
    for name, text in files.items():
        ledger.look("metadata")
        try:
            found = _content(name, (Path(store.path) / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            ledger.blame("metadata", Place(name), f"it is missing or damaged ({error})")
            continue
        for key, came, expected in differences(found, _content(name, text)):
            check = "counts" if name == DATASET_INFO_FILE and "shardLengths" in key else "metadata"
            message = f"{shown(came)}, expected {shown(expected)}"
            ledger.blame(check, Place(name, key=key or None), message)  # type: ignore[arg-type]


def _with_true_counts(store: Store, reading: Reading) -> Manifest:
    """The manifest with the records and bytes of the shards as they are, where it is the manifest that errs."""
    shards = []
    for shard, counted, intact in zip(store.manifest.shards, reading.counted, reading.intact, strict=True):
        if intact and counted is not None:
            size = (Path(store.path) / shard.file).stat().st_size
            shard = dataclasses.replace(shard, records=counted, bytes=size)
        shards.append(shard)
    return dataclasses.replace(store.manifest, shards=tuple(shards))


def _content(name: str, text: str) -> Any:
    return text.splitlines() if name == LABELS_FILE else json.loads(text)


def check_statistics(store: Store, reading: Reading, ledger: Ledger) -> None:
    """Whether statistics.json has the statistics of the records that were read, split by split."""
    for split in store.splits:
        try:
            found = store.statistics(split)
        except DataError as error:
            ledger.blame("statistics", Place(STATISTICS_FILE, key=split), str(error))
            continue
        if without := reading.unread[split] + reading.not_finite[split]:
            reason = f"{without} of its records can't be read or are not finite"
            ledger.remark("statistics", f"{split} not compared: {reason}")
            continue
        ledger.look("statistics")
        ledger.look("counts")
        totals = reading.totals[split]
        if found.clips != totals.clips:
            place = Place(STATISTICS_FILE, key=f"{split}.clips")
            ledger.blame("counts", place, f"{found.clips}, but {split} has {totals.clips} records")
        if found.clips != totals.clips and found.values != totals.values:
            ledger.remark("statistics", f"{split} not compared: the file has the statistics of other records")
        else:
            _compare_statistics(split, found, finish(totals), ledger)


def _compare_statistics(split: str, found: Statistics, expected: Statistics, ledger: Ledger) -> None:
    if found.values != expected.values:
        place = Place(STATISTICS_FILE, key=f"{split}.values")
        ledger.blame("statistics", place, f"{found.values}, expected {expected.values}")
    slack = STATISTICS_TOLERANCE * np.maximum(expected.std, np.finfo(np.float32).tiny)
    for name in ("mean", "std", "min", "max"):
        came, true = getattr(found, name), getattr(expected, name)
        if came.shape != true.shape:
            message = f"{came.size} values, expected {true.size}"
            ledger.blame("statistics", Place(STATISTICS_FILE, key=f"{split}.{name}"), message)
            continue
        for index in np.flatnonzero(_differ(came, true, slack)):
            place = Place(STATISTICS_FILE, key=f"{split}.{name}[{index}]")
            ledger.blame("statistics", place, f"{came[index]:.9g}, but the records give {true[index]:.9g}")


def _differ(came: Floats, true: Floats, slack: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    close: np.ndarray[Any, np.dtype[np.bool_]] = np.abs(came - true) <= slack + STATISTICS_TOLERANCE * np.abs(true)
    return ~close


def check_version(store: Store, ledger: Ledger) -> None:
    """Whether the version and the definition's hash are those of the definition, and the folder is named after it."""
    ledger.look("version")
    expected = CLIPS_VERSION if store.view is None else version(store.view)
    if store.version != expected:
        place = Place(MANIFEST_FILE, key="version")
        ledger.blame("version", place, f"{store.version!r}, but the definition gives {expected!r}")
    folder = Path(store.path).resolve().name
    if VERSION.fullmatch(folder) and folder != store.version:
        ledger.blame("version", Place(folder), f"the folder of version {store.version} is expected to have its name")
    hashed = store.manifest.parameters.get("definition_sha256")
    if store.view is not None and hashed not in (None, definition_hash(store.view)):
        place = Place(MANIFEST_FILE, key="parameters.definition_sha256")
        ledger.blame("version", place, f"{hashed}, but the definition gives {definition_hash(store.view)}")
