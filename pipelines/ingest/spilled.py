"""What a shard's intermediate files hold: clips in their final order, what lists say of them, what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, NamedTuple

from base import files
from features import clip_id
from features.labels import SILENCE_CLASS
from features.splits import SplitName
from pipelines import layouts
from pipelines.engine.work import Work
from pipelines.ingest import spill
from pipelines.ingest.scatter import Scattered
from stores.lineage import Archive
from stores.writing import digest

NOT_LISTED: Final = ("not_listed", "no list of the corpus names it")
"""Reason and detail."""


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


class Rejected(ValueError):
    """A clip can't be used.

    Attributes:
        reason: as the table of rejects has it; the detail is the message.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


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
            file = stack.enter_context(files.open_pinned(work.passing_path(spill.name(part.index, index))))
            for header, offset in spill.index(file):
                match header["kind"]:
                    case "listed":
                        self.lists[archive.corpus].add(header)
                    case "listed recording":
                        self.lists[archive.corpus].recordings[header["recording"]] = header.get("reject")
                    case "reject":
                        self.rejects.append(reject_row(header["id"], header["reason"], header["detail"], archive))
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
                self.rejects.append(reject_row(source.path, reason, detail, source.archive))

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
            Rejected: it can't be used without a list that names it, or a list says that it is not to be used.
        """
        header = source.header
        if header["kind"] == "silence":
            return Facts(SILENCE_CLASS, None, None)
        word, speaker = header["word"], header["speaker"] or None
        if clip_id.parse(source.id).ready:
            return Facts(word, speaker, "test")
        listed = self._listed(source)
        if disputed := self._disputed(source):
            raise Rejected("listed_twice", f"{disputed}: correct the lists")
        if reason := listed.get("reject"):
            raise Rejected(reason, "a list of the corpus says so")
        word = listed.get("word", word)
        if not word:
            raise Rejected("no_word", "neither its path nor a list says the word")
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
            raise Rejected(*NOT_LISTED)
        return {"split": layouts.of(archive).official_split(source.id)}


def reject_row(path: str, reason: str, detail: str, archive: Archive) -> dict[str, Any]:
    """A row of the table of rejects."""
    return {"path": path, "reason": reason, "detail": detail, "archive": archive.file}
