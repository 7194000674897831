"""Reads the members of a tar stream one after another; what is not plain, Python's own `tarfile` explains."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import BinaryIO, Final, NamedTuple, cast

from base.errors import DataError

LARGEST_MEMBER_BYTES: Final = 1 << 28
LARGEST_HEADERS_BYTES: Final = 1 << 20
"""Of all headers before a member, such as long names and those of PAX; those of real archives have some hundred."""
LARGEST_GLOBAL_HEADERS_BYTES: Final = 1 << 16
"""Of all headers that speak of all later members, since each of those is given what they say."""

_BLOCK_BYTES: Final = 512
_CHUNK_BYTES: Final = 1 << 20
_END_MARK: Final = bytes(_BLOCK_BYTES)
_HEADER: Final = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 172x 8s 8s 155s 12x")
"""Name, mode, user, group, size, time, checksum, kind, the two numbers of a device, prefix of the name."""
_PLAIN_KINDS: Final = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_BLANK_CHECKSUM: Final = sum(b" " * 8)
"""What the field of the checksum adds to the checksum."""
_MOST_PIECES: Final = 100
_ZEROS_BYTES: Final = 1 << 20
_MOST_ZEROS: Final = 100
"""A sparse file may have a mebibyte, and this many times the bytes that are stored of it, in so many pieces."""
_LONGEST_REASON: Final = 200
_LONGEST_SIZE: Final = 20
"""Digits."""
_BASE_256: Final = 0o200
"""First byte of a number that is not in octal digits."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive; what is no regular file, such as a link or a device, has no data.

    Attributes:
        name: its name; bytes that are not UTF-8 become U+FFFD.
        data: its content, or None.
        start: the byte of the unpacked archive at which reading has to begin to come upon this member as it is: its
            headers, or the first header before them that speaks of all later members.
        fault: why there is no data where the file is damaged.
    """

    name: str
    data: bytes | None
    start: int = field(default=0, compare=False)
    fault: str = ""


class _Plain(NamedTuple):
    """What the header of an ordinary file or folder says; `size` is that of the content, in bytes."""

    name: str
    size: int
    is_folder: bool


def read_tar(stream: BinaryIO, name: str, start: int = 0, stop: int | None = None) -> Iterator[Member]:
    """The members of a tar stream in order, without folders.

    Args:
        stream: the unpacked bytes from `start` on; its `read` returns less than asked for only at its end.
        name: what to call the archive in errors.
        start: where to begin, in bytes of the unpacked archive: 0 or the `start` of a member.
        stop: where to end: the `start` of a member, or None for the end of the archive.

    Raises:
        DataError: a member is too large, a header is damaged, the stream is cut short, or goes on after its end.
    """
    offset, global_headers = start, dict[str, str]()
    header = _next_header(stream, 0, name)
    while header != _END_MARK and (stop is None or offset < stop):
        if not global_headers:
            start = offset
        plain = None if global_headers else _plain(header)
        if plain:
            data = _content(stream, plain, name)
            padding = -plain.size % _BLOCK_BYTES
            offset += _BLOCK_BYTES + plain.size + padding
            if not plain.is_folder:
                yield Member(plain.name, data, start)
        else:
            member, length = _explained(stream, header, global_headers, name)
            padding = 0
            offset += length
            if member:
                yield replace(member, start=start)
        header = _next_header(stream, padding, name)
    if stop is None:
        _check_end(stream, name)
    elif offset != stop:
        raise DataError(f"{name} has changed while it was read: leave it as it is, and run the command again")


def _next_header(stream: BinaryIO, padding: int, name: str) -> bytes:
    block = stream.read(padding + _BLOCK_BYTES)
    if len(block) < padding + _BLOCK_BYTES:
        raise DataError(f"{name} is cut short: it has no end-of-archive mark; get it again")
    return block[padding:]


def _content(stream: BinaryIO, header: _Plain, name: str) -> bytes:
    check_size(header.name, header.size, name)
    data = stream.read(header.size)
    if len(data) < header.size:
        raise DataError(f"{name} is cut short: {header.name} has {len(data)} of its {header.size} bytes; get it again")
    return data


def check_size(member: str, size: int, name: str) -> None:
    """Make sure that a file is not larger than any clip or recording.

    Raises:
        DataError: it is.
    """
    if size > LARGEST_MEMBER_BYTES:
        raise DataError(f"{name}: member {member} has {size} bytes, more than {LARGEST_MEMBER_BYTES}")


def _check_end(stream: BinaryIO, name: str) -> None:
    """After its end mark an archive goes on with zeros only."""
    while block := stream.read(_CHUNK_BYTES):
        if block.strip(b"\0"):
            raise DataError(f"{name} is damaged: data follow its end-of-archive mark; get it again")


def _plain(header: bytes) -> _Plain | None:
    """What a header says that stands alone and is that of a regular file or folder, or None.

    It is as strict as `tarfile`, and leaves to it what may be damaged.
    """
    name, mode, user, group, size, time, checksum, kind, major, minor, prefix = _HEADER.unpack(header)
    if kind not in _PLAIN_KINDS:
        return None
    try:
        content_bytes, expected, *_ = map(_number, (size, checksum, mode, user, group, time, major, minor))
    except ValueError:
        return None
    if content_bytes < 0 or expected != sum(header) - sum(checksum) + _BLANK_CHECKSUM:
        return None
    path = _text(name)
    if kind == tarfile.DIRTYPE or (kind == tarfile.AREGTYPE and path.endswith("/")):
        return _Plain(path, 0, True)
    return _Plain(f"{_text(prefix)}/{path}" if prefix[0] else path, content_bytes, False)


@lru_cache(maxsize=1024)  # most fields are those of the member before
def _number(value: bytes) -> int:
    if value[0] == _BASE_256:
        return int.from_bytes(value[1:], "big")
    return int(value.partition(b"\0")[0].strip() or b"0", 8)


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("utf-8", "replace")


class _Group(io.BytesIO):
    """The bytes of a stream from a header on, kept as they are asked for, since `tarfile` goes back to them.

    Attributes:
        bytes: those read so far.
        most_bytes: those that may be read.
    """

    def __init__(self, header: bytes, stream: BinaryIO) -> None:
        super().__init__(header)
        self._stream = stream
        self.bytes = len(header)
        self.most_bytes = LARGEST_HEADERS_BYTES

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:  # of a header that gives a size below zero
            raise tarfile.ReadError("a header gives a negative size")
        position = self.tell()
        missing = position + size - self.bytes
        if self.bytes + missing > self.most_bytes:
            raise tarfile.ReadError(f"headers of {self.bytes + missing} bytes, expected at most {self.most_bytes}")
        if missing > 0:
            self.seek(self.bytes)
            self.bytes += self.write(self._stream.read(missing))
            self.seek(position)
        return super().read(size)


def _explained(stream: BinaryIO, header: bytes, global_headers: dict[str, str], name: str) -> tuple[Member | None, int]:
    """What `tarfile` makes of a header and all that belongs to it.

    Args:
        stream: the bytes after the header; it is read to the end of the member.
        header: the first header, of 512 bytes.
        global_headers: what earlier headers say of all later members; such a header adds to it.
        name: what to call the archive in errors.

    Returns:
        The member, None where it is a folder, and the bytes of headers and content.
    """
    group = _Group(header, stream)
    try:
        archive = tarfile.TarFile(fileobj=group, encoding="utf-8", errors="replace", pax_headers=global_headers)
        info = archive.next()
        if info is None:
            raise tarfile.ReadError("empty header")
        _check_headers(info, global_headers)
        if info.isreg():
            check_size(info.name, info.size, name)
        group.most_bytes += LARGEST_MEMBER_BYTES
        member = None if info.isdir() else _member(archive, info)
        if archive.offset < group.bytes or (member and member.data is not None and len(member.data) != info.size):
            raise tarfile.ReadError(f"the header of {info.name} contradicts itself about its size")
    except DataError:
        raise
    except RecursionError as error:
        raise DataError(f"{name} is damaged: it has hundreds of headers before one member; get it again") from error
    except (tarfile.TarError, ValueError, OverflowError) as error:  # the last from numbers of hundreds of digits
        raise DataError(f"{name} is damaged or cut short ({_brief(error)}); get it again") from error
    _skip(stream, archive.offset - group.bytes, name)
    return member, archive.offset


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    """A file with its content; one that is stored without its zeros has none where it would be mostly zeros."""
    if info.issparse() and not _is_small(info, archive.offset - info.offset_data):
        return Member(info.name, None, fault="it is stored without its zeros: pack it without the option --sparse")
    file = archive.extractfile(info) if info.isreg() else None
    return Member(info.name, file.read() if file else None)


def _is_small(info: tarfile.TarInfo, most_stored: int) -> bool:
    """Whether a sparse file takes little time and memory: few bytes of an archive can stand for any number of zeros.

    Args:
        info: what the headers say of it.
        most_stored: bytes that the archive has for it.
    """
    listed = cast("list[tuple[int, int]]", info.sparse or [])
    pieces = [(offset, size) for offset, size in listed if size]
    ends = [0, *(offset + size for offset, size in pieces)]
    in_order = all(end <= offset and size > 0 for end, (offset, size) in zip(ends, pieces, strict=False))
    stored = sum(size for _, size in pieces)
    return (
        in_order
        and stored <= most_stored
        and len(pieces) <= _MOST_PIECES
        and info.size <= _ZEROS_BYTES + _MOST_ZEROS * stored
    )


def _check_headers(info: tarfile.TarInfo, global_headers: dict[str, str]) -> None:
    """Make sure of what `tarfile` does not look at: a size that is no number counts as zero for it.

    Raises:
        ReadError: it is not so.
    """
    size = info.pax_headers.get("size", "0")
    if not (size.isascii() and size.isdigit() and len(size) <= _LONGEST_SIZE):
        raise tarfile.ReadError(f"a header gives the size {size[:40]!r}")
    of_all = sum(len(key) + len(value) for key, value in global_headers.items())
    if of_all > LARGEST_GLOBAL_HEADERS_BYTES:
        raise tarfile.ReadError(
            f"headers of {of_all} characters speak of all members, expected at most {LARGEST_GLOBAL_HEADERS_BYTES}"
        )


def _brief(error: Exception) -> str:
    return str(error)[:_LONGEST_REASON]


def _skip(stream: BinaryIO, size: int, name: str) -> None:
    while size > 0:
        block = stream.read(min(size, _CHUNK_BYTES))
        if not block:
            raise DataError(f"{name} is cut short: {size} bytes of its last member are missing; get it again")
        size -= len(block)
