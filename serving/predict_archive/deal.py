"""Reads an archive and deals its clips out to an intermediate file per shard, still encoded and unsorted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Final

from base import files
from pipelines.engine.steps import Step
from pipelines.engine.work import Work
from pipelines.ingest import spill
from pipelines.ingest.parts import read_archive
from pipelines.ingest.tar import Member
from serving.predict_archive.source import Source, is_clip, no_clip
from stores.writing import shard_index

_PROGRESS_FILE: Final = "progress"
_NAMES_IN_ERRORS: Final = 3


@dataclass(frozen=True)
class Dealt:
    """Report on an archive that was dealt out.

    Attributes:
        index: 0.
        clips: its clips.
    """

    index: int
    clips: int


class Deal(Step[Source, Dealt]):
    """An archive → one spill per shard."""

    name = "deal"
    report = Dealt

    def __init__(self, shards: int, next_step: Step[Any, Any]) -> None:
        """Set up the step.

        Args:
            shards: how many.
            next_step: what works on the spill of a shard.
        """
        self._shards, self._next_step = shards, next_step

    def index(self, item: Source) -> int:
        return 0

    def holds(self, report: Dealt, work: Work) -> bool:
        """Whether each spill is still there, or its shard finished."""
        present = set(files.names(work.folder))
        return all(
            spill.name(0, shard) in present or self._next_step.read_report(shard, work) for shard in range(self._shards)
        )

    def run(self, item: Source, work: Work) -> Dealt:
        """Write the spills.

        Raises:
            DataError: the archive is damaged, another than before, or has no clip.
        """
        clips, others = 0, list[str]()
        with ExitStack() as stack:
            members = read_archive(item.path, item.identity, lambda count: _write_progress(work, count))
            stack.enter_context(closing(members))
            paths = [work.path(spill.name(0, shard)) for shard in range(self._shards)]
            spills = stack.enter_context(files.published_together(paths))
            for member in members:
                path = member.name.replace("\\", "/").removeprefix("./")
                if is_clip(path):
                    header = {"path": path, "order": clips, **_fault(member)}
                    spill.append(spills[shard_index(path, self._shards)], header, member.data or b"")
                    clips += 1
                elif len(others) < _NAMES_IN_ERRORS:
                    others.append(path)
        if not clips:
            raise no_clip(item.path, others)
        return Dealt(0, clips)


def _fault(member: Member) -> dict[str, str]:
    """Why a member has no content, if so."""
    if member.data is not None:
        return {}
    if member.fault:
        return {"reason": "damaged", "detail": member.fault}
    return {"reason": "not_a_file", "detail": "it is a link or a device, expected a regular file"}


def to_each_shard(dealt: Dealt, shards: int) -> Iterator[int]:
    """The numbers of the shards of an archive that was dealt out."""
    yield from range(shards)


def _write_progress(work: Work, count: int) -> None:
    files.write_text(work.path(_PROGRESS_FILE), str(count))


def share_dealt(work: Work, size: int) -> float:
    """What part of an archive of so many bytes has been dealt out, 0..1."""
    if work.reports(Deal.name):
        return 1.0
    place = work.path(_PROGRESS_FILE)
    return min(1.0, int(files.read_bytes(place)) / max(size, 1)) if files.is_file(place) else 0.0
