"""Finds what two splits share: speakers, clips, equal audio, and stretches of one noise recording.

Each clip is seen up to four ways: in a record and in a row of the catalogue, each by its id and by its row. All count,
so that a leak shows even where the records or the catalogue deny it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.manifest import CATALOG_FILE
from features.registry.findings import CheckName, Ledger, Place
from features.registry.names import ClipName, parse_id
from features.registry.rows import place_of_record
from features.registry.walk import Reading
from features.store import Store
from features.views import CLIP_SAMPLES

_NO_ROW: Final = -1


@dataclass(frozen=True)
class Sightings:
    """Clips as they were seen in splits: the records first, then the rows of the catalogue.

    Attributes:
        store: the store.
        found: the records.
        ids: id of each sighting.
        splits: split of each, as its number in `store.splits`.
        names: what each id says.
        rows: of each, its row in the catalogue by its id, or -1.
        catalogue: the catalogue, or None where it can't be read.
    """

    store: Store
    found: pa.Table
    ids: list[str]
    splits: np.ndarray[Any, np.dtype[np.int64]]
    names: list[ClipName]
    rows: np.ndarray[Any, np.dtype[np.int64]]
    catalogue: pa.Table | None

    def place(self, sighting: int) -> Place:
        """Where a clip was seen."""
        if sighting < len(self.found):
            return place_of_record(self.store, self.found)(sighting)
        return Place(CATALOG_FILE, id=self.ids[sighting])

    def of_rows(self, column: str) -> list[Any]:
        """A column of the catalogue for each sighting, None where it has no row."""
        if self.catalogue is None:
            return [None] * len(self.ids)
        values = self.catalogue.column(column).to_pylist()
        return [None if row == _NO_ROW else values[row] for row in self.rows]


def sightings(store: Store, reading: Reading, catalogue: pa.Table | None) -> Sightings:
    """All sightings of the clips of a store."""
    found = reading.found
    split_of_shard = np.array([store.splits.index(shard.split) for shard in store.manifest.shards], np.int64)
    ids, splits = found.column("id").combine_chunks(), split_of_shard[found.column("shard").to_numpy()]
    rows = np.full(len(ids), _NO_ROW, np.int64)
    if catalogue is not None:
        known = pc.is_in(catalogue.column("split"), pa.array(store.splits))
        own = np.flatnonzero(known.to_numpy())
        row_ids = catalogue.column("id").combine_chunks()
        rows = pc.fill_null(pc.index_in(ids, row_ids), _NO_ROW).to_numpy().astype(np.int64)
        of_rows = pc.index_in(catalogue.column("split"), pa.array(store.splits)).drop_null().to_numpy()
        ids = pa.concat_arrays([ids, row_ids.take(pa.array(own))])
        splits, rows = np.concatenate([splits, of_rows]), np.concatenate([rows, own])
    clip_ids = ids.to_pylist()
    return Sightings(store, found, clip_ids, splits, [parse_id(each) for each in clip_ids], rows, catalogue)


def check_leaks(seen: Sightings, ledger: Ledger) -> None:
    """Whether two splits share a speaker, a clip, equal audio, or samples of a noise recording."""
    speakers = [[name.speaker for name in seen.names], seen.of_rows("speaker")]
    _check_shared("speakers", "speaker", seen, speakers, ledger)
    _check_shared("duplicates", "clip", seen, [list(seen.ids)], ledger)
    recomputed = seen.found.column("audio_sha256").to_pylist()
    hashes = [recomputed + [None] * (len(seen.ids) - len(recomputed)), seen.of_rows("audio_sha256")]
    _check_shared("duplicates", "audio of SHA-256", seen, hashes, ledger)
    if seen.catalogue is None:
        ledger.remark("duplicates", "audio not compared: the catalogue, which has its SHA-256, can't be read")
    _check_windows(seen, ledger)


def _check_shared(
    check: CheckName, what: str, seen: Sightings, values: Sequence[list[str | None]], ledger: Ledger
) -> None:
    """Report each value that sightings in two splits share.

    Args:
        check: the check that looks.
        what: what a value is, for the message.
        seen: the sightings.
        values: lists with one value for each sighting; None shares nothing.
        ledger: takes the problems.
    """
    table = pa.table(
        {
            "value": pa.chunked_array([pa.array(each, pa.string()) for each in values], pa.string()),
            "split": np.tile(seen.splits, len(values)),
            "sighting": np.tile(np.arange(len(seen.ids)), len(values)),
        }
    )
    table = table.filter(pc.is_valid(table.column("value")))
    counts = table.group_by("value").aggregate([("split", "count_distinct")])
    if check != "duplicates" or what == "clip":
        ledger.look(check, len(counts))
    shared = counts.column("value").filter(pc.greater(counts.column("split_count_distinct"), 1))
    groups: dict[str, dict[int, list[int]]] = {}
    for each in table.filter(pc.is_in(table.column("value"), shared.combine_chunks())).to_pylist():
        groups.setdefault(each["value"], {}).setdefault(each["split"], []).append(each["sighting"])
    for value, by_split in sorted(groups.items()):
        _blame_shared(check, f"{what} {value}", seen, by_split, ledger)


def _blame_shared(check: CheckName, what: str, seen: Sightings, by_split: dict[int, list[int]], ledger: Ledger) -> None:
    """Report a shared value where it was first seen in the split with the fewest clips of it, the later one of two."""
    clips = {split: sorted({seen.ids[each] for each in by_split[split]}) for split in sorted(by_split)}
    odd = min(clips, key=lambda split: (len(clips[split]), -split))
    shares = (
        f"{seen.store.splits[split]} ({len(ids)} clip{'s' * (len(ids) > 1)}, such as {ids[0]})"
        for split, ids in clips.items()
    )
    ledger.blame(check, seen.place(min(by_split[odd])), f"{what} is in {' and '.join(shares)}")


def _check_windows(seen: Sightings, ledger: Ledger) -> None:
    """Report the silence clips that share samples of a recording with a clip of a split that has more of it."""
    windows: dict[tuple[str, int, int], int] = {}
    recordings, starts = seen.of_rows("recording"), seen.of_rows("start")
    for sighting, (split, name) in enumerate(zip(seen.splits, seen.names, strict=True)):
        for recording, start in ((name.recording, name.start), (recordings[sighting], starts[sighting])):
            if recording is not None and start is not None:
                windows.setdefault((recording, start, int(split)), sighting)
    ledger.look("silence", len(windows))
    for (recording, start, split), others in _overlaps(sorted(windows)).items():
        _, other_start, other_split = others[0]
        other = windows[recording, other_start, other_split]
        ledger.blame(
            "silence",
            seen.place(windows[recording, start, split]),
            f"samples {start} to {start + CLIP_SAMPLES} of the recording {recording}, in {seen.store.splits[split]}, "
            f"overlap {len(others)} clips of other splits, such as {seen.ids[other]} "
            f"in {seen.store.splits[other_split]} from sample {other_start}",
        )


Window = tuple[str, int, int]


def _overlaps(windows: list[Window]) -> dict[Window, list[Window]]:
    """The windows that overlap one of another split, each with those; of two splits, those of the one with fewer.

    Args:
        windows: (recording, start, split), in order.
    """
    number = Counter(split for _, _, split in windows)
    found: dict[Window, list[Window]] = {}
    for place, first in enumerate(windows):
        for following in range(place + 1, len(windows)):
            second = windows[following]
            if second[0] != first[0] or second[1] >= first[1] + CLIP_SAMPLES:
                break
            if first[2] != second[2]:
                odd, other = sorted((first, second), key=lambda window: (number[window[2]], -window[2]))
                found.setdefault(odd, []).append(other)
    return found
