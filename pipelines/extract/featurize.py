"""Turns one clip shard into the feature shards of a view, one for each split, with the totals of its statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from base import files
from base.errors import DataError
from features.splits import SPLITS, SplitName
from features.statistics import RunningTotals
from features.views import View
from pipelines.engine.work import Step, Work
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.framing import read_records
from stores.manifest import Shard
from stores.records import CLIP_RECORD, view_record
from stores.tables import open_table, write_table
from stores.writing import ShardWriter, open_shard


@dataclass(frozen=True)
class FeaturizedShard:
    """Report on a clip shard.

    Attributes:
        index: its number.
        shards: its feature shards, in order of split.
        totals: split → `Totals.to_dict()`.
    """

    index: int
    shards: tuple[Shard, ...]
    totals: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Inputs:
    """Where the clip shards, the catalog and the selection are."""

    clip_shards: tuple[str, ...]
    catalog: str
    selection: str


class _Choice(NamedTuple):
    """A clip that the selection names: its label, its split, and its row in the catalog's row group."""

    label: int
    split: SplitName
    row: int


class _Chosen(NamedTuple):
    """Some chosen clips as their shard holds them: ids, real lengths in samples, and int16 audio, (clips, 16000)."""

    ids: list[str]
    lengths: list[int]
    audio: npt.NDArray[np.int16]


class Featurize(Step[int, FeaturizedShard]):
    """Number of a clip shard, which is also the row group of the catalog and of the selection → its feature shards."""

    name = "featurize"
    report = FeaturizedShard

    def __init__(self, inputs: Inputs, store: str, view: View) -> None:
        """Set up the step.

        Args:
            inputs: the stage's files.
            store: name of the store to make.
            view: the definition of the features.
        """
        self._inputs, self._store, self._view = inputs, store, view

    def index(self, item: int) -> int:
        return item

    def holds(self, report: FeaturizedShard, work: Work) -> bool:
        return all(files.size(files.join(work.staged, each.file)) == each.bytes for each in report.shards)

    def run(self, item: int, work: Work) -> FeaturizedShard:
        """Write the feature shards of a clip shard and its part of the catalog.

        Raises:
            DataError: the shard is damaged, or lacks a clip that the selection names.
        """
        return featurize(item, self._inputs, self._store, self._view, work)


def part_path(work: Work, index: int) -> str:
    """Path of a clip shard's part of the catalog."""
    return work.path(f"catalog-{index:05d}.parquet")


def featurize(index: int, inputs: Inputs, store: str, view: View, work: Work) -> FeaturizedShard:
    """Write the feature shards of a clip shard and its part of the catalog.

    Args:
        index: the clip shard's number.
        inputs: the stage's files.
        store: name of the store to make.
        view: the definition of the features.
        work: where to write.

    Raises:
        DataError: the shard is damaged, or lacks a clip that the selection names.
    """
    from features import frontend  # and SciPy, which takes a while and is of no use to the process that runs Beam

    catalog = _read_group(inputs.catalog, index)
    choices = _choices(inputs, index, catalog)
    totals = {split: RunningTotals(view) for split in SPLITS}
    spec, shards = view_record(view), len(inputs.clip_shards)
    found: list[_Choice] = []
    positions: list[int] = []
    with ExitStack() as stack:
        writers: dict[str, ShardWriter] = {
            split: stack.enter_context(open_shard(work.staged, store, split, index, shards)) for split in SPLITS
        }
        for clips in _batches(inputs.clip_shards[index], choices, inputs.selection, frontend.CLIPS_AT_ONCE):
            features = frontend.compute(view, clips.audio)
            for place, (name, samples) in enumerate(zip(clips.ids, clips.lengths, strict=True)):
                choice, length = choices[name], view.real_length(samples)
                writer = writers[choice.split]
                found.append(choice)
                positions.append(writer.records)
                values = {"id": name, "label": choice.label, "length": length, view.tensor_name: features[place]}
                writer.write(spec.encode(values))
                totals[choice.split].add(features[place : place + 1])
    write_table(part_path(work, index), _catalog_part(catalog, found, index, positions))
    written = tuple(writer.shard() for writer in writers.values())
    return FeaturizedShard(index, written, {split: each.totals().to_dict() for split, each in totals.items()})


def _read_group(path: str, index: int) -> pa.Table:
    with open_table(path) as file:
        return file.read_row_group(index)


def _choices(inputs: Inputs, index: int, catalog: pa.Table) -> dict[str, _Choice]:
    """What the selection says of the clips of a shard, by id."""
    selection = _read_group(inputs.selection, index)
    rows = pc.index_in(selection.column("id"), catalog.column("id"))
    if rows.null_count:
        absent = selection.column("id").filter(pc.is_null(rows)).to_pylist()
        raise DataError(f"{inputs.catalog} lacks {len(absent)} clips that were selected, such as {min(absent)}")
    columns = (*(selection.column(name).to_pylist() for name in ("label", "split")), rows.to_pylist())
    choices = map(_Choice, *columns)
    return dict(zip(selection.column("id").to_pylist(), choices, strict=True))


def _batches(path: str, choices: Mapping[str, _Choice], selection: str, size: int) -> Iterator[_Chosen]:
    """The chosen clips of a shard in its order, at most `size` at once.

    Raises:
        DataError: the shard is missing or damaged, or lacks a chosen clip.
    """
    if not files.is_file(path):
        raise DataError(f"{path} is missing: run `python -m pipelines.ingest` again")
    missing = set(choices)
    with files.open_for_reading(path) as file:
        records = read_records(file, path)
        while batch := list(islice(records, size)):
            clips = CLIP_RECORD.decode_batch(batch, ("audio", "id", "length"))
            chosen = [place for place, name in enumerate(clips["id"]) if name in missing]
            missing.difference_update(clips["id"])
            if chosen:
                audio = clips["audio"] if len(chosen) == len(batch) else clips["audio"][chosen]
                yield _Chosen(clips["id"][chosen].tolist(), clips["length"][chosen].tolist(), audio)
    if missing:
        raise DataError(f"{path} lacks {len(missing)} clips that {selection} names, such as {min(missing)}")


def _catalog_part(catalog: pa.Table, found: list[_Choice], shard: int, positions: list[int]) -> pa.Table:
    """The catalog's rows of the clips of a feature shard, with their label, split and place in the new store."""
    rows = catalog.take(pa.array([choice.row for choice in found], pa.int64()))
    columns = {
        **{name: rows.column(name) for name in rows.column_names},
        "label": [choice.label for choice in found],
        "split": [choice.split for choice in found],
        "shard": [shard] * len(found),
        "position": positions,
    }
    return pa.table([columns[field.name] for field in VIEW_CATALOG_SCHEMA], schema=VIEW_CATALOG_SCHEMA)
