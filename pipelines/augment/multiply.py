"""Turns one shard of clips into the shard that holds the copies of its train clips, too, each after its original."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from base import files
from base.errors import DataError
from features import clip_id
from features.labels import SILENCE_CLASS
from features.quality import measure
from pipelines.augment.config import Kind, Noise, Room
from pipelines.augment.materials import read_materials
from pipelines.clip_records import clip_records
from pipelines.engine.steps import Step
from pipelines.engine.work import Work
from stores.catalog import CATALOG_SCHEMA
from stores.manifest import Shard
from stores.records import CLIP_RECORD
from stores.selection import SELECTION_SCHEMA
from stores.tables import from_rows, read_row_group, write_table
from stores.writing import open_shard


@dataclass(frozen=True)
class Multiplied:
    """Report on a shard.

    Attributes:
        index: its number.
        shard: its file.
        copies: how many clips of each label are copies.
    """

    index: int
    shard: Shard
    copies: tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """What the step reads.

    Attributes:
        clips: folder of the store of clips.
        shards: its shards.
        catalog, selection: the tables, a row group for each shard.
        classes: number of the task's classes.
    """

    clips: str
    shards: tuple[Shard, ...]
    catalog: str
    selection: str
    classes: int


class _Numbered(NamedTuple):
    """A clip of the new shard: its row of the catalog, and its record."""

    row: dict[str, Any]
    record: bytes


class Multiply(Step[int, Multiplied]):
    """Number of a shard, which is also the row group of the catalog and of the selection → the shard with copies."""

    name = "multiply"
    report = Multiplied

    def __init__(self, inputs: Inputs, kinds: tuple[Kind, ...], seed: int) -> None:
        """Set up the step.

        Args:
            inputs: what to read.
            kinds: the kinds of copies to make.
            seed: of the draws.
        """
        self._inputs, self._kinds, self._seed = inputs, kinds, seed

    def index(self, item: int) -> int:
        return item

    def holds(self, report: Multiplied, work: Work) -> bool:
        return files.size(files.join(work.staged, report.shard.file)) == report.shard.bytes

    def run(self, item: int, work: Work) -> Multiplied:
        """Write a shard, and its parts of the catalog and of the selection.

        Raises:
            DataError: the shard is damaged, or it and the tables don't fit each other.
        """
        catalog, selection = (_rows(path, item) for path in (self._inputs.catalog, self._inputs.selection))
        chosen = {row["id"]: row["label"] for row in selection if row["split"] == "train"}
        source, rows, copies = self._inputs.shards[item], [], [0] * self._inputs.classes
        with open_shard(work.staged, "clips", source.split, item, len(self._inputs.shards)) as writer:
            for clip in self._clips(item, catalog, chosen, work):
                rows.append({**clip.row, "position": writer.records})
                writer.write(clip.record)
                if parent := clip.row["parent"]:
                    copies[chosen[parent]] += 1
                    selection.append({"id": clip.row["id"], "label": chosen[parent], "split": "train"})
        write_table(part_path(work, "catalog", item), from_rows(rows, CATALOG_SCHEMA))
        write_table(part_path(work, "selection", item), from_rows(selection, SELECTION_SCHEMA))
        return Multiplied(item, writer.shard(), tuple(copies))

    def counts(self, report: Multiplied) -> dict[str, int]:
        return {"clips": report.shard.records, "copies": sum(report.copies)}

    def _clips(
        self, index: int, catalog: list[dict[str, Any]], chosen: dict[str, int], work: Work
    ) -> Iterator[_Numbered]:
        """The clips of a shard, each with its copies."""
        path = files.join(self._inputs.clips, self._inputs.shards[index].file)
        rows, multiply = {row["id"]: row for row in catalog}, self._multiplier(work)
        missing = set(chosen)
        for record in clip_records(path):
            clip: dict[str, Any] = CLIP_RECORD.decode(record)
            if clip["id"] not in rows:
                raise DataError(f"{self._inputs.catalog} lacks {clip['id']}: run `python -m pipelines.ingest` again")
            row = rows[clip["id"]]
            yield _Numbered(row, record)
            if clip["id"] in missing:
                missing.discard(clip["id"])
                yield from multiply(clip, row)
        if missing:
            selection = self._inputs.selection
            raise DataError(f"{path} lacks {len(missing)} clips that {selection} names, such as {min(missing)}")

    def _multiplier(self, work: Work) -> Callable[[dict[str, Any], dict[str, Any]], Iterator[_Numbered]]:
        """The function that makes the copies of a clip, from its record and its row."""
        from pipelines.augment.copies import copies_of  # and SciPy, of no use to the process that runs Beam

        folder = next((kind.impulse_responses for kind in self._kinds if isinstance(kind, Room)), None)
        materials = read_materials(work, any(isinstance(kind, Noise) for kind in self._kinds), folder)

        def multiply(clip: dict[str, Any], row: dict[str, Any]) -> Iterator[_Numbered]:
            real = clip["audio"][: clip["length"]]
            for kind in self._kinds:
                for copy in copies_of(clip["id"], real, kind, self._seed, materials):
                    name = clip_id.copy(clip["id"], copy.kind, copy.number)
                    record = {**clip, "id": name, "audio": copy.samples, "length": copy.length}
                    made = {"kind": copy.kind, **copy.parameters}
                    yield _Numbered(_row_of_copy(row, record, made), CLIP_RECORD.encode(record))

        return multiply


def part_path(work: Work, table: str, index: int) -> str:
    """Path of a shard's part of a table."""
    return work.path(f"{table}-{index:05d}.parquet")


def _rows(path: str, index: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_row_group(path, index).to_pylist()
    return rows


def _row_of_copy(parent: dict[str, Any], record: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The row of a copy: that of its parent, with what is known of the copy's own audio."""
    real = record["audio"][: record["length"]]
    return {
        **parent,
        "id": record["id"],
        "length": record["length"],
        **measure(real, spoken=record["word"] != SILENCE_CLASS)._asdict(),
        "audio_sha256": hashlib.sha256(np.ascontiguousarray(record["audio"], "<i2").data).hexdigest(),
        "parent": parent["id"],
        "augmentation": json.dumps(made),
    }
