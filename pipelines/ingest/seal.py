"""Turns one shard's intermediate files into its final TFRecord file, its part of the catalog, and its rejects."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, NamedTuple, TypeAlias

import numpy as np

from base import files
from features import clip_id
from features.audio import AudioError, Samples, clipped_samples, decode_wav, pad_or_trim, peak_and_rms
from features.labels import SILENCE_CLASS
from features.splits import SplitName
from pipelines import layouts
from pipelines.engine.work import Step, Work
from pipelines.ingest import spill
from pipelines.ingest.config import Ingest
from pipelines.ingest.scatter import Scattered
from pipelines.layouts import Layout
from stores.catalog import CATALOG_SCHEMA, HARMLESS_REASONS, REJECTS_SCHEMA
from stores.manifest import Shard
from stores.records import CLIP_RECORD
from stores.tables import from_rows, write_table
from stores.writing import digest, open_shard

CLIPS_STORE: Final = "clips"
CLIPS_SPLIT: Final = "unsplit"

Listed: TypeAlias = dict[str, dict[str, SplitName]]
"""File name of an archive that has lists → id → split."""


@dataclass(frozen=True)
class Sealed:
    """Report on a finished shard.

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
    archive: Scattered
    file: BinaryIO
    offset: int

    @property
    def order(self) -> tuple[bytes, int, int]:
        """Clips are sorted by the digest of their id; of two with one id the archive's first comes first."""
        return digest(self.header["id"]), self.archive.index, self.header["order"]


class _Rejected(ValueError):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Clip(NamedTuple):
    samples: Samples
    length: int
    rate_hz: int
    sha256: str


class Seal(Step[tuple[int, Any], Sealed]):
    """(shard, the archives that were dealt out) → the finished shard.

    A shard that lacks the part of an archive is not sealed: that archive has failed, and a later run must not take the
    shard for finished.
    """

    name = "seal"
    report = Sealed

    def __init__(self, config: Ingest, archives: int) -> None:
        self._config, self._archives = config, archives

    def index(self, item: tuple[int, Any]) -> int:
        return item[0]

    def holds(self, report: Sealed, work: Work) -> bool:
        return files.size(files.join(work.staged, report.shard.file)) == report.shard.bytes

    def run(self, item: tuple[int, Any], work: Work) -> Sealed | None:
        """Write a shard, its part of the catalog and its rejects.

        Raises:
            DataError: a spill is damaged.
        """
        index, archives = item[0], sorted(item[1], key=lambda each: each.index)
        if len(archives) < self._archives:
            return None
        layout, shards = layouts.find(self._config.layout), self._config.shards
        rows: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        with ExitStack() as stack:
            sources, listed = _read_index(stack, index, archives, work, rejects)
            writer = stack.enter_context(open_shard(work.staged, CLIPS_STORE, CLIPS_SPLIT, index, shards))
            for source, clip in _usable_clips(sources, rejects):
                writer.write(_encode(source, clip))
                rows.append(_row(source, clip, _split_of(source, listed, layout), index, len(rows)))
        write_table(part_path(work, "catalog", index), from_rows(rows, CATALOG_SCHEMA))
        write_table(part_path(work, "rejects", index), from_rows(rejects, REJECTS_SCHEMA))
        bad = [each for each in rejects if each["reason"] not in HARMLESS_REASONS]
        example = f"{bad[0]['path']}: {bad[0]['reason']} ({bad[0]['detail']})" if bad else ""
        used = sum(row["recording"] is None for row in rows)
        return Sealed(index, writer.shard(), used, len(bad), example)

    def clean(self, item: tuple[int, Any], work: Work) -> None:
        """Delete the spills of a finished shard, so that audio is on disk only once."""
        for archive in item[1]:
            files.remove(work.path(spill.name(archive.index, item[0])))


def part_path(work: Work, table: str, index: int) -> str:
    """Path of a shard's part of a table."""
    return work.path(f"{table}-{index:05d}.parquet")


def _read_index(
    stack: ExitStack, index: int, archives: list[Scattered], work: Work, rejects: list[dict[str, Any]]
) -> tuple[list[_Source], Listed]:
    """The clips of a shard in their final order, and the splits that the archives' lists give them."""
    sources: list[_Source] = []
    listed: Listed = {archive.file: {} for archive in archives if archive.listed_splits}
    for archive in archives:
        file = stack.enter_context(files.open_for_seeking(work.path(spill.name(archive.index, index))))
        for header, offset in spill.index(file):
            match header["kind"]:
                case "listed":
                    listed[archive.file][header["id"]] = header["split"]
                case "reject":
                    rejects.append(_reject(header["id"], header["reason"], header["detail"], archive))
                case _:
                    sources.append(_Source(header, archive, file, offset))
    return sorted(sources, key=lambda source: source.order), listed


def _usable_clips(sources: list[_Source], rejects: list[dict[str, Any]]) -> Iterator[tuple[_Source, _Clip]]:
    kept: tuple[str, _Clip] | None = None
    for source in sources:
        name = source.header["id"]
        try:
            clip = _decode(source)
            if kept and kept[0] == name:
                same = clip.sha256 == kept[1].sha256
                reason, audio = ("repeated", "the same") if same else ("id_taken", "other")
                raise _Rejected(reason, f"a clip of this name stands in the archives before, with {audio} audio")
        except _Rejected as error:
            rejects.append(_reject(f"{name}.wav", error.reason, str(error), source.archive))
            continue
        kept = name, clip
        yield source, clip


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
    sha256 = hashlib.sha256(np.ascontiguousarray(padded, "<i2").data).hexdigest()
    return _Clip(padded, length, rate_hz, sha256)


def _encode(source: _Source, clip: _Clip) -> bytes:
    header = source.header
    return CLIP_RECORD.encode(
        {
            "audio": clip.samples,
            "id": header["id"],
            "length": clip.length,
            "speaker": header.get("speaker", ""),
            "word": header.get("word", SILENCE_CLASS),
        }
    )


def _split_of(source: _Source, listed: Listed, layout: Layout) -> SplitName | None:
    """The official split: of an archive's lists where it has them, else the layout's; what comes ready is test."""
    name = source.header["id"]
    if source.header["kind"] == "silence":
        return None
    if clip_id.parse(name).ready:
        return "test"
    if source.archive.file in listed:
        return listed[source.archive.file].get(name, "train")
    return layout.official_split(name)


def _row(source: _Source, clip: _Clip, split: SplitName | None, shard: int, position: int) -> dict[str, Any]:
    header = source.header
    real = clip.samples[: clip.length]
    peak, rms = peak_and_rms(real)
    return {
        "id": header["id"],
        "word": header.get("word", SILENCE_CLASS),
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
        "archive": source.archive.file,
        "shard": shard,
        "position": position,
    }


def _reject(path: str, reason: str, detail: str, archive: Scattered) -> dict[str, Any]:
    return {"path": path, "reason": reason, "detail": detail, "archive": archive.file}
