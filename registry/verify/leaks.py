"""Checks what two splits share: speakers, clips, equal audio, and stretches of one noise recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from features.labels import SILENCE_CLASS
from features.views import CLIP_SAMPLES
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings
from registry.verify.sightings import AUDIO, IDS, SECONDS, SPEAKERS, Kind, Sightings, stretches

Window: TypeAlias = tuple[str, int, int]
"""One second of a noise recording in a split: recording, first sample, number of the split."""


def check_speakers(evidence: Evidence, findings: Findings) -> None:
    """Whether no speaker is in two splits, unless the task divides each clip on its own."""
    task = evidence.store.manifest.task
    if task is not None and task.split.method == "random":
        findings.remark("not compared: split.method random divides clips, so a speaker is in several splits")
        return
    findings.look(_blame_shared("speaker", SPEAKERS, evidence, findings))
    if unknown := sum(_without_speaker(clips.rows) for clips in evidence.by_address()):
        findings.remark(f"{unknown} clips have no speaker: leaks between speakers can't be excluded")


def _without_speaker(rows: pa.Table) -> int:
    """How many rows of the catalog are spoken clips of nobody known."""
    spoken = pc.not_equal(rows.column("word"), SILENCE_CLASS)
    return pc.sum(pc.and_(spoken, pc.is_null(rows.column("speaker")))).as_py() or 0


def check_duplicates(evidence: Evidence, findings: Findings) -> None:
    """Whether no clip and no equal audio is in two splits."""
    findings.look(_blame_shared("clip", IDS, evidence, findings))
    _blame_shared("audio of SHA-256", AUDIO, evidence, findings)
    if evidence.rows is None:
        findings.remark("audio not compared: the catalog, which has its SHA-256, can't be read")


def _blame_shared(what: str, kind: Kind, evidence: Evidence, findings: Findings) -> int:
    """Report each value that sightings in two splits share.

    Args:
        what: what a value is, for the message.
        kind: which values.
        evidence: what the store holds.
        findings: takes the problems.

    Returns:
        How many different values there are.
    """
    sifted, seen = evidence.shared(kind)
    groups: dict[str, dict[int, list[int]]] = {}
    for each in kind.marks(seen).to_pylist():
        groups.setdefault(each["value"], {}).setdefault(each["group"], []).append(each["sighting"])
    for value, by_split in sorted(groups.items()):
        if len(by_split) > 1:
            _blame_smallest(f"{what} {value}", seen, by_split, findings)
    return sifted.values


def _blame_smallest(what: str, seen: Sightings, by_split: dict[int, list[int]], findings: Findings) -> None:
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
    sifted, seen = evidence.shared(SECONDS)
    findings.look(sum(sifted.of_group.values()))
    windows = _windows(seen)
    for (recording, start, split), others in _overlaps(sorted(windows), sifted.of_group).items():
        _, other_start, other_split = others[0]
        other = seen.ids[windows[others[0]]].as_py()
        findings.blame(
            seen.place(windows[recording, start, split]),
            f"samples {start} to {start + CLIP_SAMPLES} of the recording {recording}, in {seen.split_name(split)}, "
            f"overlap {len(others)} clips of other splits, such as {other} "
            f"in {seen.split_name(other_split)} from sample {other_start}",
        )


def _windows(seen: Sightings) -> dict[Window, int]:
    """The windows of noise recordings, each with its first sighting."""
    windows: dict[Window, int] = {}
    for recording, start, sighting in zip(*(column.to_pylist() for column in stretches(seen).columns), strict=True):
        window = (recording, start, int(seen.splits[sighting]))
        windows[window] = min(windows.get(window, sighting), sighting)
    return windows


def _overlaps(windows: list[Window], number: Mapping[int, int]) -> dict[Window, list[Window]]:
    """For each pair of overlapping windows in different splits, blame the one whose split has fewer windows.

    Args:
        windows: in order.
        number: how many windows each split has in all.

    Returns:
        Each window to blame → the windows that it overlaps.
    """
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
