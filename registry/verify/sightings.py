"""Clips as they were seen in splits, and the kinds of things that two splits must not share.

Each clip is seen up to four ways: in a record and in a row of the catalog, each by its id and by its row. All count, so
that a leak shows even where the records or the catalog deny it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.views import CLIP_SAMPLES
from registry.verify.clips import Clips
from registry.verify.findings import Location


@dataclass(frozen=True)
class Sightings:
    """Clips as they were seen in splits: the records first, then the rows of the catalog.

    Attributes:
        clips: all records and rows of the clips' ids.
        ids: id of each sighting.
        splits: split of each, as its number in `store.splits`, int32.
        said: what each id says, columns of `ID_SCHEMA`.
        rows: of each, its row in the catalog by its id, or null.
    """

    clips: Clips
    ids: pa.Array
    splits: np.ndarray[Any, np.dtype[np.int32]]
    said: pa.Table
    rows: pa.Array

    def place(self, sighting: int) -> Location:
        """Where a clip was seen."""
        if sighting < len(self.clips.records):
            return self.clips.record_place(sighting)
        return self.clips.row_place(self.rows[sighting].as_py())

    def in_catalog(self, column: str) -> pa.Array:
        """A column of the catalog for each sighting, null where it has no row."""
        return self.clips.rows.column(column).combine_chunks().take(self.rows)

    def split_name(self, split: int) -> str:
        """The name of a split."""
        return self.clips.store.splits[split]


def sightings(clips: Clips) -> Sightings:
    """All sightings of some clips."""
    splits = clips.addresses.split_of_shard[clips.records.column("shard").to_numpy()]
    split_of_row = clips.addresses.splits_of_rows(clips.rows)
    in_split = pa.array(np.flatnonzero(split_of_row >= 0), pa.int32())
    return Sightings(
        clips,
        pa.concat_arrays([clips.record_ids, clips.row_ids.take(in_split)]),
        np.concatenate([splits, split_of_row[split_of_row >= 0]]).astype(np.int32),
        pa.concat_tables([clips.said_by_records, clips.said_by_rows.take(in_split)]),
        pa.concat_arrays([pc.index_in(clips.record_ids, clips.row_ids), in_split]),
    )


def stretches(seen: Sightings) -> pa.Table:
    """The seconds of noise recordings that were seen: columns recording, start and sighting."""
    numbers, names = np.arange(len(seen.ids)), ["recording", "start", "sighting"]
    said = [seen.said.column("said_recording"), seen.said.column("said_start"), numbers]
    in_catalog = [seen.in_catalog("recording"), seen.in_catalog("start"), numbers]
    return pa.concat_tables([pa.table(said, names), pa.table(in_catalog, names)]).drop_null()


@dataclass(frozen=True)
class Kind:
    """A kind of thing that two splits must not share.

    Attributes:
        marks: which ones there are of some sightings: marks in the groups of their splits, with a column sighting.
        reach: from which distance on two places of one value don't meet.
    """

    marks: Callable[[Sightings], pa.Table]
    reach: int = 1


def _marks(seen: Sightings, *columns: pa.Array) -> pa.Table:
    """Marks of columns of text, each with a value for each sighting; null is none."""
    table = pa.table(
        {
            "value": pa.chunked_array(columns, pa.string()),
            "at": np.zeros(len(seen.ids) * len(columns), np.int32),
            "group": np.tile(seen.splits, len(columns)),
            "sighting": np.tile(np.arange(len(seen.ids)), len(columns)),
        }
    )
    return table.filter(pc.is_valid(table.column("value")))


def _speakers(seen: Sightings) -> pa.Table:
    return _marks(seen, seen.said.column("said_speaker").combine_chunks(), seen.in_catalog("speaker"))


def _ids(seen: Sightings) -> pa.Table:
    return _marks(seen, seen.ids)


def _audio(seen: Sightings) -> pa.Table:
    recomputed = seen.clips.records.column("audio_sha256").combine_chunks()
    of_rows = pa.nulls(len(seen.ids) - len(recomputed), pa.string())
    return _marks(seen, pa.concat_arrays([recomputed, of_rows]), seen.in_catalog("audio_sha256"))


def _seconds(seen: Sightings) -> pa.Table:
    """Marks on whole seconds of noise recordings: a clip begins in one, at a place from 0, and ends in the next.

    Clips that overlap meet in a second, less than one apart.
    """
    clips = stretches(seen)
    recordings, numbers = clips.column("recording"), clips.column("sighting")
    seconds, at = np.divmod(clips.column("start").to_numpy(), CLIP_SAMPLES)
    parts = [
        pa.table(
            {
                "value": pc.binary_join_element_wise(recordings, pa.array(seconds + later).cast(pa.string()), "/"),
                "at": (at - later * CLIP_SAMPLES).astype(np.int32),
                "group": seen.splits[numbers.to_numpy()],
                "sighting": numbers,
            }
        )
        for later in (0, 1)
    ]
    return pa.concat_tables(parts)


SPEAKERS: Final = Kind(_speakers)
IDS: Final = Kind(_ids)
AUDIO: Final = Kind(_audio)
SECONDS: Final = Kind(_seconds, CLIP_SAMPLES)
KINDS: Final = (SPEAKERS, IDS, AUDIO, SECONDS)
