"""Checks copies that augmentation made: each is in train, and its parent too, with the same word and speaker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.verify.clips import Clips
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings, Location

TRAIN: Final = "train"

_SAME: Final = ("word", "speaker")
"""What a copy has from its parent."""


class _Copy(NamedTuple):
    """A copy by its row of the catalog: where that is, its parent's id, and its word and speaker."""

    place: Location
    parent: str
    row: dict[str, Any]


def check_copies(evidence: Evidence, findings: Findings) -> None:
    """Whether copies and their parents are in train alone, and parents are there, with the copies' word and speaker."""
    has_splits, orphans = evidence.store.view is not None, list[_Copy]()
    for clips in evidence.by_address():
        findings.look(len(clips.records))
        if has_splits:
            _check_splits(clips, findings)
        copies = _copies(clips, findings)
        parents = _rows_of(clips, [copy.parent for copy in copies])
        for copy in copies:
            if copy.parent in parents:
                _compare(copy, parents[copy.parent], has_splits, findings)
            else:
                orphans.append(copy)
    ids = sorted({copy.parent for copy in orphans})
    parents = _rows_of(evidence.of(pa.array(ids, pa.string())), ids)
    for copy in orphans:
        if copy.parent in parents:
            _compare(copy, parents[copy.parent], has_splits, findings)
        else:
            findings.blame(copy.place, f"a copy of {copy.parent}, which is not in the store")


def _check_splits(clips: Clips, findings: Findings) -> None:
    """Whether the records whose ids say that they are copies are in train."""
    splits = clips.addresses.split_of_shard[clips.records.column("shard").to_numpy()]
    elsewhere = np.array([split != TRAIN for split in clips.store.splits])[splits]
    copies = pc.is_valid(clips.said_by_records.column("said_parent")).to_numpy()
    for index in np.flatnonzero(copies & elsewhere).tolist():
        split = clips.store.splits[splits[index]]
        findings.blame(clips.record_place(index), f"a copy in {split}, expected copies in {TRAIN} alone")


def _copies(clips: Clips, findings: Findings) -> list[_Copy]:
    """The copies among some rows, by their ids and by the catalog, which must agree."""
    parents, said = clips.rows.column("parent"), clips.said_by_rows.column("said_parent")
    places = np.flatnonzero(pc.or_(pc.is_valid(parents), pc.is_valid(said)).to_numpy())
    found = []
    for index, row in zip(places.tolist(), clips.rows.take(places).to_pylist(), strict=True):
        place, parent = clips.row_place(index), said[index].as_py()
        if row["parent"] != parent:
            findings.blame(place, f"parent {row['parent']!r}, but the id says {parent!r}")
        found.append(_Copy(place, row["parent"] or parent, row))
    return found


def _rows_of(clips: Clips, ids: Iterable[str]) -> Mapping[str, dict[str, Any]]:
    """The rows of some ids among those of some clips."""
    rows = clips.rows.filter(pc.is_in(clips.row_ids, pa.array(ids, pa.string())))
    return {row["id"]: row for row in rows.to_pylist()}


def _compare(copy: _Copy, parent: Mapping[str, Any], has_splits: bool, findings: Findings) -> None:
    if has_splits and parent["split"] != TRAIN:
        findings.blame(copy.place, f"a copy of {copy.parent}, which is in {parent['split']}, expected {TRAIN}")
    for name in _SAME:
        if copy.row[name] != parent[name]:
            findings.blame(copy.place, f"{name} {copy.row[name]!r}, its parent {copy.parent} has {parent[name]!r}")
