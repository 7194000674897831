"""Rewrites stores with changes that no checksum or hash betrays, for the tests of the registry."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from training_store import statistics

from features.catalog import CATALOG_SCHEMA, VIEW_CATALOG_SCHEMA
from features.manifest import Manifest, Shard, metadata_files
from features.records import RecordWriter
from features.statistics import statistics_json
from features.store import Store
from features.store import open as open_store


@dataclasses.dataclass
class Clip:
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
    clips: list[Clip]

    def of(self, split: str, class_name: str | None = None) -> list[Clip]:
        """The clips of a split, or those of one of its classes."""
        found = [clip for clip in self.clips if clip.split == split]
        if class_name is None:
            return found
        return [clip for clip in found if clip.record["label"] == self.manifest.classes.index(class_name)]


def content(store: Store) -> Content:
    """All that a store holds, in the order of its shards."""
    rows = {row["id"]: row for row in store.catalog().to_pylist()}
    clips = [
        Clip(split, rows[record["id"]]["shard"], dict(rows[record["id"]]), dict(record))
        for split in store.splits
        for record in store.records(split)
    ]
    return Content(store.manifest, clips)


def forge(folder: Path, held: Content) -> Store:
    """Write a store so that hashes, counts, statistics, metadata and the catalogue's places all fit what it holds."""
    folder.mkdir(parents=True)
    manifest = held.manifest
    shards, rows = [], []
    for shard in manifest.shards:
        number = int(shard.file.partition("tfrecord-")[2][:5])
        chosen = [clip for clip in held.clips if (clip.split, clip.shard) == (shard.split, number)]
        with (folder / shard.file).open("wb") as file:
            writer = RecordWriter(file)
            for clip in chosen:
                place = {"shard": number, "position": writer.records}
                split = clip.row["split"] if manifest.view is None else shard.split
                rows.append({**clip.row, **place, "split": split})
                writer.write(manifest.record.encode(clip.record))
        shards.append(Shard(shard.file, shard.split, writer.records, writer.bytes, writer.sha256))
    write_table(folder / "catalog.parquet", rows, manifest)
    manifest = dataclasses.replace(manifest, shards=tuple(shards), task=_task(manifest, held))
    if manifest.view is None:
        pq.write_table(pa.table({"path": pa.array([], pa.string())}), folder / "rejects.parquet")
    else:
        (folder / "statistics.json").write_text(_statistics(manifest, held))
    return commit(folder, manifest)


def write_table(path: Path, rows: list[dict[str, Any]], manifest: Manifest) -> None:
    """Write a catalogue."""
    schema = CATALOG_SCHEMA if manifest.view is None else VIEW_CATALOG_SCHEMA
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


def commit(folder: Path, manifest: Manifest) -> Store:
    """Write manifest and metadata with the hashes that shards and tables have now."""
    tables = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest.tables}
    shards = tuple(
        dataclasses.replace(shard, sha256=hashlib.sha256((folder / shard.file).read_bytes()).hexdigest())
        for shard in manifest.shards
    )
    for name, text in metadata_files(dataclasses.replace(manifest, tables=tables, shards=shards)).items():
        (folder / name).write_text(text)
    return open_store(folder)


def _task(manifest: Manifest, held: Content) -> dict[str, Any]:
    if manifest.view is None:
        return manifest.task
    found = Counter((clip.split, clip.record["label"]) for clip in held.clips)
    counts = {
        split: {name: found[split, label] for label, name in enumerate(manifest.classes)} for split in manifest.splits
    }
    return {**manifest.task, "counts": counts}


def _statistics(manifest: Manifest, held: Content) -> str:
    assert manifest.view is not None
    full_scale = 32_768 if manifest.tensor == "audio" else 1
    tensors = {
        split: [np.asarray(clip.record[manifest.tensor], np.float64) / full_scale for clip in held.of(split)]
        for split in manifest.splits
    }
    return statistics_json({split: statistics(each, manifest.view) for split, each in tensors.items()})


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
