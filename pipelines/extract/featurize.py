"""Turns one clip shard into the feature shards of a view, one for each split, with the totals of its statistics."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from base import files
from base.errors import DataError
from features.splits import SPLITS
from features.statistics import Totals, merge, no_totals, totals_of
from features.views import View
from pipelines.engine.work import Step, Work
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.framing import read_records
from stores.manifest import Shard
from stores.records import CLIP_RECORD, view_record
from stores.tables import open_table, write_table
from stores.writing import ShardWriter, open_shard

T = TypeVar("T")
FrontEnd: TypeAlias = "Callable[[npt.NDArray[np.int16]], npt.NDArray[np.generic]]"

CLIPS_AT_ONCE: Final = 32


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
    """Where the clip shards, the catalog and the selection are, and the name of the store to make."""

    clip_shards: tuple[str, ...]
    catalog: str
    selection: str
    store: str


@dataclass(frozen=True)
class _Chosen:
    """A chosen clip: its id, label, split and real length in samples, its row of the catalog, and its audio."""

    id: str
    label: int
    split: str
    length: int
    row: dict[str, Any]
    audio: npt.NDArray[np.int16]


class Featurize(Step[int, FeaturizedShard]):
    """Number of a clip shard, which is also the row group of the catalog and of the selection → its feature shards."""

    name = "featurize"
    report = FeaturizedShard

    def __init__(self, inputs: Inputs, view: View) -> None:
        self._inputs, self._view = inputs, view
        self._front_end: FrontEnd | None = None

    def setup(self) -> None:
        """Load TensorFlow, once in a worker process."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # TensorFlow's import then leaves Keras out: 3 s and 90 MB
        import tensorflow as tf

        from features.frontend import array_front_end

        try:  # workers share the machine's cores among them already
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # TensorFlow runs in this process already, with the threads that it has
        self._front_end = array_front_end(self._view)

    def index(self, item: int) -> int:
        return item

    def holds(self, report: FeaturizedShard, work: Work) -> bool:
        return all(files.size(files.join(work.staged, each.file)) == each.bytes for each in report.shards)

    def run(self, item: int, work: Work) -> FeaturizedShard:
        """Write the feature shards of a clip shard and its part of the catalog.

        Raises:
            DataError: the shard is damaged, or lacks a clip that the selection names.
        """
        if self._front_end is None:
            self.setup()
        return featurize(item, self._inputs, self._view, self._front_end, work)  # type: ignore[arg-type]


def part_path(work: Work, index: int) -> str:
    """Path of a clip shard's part of the catalog."""
    return work.path(f"catalog-{index:05d}.parquet")


def featurize(index: int, inputs: Inputs, view: View, front_end: FrontEnd, work: Work) -> FeaturizedShard:
    """Write the feature shards of a clip shard and its part of the catalog.

    Args:
        index: the clip shard's number.
        inputs: the stage's files.
        view: the definition of the features.
        front_end: `features.frontend.array_front_end(view)`.
        work: where to write.

    Raises:
        DataError: the shard is damaged, or lacks a clip that the selection names.
    """
    totals: dict[str, Totals] = {split: no_totals(view) for split in SPLITS}
    rows: list[dict[str, Any]] = []
    spec, shards = view_record(view), len(inputs.clip_shards)
    with ExitStack() as stack:
        writers: dict[str, ShardWriter] = {
            split: stack.enter_context(open_shard(work.staged, inputs.store, split, index, shards)) for split in SPLITS
        }
        for batch in _batches(_chosen_clips(index, inputs), CLIPS_AT_ONCE):
            features = front_end(np.stack([each.audio for each in batch]))
            for each, tensor in zip(batch, features, strict=True):
                length = view.real_length(each.length)
                record = {"id": each.id, "label": each.label, "length": length, view.tensor_name: tensor}
                place = {"shard": index, "position": writers[each.split].records}
                rows.append({**each.row, "label": each.label, "split": each.split, **place})
                writers[each.split].write(spec.encode(record))
            for split in SPLITS:
                of_split = np.array([each.split == split for each in batch])
                if of_split.any():
                    totals[split] = merge((totals[split], totals_of(features[of_split], view)), view)
    write_table(part_path(work, index), pa.Table.from_pylist(rows, VIEW_CATALOG_SCHEMA))
    written = tuple(writer.shard() for writer in writers.values())
    return FeaturizedShard(index, written, {split: each.to_dict() for split, each in totals.items()})


def _chosen_clips(index: int, inputs: Inputs) -> Iterator[_Chosen]:
    """The chosen clips of a shard, in its order."""
    chosen = _read_selection(inputs.selection, index)
    rows = _read_catalog(inputs.catalog, index, chosen.keys())
    path = inputs.clip_shards[index]
    if not files.is_file(path):
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
    with open_table(selection) as file:
        table = file.read_row_group(index)
    columns = (table.column(name).to_pylist() for name in ("id", "label", "split"))
    return {clip_id: (label, split) for clip_id, label, split in zip(*columns, strict=True)}


def _read_catalog(catalog: str, index: int, chosen: Collection[str]) -> dict[str, dict[str, Any]]:
    """The catalog's rows of the chosen clips of a shard: id → row."""
    with open_table(catalog) as file:
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
