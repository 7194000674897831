"""An archive is streamed as tarfile would list it, compressed or not, and damage is found wherever it lies."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import random
import tarfile

import pytest
from corpus_tools import tar_gz
from hypothesis import given
from hypothesis import strategies as st

from base.errors import DataError
from pipelines.ingest.archive import Member, read_members, read_part
from pipelines.ingest.tar import LARGEST_MEMBER_BYTES

FILES = [
    ("./README.md", b"text"),
    ("./yes/0a_nohash_0.wav", bytes(range(256)) * 5),
    ("empty", b""),
    ("last", b"\0" * 700),
]


def read(content: bytes, sha256: str | None = None) -> list[Member]:
    return list(read_members(io.BytesIO(content), "a.tar.gz", sha256))


def unpacked() -> bytes:
    return gzip.decompress(tar_gz(FILES))


def tar_of(*headers: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for header in headers:
            archive.addfile(header, io.BytesIO(b"x" * header.size))
    return packed.getvalue()


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


@given(
    st.dictionaries(
        st.text("abc/é_.", min_size=1, max_size=150).filter(lambda name: name.strip("/")),
        st.binary(max_size=1500),
        max_size=5,
    ),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_the_members_are_those_that_tarfile_lists(files: dict[str, bytes], form: int) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=form) as archive:
        for name, data in files.items():
            archive.addfile(header(name, size=len(data)), io.BytesIO(data))
    with tarfile.open(fileobj=io.BytesIO(packed.getvalue())) as archive:
        listed = archive.getmembers()
        expected = [Member(each.name, archive.extractfile(each).read()) for each in listed]  # type: ignore[union-attr]
    assert read(packed.getvalue()) == expected


def test_the_right_sha256_is_accepted_and_a_wrong_one_refused() -> None:
    content = tar_gz(FILES)
    assert read(content, hashlib.sha256(content).hexdigest()) == [Member(*file) for file in FILES]
    with pytest.raises(DataError, match=f"has SHA-256 {hashlib.sha256(content).hexdigest()}, expected {'0' * 64}"):
        read(content, "0" * 64)


def test_bytes_after_the_gzip_stream_count_towards_the_sha256() -> None:
    content = tar_gz(FILES)
    with pytest.raises(DataError):
        read(content + b"\0" * 10, hashlib.sha256(content).hexdigest())


def test_every_flipped_bit_is_found_by_the_sha256_and_without_it_no_other_content_is_read() -> None:
    content = tar_gz(FILES)
    sha256 = hashlib.sha256(content).hexdigest()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(DataError, match=r"a\.tar\.gz"):
            read(bytes(damaged), sha256)
        with contextlib.suppress(DataError):
            assert read(bytes(damaged)) == [Member(*file) for file in FILES]


def test_a_flipped_bit_in_a_large_archive_is_found_without_a_sha256() -> None:
    generator = random.Random(0)
    content = tar_gz([(f"{number}", generator.randbytes(30_000)) for number in range(40)])
    for _ in range(40):
        damaged = bytearray(content)
        damaged[generator.randrange(10, len(content))] ^= 1 << generator.randrange(8)
        with pytest.raises(DataError, match=r"a\.tar\.gz"):
            read(bytes(damaged))


def test_every_cut_is_found() -> None:
    content = tar_gz(FILES)
    for length in range(len(content)):
        with pytest.raises(DataError, match=r"a\.tar\.gz"):
            read(content[:length])


def test_an_unpacked_archive_cut_anywhere_before_its_end_mark_is_found() -> None:
    content = unpacked()
    end = 512 * 4 + 512 + 1536 + 1024
    assert content[end:].strip(b"\0") == b"" and content[end - 1024 - 512 : end - 1024].strip(b"\0")
    for length in [*range(1, end, 100), *range(512, end + 1, 512), end]:
        with pytest.raises(DataError, match=r"cut short|damaged"):
            read(gzip.compress(content[:length]))
    assert read(gzip.compress(content[: end + 512])) == [Member(*file) for file in FILES]


def test_a_damaged_tar_header_is_found() -> None:
    for block in (512 * 2, 512 * 2 + 512 + 1536):
        content = bytearray(unpacked())
        content[block] ^= 1
        with pytest.raises(DataError, match=r"a\.tar\.gz is damaged"):
            read(gzip.compress(bytes(content)))


def test_a_gzip_of_several_members_is_read_to_its_end() -> None:
    content = unpacked()
    parts = [content[:1000], content[1000:1100], content[1100:]]
    assert read(b"".join(gzip.compress(part) for part in parts)) == [Member(*file) for file in FILES]


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x1f", unpacked()])
def test_what_is_no_gzip_file_is_called_so(content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.tar\.gz is not a gzip file: it begins with"):
        read(content)


def test_a_gzip_of_something_else_is_refused() -> None:
    with pytest.raises(DataError, match=r"a\.tar\.gz"):
        read(gzip.compress(b"no tar archive " * 100))


def test_an_uncompressed_archive_is_known_by_its_name_and_checked_in_the_same_way() -> None:
    content = unpacked()
    sha256 = hashlib.sha256(content).hexdigest()
    assert list(read_members(io.BytesIO(content), "a.tar", sha256)) == [Member(*file) for file in FILES]
    for wrong, message in (
        (content[:-1] + b"x", r"a\.tar is damaged: data follow"),
        (content[:3_000], r"a\.tar is cut short"),
        (content.replace(b"text", b"test"), rf"a\.tar has SHA-256 .*, expected {sha256}; get it again"),
        (content + bytes(512), rf"a\.tar has SHA-256 .*, expected {sha256}; get it again"),
        (tar_gz(FILES), r"a\.tar is a gzip file, expected an uncompressed archive; name it \.tar\.gz"),
        (b"", r"a\.tar is cut short"),
    ):
        with pytest.raises(DataError, match=message):
            list(read_members(io.BytesIO(wrong), "a.tar", sha256))


def test_a_part_of_an_uncompressed_archive_is_read_without_the_rest() -> None:
    content = unpacked()
    second, third = (each.start for each in list(read_members(io.BytesIO(content), "a.tar"))[1:3])
    assert (second, third) == (1024, 1024 + 512 + 1536)
    blank = bytes(second) + content[second:third] + content[third : third + 512] + bytes(5_000)
    assert list(read_part(io.BytesIO(blank), "a.tar", second, third)) == [Member(*FILES[1])]
    assert list(read_part(io.BytesIO(content), "a.tar", third, None)) == [Member(*file) for file in FILES[2:]]
    with pytest.raises(DataError, match=r"a\.tar is cut short"):
        list(read_part(io.BytesIO(content[: third + 100]), "a.tar", second, third))


def test_an_archive_of_nothing_has_no_members() -> None:
    assert read(tar_gz([])) == []


def test_links_and_devices_come_without_data_and_folders_not_at_all() -> None:
    content = tar_of(
        header("folder", tarfile.DIRTYPE),
        header("link.wav", tarfile.SYMTYPE, target="/etc/passwd"),
        header("hard.wav", tarfile.LNKTYPE, target="../../secret"),
        header("device.wav", tarfile.CHRTYPE),
        header("pipe.wav", tarfile.FIFOTYPE),
        header("../../outside.wav", size=3),
    )
    names = ["link.wav", "hard.wav", "device.wav", "pipe.wav"]
    assert read(content) == [*(Member(name, None) for name in names), Member("../../outside.wav", b"xxx")]


def test_bytes_of_a_name_that_are_not_utf_8_are_replaced() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(header("yes/\udcff\udcfe.wav"))
    assert read(packed.getvalue()) == [Member("yes/\ufffd\ufffd.wav", b"")]


def test_a_member_larger_than_any_clip_is_refused_before_it_is_read() -> None:
    packed = io.BytesIO()
    with gzip.open(packed, "wb") as file:
        file.write(header("huge.wav", size=LARGEST_MEMBER_BYTES + 1).tobuf())
    with pytest.raises(DataError, match=rf"huge\.wav has {LARGEST_MEMBER_BYTES + 1} bytes, more than"):
        read(packed.getvalue())


def test_progress_counts_the_compressed_bytes() -> None:
    content = tar_gz([("noise", random.Random(0).randbytes(20 << 20))])
    seen: list[int] = []
    for _ in read_members(io.BytesIO(content), "a.tar.gz", None, seen.append):
        pass
    assert len(seen) >= 2 and seen == sorted(seen) and seen[-1] <= len(content)
