"""Reads a part of an archive and deals its files out to an intermediate file per shard, still encoded and unsorted."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, BinaryIO

from base import files
from base.errors import DataError
from features.audio import AudioError, decode_wav
from features.views import CLIP_SAMPLES
from pipelines import layouts
from pipelines.engine.work import Step, Work
from pipelines.ingest import spill
from pipelines.ingest.config import Ingest
from pipelines.ingest.parts import Part, read
from pipelines.ingest.silence import cut
from pipelines.ingest.tar import Member
from pipelines.layouts import Background, Layout, Other, SplitList, Utterance, normalized
from stores.writing import shard_index


@dataclass(frozen=True)
class Scattered:
    """Report on a part of an archive that was dealt out.

    Attributes:
        index: its place among the parts of all archives.
        file: file name of the archive.
        listed_splits: whether this part lists splits; the lists count for all of the archive.
    """

    index: int
    file: str
    listed_splits: bool


class Scatter(Step[Part, Scattered]):
    """A part of an archive → one spill per shard."""

    name = "scatter"
    report = Scattered

    def __init__(self, raw: str, config: Ingest, next_step: Step[Any, Any]) -> None:
        """Set up the step.

        Args:
            raw: folder of the archives.
            config: number of shards, layout, silence, seed.
            next_step: what turns the spills of a shard into the shard.
        """
        self._raw, self._config, self._next_step = raw, config, next_step

    def index(self, item: Part) -> int:
        return item.index

    def holds(self, report: Scattered, work: Work) -> bool:
        """Whether each spill is still there, or its shard finished."""
        present = set(files.names(work.folder))
        return all(
            spill.name(report.index, shard) in present or self._next_step.read_report(shard, work)
            for shard in range(self._config.shards)
        )

    def run(self, item: Part, work: Work) -> Scattered:
        """Write the spills.

        Raises:
            DataError: the archive is damaged, or has no clip.
        """
        config, layout = self._config, layouts.find(self._config.layout)
        progress = progress_path(work, item.index)
        listed, order = False, 0
        with ExitStack() as stack:
            members = read(item, self._raw, config.layout, lambda count: files.write_text(progress, str(count)))
            stack.enter_context(closing(members))
            spills = _open_spills(stack, work, item.index, config.shards)
            for member in members:
                for header, data in _entries(member, layout, config):
                    header["order"] = order = order + 1
                    spill.append(spills[shard_index(header["id"], config.shards)], header, data)
                    listed |= header["kind"] == "listed"
        return Scattered(item.index, item.archive.file, listed)


def progress_path(work: Work, index: int) -> str:
    """Path of the file that says how many bytes of a part have been read."""
    return work.path(f"progress-{index:05d}")


def scattered_bytes(work: Work, item: Part) -> int:
    """How many bytes of a part have been dealt out so far."""
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
    paths = (work.path(spill.name(part, shard)) for shard in range(shards))
    return [stack.enter_context(files.published(path, concurrent=True)) for path in paths]


def _entries(member: Member, layout: Layout, config: Ingest) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The intermediate entries of one file of the archive."""
    match layout.role(member.name):
        case Other("unexpected_name"):
            yield _reject(member, "unexpected_name", f"expected {layout.expected}")
        case Other():
            pass
        case _ if member.data is None:
            yield _reject(member, "not_a_file", "it is a link or a device, expected a regular file")
        case Utterance() as utterance:
            yield {"kind": "utterance", **vars(utterance)}, member.data
        case Background(recording):
            yield from _silence_entries(recording, member, member.data, config)
        case SplitList(split):
            for listed in layout.listed_ids(member.data.decode("utf-8-sig", "replace")):
                yield {"kind": "listed", "id": listed, "split": split}, b""


def _reject(member: Member, reason: str, detail: str) -> tuple[dict[str, Any], bytes]:
    return {"kind": "reject", "id": normalized(member.name), "reason": reason, "detail": detail}, b""


def _silence_entries(
    recording: str, member: Member, data: bytes, config: Ingest
) -> Iterator[tuple[dict[str, Any], bytes]]:
    try:
        decoded = decode_wav(data)
    except AudioError as error:
        yield _reject(member, error.reason, str(error))
        return
    if decoded.samples.size < CLIP_SAMPLES:
        yield _reject(member, "too_short", f"{decoded.samples.size} samples, a silence clip has {CLIP_SAMPLES}")
    for clip in cut(recording, decoded.samples, config.silence, config.seed):
        header = {name: value for name, value in vars(clip).items() if name != "samples"}
        yield {"kind": "silence", "rate": decoded.source_rate_hz, **header}, clip.samples.astype("<i2").tobytes()
