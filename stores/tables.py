"""Parquet tables that equal content gives equal bytes, written whole and read with their checksums."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from base import files
from base.errors import DataError

_FOOTER_BYTES: Final = 64 << 10
"""What is read of the end of a remote file, in which most tables have all of their metadata."""
_TRAILER_BYTES: Final = 8


def from_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table from rows that have a value for each column; several times faster than `pyarrow.Table.from_pylist`."""
    return pa.table([pa.array([row[field.name] for row in rows], field.type) for field in schema], schema=schema)


def write_table(path: str, table: pa.Table) -> None:
    """Publish a table as a Parquet file of one row group."""
    with files.published(path, concurrent=True) as file:
        pq.write_table(table, file, row_group_size=max(table.num_rows, 1), write_page_checksum=True)


def concatenate_tables(path: str, parts: Sequence[str | None], schema: pa.Schema) -> None:
    """Publish one Parquet file with one row group for each part, reading one part at a time.

    Args:
        path: the file to write.
        parts: Parquet files of that schema, in order; None stands for one without rows.
        schema: the schema, with the file's metadata.
    """
    write_row_groups(path, (schema.empty_table() if part is None else read_table(part) for part in parts), schema)


def write_row_groups(path: str, tables: Iterator[pa.Table], schema: pa.Schema) -> None:
    """Publish one Parquet file with one row group for each table, empty ones too, holding one table at a time."""
    with (
        files.published(path, concurrent=True) as file,
        pq.ParquetWriter(file, schema, write_page_checksum=True) as writer,
    ):
        for table in tables:
            writer.write_table(table.cast(schema), row_group_size=max(table.num_rows, 1))


def read_table(path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole table, or some of its columns.

    Raises:
        DataError: it is missing, no Parquet file, damaged, or lacks a column.
    """
    with open_table(path) as file:
        names = file.schema_arrow.names
        if absent := set(columns or ()) - set(names):
            raise DataError(f"{path} has no column {', '.join(sorted(absent))}: make it again")
        # without threads, which more often abort a process that has read a Python file
        return file.read(list(columns or names), use_threads=False)


def read_row_group(path: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
    """One row group of a table, or some of its columns; of a remote table nothing else is read.

    Raises:
        DataError: the file is missing, no Parquet file or damaged.
    """
    if not files.is_remote(path):
        with open_table(path) as file:
            return file.read_row_group(index, columns=columns and list(columns))
    with _told_of(path):
        metadata = _remote_metadata(path, files.state(path))
        group = metadata.row_group(index)
        chunks = [group.column(number) for number in range(group.num_columns)]
        start = min(each.dictionary_page_offset or each.data_page_offset for each in chunks)
        stop = max(
            (each.dictionary_page_offset or each.data_page_offset) + each.total_compressed_size for each in chunks
        )
        with tempfile.NamedTemporaryFile() as local:  # a file with a hole, since Arrow reads what it opened by itself
            os.pwrite(local.fileno(), files.read_range(path, start, stop), start)
            with pa.OSFile(local.name) as opened:
                file = pq.ParquetFile(opened, metadata=metadata, page_checksum_verification=True)
                return file.read_row_group(index, columns=columns and list(columns), use_threads=False)


@contextmanager
def open_table(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, a local copy of it where it is remote.

    Raises:
        DataError: it is missing, no Parquet file or damaged; in the block too, where a part of it can't be read.
    """
    # Arrow opens the file by itself: one of Python may abort the process at its end (apache/arrow#50482)
    with _told_of(path):
        if files.is_remote(path):
            with files.local_copy(path) as copy, pa.OSFile(copy) as file:
                yield pq.ParquetFile(file, page_checksum_verification=True)
        else:
            if not files.is_file(path):
                raise FileNotFoundError
            with pa.OSFile(path) as file:
                metadata = _metadata(path, _state(path))
                yield pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True)


@contextmanager
def _told_of(path: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the stage that makes it") from error
    except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:
        raise DataError(f"{path} is not the Parquet file expected or damaged ({error}): make it again") from error
    except OSError as error:
        raise DataError(f"{path} can't be read ({error}): make it again") from error


def _state(path: str) -> tuple[int, int, int]:
    """What tells a local file from one that was put into its place."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=8)
def _metadata(path: str, state: tuple[int, int, int]) -> pq.FileMetaData:
    """The metadata of a file, read once by a process: they grow with the row groups, of which each shard reads one."""
    with pa.OSFile(path) as file:
        return pq.read_metadata(file)


@lru_cache(maxsize=8)
def _remote_metadata(path: str, state: tuple[int, str] | None) -> pq.FileMetaData:
    """The metadata of a remote file, which stand at its end, as long as its state is this."""
    if state is None:
        raise FileNotFoundError
    size, guess = state[0], min(state[0], _FOOTER_BYTES)
    end = files.read_range(path, size - guess, size)
    wanted = int.from_bytes(end[-_TRAILER_BYTES:][:4], "little") + _TRAILER_BYTES  # their length, then "PAR1"
    if guess < wanted <= size:
        end = files.read_range(path, size - wanted, size)
    return pq.read_metadata(pa.BufferReader(end))
