"""Reads a part of an archive and deals its files out to an intermediate file per shard, still encoded and unsorted."""

from __future__ import annotations

import csv
import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeAlias

from base import files
from base.errors import DataError
from features import clip_id
from features.audio_file import AudioError, AudioFile
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS, is_line
from features.views import CLIP_SAMPLES
from pipelines import layouts
from pipelines.engine.steps import Step
from pipelines.engine.work import Work
from pipelines.ingest import spill
from pipelines.ingest.config import Ingest
from pipelines.ingest.parts import Part, read
from pipelines.ingest.silence import cut
from pipelines.ingest.tar import Member
from pipelines.layouts import Background, ClipList, Layout, Listed, Other, Utterance, normalized
from stores.lineage import ArchiveRole
from stores.writing import shard_index

Entry: TypeAlias = tuple[dict[str, Any], bytes]
"""Header and data of an entry of a spill."""

LISTED: Final = "listed"
LISTED_RECORDING: Final = "listed recording"
"""Kind of the entries that every shard needs, since a recording's clips are in all of them."""

_LEFT_OUT: Final = {
    "human_voice": "the corpus has it as speech or singing, which is no background",
    "not_valid": "the corpus itself has it as not valid",
    "other_channel": "another microphone of a scene of which one is taken",
    "unexpected_name": "expected {expected}",
    "unprintable_name": "its name has an end of a line, another control character, or blanks around a word",
    "ready_clip": "silence and unknown words stand ready in a test archive alone: give this one role: test, or drop it",
}
"""Reasons of layouts, and what they mean."""


@dataclass(frozen=True)
class Scattered:
    """Report on a part of an archive that was dealt out.

    Attributes:
        index: its place among the parts of all archives.
        file: file name of the archive.
        has_list: whether this part has a list of clips; it counts for all archives of the corpus.
    """

    index: int
    file: str
    has_list: bool


class Scatter(Step[Part, Scattered]):
    """A part of an archive → one spill per shard."""

    name = "scatter"
    report = Scattered

    def __init__(self, raw: str, config: Ingest, next_step: Step[Any, Any]) -> None:
        """Set up the step.

        Args:
            raw: folder of the archives.
            config: number of shards, silence, seed.
            next_step: what turns the spills of a shard into the shard.
        """
        self._raw, self._config, self._next_step = raw, config, next_step

    def index(self, item: Part) -> int:
        return item.index

    def holds(self, report: Scattered, work: Work) -> bool:
        """Whether each spill is still there, or its shard finished."""
        present = set(files.names(work.passing))
        return all(
            spill.name(report.index, shard) in present or self._next_step.read_report(shard, work)
            for shard in range(self._config.shards)
        )

    def run(self, item: Part, work: Work) -> Scattered:
        """Write the spills.

        Raises:
            DataError: the archive or a list in it is damaged, or it has no clip.
        """
        config, layout = self._config, layouts.of(item.archive)
        has_list, order = False, 0
        with ExitStack() as stack:
            members = read(item, self._raw, lambda count: _note_progress(work, item.index, count))
            stack.enter_context(closing(members))
            spills = _open_spills(stack, work, item.index, config.shards)
            for member in members:
                for header, data in _entries(member, layout, item.archive.role, config):
                    header["order"] = order = order + 1
                    for each in spills if header["kind"] == LISTED_RECORDING else [_spill_of(header, spills)]:
                        spill.append(each, header, data)
                    has_list |= header["kind"] in (LISTED, LISTED_RECORDING)
        return Scattered(item.index, item.archive.file, has_list)


def to_each_shard(part: Scattered, shards: int) -> Iterator[tuple[int, Scattered]]:
    """A part that was dealt out, for each shard."""
    return ((shard, part) for shard in range(shards))


def progress_path(work: Work, index: int) -> str:
    """Path of the file that says how many bytes of a part have been read."""
    return work.path(f"progress-{index:05d}")


def _note_progress(work: Work, index: int, count: int) -> None:
    """Write how many bytes of a part have been read, where that costs nothing."""
    if not files.is_remote(work.folder):
        files.write_text(progress_path(work, index), str(count))


def scattered_bytes(work: Work, parts: Sequence[Part]) -> int:
    """How many bytes of some parts have been dealt out so far; of remote work, of those that are finished, about."""
    if files.is_remote(work.folder):
        return sum(part.bytes for part in parts) * work.reports(Scatter.name) // len(parts)
    return sum(_scattered_bytes(work, part) for part in parts)


def _scattered_bytes(work: Work, item: Part) -> int:
    if files.is_file(work.report_path(Scatter.name, item.index)):
        return item.bytes
    progress = progress_path(work, item.index)
    return int(files.read_bytes(progress)) if files.is_file(progress) else 0


def _open_spills(stack: ExitStack, work: Work, part: int, shards: int) -> list[BinaryIO]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = shards + 256
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise DataError(f"ingest.shards {shards} needs {needed} open files, the system allows {hard}: take fewer")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    paths = [work.passing_path(spill.name(part, shard)) for shard in range(shards)]
    return stack.enter_context(files.published_together(paths))


def _spill_of(header: dict[str, Any], spills: list[BinaryIO]) -> BinaryIO:
    return spills[shard_index(header["id"], len(spills))]


def _entries(member: Member, layout: Layout, archive_role: ArchiveRole, config: Ingest) -> Iterator[Entry]:
    """The intermediate entries of one file of the archive.

    Raises:
        DataError: it is a list that can't be read.
    """
    role = layout.role(member.name)
    if not all(is_line(name) for name in vars(role).values() if name):
        yield _reject(member, "unprintable_name", _LEFT_OUT["unprintable_name"])
        return
    match role:
        case Utterance(id=name) if archive_role != "test" and clip_id.parse(name).ready:
            yield _reject(member, "ready_clip", _LEFT_OUT["ready_clip"])
        case Other("document"):
            pass
        case Other(reason):
            yield _reject(member, reason, _LEFT_OUT[reason].format(expected=layout.expected))
        case ClipList():
            yield from _list_entries(member, layout)
        case _ if member.fault:
            yield _reject(member, "damaged", member.fault)
        case _ if member.data is None:
            yield _reject(member, "not_a_file", "it is a link or a device, expected a regular file")
        case Utterance() as utterance:
            path = {"path": normalized(member.name)} if layout.corpus else {}
            yield {"kind": "utterance", **vars(utterance), **path}, member.data
        case Background(recording):
            yield from _silence_entries(recording, member, member.data, config)


def _reject(member: Member, reason: str, detail: str) -> Entry:
    return {"kind": "reject", "id": normalized(member.name), "reason": reason, "detail": detail}, b""


def _list_entries(member: Member, layout: Layout) -> Iterator[Entry]:
    if member.data is None:
        raise DataError(f"{member.name} lists clips and can't be read: {member.fault or 'it is no regular file'}")
    try:
        for each in layout.listed(member.name, member.data.decode("utf-8-sig", "replace")):
            says = {key: value for key, value in vars(each).items() if value is not None}
            for key, value in says.items():
                if (value and not is_line(value)) or (key == "word" and value in (SILENCE_CLASS, UNKNOWN_CLASS)):
                    raise ValueError(f"the {key} {value[:60]!r} can't be one")
            if isinstance(each, Listed):
                yield {"kind": LISTED, **says, "list": normalized(member.name)}, b""
            else:
                yield {"kind": LISTED_RECORDING, **says}, b""
    except (ValueError, csv.Error) as error:
        raise DataError(f"{member.name} is not the list that the layout expects ({error}): correct it") from error


def _silence_entries(recording: str, member: Member, data: bytes, config: Ingest) -> Iterator[Entry]:
    try:
        file = AudioFile(data)
    except AudioError as error:
        yield _reject(member, error.reason, str(error))
        return
    if file.size < CLIP_SAMPLES:
        yield _reject(member, "too_short", f"{file.size} samples, a silence clip has {CLIP_SAMPLES}")
    yield {"kind": "recording", "id": recording, "path": normalized(member.name)}, b""
    for clip in cut(recording, file.blocks(), file.size, config.silence, config.seed):
        header = {name: value for name, value in vars(clip).items() if name != "samples"}
        yield {"kind": "silence", "rate": file.source_rate_hz, **header}, clip.samples.astype("<i2").tobytes()
