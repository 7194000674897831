"""Files through Beam's FileSystems, local or remote, each published under its name only when it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from features.errors import DataError
from features.manifest import MANIFEST_FILE, PLAN_FILE, STORE_FILES, VERSION
from features.manifest import WORK_FOLDER as WORK_FOLDER
from features.metadata import to_json as to_json

FAILURE_FILE: Final = "failure.json"
_TEMPORARY_SUFFIX: Final = ".tmp"
_CHUNK_BYTES: Final = 1 << 20
_STALE_PATTERNS: Final = (*STORE_FILES, "*.tfrecord-?????-of-?????")
"""The files that a stage writes to its output folder; whatever else lies there is not its own."""


def join(*parts: str) -> str:
    """A path from its parts; forward slashes work on every file system."""
    return posixpath.join(*parts)


def open_for_reading(path: str) -> BinaryIO:
    """Open a file as it is, never unpacked.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not FileSystems.exists(path):
        raise FileNotFoundError(2, "No such file", path)
    file: BinaryIO = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file


@contextmanager
def published(path: str) -> Iterator[BinaryIO]:
    """Write a file under a temporary name and rename it when the block ends without an error.

    An attempt that dies leaves nothing under `path`; attempts that run at the same time do not disturb each other.
    """
    folder, name = posixpath.split(path)
    temporary = join(folder, f".{name}.{uuid.uuid4().hex}{_TEMPORARY_SUFFIX}")
    try:
        with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield file
        FileSystems.rename([temporary], [path])
    except BaseException:
        remove([temporary])
        raise


def read_bytes(path: str) -> bytes:
    """The whole content of a file."""
    with open_for_reading(path) as file:
        return file.read()


def read_json(path: str) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is not valid JSON ({error}): make it again") from error


def write_text(path: str, text: str) -> None:
    """Publish a text file."""
    with published(path) as file:
        file.write(text.encode())


def exists(path: str) -> bool:
    """Whether there is such a file or folder."""
    return bool(FileSystems.exists(path))


def is_folder(path: str) -> bool:
    """Whether there is such a folder."""
    return path.endswith("/") or os.path.isdir(path) or bool(file_names(path))


def has_size(path: str, size: int) -> bool:
    """Whether there is such a file of that many bytes."""
    (match,) = FileSystems.match([path])
    return [metadata.size_in_bytes for metadata in match.metadata_list] == [size]


def file_names(folder: str, pattern: str = "*") -> list[str]:
    """Names of the files directly in a folder that match a pattern, in order; none where there is no folder."""
    (match,) = FileSystems.match([join(folder, pattern)])
    return sorted(posixpath.basename(metadata.path) for metadata in match.metadata_list)


def remove(paths: list[str]) -> None:
    """Delete files or folders where they exist."""
    present = [path for path in paths if FileSystems.exists(path)]
    if present:
        FileSystems.delete(present)


def begin(output: str, plan: dict[str, Any]) -> str:
    """Prepare a stage's output folder: keep the finished shards of an interrupted run of the same plan, clear the rest.

    The folder's manifest goes first, so that no later stage takes what is being rewritten for finished. Files that no
    stage writes are left alone, whatever folder was named by mistake.

    Args:
        output: the stage's output folder.
        plan: all that decides the bytes of the output.

    Returns:
        The folder for unfinished work.
    """
    work = join(output, WORK_FOLDER)
    plan_path, text = join(work, PLAN_FILE), to_json(plan)
    finished = join(output, MANIFEST_FILE)
    if not exists(finished) and exists(plan_path) and read_bytes(plan_path).decode() == text:
        remove([join(work, FAILURE_FILE)])
        remove([join(output, name) for name in file_names(output, f".*{_TEMPORARY_SUFFIX}")])
        return work
    remove([plan_path])
    clear(output)
    write_text(plan_path, text)
    return work


def clear(output: str) -> None:
    """Delete the files of a store and of its unfinished work, the manifest first; other files are left alone."""
    remove([join(output, MANIFEST_FILE), join(output, WORK_FOLDER)])
    stale = (f".*{_TEMPORARY_SUFFIX}", *_STALE_PATTERNS)
    remove([join(output, name) for pattern in stale for name in file_names(output, pattern)])
    if os.path.isdir(output) and not os.listdir(output):
        os.rmdir(output)


def fail(work: str, message: str) -> None:
    """Record why the output can't be finished, for `finish` to report; runners wrap exceptions beyond recognition."""
    write_text(join(work, FAILURE_FILE), to_json({"message": message}))


def finish(committed: str, work: str) -> None:
    """After the pipeline: clear the unfinished work, or report the failure that it recorded.

    Args:
        committed: the file that a pipeline writes last.
        work: folder of its unfinished work.

    Raises:
        DataError: the pipeline recorded a failure, or ended without that file.
    """
    if exists(join(work, FAILURE_FILE)):
        message = read_json(join(work, FAILURE_FILE))["message"]
        remove([work])
        raise DataError(message)
    if not exists(committed):
        raise DataError(f"the pipeline ended without {committed}: run it again to resume")
    remove([work])


def write_table(path: str, table: pa.Table) -> None:
    """Publish a table as a Parquet file of one row group."""
    with published(path) as file:
        pq.write_table(table, file, row_group_size=max(table.num_rows, 1), write_page_checksum=True)


def concatenate_tables(path: str, parts: list[str], schema: pa.Schema) -> None:
    """Publish one Parquet file with one row group for each part, reading one part at a time.

    Args:
        path: the file to write.
        parts: Parquet files of that schema, in order.
        schema: the schema, with the file's metadata.
    """
    with published(path) as file, pq.ParquetWriter(file, schema, write_page_checksum=True) as writer:
        for part in parts:
            with open_table(part) as source:
                table = source.read()
            writer.write_table(table.cast(schema), row_group_size=max(table.num_rows, 1))


@contextmanager
def open_table(path: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Raises:
        DataError: it is missing, no Parquet file or damaged; in the block too, where a part of it can't be read.
    """
    if not exists(path):
        raise DataError(f"{path} is missing: run the stage that makes it")
    try:
        with open_for_reading(path) as file:
            yield pq.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowInvalid, pa.ArrowKeyError, pa.ArrowIndexError) as error:
        raise DataError(f"{path} is not the Parquet file expected or damaged ({error}): make it again") from error
    except OSError as error:
        raise DataError(f"{path} can't be read ({error}): make it again") from error


def sha256(path: str) -> str:
    """SHA-256 (hex) of a file."""
    with open_for_reading(path) as file:
        found = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def version_folders(folder: str) -> list[str]:
    """Names of the folders x.y.z in a folder that hold a store, finished or not; none where there is no folder."""
    found = set()
    for pattern in (f"*/{MANIFEST_FILE}", f"*/{WORK_FOLDER}/{PLAN_FILE}"):
        (match,) = FileSystems.match([join(folder, pattern)])
        found |= {metadata.path.removeprefix(f"{folder}/").partition("/")[0] for metadata in match.metadata_list}
    return sorted(name for name in found if VERSION.fullmatch(name))


def manifest_sha256(store: str) -> str:
    """SHA-256 (hex) of a finished store's manifest; it names the store's whole content, since the manifest hashes it.

    Raises:
        DataError: the store is not finished.
    """
    place = join(store, MANIFEST_FILE)
    if not exists(place):
        raise DataError(f"{store} is not a finished store: it has no {MANIFEST_FILE}; run the stage that makes it")
    return sha256(place)
