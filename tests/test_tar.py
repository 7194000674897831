"""A tar stream is read as Python's own `tarfile` reads it, whatever its dialect, whole or in parts."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from base.errors import DataError
from pipelines.ingest.tar import Member, read_tar

BLOCK = 512
KINDS = [
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.CONTTYPE,
    tarfile.DIRTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


class Entry(NamedTuple):
    """What is put into an archive."""

    name: str
    kind: bytes
    data: bytes
    target: str
    user: int
    time: float


NAMES = st.one_of(
    st.text("ab/é_.\udcff", min_size=1, max_size=12),
    st.text("ab/é", min_size=90, max_size=300),
    st.lists(st.text("abc", min_size=1, max_size=90), min_size=2, max_size=4).map("/".join),
).filter(lambda name: name.strip("/"))
ENTRIES = st.builds(
    Entry,
    NAMES,
    st.sampled_from([tarfile.REGTYPE] * 8 + KINDS),
    st.integers(0, 2000).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    NAMES,
    st.sampled_from([0, 1000, 8**7, 2**31]),
    st.sampled_from([0, 1_500_000_000, 1.5, 8**11]),
)


def tar_of(entries: Sequence[Entry], form: int, global_headers: dict[str, str] | None = None) -> bytes:
    """An archive by `tarfile`, without what its format can't hold."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", pax_headers=global_headers) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.uid, info.mtime = entry.kind, entry.target, entry.user, entry.time  # type: ignore[assignment]
            may_be_folder = entry.kind == tarfile.AREGTYPE and "/" in entry.name
            data = entry.data if info.isreg() and not may_be_folder else b""
            info.size = len(data)
            try:
                info.tobuf(form, "utf-8", "surrogateescape")
            except ValueError:
                continue
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def listed(content: bytes) -> list[Member] | None:
    """The members that `tarfile` finds, or None where it fails, or ends before the archive does."""
    found = []
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|", encoding="utf-8", errors="replace") as archive:
            for info in archive:
                file = archive.extractfile(info) if info.isreg() else None
                if not info.isdir():
                    found.append(Member(info.name, file.read() if file else None))
            end = archive.offset
    except (tarfile.TarError, ValueError):
        return None
    return found if len(content) >= end + BLOCK and not content[end:].strip(b"\0") else None


def read(content: bytes, start: int = 0, stop: int | None = None) -> list[Member]:
    return list(read_tar(io.BytesIO(content[start:]), "a.tar", start, stop))


@given(st.lists(ENTRIES, max_size=6), st.sampled_from(FORMATS), st.integers(0, 5))
def test_the_members_are_those_that_tarfile_lists(entries: list[Entry], form: int, blocks: int) -> None:
    content = tar_of(entries, form).rstrip(b"\0")
    content += bytes(-len(content) % BLOCK + BLOCK * 20 + blocks * 100)
    expected = listed(content)
    assert expected is not None and len(expected) <= len(entries)
    assert read(content) == expected


def with_noise_between_members(content: bytes) -> bytes:
    """The archive with the bytes after each member's content, up to the next block, set to something."""
    changed = bytearray(content)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        for info in archive:
            if info.isreg():
                end = info.offset_data + info.size
                changed[end : end + -info.size % BLOCK] = b"?" * (-info.size % BLOCK)
    return bytes(changed)


@given(st.lists(ENTRIES, max_size=4), st.sampled_from(FORMATS))
def test_what_fills_the_last_block_of_a_member_does_not_matter(entries: list[Entry], form: int) -> None:
    content = tar_of(entries, form)
    assert read(with_noise_between_members(content)) == read(content) == listed(content)


@given(
    st.lists(ENTRIES, min_size=1, max_size=4),
    st.sampled_from([{"comment": "of the whole archive"}, {"path": "é/one for all"}, {"size": "7", "path": "a"}]),
)
def test_a_header_that_speaks_of_all_members_is_heeded(entries: list[Entry], headers: dict[str, str]) -> None:
    assert_read_as_listed(tar_of(entries, tarfile.PAX_FORMAT, headers))


def with_checksum(header: bytes) -> bytes:
    """A header with the checksum that it should have."""
    return header[:148] + b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:])) + header[156:]


FIELDS = {"name": (0, 100), "mode": (100, 8), "user": (108, 8), "group": (116, 8), "size": (124, 12), "time": (136, 12)}
FIELDS |= {"kind": (156, 1), "magic": (257, 8), "major": (329, 8), "minor": (337, 8), "prefix": (345, 155)}
ODD_VALUES = [
    b"0o17",
    b"1_0",
    b"-7",
    b" 12 ",
    b"\x1c7",
    b"8",
    b"",
    b"\x80" + bytes(9) + b"\1\7",
    b"\xff" * 11 + b"\7",
    *KINDS,
]
VALUES = st.one_of(st.binary(min_size=1, max_size=12), st.text("01234567 \0", min_size=1, max_size=12).map(str.encode))


def assert_read_as_listed(content: bytes) -> None:
    expected = listed(content)
    if expected is None:
        with pytest.raises(DataError, match=r"a\.tar"):
            read(content)
    else:
        assert read(content) == expected


def two_files(field: str, value: bytes) -> bytes:
    """An archive of two files of 600 bytes, the first header with another value and the checksum that it then has."""
    content = tar_of([Entry("yes/a", tarfile.REGTYPE, b"x" * 600, "", 0, 0)] * 2, tarfile.USTAR_FORMAT)
    start, size = FIELDS[field]
    header = content[:start] + value[:size].ljust(size, b"\0") + content[start + size : BLOCK]
    return with_checksum(header) + content[BLOCK:]


@pytest.mark.parametrize("field", FIELDS)
def test_a_header_with_an_odd_value_means_what_tarfile_makes_of_it(field: str) -> None:
    for value in ODD_VALUES:
        assert_read_as_listed(two_files(field, value))


@given(st.sampled_from(sorted(FIELDS)), VALUES)
def test_a_header_with_any_value_means_what_tarfile_makes_of_it(field: str, value: bytes) -> None:
    assert_read_as_listed(two_files(field, value))


def test_a_member_of_less_than_nothing_is_refused() -> None:
    content = two_files("size", b"-7")
    with pytest.raises(DataError, match=r"a\.tar is damaged .*yes/a contradicts itself about its size"):
        read(content[:BLOCK] + content[3 * BLOCK :])


def test_every_flipped_bit_of_a_header_is_found_where_tarfile_finds_it() -> None:
    """Of the checksum's own field, which does not add to it, a blank may become a zero or the like."""
    content = two_files("mode", b"644")
    for place in range(BLOCK * 8):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        assert_read_as_listed(bytes(damaged))
        assert listed(bytes(damaged)) is None or 148 <= place // 8 < 156


def test_a_file_of_the_oldest_format_whose_name_ends_in_a_slash_is_a_folder_without_content() -> None:
    content = two_files("name", b"folder/")
    content = with_checksum(content[:156] + tarfile.AREGTYPE + content[157:BLOCK]) + content[3 * BLOCK :]
    assert read(content) == [Member("yes/a", b"x" * 600)] == listed(content)


def test_data_after_the_end_mark_are_found() -> None:
    content = two_files("mode", b"644")
    with pytest.raises(DataError, match=r"a\.tar is damaged: data follow its end-of-archive mark"):
        read(content + content)


def test_a_member_that_is_cut_is_named_with_what_there_is_of_it() -> None:
    with pytest.raises(DataError, match=r"a\.tar is cut short: yes/a has 588 of its 600 bytes"):
        read(two_files("mode", b"644")[:1_100])


def test_a_sparse_file_has_its_holes() -> None:
    """As GNU tar writes one of 3,000 bytes: 100 bytes at 512 and 200 at 2,000."""
    info = tarfile.TarInfo("holes")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 300
    numbers = b"".join(b"%011o\0" % number for number in (512, 100, 2_000, 200))
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386 : 386 + len(numbers)], header[483:495] = numbers, b"%011o\0" % 3_000
    content = with_checksum(bytes(header)) + b"a" * 100 + b"b" * 200 + bytes(212)
    content += tar_of([Entry("after", tarfile.REGTYPE, b"x", "", 0, 0)], tarfile.GNU_FORMAT)
    holes = bytes(512) + b"a" * 100 + bytes(1_388) + b"b" * 200 + bytes(800)
    assert read(content) == [Member("holes", holes), Member("after", b"x")] == listed(content)


def test_what_follows_a_member_of_an_unknown_kind_is_passed_over() -> None:
    content = tar_of([Entry("a", tarfile.REGTYPE, b"x" * 700, "", 0, 0)] * 2, tarfile.USTAR_FORMAT)
    content = with_checksum(content[:156] + b"V" + content[157:BLOCK]) + content[BLOCK:]
    assert read(content) == [Member("a", None), Member("a", b"x" * 700)] == listed(content)


def test_a_header_that_is_larger_than_any_is_refused_before_it_is_read() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    with pytest.raises(DataError, match=r"a\.tar is damaged .*headers of 1\d+ bytes, expected at most 1048576"):
        read(info.tobuf(tarfile.GNU_FORMAT) + bytes(2 * BLOCK))


@given(
    st.lists(ENTRIES, max_size=6),
    st.sampled_from(FORMATS),
    st.sampled_from([None, {"comment": "x"}, {"path": "one for all"}]),
    st.data(),
)
def test_the_parts_of_an_archive_hold_its_members(
    entries: list[Entry], form: int, headers: dict[str, str] | None, data: st.DataObject
) -> None:
    content = tar_of(entries, form, headers if form == tarfile.PAX_FORMAT else None)
    members = listed(content)
    assume(members is not None)
    members = read(content)
    cuts = data.draw(st.sets(st.sampled_from([0, *(each.start for each in members)])))
    starts = sorted({0, *cuts})
    parts = [read(content, *each) for each in zip(starts, [*starts[1:], None], strict=True)]
    assert [each for part in parts for each in part] == members
    assert [each.start for part in parts for each in part] == [each.start for each in members]


def test_a_part_that_ends_within_a_member_is_refused() -> None:
    content = tar_of([Entry("a", tarfile.REGTYPE, b"x" * 700, "", 0, 0)] * 2, tarfile.USTAR_FORMAT)
    assert [each.start for each in read(content)] == [0, 3 * BLOCK]
    for start, stop in ((0, 2 * BLOCK), (BLOCK, None), (0, 100 * BLOCK)):
        with pytest.raises(DataError, match=r"a\.tar (has changed|is damaged|is cut short)"):
            read(content, start, stop)


def member(name: bytes, content: bytes, kind: bytes = tarfile.REGTYPE, form: int = tarfile.GNU_FORMAT) -> bytes:
    """A member by hand, whatever its kind: header and content."""
    info = tarfile.TarInfo(name.decode())
    info.type, info.size = kind, len(content)
    return info.tobuf(form) + content + bytes(-len(content) % BLOCK)


def pax(records: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Headers of PAX for the next member, or for all later ones."""
    content = b""
    for key, value in records.items():
        text = f" {key}={value}\n".encode()
        length = next(n for n in range(len(text), len(text) + 20) if len(str(n)) + len(text) == n)
        content += str(length).encode() + text
    return member(b"headers", content, kind)


FILE = member(b"yes/a", b"x" * 600)
END = bytes(2 * BLOCK)
SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "yes/a"}

HOSTILE = {
    "2,000 long names": (member(b"././@LongLink", b"n\0", b"L") * 2_000 + FILE, "hundreds of headers"),
    "2,000 headers for all members": (pax({"comment": "x"}, tarfile.XGLTYPE) * 2_000 + FILE, "hundreds of headers"),
    "a record's length of 5,000 digits": (
        member(b"headers", b"9" * 5_000 + b" a=b\n", tarfile.XHDTYPE) + FILE, "damaged or cut short"
    ),
    "a size of 5,000 digits": (pax({"size": "9" * 5_000}) + FILE, "gives the size '999"),
    "a size that is no number": (pax({"size": "-1"}) + FILE, "gives the size '-1'"),
    "a map of a sparse file that is none": (pax({"GNU.sparse.map": "a,b"}) + FILE, "damaged or cut short"),
    "a sparse file without numbers": (pax({**SPARSE, "GNU.sparse.realsize": "many"}) + FILE, "damaged or cut short"),
    "2 MB of headers": (pax({"comment": "x" * (2 << 20)}) + FILE, "headers of 2098.* bytes, expected at most 1048576"),
    "a name of 2 MB": (member(b"././@LongLink", b"n" * (2 << 20), b"L") + FILE, "expected at most 1048576"),
    "100 kB said of all members": (
        pax({"comment": "x" * 100_000}, tarfile.XGLTYPE) + FILE, "speak of all members, expected at most 65536"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_headers_beyond_all_measure_are_refused_in_one_short_sentence(what: str) -> None:
    content, said = HOSTILE[what]
    with pytest.raises(DataError, match=said) as caught:
        read(content + END)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def sparse(size: int, pieces: str, stored: bytes) -> bytes:
    """A sparse file as version 1.0 of GNU's headers has it: its map stands before what is stored."""
    return pax({**SPARSE, "GNU.sparse.realsize": str(size)}) + member(
        b"yes/a", pieces.encode() + bytes(-len(pieces) % BLOCK) + stored
    )


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (200_000_000, "1\n200000000\n0\n"),
        (4_000, "2\n2000\n8\n0\n8\n"),
        (4_000, "1\n0\n-5\n"),
        (4_000, "200\n" + "".join(f"{2 * n}\n1\n" for n in range(200))),
    ],
)
def test_a_sparse_file_that_is_mostly_zeros_or_has_a_map_like_no_other_is_named_and_not_unpacked(
    size: int, pieces: str
) -> None:
    found = read(sparse(size, pieces, b"x" * 400) + FILE + END)
    assert [(each.name, each.data) for each in found] == [("yes/a", None), ("yes/a", b"x" * 600)]
    assert "without its zeros" in found[0].fault


def test_a_small_sparse_file_of_the_newer_form_has_its_holes() -> None:
    content = sparse(1_000, "1\n500\n4\n", b"data") + FILE + END
    assert read(content)[0].data == bytes(500) + b"data" + bytes(496)
    assert read(content) == listed(content)
