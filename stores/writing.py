"""How a store comes to be: which shard a clip belongs to, how shards are written, and the order that commits them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from base import files
from stores.framing import RecordWriter
from stores.manifest import MANIFEST_FILE, Manifest, Shard, is_store_file, metadata_files, read_manifest, shard_file


def digest(clip_id: str) -> bytes:
    """The hash that decides a clip's shard and its place in it: BLAKE2b of the id, 16 bytes."""
    return hashlib.blake2b(clip_id.encode(), digest_size=16).digest()


def shard_index(clip_id: str, shards: int) -> int:
    """The shard of a clip, 0..shards-1; it depends on the id alone."""
    return int.from_bytes(digest(clip_id)[:8], "big") % shards


class ShardWriter(RecordWriter):
    """A record writer that knows which shard it writes."""

    def __init__(self, file: BinaryIO, file_name: str, split: str) -> None:
        super().__init__(file)
        self._file_name = file_name
        self._split = split

    def shard(self) -> Shard:
        """What was written."""
        return Shard(self._file_name, self._split, self.records, self.bytes, self.sha256)


@contextmanager
def open_shard(folder: str, store: str, split: str, index: int, shards: int) -> Iterator[ShardWriter]:
    """Write one shard, which gets its name when the block ends without an error.

    Args:
        folder: where to write it.
        store: name of the store.
        split: name of the split.
        index: number of the shard in its split, 0..shards-1.
        shards: shards of the split.
    """
    name = shard_file(store, split, index, shards)
    with files.published(files.join(folder, name), concurrent=True) as file:
        yield ShardWriter(file, name, split)


def commit(folder: str, manifest: Manifest, tables: Iterable[str]) -> Manifest:
    """Finish a store whose shards and tables are in their folder: write its metadata, the manifest last.

    Args:
        folder: folder of the store.
        manifest: with its shards, without the hashes of the tables.
        tables: file names of the tables and statistics.

    Returns:
        The manifest as it was written.
    """
    hashes = {name: files.sha256(files.join(folder, name)) for name in tables}
    complete = dataclasses.replace(manifest, tables=hashes)
    for name, text in metadata_files(complete).items():
        files.write_text(files.join(folder, name), text)
    return complete


def is_finished(folder: str) -> bool:
    """Whether a folder holds a finished store."""
    return files.is_file(files.join(folder, MANIFEST_FILE))


def replace(folder: str, finished: str) -> None:
    """Put a finished store in the place of the one in a folder, if any; files that are not a store's stay.

    A store without its manifest is unfinished, so the old manifest goes first and the new one comes last. What was
    interrupted is completed by the same call: a file is moved when it is still there to be moved.

    Args:
        folder: where the store belongs.
        finished: folder of the new store, on the same file system.
    """
    manifest = read_manifest(finished)
    wanted = [shard.file for shard in manifest.shards]
    wanted += [*manifest.tables, *(name for name in metadata_files(manifest) if name != MANIFEST_FILE), MANIFEST_FILE]
    files.remove(files.join(folder, MANIFEST_FILE))
    for name in files.names(folder):
        if is_store_file(name) and name not in wanted:
            files.remove(files.join(folder, name))
    waiting = set(files.names(finished))
    for name in wanted:
        if name in waiting:
            files.move(files.join(finished, name), files.join(folder, name))


def clear(folder: str) -> None:
    """Delete a store, the manifest first; files that are not a store's stay."""
    files.remove(files.join(folder, MANIFEST_FILE))
    for name in files.names(folder):
        if is_store_file(name):
            files.remove(files.join(folder, name))
