"""Checks what two splits share: speakers, clips, equal audio, and stretches of one noise recording.

Each clip is seen up to four ways: in a record and in a row of the catalog, each by its id and by its row. All count, so
that a leak shows even where the records or the catalog deny it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.views import CLIP_SAMPLES
from registry.verify.catalog import row_place
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings, Location

Window: TypeAlias = tuple[str, int, int]
"""One second of a noise recording in a split: recording, first sample, number of the split."""


@dataclass(frozen=True)
class _Sightings:
    """Clips as they were seen in splits: the records first, then the rows of the catalog.

    Attributes:
        evidence: what the store holds.
        ids: id of each sighting.
        splits: split of each, as its number in `store.splits`.
        said: what each id says, columns word, speaker, recording and start.
        rows: of each, its row in the catalog by its id, or null.
    """

    evidence: Evidence
    ids: pa.Array
    splits: np.ndarray[Any, np.dtype[np.int64]]
    said: pa.Table
    rows: pa.Array

    def place(self, sighting: int) -> Location:
        """Where a clip was seen."""
        if sighting < len(self.evidence.reading.records):
            return self.evidence.reading.place(self.evidence.store, sighting)
        return row_place(self.evidence.catalog, self.rows[sighting].as_py())

    def in_catalog(self, column: str) -> pa.Array:
        """A column of the catalog for each sighting, null where it has no row."""
        if self.evidence.catalog is None:
            return pa.nulls(len(self.ids))
        return self.evidence.catalog.column(column).combine_chunks().take(self.rows)

    def split_name(self, split: int) -> str:
        """The name of a split."""
        return self.evidence.store.splits[split]


def _sightings(evidence: Evidence) -> _Sightings:
    """All sightings of the clips of a store."""
    store, records, catalog = evidence.store, evidence.reading.records, evidence.catalog
    split_of_shard = np.array([store.splits.index(shard.split) for shard in store.manifest.shards], np.int64)
    ids, splits = records.column("id").combine_chunks(), split_of_shard[records.column("shard").to_numpy()]
    if catalog is None:
        return _Sightings(evidence, ids, splits, evidence.said_by_records, pa.nulls(len(ids), pa.int32()))
    row_ids = catalog.column("id").combine_chunks()
    split_of_row = pc.index_in(catalog.column("split").combine_chunks(), pa.array(store.splits))
    in_split = pa.array(np.flatnonzero(split_of_row.is_valid().to_numpy(zero_copy_only=False)), pa.int32())
    return _Sightings(
        evidence,
        pa.concat_arrays([ids, row_ids.take(in_split)]),
        np.concatenate([splits, split_of_row.drop_null().to_numpy()]),
        pa.concat_tables([evidence.said_by_records, evidence.said_by_rows.take(in_split)]),
        pa.concat_arrays([pc.index_in(ids, row_ids), in_split]),
    )


def check_speakers(evidence: Evidence, findings: Findings) -> None:
    """Whether no speaker is in two splits."""
    seen = _sightings(evidence)
    speakers = [seen.said.column("speaker").combine_chunks(), seen.in_catalog("speaker")]
    findings.look(_blame_shared("speaker", seen, speakers, findings))


def check_duplicates(evidence: Evidence, findings: Findings) -> None:
    """Whether no clip and no equal audio is in two splits."""
    seen = _sightings(evidence)
    findings.look(_blame_shared("clip", seen, [seen.ids], findings))
    recomputed = evidence.reading.records.column("audio_sha256").combine_chunks()
    of_rows = pa.nulls(len(seen.ids) - len(recomputed), pa.string())
    hashes = [pa.concat_arrays([recomputed, of_rows]), seen.in_catalog("audio_sha256")]
    _blame_shared("audio of SHA-256", seen, hashes, findings)
    if evidence.catalog is None:
        findings.remark("audio not compared: the catalog, which has its SHA-256, can't be read")


def _blame_shared(what: str, seen: _Sightings, values: Sequence[pa.Array], findings: Findings) -> int:
    """Report each value that sightings in two splits share.

    Args:
        what: what a value is, for the message.
        seen: the sightings.
        values: one or more values for each sighting; null shares nothing.
        findings: takes the problems.

    Returns:
        How many distinct values there are.
    """
    table = pa.table(
        {
            "value": pa.chunked_array([each.cast(pa.string()) for each in values]),
            "split": np.tile(seen.splits, len(values)),
            "sighting": np.tile(np.arange(len(seen.ids)), len(values)),
        }
    )
    table = table.filter(pc.is_valid(table.column("value")))
    counts = table.group_by("value").aggregate([("split", "count_distinct")])
    shared = counts.column("value").filter(pc.greater(counts.column("split_count_distinct"), 1))
    groups: dict[str, dict[int, list[int]]] = {}
    for each in table.filter(pc.is_in(table.column("value"), shared.combine_chunks())).to_pylist():
        groups.setdefault(each["value"], {}).setdefault(each["split"], []).append(each["sighting"])
    for value, by_split in sorted(groups.items()):
        _blame_smallest(f"{what} {value}", seen, by_split, findings)
    return len(counts)


def _blame_smallest(what: str, seen: _Sightings, by_split: dict[int, list[int]], findings: Findings) -> None:
    """Report a shared value at its first sighting in the split with the fewest such clips (ties: the later split)."""
    clips = {split: sorted({seen.ids[each].as_py() for each in by_split[split]}) for split in sorted(by_split)}
    smallest = min(clips, key=lambda split: (len(clips[split]), -split))
    shares = (
        f"{seen.split_name(split)} ({len(ids)} clip{'s' * (len(ids) > 1)}, such as {ids[0]})"
        for split, ids in clips.items()
    )
    findings.blame(seen.place(min(by_split[smallest])), f"{what} is in {' and '.join(shares)}")


def check_silence(evidence: Evidence, findings: Findings) -> None:
    """Whether no two splits share samples of a noise recording."""
    seen = _sightings(evidence)
    windows = _windows(seen)
    findings.look(len(windows))
    for (recording, start, split), others in _overlaps(sorted(windows)).items():
        _, other_start, other_split = others[0]
        other = seen.ids[windows[others[0]]].as_py()
        findings.blame(
            seen.place(windows[recording, start, split]),
            f"samples {start} to {start + CLIP_SAMPLES} of the recording {recording}, in {seen.split_name(split)}, "
            f"overlap {len(others)} clips of other splits, such as {other} "
            f"in {seen.split_name(other_split)} from sample {other_start}",
        )


def _windows(seen: _Sightings) -> dict[Window, int]:
    """The windows of noise recordings, each with its first sighting."""
    windows: dict[Window, int] = {}
    sightings = pa.array(np.arange(len(seen.ids)))
    for recordings, starts in (
        (seen.said.column("recording"), seen.said.column("start")),
        (seen.in_catalog("recording"), seen.in_catalog("start")),
    ):
        table = pa.table([recordings, starts, sightings], ["recording", "start", "sighting"]).drop_null()
        for recording, start, sighting in zip(*(column.to_pylist() for column in table.columns), strict=True):
            window = (recording, start, int(seen.splits[sighting]))
            windows[window] = min(windows.get(window, sighting), sighting)
    return windows


def _overlaps(windows: list[Window]) -> dict[Window, list[Window]]:
    """For each pair of overlapping windows in different splits, blame the one whose split has fewer windows.

    Args:
        windows: in order.

    Returns:
        Each window to blame → the windows that it overlaps.
    """
    number = Counter(split for _, _, split in windows)
    found: dict[Window, list[Window]] = {}
    for index, first in enumerate(windows):
        for following in range(index + 1, len(windows)):
            second = windows[following]
            if second[0] != first[0] or second[1] >= first[1] + CLIP_SAMPLES:
                break
            if first[2] != second[2]:
                blamed, other = sorted((first, second), key=lambda window: (number[window[2]], -window[2]))
                found.setdefault(blamed, []).append(other)
    return found
