"""A zip archive is read as zipfile lists it; a damaged file is told from a damaged archive."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import stat
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base.errors import DataError
from pipelines.ingest.tar import LARGEST_MEMBER_BYTES, Member
from pipelines.ingest.zip import read_zip

FILES = {"yes/a.wav": random.Random(0).randbytes(3_000), "no/b.wav": b"b" * 3_000, "README.md": b""}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def read(content: bytes, sha256: str | None = None) -> list[Member]:
    return list(read_zip(io.BytesIO(content), "a.zip", sha256))


@given(
    st.dictionaries(st.text("abß/._", min_size=1, max_size=20).filter(lambda n: n[-1] != "/"), st.binary(max_size=900)),
    st.sampled_from(METHODS),
)
def test_the_members_are_the_files_that_were_packed(files: dict[str, bytes], method: int) -> None:
    content = zipped(files, method)
    assert read(content, hashlib.sha256(content).hexdigest()) == [Member(*file) for file in files.items()]


def test_a_flipped_bit_in_a_file_is_the_fault_of_this_file_alone() -> None:
    content = bytearray(zipped(FILES, zipfile.ZIP_STORED))
    content[content.index(FILES["yes/a.wav"]) + 100] ^= 1
    first, *others = read(bytes(content))
    assert (first.data, first.name) == (None, "yes/a.wav") and "CRC-32" in first.fault
    assert others == [Member(*file) for file in list(FILES.items())[1:]]


def test_a_flipped_bit_anywhere_gives_the_same_files_or_faults_or_a_data_error() -> None:
    good = zipped(FILES)
    for place in range(0, len(good), 3):
        content = bytearray(good)
        content[place] ^= 1 << place % 8
        try:
            found = read(bytes(content))
        except DataError:
            continue
        assert {each.data for each in found} <= {*FILES.values(), None}


def test_another_sha256_is_refused_before_anything_is_read() -> None:
    with pytest.raises(DataError, match=rf"a\.zip has SHA-256 .*, expected {'0' * 64}; get it again"):
        read(zipped(FILES), "0" * 64)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", zipped(FILES)[:-30], zipped(FILES)[:500]])
def test_what_has_no_directory_is_called_so(content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.zip is no zip archive, or damaged or cut short"):
        read(content)


def test_an_encrypted_file_has_its_fault_and_a_link_no_data() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link.wav")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr(zipfile.ZipInfo("secret.wav"), b"x")
        archive.writestr(zipfile.ZipInfo("folder/"), b"")
    content = bytearray(out.getvalue())
    directory = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[directory + 8] |= 1
    link_member, secret = read(bytes(content))
    assert link_member == Member("link.wav", None) and not link_member.fault
    assert secret.data is None and secret.fault == "it is encrypted"


def test_a_file_that_says_to_be_larger_than_any_clip_is_refused_before_it_is_unpacked() -> None:
    content = bytearray(zipped({"huge.wav": b"x"}))
    directory = content.index(b"PK\1\2")
    content[directory + 24 : directory + 28] = (LARGEST_MEMBER_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(DataError, match=rf"huge\.wav has {LARGEST_MEMBER_BYTES + 1} bytes, more than"):
        read(bytes(content))


def test_a_file_that_unpacks_to_more_than_it_says_is_read_no_further() -> None:
    content = bytearray(zipped({"bomb.wav": bytes(10_000_000)}))
    directory = content.index(b"PK\1\2")
    content[directory + 24 : directory + 28] = (100).to_bytes(4, "little")
    (found,) = read(bytes(content))
    assert found.data is None and found.fault


def test_files_that_share_their_bytes_are_refused() -> None:
    """So a small archive holds a multiple of what it is (https://www.bamsoftware.com/hacks/zipbomb/)."""
    content = bytearray(zipped({"a.wav": bytes(9_000), "b.wav": bytes(9_000)}, zipfile.ZIP_STORED))
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[second + 42 : second + 46] = bytes(4)
    with pytest.raises(DataError, match="reaches into what follows it"):
        read(bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_packed_by_a_method_that_unpacks_without_bound_is_named_and_not_unpacked(method: int) -> None:
    archive = zipped({"a.wav": bytes(5_000_000)}, method)
    (member,) = read_zip(io.BytesIO(archive), "a.zip")
    assert member.data is None and "another method than deflate" in member.fault


def test_a_file_that_unpacks_to_more_than_its_entry_says_takes_no_more_memory() -> None:
    """200 MB of zeros, of which the directory says that they are a hundred bytes."""
    archive = bytearray(zipped({"a.wav": bytes(200_000_000)}))
    directory = archive.rindex(b"PK\x01\x02")
    for place in (22, directory + 24):
        archive[place : place + 4] = (100).to_bytes(4, "little")
    tracemalloc.start()
    (member,) = read_zip(io.BytesIO(bytes(archive)), "a.zip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert member.data is None and member.fault and peak < 20_000_000


def test_a_file_without_a_name_is_a_member_like_others() -> None:
    archive = zipped({"a": b"x"})
    local, directory = archive.index(b"PK\x03\x04"), archive.rindex(b"PK\x01\x02")
    nameless = bytearray(archive)
    for place in (local + 26, directory + 28):
        nameless[place : place + 2] = b"\0\0"
    with contextlib.suppress(DataError):
        assert [member.name for member in read_zip(io.BytesIO(bytes(nameless)), "a.zip")] == [""]
