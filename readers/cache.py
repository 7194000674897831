"""A copy of a remote store on a local disk, each of whose files has the SHA-256 that was written with the store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from base import files
from base.command import progress_bar
from base.errors import DataError
from readers.store import Store
from stores.manifest import MANIFEST_FILE, STATISTICS_FILE, SUMS_FILE, metadata_files, read_sums

_AT_ONCE: Final = 4


def cached(store: Store, folder: str, splits: Sequence[str]) -> Store:
    """The same store in a folder that is named after the SHA-256 of its manifest; a local one is given back as it is.

    A file that is there and has its hash is not fetched again. Nothing is ever deleted.

    Args:
        store: a finished store.
        folder: of the cache, local; made where it is missing.
        splits: those whose shards are wanted.

    Raises:
        DataError: the folder is remote, or a file that was fetched has another hash than when it was written.
    """
    if not files.is_remote(store.path):
        return store
    if files.is_remote(folder):
        raise DataError(f"the cache {folder} is remote: name a folder of a local disk")
    home = files.join(os.path.expanduser(folder), store.manifest.sha256)
    sums = read_sums(metadata_files(store.manifest)[SUMS_FILE])
    shards = [shard for split in splits for shard in store.shards(split)]
    others = [name for name in (STATISTICS_FILE, MANIFEST_FILE) if name in sums]
    size = sum(shard.bytes for shard in shards)
    with progress_bar(size, "B", f"cache {store.name}") as bar, ThreadPoolExecutor(_AT_ONCE) as threads:

        def get(name: str) -> int:
            _get(store.path, home, name, sums[name])
            return files.size(files.join(home, name)) or 0

        for done in threads.map(get, [shard.file for shard in shards]):
            bar.update(done)
        list(threads.map(get, others))  # the manifest last: without it a folder is no store
    return Store(home, store.manifest)


def _get(source: str, home: str, name: str, sha256: str) -> None:
    place = files.join(home, name)
    if files.is_file(place) and files.sha256(place) == sha256:
        return
    with files.published(place, concurrent=True) as target, files.local_copy(files.join(source, name)) as copy:
        if files.sha256(copy) != sha256:
            raise DataError(f"{files.join(source, name)} is not the file that was written: make the store again")
        with open(copy, "rb") as fetched:
            files.copy(fetched, target)
