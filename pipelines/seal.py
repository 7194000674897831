"""Turns one shard's intermediate files into its final TFRecord file, its part of the catalogue, and its rejects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from features.audio import AudioError, Samples, clipped_samples, decode_wav, pad_or_trim, peak_and_rms
from features.catalog import CATALOG_SCHEMA, HARMLESS_REASONS, REJECTS_SCHEMA
from features.manifest import Shard, shard_file
from features.schema import CLIP_RECORD
from pipelines import files, spill
from pipelines.layouts import SILENCE, UNKNOWN
from pipelines.scatter import Spill
from pipelines.shards import ShardWriter, digest
from pipelines.splits import SplitName, official_split

CLIPS_STORE = "clips"
CLIPS_SPLIT = "unsplit"


@dataclass(frozen=True)
class SealedShard:
    """What `seal` reports of a shard.

    Attributes:
        index: the shard's number.
        shard: its file.
        used: files that became clips; silence that was cut here is none.
        rejected: files that can't be used.
        reject_example: one of them with its reason, or "".
    """

    index: int
    shard: Shard
    used: int
    rejected: int
    reject_example: str


class _Source(NamedTuple):
    """An entry of a spill that is to become a clip."""

    header: dict[str, Any]
    spill: Spill
    file: BinaryIO
    offset: int

    @property
    def order(self) -> tuple[bytes, int, int]:
        """Clips are sorted by the digest of their id; of two with one id the archive's first comes first."""
        return digest(self.header["id"]), self.spill.number, self.header["order"]


class _Rejected(ValueError):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Clip(NamedTuple):
    samples: Samples
    length: int
    rate_hz: int
    sha256: str


def part_path(work: str, table: str, index: int) -> str:
    """Path of a shard's part of a table."""
    return files.join(work, f"{table}-{index:05d}.parquet")


def report_path(work: str, index: int) -> str:
    """Path of a shard's report; it is written last, so a shard that has one is finished."""
    return files.join(work, f"sealed-{index:05d}.json")


def seal(index: int, spills: list[Spill], output: str, shards: int) -> SealedShard:
    """Write a shard, its part of the catalogue and its rejects, unless an interrupted run has done so already.

    The spills are deleted at the end: what is to be kept on disk never stands there twice.

    Args:
        index: the shard's number.
        spills: its part of each archive.
        output: folder of the clip store.
        shards: number of shards.
    """
    work = files.join(output, files.WORK_FOLDER)
    finished = read_report(output, index)
    if finished:
        return finished
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    file_name = shard_file(CLIPS_STORE, CLIPS_SPLIT, index, shards)
    with ExitStack() as stack:
        sources, listed = _read_index(stack, spills, rejects)
        file = stack.enter_context(files.published(files.join(output, file_name)))
        writer = ShardWriter(file, file_name, CLIPS_SPLIT)
        for source, clip in _usable_clips(sources, rejects):
            writer.write(_encode(source, clip))
            split = _split_of(source, listed)
            rows.append(_row(source, clip, split, index, len(rows)))
    files.write_table(part_path(work, "catalog", index), pa.Table.from_pylist(rows, CATALOG_SCHEMA))
    files.write_table(part_path(work, "rejects", index), pa.Table.from_pylist(rejects, REJECTS_SCHEMA))
    bad = [each for each in rejects if each["reason"] not in HARMLESS_REASONS]
    example = f"{bad[0]['path']}: {bad[0]['reason']} ({bad[0]['detail']})" if bad else ""
    used = sum(row["recording"] is None for row in rows)
    sealed = SealedShard(index, writer.shard(), used, len(bad), example)
    files.write_text(report_path(work, index), files.to_json(asdict(sealed)))
    files.remove([each.path for each in spills])
    return sealed


def read_report(output: str, index: int) -> SealedShard | None:
    """The report of a finished shard, or None where there is none or its file is gone."""
    place = report_path(files.join(output, files.WORK_FOLDER), index)
    if not files.exists(place):
        return None
    content = files.read_json(place)
    shard = Shard(**content["shard"])
    if not files.has_size(files.join(output, shard.file), shard.bytes):
        return None
    return SealedShard(**{**content, "shard": shard})


def _read_index(
    stack: ExitStack, spills: list[Spill], rejects: list[dict[str, Any]]
) -> tuple[list[_Source], dict[tuple[int, str], SplitName]]:
    """The clips of a shard in their final order, and the splits that the archives' lists give them."""
    sources: list[_Source] = []
    listed: dict[tuple[int, str], SplitName] = {}
    for each in spills:
        file = stack.enter_context(files.open_for_reading(each.path))
        for entry in spill.index(file):
            match entry.header["kind"]:
                case "listed":
                    listed[each.number, entry.header["id"]] = entry.header["split"]
                case "reject":
                    rejects.append(_reject(entry.header["id"], entry.header["reason"], entry.header["detail"], each))
                case _:
                    sources.append(_Source(entry.header, each, file, entry.offset))
    return sorted(sources, key=lambda source: source.order), listed


def _usable_clips(sources: list[_Source], rejects: list[dict[str, Any]]) -> Iterator[tuple[_Source, _Clip]]:
    kept: tuple[str, _Clip] | None = None
    for source in sources:
        clip_id = source.header["id"]
        try:
            clip = _decode(source)
            if kept and kept[0] == clip_id:
                _refuse_second(clip, kept[1])
        except _Rejected as error:
            rejects.append(_reject(f"{clip_id}.wav", error.reason, str(error), source.spill))
            continue
        kept = clip_id, clip
        yield source, clip


def _refuse_second(clip: _Clip, first: _Clip) -> None:
    if clip.sha256 == first.sha256:
        raise _Rejected("repeated", "the same clip stands in the archives before, with the same audio")
    raise _Rejected("id_taken", "another clip of this name stands in the archives before, with other audio")


def _decode(source: _Source) -> _Clip:
    data = spill.read_data(source.file, source.offset)
    if source.header["kind"] == "silence":
        return _clip(np.frombuffer(data, "<i2"), source.header["rate"])
    try:
        recording = decode_wav(data)
    except AudioError as error:
        raise _Rejected(error.reason, str(error)) from error
    return _clip(recording.samples, recording.source_rate_hz)


def _clip(samples: Samples, rate_hz: int) -> _Clip:
    padded, length = pad_or_trim(samples)
    sha256 = hashlib.sha256(padded.astype("<i2", copy=False).tobytes()).hexdigest()
    return _Clip(padded, length, rate_hz, sha256)


def _encode(source: _Source, clip: _Clip) -> bytes:
    header = source.header
    return CLIP_RECORD.encode(
        {
            "audio": clip.samples,
            "id": header["id"],
            "length": clip.length,
            "speaker": header.get("speaker", ""),
            "word": header.get("word", SILENCE),
        }
    )


def _split_of(source: _Source, listed: dict[tuple[int, str], SplitName]) -> SplitName | None:
    """The official split: an archive's lists where it has them, else the official function; brought clips are test."""
    if source.header["kind"] == "silence":
        return None
    if source.header["id"].startswith((f"{SILENCE}/", f"{UNKNOWN}/")):
        return "test"
    if source.spill.listed_splits:
        return listed.get((source.spill.number, source.header["id"]), "train")
    return official_split(source.header["id"])


def _row(source: _Source, clip: _Clip, split: SplitName | None, shard: int, position: int) -> dict[str, Any]:
    header = source.header
    real = clip.samples[: clip.length]
    peak, rms = peak_and_rms(real)
    return {
        "id": header["id"],
        "word": header.get("word", SILENCE),
        "speaker": header.get("speaker") or None,
        "split": split,
        "length": clip.length,
        "rate": clip.rate_hz,
        "peak": peak,
        "rms": rms,
        "clipped": clipped_samples(real),
        "audio_sha256": clip.sha256,
        "recording": header.get("recording"),
        "start": header.get("start"),
        "recording_samples": header.get("recording_samples"),
        "gain_db": header.get("gain_db"),
        "archive": source.spill.archive,
        "shard": shard,
        "position": position,
    }


def _reject(path: str, reason: str, detail: str, source: Spill) -> dict[str, Any]:
    return {"path": path, "reason": reason, "detail": detail, "archive": source.archive}


def share_of_rejects(sealed: list[SealedShard]) -> tuple[int, int]:
    """Unusable files, and all files that were to become clips."""
    rejected = sum(each.rejected for each in sealed)
    return rejected, rejected + sum(each.used for each in sealed)
