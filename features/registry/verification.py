"""Verifies a store in one pass over its shards: bytes, counts, records, catalogue, leaks between splits, statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from features.errors import DataError
from features.registry import beside, rows
from features.registry.findings import CHECKS, SPLIT_CHECKS, CheckName, Ledger, Report
from features.registry.leaks import check_leaks, sightings
from features.registry.walk import holds_clip_audio, read_shards
from features.store import Store


def verify(store: Store, advance: Callable[[int], object]) -> Report:
    """Check all that a store says about itself.

    Args:
        store: a finished store in a local folder.
        advance: called with the number of records done.

    Returns:
        Every check, with every problem that it found.

    Raises:
        DataError: the store is not in a local folder.
    """
    if not Path(store.path).is_dir():
        raise DataError(f"{store.path} is not a local folder: copy the store to this machine and verify the copy")
    ledger = Ledger()
    reading = read_shards(store, ledger, advance)
    catalogue = rows.read_catalogue(store, ledger)
    beside.check_files(store, ledger)
    beside.check_tables(store, ledger)
    beside.check_counts(store, reading, ledger)
    beside.check_metadata(store, reading, ledger)
    beside.check_version(store, ledger)
    rows.check_ids(store, reading.found, catalogue, ledger)
    if catalogue is not None:
        rows.check_catalogue(store, reading, catalogue, ledger)
    if store.view is not None:
        beside.check_statistics(store, reading, ledger)
        rows.check_classes(store, reading.found, catalogue, ledger)
        rows.check_balance(store, reading, ledger)
        check_leaks(sightings(store, reading, catalogue), ledger)
    manifest = store.manifest
    records = sum(shard.records for shard in manifest.shards)
    checks = ledger.checks(_names(store))
    return Report(store.path, store.name, store.version, records, len(manifest.shards), checks)


def _names(store: Store) -> tuple[CheckName, ...]:
    """The checks that apply to a store."""
    absent: set[CheckName] = set(SPLIT_CHECKS) if store.view is None else set()
    if not holds_clip_audio(store.view):
        absent.add("audio")
    return tuple(name for name in CHECKS if name not in absent)
