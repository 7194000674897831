"""Rewrites stores with changes that no checksum or hash betrays, for the tests of the registry."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from training_store import statistics

from features.statistics import statistics_json
from features.views import View
from readers.store import Store, open_store
from stores import writing
from stores.catalog import CATALOG_SCHEMA, REJECTS_SCHEMA, VIEW_CATALOG_SCHEMA
from stores.lineage import Task
from stores.manifest import CATALOG_FILE, REJECTS_FILE, STATISTICS_FILE, Manifest
from stores.tables import write_table


@dataclasses.dataclass
class HeldClip:
    """A clip of a store that is being rewritten: the shard it goes into, its row and its record."""

    split: str
    shard: int
    row: dict[str, Any]
    record: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.record["id"])


@dataclasses.dataclass
class Content:
    """What a store holds, to be changed at will."""

    manifest: Manifest
    clips: list[HeldClip]

    def of(self, split: str, class_name: str | None = None) -> list[HeldClip]:
        """The clips of a split, or those of one of its classes."""
        found = [clip for clip in self.clips if clip.split == split]
        if class_name is None:
            return found
        return [clip for clip in found if clip.record["label"] == self.manifest.classes.index(class_name)]


def content(store: Store) -> Content:
    """All that a store holds, in the order of its shards."""
    rows = {row["id"]: row for row in store.catalog().to_pylist()}
    clips = [
        HeldClip(split, rows[record["id"]]["shard"], dict(rows[record["id"]]), dict(record))
        for split in store.splits
        for record in store.records(split)
    ]
    return Content(store.manifest, clips)


def forge(folder: Path, held: Content) -> Store:
    """Write a store so that hashes, counts, statistics, metadata and the catalog's places all fit what it holds."""
    folder.mkdir(parents=True)
    manifest = held.manifest
    shards, rows = [], []
    of_split = Counter(shard.split for shard in manifest.shards)
    for shard in manifest.shards:
        number = int(shard.file.partition("tfrecord-")[2][:5])
        chosen = [clip for clip in held.clips if (clip.split, clip.shard) == (shard.split, number)]
        with writing.open_shard(str(folder), manifest.name, shard.split, number, of_split[shard.split]) as writer:
            for clip in chosen:
                place = {"shard": number, "position": writer.records}
                split = clip.row["split"] if manifest.view is None else shard.split
                rows.append({**clip.row, **place, "split": split})
                writer.write(manifest.record.encode(clip.record))
        shards.append(writer.shard())
    schema = CATALOG_SCHEMA if manifest.view is None else VIEW_CATALOG_SCHEMA
    write_table(str(folder / CATALOG_FILE), pa.Table.from_pylist(rows, schema))
    if manifest.view is None:
        write_table(str(folder / REJECTS_FILE), REJECTS_SCHEMA.empty_table())
    else:
        (folder / STATISTICS_FILE).write_text(_statistics(manifest.view, held))
    manifest = dataclasses.replace(manifest, shards=tuple(shards), task=_task(held))
    writing.commit(str(folder), manifest, tuple(held.manifest.tables))
    return open_store(folder)


def commit(folder: Path, manifest: Manifest) -> Store:
    """Write manifest and metadata with the hashes that shards and tables have now."""
    shards = tuple(
        dataclasses.replace(shard, sha256=hashlib.sha256((folder / shard.file).read_bytes()).hexdigest())
        for shard in manifest.shards
    )
    writing.commit(str(folder), dataclasses.replace(manifest, shards=shards), tuple(manifest.tables))
    return open_store(folder)


def _task(held: Content) -> Task | None:
    """The task with the counts of the clips."""
    manifest = held.manifest
    if manifest.task is None:
        return None
    found = Counter((clip.split, clip.record["label"]) for clip in held.clips)
    counts = {
        split: {name: found[split, label] for label, name in enumerate(manifest.classes)} for split in manifest.splits
    }
    return dataclasses.replace(manifest.task, counts=counts)


def _statistics(view: View, held: Content) -> str:
    tensors = {split: [clip.record[view.tensor_name] for clip in held.of(split)] for split in held.manifest.splits}
    return statistics_json({split: statistics(each, view) for split, each in tensors.items()})


def record_bytes(path: Path) -> list[int]:
    """Where each record of a TFRecord file begins, by the lengths in it."""
    data, places = path.read_bytes(), [0]
    while places[-1] < len(data):
        (length,) = struct.unpack_from("<Q", data, places[-1])
        places.append(places[-1] + 8 + 4 + length + 4)
    return places[:-1]


def flip(path: Path, byte: int, bits: int = 1) -> None:
    """Change some bits of one byte of a file."""
    data = bytearray(path.read_bytes())
    data[byte] ^= bits
    path.write_bytes(bytes(data))
