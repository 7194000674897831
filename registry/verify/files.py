"""Checks of a store's files as wholes: names and sizes, hashes, counts, metadata, statistics and the version."""

from __future__ import annotations

import dataclasses
import json
import os
import posixpath
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from base import files
from features.statistics import Floats, Statistics, finish
from features.views import version
from registry.json_diff import json_differences
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings, Location, shown
from stores.manifest import (
    CATALOG_FILE,
    DATASET_INFO_FILE,
    LABELS_FILE,
    MANIFEST_FILE,
    STATISTICS_FILE,
    STORE_FILES,
    SUMS_FILE,
    VERSION,
    Manifest,
    is_store_file,
    metadata_files,
    read_sums,
    shard_file,
)
from stores.records import CLIPS_VERSION

STATISTICS_TOLERANCE: Final = 1e-6
"""Of mean and standard deviation, as a share of the standard deviation; sums in another order differ by far less."""

_COUNTS_KEY: Final = "shardLengths"


def check_files(evidence: Evidence, findings: Findings) -> None:
    """Whether each shard is there, named after its split and number and of its size, and no other one is there."""
    store = evidence.store
    sizes = dict(zip(store.manifest.shards, evidence.reading.sizes, strict=True))
    for split in store.splits:
        shards = store.shards(split)
        for number, shard in enumerate(shards):
            findings.look()
            expected = shard_file(store.name, split, number, len(shards))
            if shard.file != expected:
                findings.blame(Location(shard.file), f"shard {number} of {split} is expected as {expected}")
            if sizes[shard] != shard.bytes:
                found = "it is missing" if sizes[shard] is None else f"it has {sizes[shard]} bytes"
                findings.blame(Location(shard.file), f"{found}, expected {shard.bytes} bytes")
    known = {*STORE_FILES, *(shard.file for shard in store.manifest.shards)}
    for name in files.names(store.path):
        if is_store_file(name) and name not in known:
            findings.look()
            findings.blame(Location(name), "the manifest does not name this file: remove it")


def check_hashes(evidence: Evidence, findings: Findings) -> None:
    """Whether each shard and each table has the SHA-256 of the manifest, and the manifest that of the sums."""
    manifest = evidence.store.manifest
    for shard, found in zip(manifest.shards, evidence.reading.sha256, strict=True):
        findings.look(found is not None)
        if found not in (None, shard.sha256):
            owner = next((other.file for other in manifest.shards if other.sha256 == found), None)
            content = f"the content of {owner}, SHA-256 {found}" if owner else f"SHA-256 {found}"
            findings.blame(Location(shard.file), f"it has {content}, expected {shard.sha256}")
    for name, found in evidence.tables.items():
        findings.look()
        expected = manifest.tables.get(name)
        if expected is None:
            findings.blame(Location(MANIFEST_FILE, key="tables"), f"no SHA-256 of {name}, expected one")
        elif found is None:
            findings.blame(Location(name), "it is missing")
        elif found != expected:
            findings.blame(Location(name), f"it has SHA-256 {found}, expected {expected}")

    _check_sums(evidence, findings)


def _check_sums(evidence: Evidence, findings: Findings) -> None:
    """Whether the manifest is the one that was written, and the sums those of the files that it names."""
    store = evidence.store
    findings.look()
    try:
        text = files.read_text(files.join(store.path, SUMS_FILE))
    except (OSError, ValueError) as error:
        findings.blame(Location(SUMS_FILE), f"it is missing or damaged ({error})")
        return
    written, found = read_sums(text).get(MANIFEST_FILE), files.sha256(files.join(store.path, MANIFEST_FILE))
    if found != written:
        findings.blame(Location(MANIFEST_FILE), f"it has SHA-256 {found}, but {SUMS_FILE} has {written}")
    if text != metadata_files(store.manifest)[SUMS_FILE]:
        findings.blame(Location(SUMS_FILE), "its lines are not the sums of the files that the manifest names")


def check_counts(evidence: Evidence, findings: Findings) -> None:
    """Whether manifest, metadata, catalog and statistics count the records that the shards have."""
    store, reading = evidence.store, evidence.reading
    for index, (shard, counted) in enumerate(zip(store.manifest.shards, reading.counted, strict=True)):
        findings.look(counted is not None)
        if counted not in (None, shard.records):
            place = Location(MANIFEST_FILE, key=f"shards[{index}].records")
            findings.blame(place, f"{shard.records}, but {shard.file} has {counted} records")
    for place, message in _metadata_differences(evidence):
        if _is_count(place):
            findings.blame(place, message)
    if evidence.rows is not None and None not in reading.counted:
        findings.look()
        rows, total = len(evidence.rows), sum(counted or 0 for counted in reading.counted)
        if rows != total:
            findings.blame(Location(CATALOG_FILE), f"{rows} rows, but the shards have {total} records")
    for split, found in _comparable_statistics(evidence):
        findings.look()
        if found.clips != reading.totals[split].clips:
            place = Location(STATISTICS_FILE, key=f"{split}.clips")
            findings.blame(place, f"{found.clips}, but {split} has {reading.totals[split].clips} records")


def check_metadata(evidence: Evidence, findings: Findings) -> None:
    """Whether the files that follow from the manifest say what it says; `check_counts` compares their counts."""
    findings.look(len(metadata_files(evidence.store.manifest)) - 2)
    for place, message in _metadata_differences(evidence):
        if not _is_count(place):
            findings.blame(place, message)


def _is_count(place: Location) -> bool:
    return place.file == DATASET_INFO_FILE and _COUNTS_KEY in (place.key or "")


def _metadata_differences(evidence: Evidence) -> Iterator[tuple[Location, str]]:
    """Where a metadata file differs from what follows from the manifest with the counts that the shards really have."""
    for name, text in metadata_files(_with_true_counts(evidence)).items():
        if name in (MANIFEST_FILE, SUMS_FILE):
            continue
        try:
            found = _content(name, files.read_text(files.join(evidence.store.path, name)))
        except (OSError, ValueError) as error:
            yield Location(name), f"it is missing or damaged ({error})"
            continue
        for key, came, expected in json_differences(found, _content(name, text)):
            yield Location(name, key=key or None), f"{shown(came)}, expected {shown(expected)}"


def _with_true_counts(evidence: Evidence) -> Manifest:
    """The manifest with the true records and bytes of the shards that are intact: where they differ, it is wrong."""
    manifest, reading = evidence.store.manifest, evidence.reading
    shards = []
    for index, shard in enumerate(manifest.shards):
        counted, size = reading.counted[index], reading.sizes[index]
        if counted is not None and size is not None and reading.sha256[index] == shard.sha256:
            shard = dataclasses.replace(shard, records=counted, bytes=size)
        shards.append(shard)
    return dataclasses.replace(manifest, shards=tuple(shards))


def _content(name: str, text: str) -> Any:
    return text.split("\n") if name == LABELS_FILE else json.loads(text)


def check_statistics(evidence: Evidence, findings: Findings) -> None:
    """Whether statistics.json has the statistics of the records that were read, split by split."""
    store, reading = evidence.store, evidence.reading
    for split in store.splits:
        if evidence.statistics_fault or split not in evidence.statistics:
            message = evidence.statistics_fault or f"it has no statistics of {split}"
            findings.blame(Location(STATISTICS_FILE, key=split), message)
        elif without := reading.unread[split] + reading.not_finite[split]:
            findings.remark(f"{split} not compared: {without} of its records can't be read or are not finite")
    for split, found in _comparable_statistics(evidence):
        findings.look()
        totals = reading.totals[split]
        if found.clips != totals.clips and found.values != totals.values:
            findings.remark(f"{split} not compared: the file has the statistics of other records")
        elif totals.clips:
            _compare_statistics(split, found, finish(totals), findings)


def _comparable_statistics(evidence: Evidence) -> Iterator[tuple[str, Statistics]]:
    """The statistics of the splits all of whose records could be read and are finite."""
    for split, found in evidence.statistics.items():
        if split in evidence.reading.totals and not evidence.reading.unread[split] + evidence.reading.not_finite[split]:
            yield split, found


def _compare_statistics(split: str, found: Statistics, expected: Statistics, findings: Findings) -> None:
    if found.values != expected.values:
        place = Location(STATISTICS_FILE, key=f"{split}.values")
        findings.blame(place, f"{found.values}, expected {expected.values}")
    slack = STATISTICS_TOLERANCE * np.maximum(expected.std, np.finfo(np.float32).tiny)
    for name in ("mean", "std", "min", "max"):
        came, true = getattr(found, name), getattr(expected, name)
        if came.shape != true.shape:
            message = f"{came.size} values, expected {true.size}"
            findings.blame(Location(STATISTICS_FILE, key=f"{split}.{name}"), message)
            continue
        for index in np.flatnonzero(_differ(came, true, slack)):
            place = Location(STATISTICS_FILE, key=f"{split}.{name}[{index}]")
            findings.blame(place, f"{came[index]:.9g}, but the records give {true[index]:.9g}")


def _differ(came: Floats, true: Floats, slack: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    close: np.ndarray[Any, np.dtype[np.bool_]] = np.abs(came - true) <= slack + STATISTICS_TOLERANCE * np.abs(true)
    return ~close


def check_version(evidence: Evidence, findings: Findings) -> None:
    """Whether the version is that of the definition, and the folder is named after it."""
    store = evidence.store
    findings.look()
    expected = CLIPS_VERSION if store.view is None else version(store.view)
    if store.version != expected:
        place = Location(MANIFEST_FILE, key="version")
        findings.blame(place, f"{store.version!r}, but the definition gives {expected!r}")
    path = store.path if files.is_remote(store.path) else os.path.realpath(store.path)
    folder = posixpath.basename(path)
    if VERSION.fullmatch(folder) and folder != store.version:
        findings.blame(Location(folder), f"the folder of version {store.version} is expected to have its name")
