"""Divides archives into parts that workers read side by side; the archive alone decides where it is cut."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from base import files
from base.command import progress_bar
from base.errors import DataError
from pipelines import layouts
from pipelines.archives import format_of
from pipelines.ingest.archive import OnProgress, read_members, read_part
from pipelines.ingest.tar import Member
from pipelines.ingest.zip import read_zip
from pipelines.layouts import Background, ClipList, Utterance
from stores.lineage import Archive

PART_BYTES: Final = 1 << 28
MOST_PARTS: Final = 256
"""For each shard, a file of each part is open at the same time."""

_NAMES_IN_ERRORS: Final = 3
_NAMES_TO_LOOK_AT: Final = 1000


@dataclass(frozen=True)
class Part:
    """The members of an archive that begin in a range of its bytes; only an uncompressed tar has several parts.

    Attributes:
        index: its place among the parts of all archives, in their order; a clip found twice is taken from the first.
        archive: the archive.
        start: first byte of the range.
        stop: the byte after the range, or None where it goes on to the end of the archive.
    """

    index: int
    archive: Archive
    start: int = 0
    stop: int | None = None

    @property
    def bytes(self) -> int:
        """Bytes of the archive's file that belong to it."""
        return (self.archive.bytes if self.stop is None else self.stop) - self.start


def divide(archives: Iterable[Archive], raw: str) -> list[Part]:
    """The parts of some archives, in order, with the clips in the order of the archives.

    A large archive that is not compressed is read once here, since its SHA-256 is that of all its bytes: workers get
    its parts when all of it is as it should be.

    Args:
        archives: what to divide.
        raw: their folder.

    Raises:
        DataError: an archive that is read here is damaged, another than expected, or has no clip.
    """
    ranges = [(archive, *each) for archive in archives for each in _ranges(archive, raw)]
    return [Part(index, *each) for index, each in enumerate(ranges)]


def _ranges(archive: Archive, raw: str) -> Iterator[tuple[int, int | None]]:
    least = max(PART_BYTES, -(-archive.bytes // MOST_PARTS))
    start = 0
    if format_of(archive.file) == "tar" and archive.bytes > least:
        with progress_bar(archive.bytes, "B", f"ingest: checking {archive.file}") as bar:

            def advance(count: int) -> None:
                bar.update(count - bar.n)

            for member in read(Part(0, archive), raw, advance):
                if member.start - start >= least:
                    yield start, member.start
                    start = member.start
            advance(archive.bytes)
    yield start, None


def read(part: Part, raw: str, on_progress: OnProgress) -> Generator[Member, None, None]:
    """Stream the files of a part; a part that is all of its archive is also checked as a whole.

    Args:
        part: what to read.
        raw: folder of the archive.
        on_progress: called now and then with the bytes of the part read so far.

    Yields:
        The members in the archive's order, without folders.

    Raises:
        DataError: the part is damaged; or it is all of the archive, which is another than expected or has nothing that
            its layout knows.
    """
    archive = part.archive
    if part.start or part.stop is not None:
        with _open(files.join(raw, archive.file)) as file:
            yield from read_part(file, archive.file, part.start, part.stop, on_progress)
        return
    path = files.join(raw, archive.file)
    yield from _with_clips(read_archive(path, archive.sha256, on_progress), archive)
    if (size := files.size(path)) != archive.bytes:
        raise DataError(f"{archive.file} has {size} bytes, but corpus.json says {archive.bytes}; describe it again")


def read_archive(path: str, sha256: str | None, on_progress: OnProgress) -> Generator[Member, None, None]:
    """Stream all files of an archive, and check it as a whole.

    Args:
        path: the archive.
        sha256: the hash that it must have (hex), or None if unknown.
        on_progress: called now and then with the bytes of the archive read so far.

    Yields:
        The members in the archive's order, without folders.

    Raises:
        DataError: it is damaged, cut short, of another format than its name says, or another than expected.
    """
    read_all = read_zip if format_of(path) == "zip" else read_members
    with _open(path) as file:
        yield from read_all(file, posixpath.basename(path), sha256, on_progress)


@contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    if format_of(path) != "zip":
        with files.open_for_reading(path) as file:
            yield file
        return
    with files.open_pinned(path) as file, io.BufferedReader(cast("io.RawIOBase", file)) as buffered:
        yield cast("BinaryIO", buffered)


def _with_clips(members: Iterable[Member], archive: Archive) -> Iterator[Member]:
    """The same members; at their end it is an error if none was what the archive is for."""
    layout = layouts.of(archive)
    wanted = (Background if layout.holds_noise else Utterance, *((ClipList,) if archive.corpus else ()))
    found, names = False, list[str]()
    for member in members:
        found = found or (member.data is not None and isinstance(layout.role(member.name), wanted))
        if not found and len(names) < _NAMES_TO_LOOK_AT:
            names.append(member.name)
        yield member
    if not found:
        looks = layouts.recognize(names, archive.role == "noise")
        raise DataError(
            f"{archive.file} has no clip named {layout.expected}; "
            f"it begins with: {', '.join(names[:_NAMES_IN_ERRORS]) or 'nothing'}"
            f"{f', and looks like the layout {looks}' if looks else ''}; its layout in corpus.sources is "
            f"{archive.layout}, the layouts are {', '.join(layouts.names())}"
        )
