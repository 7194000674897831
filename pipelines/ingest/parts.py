"""Divides archives into parts that workers read side by side; the archive alone decides where it is cut."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from base import files
from base.command import progress_bar
from base.errors import DataError
from pipelines import layouts
from pipelines.archives import is_compressed
from pipelines.ingest.archive import OnProgress, read_members, read_part
from pipelines.ingest.tar import Member
from pipelines.layouts import Utterance
from stores.lineage import Archive

PART_BYTES: Final = 1 << 28
MOST_PARTS: Final = 256
"""For each shard, a file of each part is open at the same time."""

_NAMES_IN_ERRORS: Final = 3


@dataclass(frozen=True)
class Part:
    """The members of an archive that begin in a range of its bytes; an archive that is compressed has one part.

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


def divide(archives: Iterable[Archive], raw: str, layout: str) -> list[Part]:
    """The parts of some archives, in order, with the clips in the order of the archives.

    A large archive that is not compressed is read once here, since its SHA-256 is that of all its bytes: workers get
    its parts when all of it is as it should be.

    Args:
        archives: what to divide.
        raw: their folder.
        layout: name of their layout.

    Raises:
        DataError: an archive that is read here is damaged, another than expected, or has no clip.
    """
    ranges = [(archive, *each) for archive in archives for each in _ranges(archive, raw, layout)]
    return [Part(index, *each) for index, each in enumerate(ranges)]


def _ranges(archive: Archive, raw: str, layout: str) -> Iterator[tuple[int, int | None]]:
    least = max(PART_BYTES, -(-archive.bytes // MOST_PARTS))
    start = 0
    if not is_compressed(archive.file) and archive.bytes > least:
        with progress_bar(archive.bytes, "B", f"ingest: checking {archive.file}") as bar:

            def advance(count: int) -> None:
                bar.update(count - bar.n)

            for member in read(Part(0, archive), raw, layout, advance):
                if member.start - start >= least:
                    yield start, member.start
                    start = member.start
            advance(archive.bytes)
    yield start, None


def read(part: Part, raw: str, layout: str, on_progress: OnProgress) -> Generator[Member, None, None]:
    """Stream the files of a part; a part that is all of its archive is also checked as a whole.

    Args:
        part: what to read.
        raw: folder of the archive.
        layout: name of its layout.
        on_progress: called now and then with the bytes of the part read so far.

    Yields:
        The members in the archive's order, without folders.

    Raises:
        DataError: the part is damaged; or it is all of the archive, which is another than expected or has no clip.
    """
    archive = part.archive
    with files.open_for_reading(files.join(raw, archive.file)) as file:
        if part.start == 0 and part.stop is None:
            yield from _with_clips(read_members(file, archive.file, archive.sha256, on_progress), archive.file, layout)
        else:
            yield from read_part(file, archive.file, part.start, part.stop, on_progress)


def _with_clips(members: Iterable[Member], file: str, layout: str) -> Iterator[Member]:
    """The same members; at their end it is an error if none was a clip."""
    role = layouts.find(layout).role
    has_clip, first_names = False, list[str]()
    for member in members:
        has_clip = has_clip or (member.data is not None and isinstance(role(member.name), Utterance))
        if len(first_names) < _NAMES_IN_ERRORS:
            first_names.append(member.name)
        yield member
    if not has_clip:
        raise DataError(
            f"{file} has no clip named {layouts.find(layout).expected}; "
            f"it begins with: {', '.join(first_names) or 'nothing'}; "
            f"ingest.layout is {layout}, the layouts are {', '.join(layouts.names())}"
        )
