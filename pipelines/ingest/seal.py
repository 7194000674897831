"""Turns one shard's intermediate files into its final TFRecord file, its part of the catalog, and its rejects."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from base import files
from features.audio import Samples, Second, first_sample, pad_or_trim
from features.audio_file import AudioError, AudioFile
from features.labels import SILENCE_CLASS
from features.quality import measure
from features.views import CLIP_SAMPLES
from pipelines.engine.steps import Step
from pipelines.engine.work import Work
from pipelines.ingest import spill
from pipelines.ingest.config import Ingest
from pipelines.ingest.spilled import Facts, Rejected, Source, Spills, reject_row
from stores.catalog import CATALOG_SCHEMA, HARMLESS_REASONS, REJECTS_SCHEMA
from stores.lineage import Archive
from stores.manifest import Shard
from stores.records import CLIP_RECORD
from stores.tables import from_rows, read_table, write_table
from stores.writing import open_shard

CLIPS_STORE: Final = "clips"
CLIPS_SPLIT: Final = "unsplit"


@dataclass(frozen=True)
class Sealed:
    """Report on a finished shard.

    Attributes:
        index: the shard's number.
        shard: its file.
        used: files that became clips; silence that was cut here is none.
        rejects: files that became no clips; there is a table of them only where there are some.
        rejected: those of them that can't be used.
        reject_example: one of them with its reason, or "".
        absent: clips that a list names and no archive has.
        absent_example: one of them with its list, or "".
        reasons: why files were rejected → how many.
    """

    index: int
    shard: Shard
    used: int
    rejects: int
    rejected: int
    reject_example: str
    absent: int = 0
    absent_example: str = ""
    reasons: dict[str, int] = field(default_factory=dict)


class Clip(NamedTuple):
    """The audio of a clip.

    Attributes:
        samples: int16, (16000,).
        length: real samples before padding.
        start: first sample in the recording that it was cut from, at 16 kHz.
        recording_samples: length of that recording.
        rate_hz: sample rate of the file.
        sha256: SHA-256 (hex) of the samples.
    """

    samples: Samples
    length: int
    start: int
    recording_samples: int
    rate_hz: int
    sha256: str


class Seal(Step[tuple[int, Any], Sealed]):
    """(shard, the archives that were dealt out) → the finished shard.

    A shard that lacks the part of an archive is not sealed: that archive has failed, and a later run must not take the
    shard for finished.
    """

    name = "seal"
    report = Sealed

    def __init__(self, config: Ingest, archives: Iterable[Archive], parts: int) -> None:
        """Set up the step.

        Args:
            config: number of shards.
            archives: all of them.
            parts: of all archives.
        """
        self._config, self._parts = config, parts
        self._archives = {archive.file: archive for archive in archives}

    def index(self, item: tuple[int, Any]) -> int:
        return item[0]

    def holds(self, report: Sealed, work: Work) -> bool:
        return files.size(files.join(work.staged, report.shard.file)) == report.shard.bytes

    def run(self, item: tuple[int, Any], work: Work) -> Sealed | None:
        """Write a shard, its part of the catalog and its rejects.

        Raises:
            DataError: a spill is damaged.
        """
        index, parts = item
        if len(parts) < self._parts:
            return None
        rows: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        with ExitStack() as stack:
            spills = Spills(stack, index, parts, self._archives, work)
            rejects += spills.rejects
            absent = spills.absent, spills.absent_example
            writer = stack.enter_context(open_shard(work.staged, CLIPS_STORE, CLIPS_SPLIT, index, self._config.shards))
            for source, facts, clip in usable_clips(
                spills, rejects, self._same_audio(work, index), self._config.second
            ):
                writer.write(_encode(source, facts, clip))
                rows.append(_row(source, facts, clip, index, len(rows)))
        write_table(part_path(work, "catalog", index), from_rows(rows, CATALOG_SCHEMA))
        if rejects:
            write_table(part_path(work, "rejects", index), from_rows(rejects, REJECTS_SCHEMA))
        bad = [each for each in rejects if each["reason"] not in HARMLESS_REASONS]
        example = f"{bad[0]['path']}: {bad[0]['reason']} ({bad[0]['detail']})" if bad else ""
        used = sum(row["recording"] is None for row in rows)
        reasons = dict(sorted(Counter(str(each["reason"]) for each in bad).items()))
        return Sealed(index, writer.shard(), used, len(rejects), len(bad), example, *absent, reasons)

    def counts(self, report: Sealed) -> dict[str, int]:
        rejects = {f"rejected, {reason}": number for reason, number in report.reasons.items()}
        return {"clips": report.shard.records, **rejects}

    def _same_audio(self, work: Work, index: int) -> dict[str, str]:
        """Id of a clip whose audio an archive before has under another name → what is kept instead."""
        looked_for = sum(each.role == "main" for each in self._archives.values()) > 1
        rows = read_table(part_path(work, "same_audio", index)).to_pylist() if looked_for else []
        return {row["id"]: row["kept"] for row in rows}

    def clean(self, item: tuple[int, Any], work: Work) -> None:
        """Delete the spills of a finished shard, so that audio is there only once; remote ones go together at last."""
        if not files.is_remote(work.passing):
            files.remove_files(work.passing, [spill.name(part.index, item[0]) for part in item[1]])


def part_path(work: Work, table: str, index: int) -> str:
    """Path of a shard's part of a table."""
    return work.path(f"{table}-{index:05d}.parquet")


def usable_clips(
    spills: Spills, rejects: list[dict[str, Any]], same_audio: Mapping[str, str], second: Second
) -> Iterator[tuple[Source, Facts, Clip]]:
    """The clips of a shard that can be used, each id once, in their final order.

    Args:
        spills: of the shard.
        rejects: takes the others.
        same_audio: id of a clip whose audio an archive before has under another name → what is kept instead.
        second: which second of a longer recording is kept.
    """
    kept: tuple[str, Clip] | None = None
    for source in spills.sources:
        try:
            facts = spills.facts(source)
            clip = _decode(source, second)
            if kept and kept[0] == source.id:
                same = clip.sha256 == kept[1].sha256
                reason, audio = ("repeated", "the same") if same else ("id_taken", "other")
                raise Rejected(reason, f"a clip of this name stands in the archives before, with {audio} audio")
            kept = source.id, clip
            if source.id in same_audio:
                raise Rejected("same_audio", f"the same audio is kept as {same_audio[source.id]}")
        except Rejected as error:
            rejects.append(reject_row(source.path, error.reason, str(error), source.archive))
            continue
        yield source, facts, clip


def _decode(source: Source, second: Second) -> Clip:
    header, data = source.header, spill.read_data(source.file, source.offset)
    if header["kind"] == "silence":
        samples = np.frombuffer(data, "<i2")
        return _clip(samples, header["start"], header["recording_samples"], header["rate"])
    try:
        file = AudioFile(data)
    except AudioError as error:
        raise Rejected(error.reason, str(error)) from error
    start = first_sample(file.blocks(), file.size, second)
    return _clip(file.stretch(start, start + CLIP_SAMPLES), start, file.size, file.source_rate_hz)


def _clip(samples: Samples, start: int, recording_samples: int, rate_hz: int) -> Clip:
    padded, length = pad_or_trim(samples)
    sha256 = hashlib.sha256(np.ascontiguousarray(padded, "<i2").data).hexdigest()
    return Clip(padded, length, start, recording_samples, rate_hz, sha256)


def _encode(source: Source, facts: Facts, clip: Clip) -> bytes:
    return CLIP_RECORD.encode(
        {
            "audio": clip.samples,
            "id": source.id,
            "length": clip.length,
            "speaker": facts.speaker or "",
            "word": facts.word,
        }
    )


def _row(source: Source, facts: Facts, clip: Clip, shard: int, position: int) -> dict[str, Any]:
    header = source.header
    quality = measure(clip.samples[: clip.length], spoken=facts.word != SILENCE_CLASS)
    return {
        "id": source.id,
        "word": facts.word,
        "speaker": facts.speaker,
        "split": facts.split,
        "length": clip.length,
        "rate": clip.rate_hz,
        **quality._asdict(),
        "audio_sha256": clip.sha256,
        "recording": header.get("recording"),
        "start": clip.start,
        "recording_samples": clip.recording_samples,
        "gain_db": header.get("gain_db"),
        "parent": None,
        "augmentation": None,
        "archive": source.archive.file,
        "shard": shard,
        "position": position,
    }
