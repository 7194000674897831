"""How a store comes to be: which shard a clip belongs to, how shards are written, and the order that commits them."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Literal, TypeAlias

from base import files
from base.claim import work_of_folder
from base.errors import DataError
from stores.framing import RecordWriter
from stores.manifest import (
    AUGMENTATION,
    FORMAT,
    MANIFEST_FILE,
    PLAN_FILE,
    Manifest,
    Shard,
    is_store_file,
    metadata_files,
    read_manifest,
    shard_file,
)

StoreKind: TypeAlias = Literal["clips", "copies", "features"]
"""What `ingest`, `augment` and `extract` make."""


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
    files.begin_sync(files.join(folder, name))


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
    if files.is_remote(folder):
        _replace_remotely(folder, finished, wanted)
        return
    files.remove(files.join(folder, MANIFEST_FILE))
    files.remove_files(folder, _superfluous(folder, wanted))
    waiting = set(files.names(finished))
    for name in wanted:
        if name == MANIFEST_FILE:
            files.sync([folder])
        if name in waiting:
            files.move(files.join(finished, name), files.join(folder, name))
    files.sync([folder, posixpath.dirname(folder) or "."])


def _superfluous(folder: str, wanted: Sequence[str]) -> list[str]:
    """The files of an earlier store that no file of the new one takes the place of."""
    return [name for name in files.names(folder) if is_store_file(name) and name not in wanted]


def _replace_remotely(folder: str, finished: str, wanted: Sequence[str]) -> None:
    """Object storage copies and keeps the originals: while these have their manifest, all of it is done again."""
    waiting = set(files.names(finished))
    files.remove_files(folder, [MANIFEST_FILE])
    files.remove_files(folder, _superfluous(folder, wanted))
    files.move_files(finished, folder, [name for name in wanted if name in waiting - {MANIFEST_FILE}])
    files.move_files(finished, folder, [MANIFEST_FILE])
    files.remove_files(finished, [MANIFEST_FILE])


def clear(folder: str) -> None:
    """Delete a store, finished or not, the manifest first, and its folder unless it holds files of the user's."""
    taken = files.join(work_of_folder(folder), MANIFEST_FILE)
    if is_finished(folder):
        files.move(files.join(folder, MANIFEST_FILE), taken)  # still says whose the rest is, should this be interrupted
    files.remove_files(folder, filter(is_store_file, files.names(folder)))
    files.remove(work_of_folder(folder))
    if not files.is_remote(folder) and not files.names(folder):
        files.remove(folder)


def foreign_file(folder: str, kind: StoreKind) -> str | None:
    """A file that has the name of a store's in a folder that holds no store of a kind, finished or not.

    Args:
        folder: where a store belongs.
        kind: what would be written there.

    Returns:
        The path of one, or None where nothing would be lost that no stage can make again.
    """
    found = [files.join(folder, name) for name in files.names(folder) if is_store_file(name)]
    manifests = [files.join(place, MANIFEST_FILE) for place in (folder, work_of_folder(folder))]
    if not found or any(_kind(place) == kind for place in manifests) or _has_plan(folder):
        return None
    return found[0]


def _has_plan(folder: str) -> bool:
    """Whether a stage has left unfinished work on a folder."""
    work = work_of_folder(folder)
    return any(files.is_file(files.join(work, name, PLAN_FILE)) for name in files.names(work))


def _kind(manifest: str) -> StoreKind | None:
    """What kind of store a manifest of any format of ours is of, or None where it is none."""
    try:
        content = files.read_json(manifest)
        if content["format"].partition("/")[0] != FORMAT.partition("/")[0]:
            return None
        if content["definition"] is not None:
            return "features"
        return "copies" if AUGMENTATION in content["clip_parameters"] else "clips"
    except (OSError, DataError, KeyError, TypeError, AttributeError, RecursionError):
        return None
