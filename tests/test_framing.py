"""TFRecord files have the bytes that TensorFlow writes, and no damage to them goes unseen."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from base.errors import DataError
from stores.framing import (
    LONGEST_RECORD_BYTES,
    WRONG_DATA,
    RecordWriter,
    frame,
    frames,
    masked_crc32c,
    read_records,
    record_at,
    record_positions,
)

Reader = Callable[[bytes], list[bytes]]
RECORDS = [b"", b"a", b"some data", bytes(range(40))]


def written(records: list[bytes]) -> bytes:
    file = io.BytesIO()
    writer = RecordWriter(file)
    for record in records:
        writer.write(record)
    content = file.getvalue()
    assert (writer.records, writer.bytes) == (len(records), len(content))
    assert writer.sha256 == hashlib.sha256(content).hexdigest()
    return content


def read(content: bytes) -> list[bytes]:
    return list(read_records(io.BytesIO(content), "the file"))


def read_by_position(content: bytes) -> list[bytes]:
    return [record_at(content, position, "the file") for position in record_positions(content, "the file")]


READERS = pytest.mark.parametrize("reader", [read, read_by_position])


def test_the_file_is_byte_for_byte_tensorflows(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    with tf.io.TFRecordWriter(path) as writer:
        for record in [*RECORDS, b"x" * 100_000]:
            writer.write(record)
    assert Path(path).read_bytes() == written([*RECORDS, b"x" * 100_000])


def test_tensorflow_reads_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(written(RECORDS))
    assert list(tf.data.TFRecordDataset(str(tmp_path / "file")).as_numpy_iterator()) == RECORDS


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_what_is_written_is_read(records: list[bytes]) -> None:
    assert read(written(records)) == read_by_position(written(records)) == records


@given(st.lists(st.binary(max_size=50), max_size=5), st.data())
def test_a_record_begins_where_the_records_before_it_end(records: list[bytes], data: st.DataObject) -> None:
    positions = record_positions(written(records), "the file")
    assert positions == [len(written(records[:count])) for count in range(len(records))]
    for place in data.draw(st.permutations(range(len(records)))):
        assert record_at(written(records), positions[place], "the file") == records[place]


def test_a_file_of_no_records_is_empty() -> None:
    assert written([]) == b"" and read(b"") == read_by_position(b"") == []


def test_the_checksum_is_that_of_rfc_3720_masked() -> None:
    """RFC 3720, B.4: the CRC-32C of 32 zero bytes is aa36918a when written little-endian."""
    crc = 0x8A9136AA
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc32c(bytes(32)) == (rotated + 0xA282EAD8) % 2**32


@READERS
def test_every_flipped_bit_is_found(reader: Reader) -> None:
    content = written(RECORDS)
    for place in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            with pytest.raises(DataError, match=r"the file.* at byte \d+"):
                reader(bytes(damaged))


def test_both_readers_say_the_same_of_a_damage() -> None:
    content = written(RECORDS)
    for place in range(len(content)):
        damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        said = []
        for reader in (read, read_by_position):
            with pytest.raises(DataError) as refusal:
                reader(damaged)
            said.append(str(refusal.value))
        assert said[0] == said[1]


@READERS
def test_every_cut_inside_a_record_is_found_and_others_give_the_records_before(reader: Reader) -> None:
    content = written(RECORDS)
    borders = [sum(len(frame(record)) for record in RECORDS[:count]) for count in range(len(RECORDS) + 1)]
    for length in range(len(content)):
        if length in borders:
            assert reader(content[:length]) == RECORDS[: borders.index(length)]
            continue
        with pytest.raises(DataError, match=r"the file is damaged at byte \d+: the file ends inside"):
            reader(content[:length])


@READERS
def test_a_length_beyond_reason_is_refused_before_memory_is_taken(reader: Reader) -> None:
    header = (LONGEST_RECORD_BYTES + 1).to_bytes(8, "little")
    with pytest.raises(DataError, match="bytes, more than"):
        reader(header + masked_crc32c(header).to_bytes(4, "little"))


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_the_frames_of_a_sound_file_are_its_records(records: list[bytes]) -> None:
    content = written(records)
    found = list(frames(io.BytesIO(content)))
    assert found == [(place, record, "") for place, record in zip(record_positions(content, ""), records, strict=True)]


def test_after_wrong_data_the_frames_go_on_and_after_a_wrong_length_they_end() -> None:
    content = written(RECORDS)
    positions = record_positions(content, "the file")
    for number, position in enumerate(positions):
        sound = [(place, record, "") for place, record in zip(positions, RECORDS, strict=True)]
        damaged = bytearray(content)
        damaged[position + 12] ^= 1  # of the data, or of their checksum where there are none
        sound[number] = (position, None, WRONG_DATA)
        assert list(frames(io.BytesIO(bytes(damaged)))) == sound
        damaged = bytearray(content)
        damaged[position] ^= 1
        ended = (position, None, "the length does not match its checksum")
        assert list(frames(io.BytesIO(bytes(damaged)))) == [*sound[:number], ended]


def test_a_file_cut_inside_a_record_has_all_frames_before_it() -> None:
    content = written(RECORDS)
    last = record_positions(content, "the file")[-1]
    for length in range(last + 1, len(content)):
        *before, (position, record, fault) = frames(io.BytesIO(content[:length]))
        assert [each for _, each, _ in before] == RECORDS[:-1]
        assert (position, record) == (last, None) and fault.startswith("the file ends inside the record")
