"""Turns one shard's intermediate files into its final TFRecord file, its part of the catalog, and its rejects."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np

from base import files
from features import clip_id
from features.audio import Samples, Second, first_sample, pad_or_trim
from features.audio_file import AudioError, AudioFile
from features.labels import SILENCE_CLASS
from features.quality import measure
from features.splits import SplitName
from features.views import CLIP_SAMPLES
from pipelines import layouts
from pipelines.engine.work import Step, Work
from pipelines.ingest import spill
from pipelines.ingest.config import Ingest
from pipelines.ingest.scatter import Scattered
from stores.catalog import CATALOG_SCHEMA, HARMLESS_REASONS, REJECTS_SCHEMA
from stores.lineage import Archive
from stores.manifest import Shard
from stores.records import CLIP_RECORD
from stores.tables import from_rows, read_table, write_table
from stores.writing import digest, open_shard

CLIPS_STORE: Final = "clips"
CLIPS_SPLIT: Final = "unsplit"
NOT_LISTED: Final = ("not_listed", "no list of the corpus names it")
"""Reason and detail."""


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


@dataclass(frozen=True)
class Lists:
    """What the lists of a corpus say, in whichever of its archives they are.

    Attributes:
        clips: id → header of the entry.
        disputed: id → what two lists say otherwise.
        recordings: name → the reason to leave it out, or None.
    """

    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    disputed: dict[str, str] = field(default_factory=dict)
    recordings: dict[str, str | None] = field(default_factory=dict)

    def add(self, listed: dict[str, Any]) -> None:
        """Add what a list says of a clip; what a later one says of the same clip counts."""
        before = self.clips.setdefault(listed["id"], listed)
        for key in ("split", "word"):
            one, other = before.get(key), listed.get(key)
            if None not in (one, other) and one != other:
                self.disputed[listed["id"]] = f"{before['list']} has {key} {one}, {listed['list']} has {other}"
        self.clips[listed["id"]] = listed


class Source(NamedTuple):
    """An entry of a spill that is to become a clip.

    Attributes:
        header: of the entry.
        archive: the archive.
        part: number of the part of it.
        file, offset: where the data are.
    """

    header: dict[str, Any]
    archive: Archive
    part: int
    file: BinaryIO
    offset: int

    @property
    def id(self) -> str:
        """The id of the clip."""
        return str(self.header["id"])

    @property
    def order(self) -> tuple[bytes, int, int]:
        """Clips are sorted by the digest of their id; of two with one id the archive's first comes first."""
        return digest(self.id), self.part, self.header["order"]

    @property
    def path(self) -> str:
        """The file in the archive."""
        return str(self.header.get("path", f"{self.id}.wav"))


class Facts(NamedTuple):
    """What path and lists say of a clip."""

    word: str
    speaker: str | None
    split: SplitName | None


class _Rejected(ValueError):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


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
        return Sealed(
            index, writer.shard(), used, len(rejects), len(bad), example, *absent, dict(sorted(reasons.items()))
        )

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
        if not files.is_remote(work.folder):
            files.remove_files(work.folder, [spill.name(part.index, item[0]) for part in item[1]])


def part_path(work: Work, table: str, index: int) -> str:
    """Path of a shard's part of a table."""
    return work.path(f"{table}-{index:05d}.parquet")


class Spills:
    """The intermediate files of a shard, of all parts of all archives.

    Attributes:
        sources: the clips in their final order.
        lists: what the lists say, by archive or corpus.
        rejects: what can't be used before anything is decoded.
        absent: clips that a list names and no archive has.
        absent_example: one of them with its list, or "".
    """

    def __init__(
        self, stack: ExitStack, index: int, parts: Iterable[Scattered], archives: Mapping[str, Archive], work: Work
    ) -> None:
        """Open the files until the stack ends, and read their headers."""
        self.rejects: list[dict[str, Any]] = []
        self.lists: dict[str, Lists] = {archives[part.file].corpus: Lists() for part in parts if part.has_list}
        self._with_list = {part.file for part in parts if part.has_list}
        found, recordings = list[Source](), list[Source]()
        for part in sorted(parts, key=lambda each: each.index):
            archive = archives[part.file]
            file = stack.enter_context(files.open_pinned(work.path(spill.name(part.index, index))))
            for header, offset in spill.index(file):
                match header["kind"]:
                    case "listed":
                        self.lists[archive.corpus].add(header)
                    case "listed recording":
                        self.lists[archive.corpus].recordings[header["recording"]] = header.get("reject")
                    case "reject":
                        self.rejects.append(_reject(header["id"], header["reason"], header["detail"], archive))
                    case "recording":
                        recordings.append(Source(header, archive, part.index, file, offset))
                    case _:
                        found.append(Source(header, archive, part.index, file, offset))
        self._leave_out(recordings)
        known = {(each.archive.corpus, each.id) for each in found}
        self.absent, self.absent_example = 0, ""
        for corpus, lists in self.lists.items():
            for name, listed in lists.clips.items():
                if (corpus, name) not in known and not listed.get("reject"):
                    self.absent += 1
                    self.absent_example = self.absent_example or f"{name} of {listed['list']}"
        self.sources = [each for each in sorted(found, key=lambda each: each.order) if self._is_wanted(each)]

    def _leave_out(self, recordings: list[Source]) -> None:
        """Reject recordings once each, whatever number of clips they would give."""
        for source in recordings:
            if reason := self._fault(source.id, source.archive):
                detail = "a list of the corpus says so" if reason != NOT_LISTED[0] else NOT_LISTED[1]
                self.rejects.append(_reject(source.path, reason, detail, source.archive))

    def _is_wanted(self, source: Source) -> bool:
        return source.header["kind"] != "silence" or not self._fault(source.header["recording"], source.archive)

    def _fault(self, recording: str, archive: Archive) -> str | None:
        """Why a recording is left out, or None."""
        lists = self.lists.get(archive.corpus, Lists())
        layout = layouts.of(archive)
        if layout.holds_noise and layout.needs_list and recording not in lists.recordings:
            return NOT_LISTED[0]
        return lists.recordings.get(recording)

    def facts(self, source: Source) -> Facts:
        """What path and lists say of a clip: the official split is that of the lists where there are any.

        Raises:
            _Rejected: it can't be used without a list that names it, or a list says that it is not to be used.
        """
        header = source.header
        if header["kind"] == "silence":
            return Facts(SILENCE_CLASS, None, None)
        word, speaker = header["word"], header["speaker"] or None
        if clip_id.parse(source.id).ready:
            return Facts(word, speaker, "test")
        listed = self._listed(source)
        if disputed := self._disputed(source):
            raise _Rejected("listed_twice", f"{disputed}: correct the lists")
        if reason := listed.get("reject"):
            raise _Rejected(reason, "a list of the corpus says so")
        word = listed.get("word", word)
        if not word:
            raise _Rejected("no_word", "neither its path nor a list says the word")
        return Facts(word, listed.get("speaker", speaker), listed.get("split"))

    def _disputed(self, source: Source) -> str | None:
        lists = self.lists.get(source.archive.corpus)
        return lists.disputed.get(source.id) if lists else None

    def _listed(self, source: Source) -> Mapping[str, Any]:
        """What is said of a clip elsewhere than in its path.

        Archives of Speech Commands are one corpus: a list in one may name clips of another. What no list names is train
        in an archive with lists, and goes by the official function in one without.
        """
        archive, lists = source.archive, self.lists.get(source.archive.corpus)
        if lists and source.id in lists.clips:
            return lists.clips[source.id]
        if not archive.corpus and archive.file in self._with_list:
            return {"split": "train"}
        if archive.corpus and (lists or layouts.of(archive).needs_list):
            raise _Rejected(*NOT_LISTED)
        return {"split": layouts.of(archive).official_split(source.id)}


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
                raise _Rejected(reason, f"a clip of this name stands in the archives before, with {audio} audio")
            kept = source.id, clip
            if source.id in same_audio:
                raise _Rejected("same_audio", f"the same audio is kept as {same_audio[source.id]}")
        except _Rejected as error:
            rejects.append(_reject(source.path, error.reason, str(error), source.archive))
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
        raise _Rejected(error.reason, str(error)) from error
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


def _reject(path: str, reason: str, detail: str, archive: Archive) -> dict[str, Any]:
    return {"path": path, "reason": reason, "detail": detail, "archive": archive.file}
