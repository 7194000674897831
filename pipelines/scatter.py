"""Reads an archive once and deals its files out to one intermediate file per shard, still encoded and unsorted."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from features.audio import AudioError, decode_wav
from features.errors import DataError
from features.views import CLIP_SAMPLES
from params import Ingest
from pipelines import files, spill
from pipelines.archive import Member, read_members
from pipelines.layouts import Background, Other, SplitList, Utterance, classify, listed_ids, normalise
from pipelines.shards import shard_index
from pipelines.silence import cut

_NAMES_IN_ERRORS: Final = 3


@dataclass(frozen=True)
class Archive:
    """An archive to ingest.

    Attributes:
        file: its name in the raw folder.
        number: its place among the archives; a clip found twice is taken from the first.
        sha256: the hash that it must have (hex).
        bytes: its size.
    """

    file: str
    number: int
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Spill:
    """One shard's part of one archive."""

    path: str
    archive: str
    number: int
    listed_splits: bool


def scatter(raw: str, archive: Archive, config: Ingest, work: str, is_finished: Callable[[int], bool]) -> list[Spill]:
    """Deal an archive's clips, silences and lists out to one intermediate file per shard.

    Args:
        raw: folder of the archive.
        archive: which one.
        config: number of shards, silence, seed.
        work: folder of the intermediate files. An archive that was dealt out there before is not read again.
        is_finished: whether a shard is finished, and needs no intermediate file any more.

    Returns:
        One spill per shard, in order.

    Raises:
        DataError: the archive is damaged, or has no clip.
    """
    done = files.join(work, f"scattered-{archive.number:05d}.json")
    spills = [_spill_path(work, archive, shard) for shard in range(config.shards)]
    usable = (files.exists(path) or is_finished(shard) for shard, path in enumerate(spills))
    if not (files.exists(done) and all(usable)):
        listed = _deal_out(raw, archive, config, work)
        files.write_text(done, files.to_json({"listed_splits": listed}))
    listed_splits = files.read_json(done)["listed_splits"]
    return [Spill(path, archive.file, archive.number, listed_splits) for path in spills]


def scattered_bytes(work: str, archive: Archive) -> int:
    """How many bytes of an archive have been dealt out so far."""
    if files.exists(files.join(work, f"scattered-{archive.number:05d}.json")):
        return archive.bytes
    progress = _progress_path(work, archive)
    return int(files.read_bytes(progress)) if files.exists(progress) else 0


def _spill_path(work: str, archive: Archive, shard: int) -> str:
    return files.join(work, f"spill-{archive.number:05d}-{shard:05d}")


def _progress_path(work: str, archive: Archive) -> str:
    return files.join(work, f"progress-{archive.number:05d}")


def _deal_out(raw: str, archive: Archive, config: Ingest, work: str) -> bool:
    """Write the spills; return whether the archive lists its splits."""
    clips, listed, order = 0, False, 0
    names: list[str] = []
    progress = _progress_path(work, archive)
    with ExitStack() as stack:
        file = stack.enter_context(files.open_for_reading(files.join(raw, archive.file)))
        spills = _open_spills(stack, work, archive, config.shards)
        for member in read_members(
            file, archive.file, archive.sha256, lambda count: files.write_text(progress, str(count))
        ):
            for header, data in _entries(member, config):
                header["order"] = order = order + 1
                spill.append(spills[shard_index(header["id"], config.shards)], header, data)
                clips += header["kind"] == "utterance"
                listed |= header["kind"] == "listed"
            names = [*names, member.name][:_NAMES_IN_ERRORS]
        if not clips:
            raise DataError(
                f"{archive.file} has no clip named word/speaker_nohash_number.wav; it begins with: "
                f"{', '.join(names) or 'nothing'}"
            )
    return listed


def _open_spills(stack: ExitStack, work: str, archive: Archive, shards: int) -> list[BinaryIO]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = shards + 256
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise DataError(f"ingest.shards {shards} needs {needed} open files, the system allows {hard}: take fewer")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return [stack.enter_context(files.published(_spill_path(work, archive, shard))) for shard in range(shards)]


def _entries(member: Member, config: Ingest) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The intermediate entries of one file of the archive."""
    match classify(member.name):
        case Other("unexpected_name"):
            yield _reject(member, "unexpected_name", "expected word/speaker_nohash_number.wav")
        case Other():
            pass
        case _ if member.data is None:
            yield _reject(member, "not_a_file", "it is a link or a device, expected a regular file")
        case Utterance() as utterance:
            yield {"kind": "utterance", **vars(utterance)}, member.data
        case Background(recording):
            yield from _silence_entries(recording, member, member.data, config)
        case SplitList(split):
            for clip_id in listed_ids(member.data.decode("utf-8-sig", "replace")):
                yield {"kind": "listed", "id": clip_id, "split": split}, b""


def _reject(member: Member, reason: str, detail: str) -> tuple[dict[str, Any], bytes]:
    return {"kind": "reject", "id": normalise(member.name), "reason": reason, "detail": detail}, b""


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
