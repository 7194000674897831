"""Turns one clip shard into the feature shards of a view, one for each split, with the totals of its statistics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.catalog import VIEW_CATALOG_SCHEMA
from features.errors import DataError
from features.manifest import Shard, shard_file
from features.records import read_records
from features.schema import CLIP_RECORD, tensor_name, view_record
from features.statistics import Totals, merge, no_totals, totals_of
from features.views import View, real_length
from pipelines import files
from pipelines.shards import ShardWriter
from pipelines.splits import SPLITS

T = TypeVar("T")
FrontEnd: TypeAlias = "Callable[[npt.NDArray[np.int16]], npt.NDArray[np.generic]]"

CLIPS_AT_ONCE: Final = 32
REPORT_PATTERN: Final = "featurised-*.json"


@dataclass(frozen=True)
class FeatureShards:
    """The report of a clip shard: its number, its feature shards in order of split, and the totals of each split."""

    index: int
    shards: tuple[Shard, ...]
    totals: dict[str, Totals]


@dataclass(frozen=True)
class Inputs:
    """Where a clip shard and its part of the catalogue and of the selection are, and how many shards there are."""

    clip_shards: tuple[str, ...]
    catalog: str
    selection: str
    output: str
    store: str


@dataclass(frozen=True)
class _Chosen:
    """A chosen clip."""

    id: str
    label: int
    split: str
    length: int
    row: dict[str, Any]
    audio: npt.NDArray[np.int16]


def part_path(work: str, index: int) -> str:
    """Path of a clip shard's part of the catalogue."""
    return files.join(work, f"catalog-{index:05d}.parquet")


def report_path(work: str, index: int) -> str:
    """Path of the report of a clip shard; it is written last, so a shard that has one is finished."""
    return files.join(work, f"featurised-{index:05d}.json")


def featurise(index: int, inputs: Inputs, view: View, front_end: FrontEnd) -> FeatureShards:
    """Write the feature shards of a clip shard and its part of the catalogue, unless an interrupted run has done so.

    Args:
        index: the clip shard's number, which is also the row group of the catalogue and of the selection.
        inputs: the stage's files.
        view: the definition of the features.
        front_end: `features.frontend.array_front_end(view)`.

    Raises:
        DataError: the shard is damaged, or lacks a clip that the selection names.
    """
    work = files.join(inputs.output, files.WORK_FOLDER)
    finished = _read_report(inputs.output, index)
    if finished:
        return finished
    totals: dict[str, Totals] = {split: no_totals(view) for split in SPLITS}
    rows: list[dict[str, Any]] = []
    spec, column = view_record(view), tensor_name(view)
    with ExitStack() as stack:
        writers: dict[str, ShardWriter] = {split: _open_writer(stack, inputs, split, index) for split in SPLITS}
        for batch in _batches(_chosen_clips(index, inputs), CLIPS_AT_ONCE):
            features = front_end(np.stack([each.audio for each in batch]))
            for each, tensor in zip(batch, features, strict=True):
                record = {"id": each.id, "label": each.label, "length": real_length(view, each.length), column: tensor}
                place = {"shard": index, "position": writers[each.split].records}
                rows.append({**each.row, "label": each.label, "split": each.split, **place})
                writers[each.split].write(spec.encode(record))
            for split in SPLITS:
                of_split = np.array([each.split == split for each in batch])
                if of_split.any():
                    totals[split] = merge((totals[split], totals_of(features[of_split], view)), view)
    files.write_table(part_path(work, index), pa.Table.from_pylist(rows, VIEW_CATALOG_SCHEMA))
    done = FeatureShards(index, tuple(writer.shard() for writer in writers.values()), totals)
    report = {
        "index": index,
        "shards": [asdict(each) for each in done.shards],
        "totals": {split: each.to_dict() for split, each in totals.items()},
    }
    files.write_text(report_path(work, index), files.to_json(report))
    return done


def _read_report(output: str, index: int) -> FeatureShards | None:
    """The report of a finished clip shard, or None where there is none or a file of it is gone."""
    place = report_path(files.join(output, files.WORK_FOLDER), index)
    if not files.exists(place):
        return None
    content = files.read_json(place)
    shards = tuple(Shard(**shard) for shard in content["shards"])
    if not all(files.has_size(files.join(output, shard.file), shard.bytes) for shard in shards):
        return None
    totals = {split: Totals.from_dict(each) for split, each in content["totals"].items()}
    return FeatureShards(content["index"], shards, totals)


def _open_writer(stack: ExitStack, inputs: Inputs, split: str, index: int) -> ShardWriter:
    name = shard_file(inputs.store, split, index, len(inputs.clip_shards))
    return ShardWriter(stack.enter_context(files.published(files.join(inputs.output, name))), name, split)


def _chosen_clips(index: int, inputs: Inputs) -> Iterator[_Chosen]:
    """The chosen clips of a shard, in its order."""
    chosen = _read_selection(inputs.selection, index)
    rows = _read_catalog(inputs.catalog, index, chosen.keys())
    path = inputs.clip_shards[index]
    if not files.exists(path):
        raise DataError(f"{path} is missing: run `python -m pipelines.ingest` again")
    with files.open_for_reading(path) as file:
        for record in read_records(file, path):
            clip: dict[str, Any] = CLIP_RECORD.decode(record)
            if clip["id"] in chosen:
                label, split = chosen.pop(clip["id"])
                yield _Chosen(clip["id"], label, split, clip["length"], rows[clip["id"]], clip["audio"])
    if chosen:
        raise DataError(f"{path} lacks {len(chosen)} clips that {inputs.selection} names, such as {min(chosen)}")


def _read_selection(selection: str, index: int) -> dict[str, tuple[int, str]]:
    """The chosen clips of a row group: id → (label, split)."""
    with files.open_table(selection) as file:
        table = file.read_row_group(index)
    columns = (table.column(name).to_pylist() for name in ("id", "label", "split"))
    return {clip_id: (label, split) for clip_id, label, split in zip(*columns, strict=True)}


def _read_catalog(catalog: str, index: int, chosen: Collection[str]) -> dict[str, dict[str, Any]]:
    """The catalogue's rows of the chosen clips of a shard: id → row."""
    with files.open_table(catalog) as file:
        table = file.read_row_group(index)
    rows = table.filter(pc.is_in(table.column("id"), pa.array(sorted(chosen), pa.string()))).to_pylist()
    found = {row["id"]: row for row in rows}
    if absent := set(chosen) - found.keys():
        raise DataError(f"{catalog} lacks {len(absent)} clips that were selected, such as {min(absent)}")
    return found


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch
