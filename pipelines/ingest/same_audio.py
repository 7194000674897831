"""Finds clips of one archive whose audio an archive before has under another name, so that it is kept once.

Shards → fingerprints of their clips → all fingerprints together → the names to leave out, for each shard. Copies
within one archive stay as they are; silence, ready clips of a test archive and clips of zeros alone are equal for good
reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from base import files
from features import clip_id
from features.audio import Second
from pipelines.engine.steps import Step
from pipelines.engine.transforms import ShardMap
from pipelines.engine.work import Work
from pipelines.ingest.config import Ingest
from pipelines.ingest.scatter import Scattered, to_each_shard
from pipelines.ingest.seal import Clip, part_path, usable_clips
from pipelines.ingest.spilled import Source, Spills
from stores.lineage import Archive
from stores.tables import read_table, write_table

_FINGERPRINTS: Final = pa.schema(
    [
        ("audio", pa.binary(32)),
        ("archive", pa.string()),
        ("part", pa.int32()),
        ("order", pa.int64()),
        ("id", pa.string()),
    ]
)
_SAME_AUDIO: Final = pa.schema([("id", pa.string()), ("kept", pa.string())])


class FindSameAudio(beam.PTransform[Any, Any]):
    """Parts that were dealt out → the same parts, after each shard has its table of names to leave out."""

    def __init__(self, work: Work, config: Ingest, archives: Iterable[Archive], parts: int) -> None:
        """Wire the steps.

        Args:
            work: the work.
            config: number of shards, and which second of a longer recording is kept.
            archives: all of them.
            parts: of all archives.
        """
        super().__init__("same audio")
        self._work, self._config, self._archives, self._parts = work, config, tuple(archives), parts

    def expand(self, parts: beam.pvalue.PCollection[Any]) -> beam.pvalue.PCollection[Any]:
        dealt: beam.pvalue.PCollection[Any] = (
            parts
            | "To fingerprints" >> beam.FlatMap(to_each_shard, self._config.shards)
            | "Group for fingerprints" >> beam.GroupByKey()
            | ShardMap(self._work, Fingerprint(self._archives, self._parts, self._config.second))
            | "Together" >> beam.GroupBy(_together)
            | ShardMap(self._work, Compare(self._config.shards))
            | "Parts again" >> beam.FlatMap(_parts_of)
        )
        return dealt


@dataclass(frozen=True)
class Fingerprinted:
    """Report on a shard: its number, and the parts that it has clips of."""

    index: int
    parts: tuple[Scattered, ...]


@dataclass(frozen=True)
class Compared:
    """Report on all shards: the parts."""

    index: int
    parts: tuple[Scattered, ...]


def _together(_: Fingerprinted) -> int:
    return 0


def _parts_of(compared: Compared) -> Iterator[Scattered]:
    return iter(compared.parts)


class Fingerprint(Step[tuple[int, Any], Fingerprinted]):
    """(shard, the parts that were dealt out) → a table of the audio of its clips, by hash."""

    name = "fingerprint"
    report = Fingerprinted

    def __init__(self, archives: Iterable[Archive], parts: int, second: Second) -> None:
        self._archives = {archive.file: archive for archive in archives}
        self._parts, self._second = parts, second

    def index(self, item: tuple[int, Any]) -> int:
        return item[0]

    def holds(self, report: Fingerprinted, work: Work) -> bool:
        return files.is_file(part_path(work, self.name, report.index))

    def run(self, item: tuple[int, Any], work: Work) -> Fingerprinted | None:
        """Write the table.

        Raises:
            DataError: a spill is damaged.
        """
        index, parts = item[0], tuple(sorted(item[1], key=lambda each: each.index))
        if len(parts) < self._parts:
            return None
        with ExitStack() as stack:
            spills = Spills(stack, index, parts, self._archives, work)
            found = [
                (bytes.fromhex(clip.sha256), source.archive.file, source.part, source.header["order"], source.id)
                for source, _, clip in usable_clips(spills, [], {}, self._second)
                if _counts(source, clip)
            ]
        columns = [list(column) for column in zip(*found, strict=True)] or [[] for _ in _FINGERPRINTS]
        write_table(part_path(work, self.name, index), pa.table(columns, schema=_FINGERPRINTS))
        return Fingerprinted(index, parts)


def _counts(source: Source, clip: Clip) -> bool:
    """Whether equal audio under another name means that the clip is there twice."""
    return source.header["kind"] == "utterance" and not clip_id.parse(source.id).ready and bool(clip.samples.any())


class Compare(Step[tuple[int, Any], Compared]):
    """(0, reports on all shards) → for each shard a table of the names to leave out.

    In memory are 32 bytes and the archive's name of each clip, and all that is known of the clips that are equal.
    """

    name = "compare"
    report = Compared

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def index(self, item: tuple[int, Any]) -> int:
        return item[0]

    def holds(self, report: Compared, work: Work) -> bool:
        return all(files.is_file(part_path(work, "same_audio", shard)) for shard in range(self._shards))

    def run(self, item: tuple[int, Any], work: Work) -> Compared | None:
        """Write the tables.

        Raises:
            DataError: a table of fingerprints is damaged.
        """
        reports = sorted(item[1], key=lambda each: each.index)
        if len(reports) < self._shards:
            return None
        tables = [part_path(work, Fingerprint.name, shard) for shard in range(self._shards)]
        shared = _in_several_archives(pa.concat_tables(read_table(each, ("audio", "archive")) for each in tables))
        rows = [
            {**row, "shard": shard}
            for shard, each in enumerate(tables)
            for row in _of_audio(read_table(each), shared).to_pylist()
        ]
        left_out = list(leave_out(rows))
        for shard in range(self._shards):
            of_shard = [{"id": each["id"], "kept": each["kept"]} for each in left_out if each["shard"] == shard]
            write_table(part_path(work, "same_audio", shard), pa.Table.from_pylist(of_shard, _SAME_AUDIO))
        return Compared(0, reports[0].parts)


def _in_several_archives(fingerprints: pa.Table) -> pa.Array:
    counts = fingerprints.group_by("audio").aggregate([("archive", "count_distinct")])
    return counts.filter(pc.greater(counts.column("archive_count_distinct"), 1)).column("audio").combine_chunks()


def _of_audio(fingerprints: pa.Table, audio: pa.Array) -> pa.Table:
    return fingerprints.filter(pc.is_in(fingerprints.column("audio"), audio))


def leave_out(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Which clips are left out, of all whose audio is in several archives.

    Args:
        rows: values of audio, archive, part, order and id, and what else is to come back.

    Yields:
        The rows of clips whose audio an archive before has, each with `kept`, the first clip of this audio.
    """
    ordered = sorted(rows, key=lambda row: (row["audio"], row["part"], row["order"]))
    for _, group in groupby(ordered, key=lambda row: row["audio"]):
        first, *others = group
        for row in others:
            if row["archive"] != first["archive"]:
                yield {**row, "kept": f"{first['id']}, of {first['archive']}"}
