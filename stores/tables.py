"""Parquet tables that equal content gives equal bytes, written whole and read with their checksums."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from base import files
from base.errors import DataError


def from_rows(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table from rows that have a value for each column; several times faster than `pyarrow.Table.from_pylist`."""
    return pa.table([pa.array([row[field.name] for row in rows], field.type) for field in schema], schema=schema)


def write_table(path: str, table: pa.Table) -> None:
    """Publish a table as a Parquet file of one row group."""
    with files.published(path, concurrent=True) as file:
        pq.write_table(table, file, row_group_size=max(table.num_rows, 1), write_page_checksum=True)


def concatenate_tables(path: str, parts: Sequence[str], schema: pa.Schema) -> None:
    """Publish one Parquet file with one row group for each part, reading one part at a time.

    Args:
        path: the file to write.
        parts: Parquet files of that schema, in order.
        schema: the schema, with the file's metadata.
    """
    write_row_groups(path, (read_table(part) for part in parts), schema)


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


@contextmanager
def open_table(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Raises:
        DataError: it is missing, no Parquet file or damaged; in the block too, where a part of it can't be read.
    """
    if not files.is_file(path):
        raise DataError(f"{path} is missing: run the stage that makes it")
    try:
        # a local file is Arrow's own: one of Python may abort the process at its end (apache/arrow#50482)
        with files.open_for_reading(path) if files.is_remote(path) else pa.OSFile(path) as file:
            metadata = None if files.is_remote(path) else _metadata(path, _state(path))
            yield pq.ParquetFile(file, metadata=metadata, page_checksum_verification=True)
    except DataError:
        raise
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
