"""Turns one clip shard into the feature shards of views, one for each split, with the totals of their statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from base import files
from base.errors import DataError
from features.splits import SPLITS, SplitName
from features.statistics import RunningTotals
from features.views import View
from pipelines.clip_records import clip_records
from pipelines.engine.steps import JointStep
from pipelines.engine.work import Work
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.manifest import Shard
from stores.records import CLIP_RECORD, view_record
from stores.tables import read_row_group, write_table
from stores.writing import ShardWriter, open_shard

_RECORDS_AT_ONCE: Final = 16
"""Records that are decoded together."""


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


class Target(NamedTuple):
    """A store to make: its name, and the definition of its features."""

    name: str
    view: View


class Featurize(JointStep[int, FeaturizedShard]):
    """Number of a clip shard, which is also the row group of the catalog and of the selection → its feature shards."""

    name = "featurize"
    report = FeaturizedShard

    def __init__(self, inputs: Inputs, targets: Mapping[str, Target]) -> None:
        """Set up the step.

        Args:
            inputs: the stage's files.
            targets: the stores to make, by the output of their work.
        """
        self._inputs, self._targets = inputs, targets

    def index(self, item: int) -> int:
        return item

    def holds(self, report: FeaturizedShard, work: Work) -> bool:
        return all(files.size(files.join(work.staged, each.file)) == each.bytes for each in report.shards)

    def counts(self, report: list[FeaturizedShard]) -> dict[str, int]:
        return {"clips": sum(shard.records for each in report[:1] for shard in each.shards), "stores": len(report)}

    def run_together(self, item: int, works: Sequence[Work]) -> list[FeaturizedShard]:
        """Write the feature shards of a clip shard and its part of the catalog, for each store.

        Raises:
            DataError: the shard is damaged, or lacks a clip that the selection names.
        """
        return featurize(item, self._inputs, [(self._targets[work.output], work) for work in works])


def part_path(work: Work, index: int) -> str:
    """Path of a clip shard's part of the catalog."""
    return work.path(f"catalog-{index:05d}.parquet")


def featurize(index: int, inputs: Inputs, targets: Sequence[tuple[Target, Work]]) -> list[FeaturizedShard]:
    """Write the feature shards of a clip shard and its part of the catalog, reading the clips once for all stores.

    Args:
        index: the clip shard's number.
        inputs: the stage's files.
        targets: the stores to make, and where to write each.

    Returns:
        A report for each store.

    Raises:
        DataError: the shard is damaged, or lacks a clip that the selection names.
    """
    catalog = read_row_group(inputs.catalog, index)
    choices = _choices(inputs, index, catalog)
    found: list[_Choice] = []
    with ExitStack() as stack:
        stores = [_FeatureShards(stack, index, len(inputs.clip_shards), *target) for target in targets]
        for clips in _batches(inputs.clip_shards[index], choices, inputs.selection):
            chosen = [choices[name] for name in clips.ids]
            found += chosen
            for store in stores:
                store.write(clips, chosen)
    part = _catalog_part(catalog, found, index)
    for _, work in targets:
        write_table(part_path(work, index), part)
    return [store.report() for store in stores]


class _FeatureShards:
    """The feature shards of one clip shard in one store, open until a stack of contexts ends."""

    def __init__(self, stack: ExitStack, index: int, shards: int, target: Target, work: Work) -> None:
        self._index, self._view, self._spec = index, target.view, view_record(target.view)
        self._totals = {split: RunningTotals(target.view) for split in SPLITS}
        self._writers: dict[str, ShardWriter] = {
            split: stack.enter_context(open_shard(work.staged, target.name, split, index, shards)) for split in SPLITS
        }

    def write(self, clips: _Chosen, choices: Sequence[_Choice]) -> None:
        """Append the features of some clips."""
        from features import frontend  # and SciPy, which takes a while and is of no use to the process that runs Beam

        view = self._view
        features = frontend.compute(view, clips.audio)
        for place, (name, samples, choice) in enumerate(zip(clips.ids, clips.lengths, choices, strict=True)):
            length = view.real_length(samples)
            values = {"id": name, "label": choice.label, "length": length, view.tensor_name: features[place]}
            self._writers[choice.split].write(self._spec.encode(values))
            self._totals[choice.split].add(features[place : place + 1])

    def report(self) -> FeaturizedShard:
        """What was written."""
        shards = tuple(writer.shard() for writer in self._writers.values())
        totals: dict[str, dict[str, Any]] = {split: each.totals().to_dict() for split, each in self._totals.items()}
        return FeaturizedShard(self._index, shards, totals)


def _choices(inputs: Inputs, index: int, catalog: pa.Table) -> dict[str, _Choice]:
    """What the selection says of the clips of a shard, by id."""
    selection = read_row_group(inputs.selection, index)
    rows = pc.index_in(selection.column("id"), catalog.column("id"))
    if rows.null_count:
        absent = selection.column("id").filter(pc.is_null(rows)).to_pylist()
        raise DataError(f"{inputs.catalog} lacks {len(absent)} clips that were selected, such as {min(absent)}")
    columns = (*(selection.column(name).to_pylist() for name in ("label", "split")), rows.to_pylist())
    choices = map(_Choice, *columns)
    return dict(zip(selection.column("id").to_pylist(), choices, strict=True))


def _batches(path: str, choices: Mapping[str, _Choice], selection: str) -> Iterator[_Chosen]:
    """The chosen clips of a shard in its order, a few at once.

    Raises:
        DataError: the shard is missing or damaged, or lacks a chosen clip.
    """
    missing = set(choices)
    records = clip_records(path)
    while batch := list(islice(records, _RECORDS_AT_ONCE)):
        clips = CLIP_RECORD.decode_batch(batch, ("audio", "id", "length"))
        chosen = [place for place, name in enumerate(clips["id"]) if name in missing]
        missing.difference_update(clips["id"])
        if chosen:
            audio = clips["audio"] if len(chosen) == len(batch) else clips["audio"][chosen]
            yield _Chosen(clips["id"][chosen].tolist(), clips["length"][chosen].tolist(), audio)
    if missing:
        raise DataError(f"{path} lacks {len(missing)} clips that {selection} names, such as {min(missing)}")


def _catalog_part(catalog: pa.Table, found: list[_Choice], shard: int) -> pa.Table:
    """The catalog's rows of the clips of a feature shard, with their label, split and place in the new store."""
    records, positions = Counter[str](), list[int]()
    for choice in found:
        positions.append(records[choice.split])
        records[choice.split] += 1
    rows = catalog.take(pa.array([choice.row for choice in found], pa.int64()))
    columns = {
        **{name: rows.column(name) for name in rows.column_names},
        "label": [choice.label for choice in found],
        "split": [choice.split for choice in found],
        "shard": [shard] * len(found),
        "position": positions,
    }
    return pa.table([columns[field.name] for field in VIEW_CATALOG_SCHEMA], schema=VIEW_CATALOG_SCHEMA)
