"""Whether a store is still the one that was opened: a stage may replace it while it is read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import BinaryIO

from base import files
from base.errors import DataError
from stores.manifest import MANIFEST_FILE, Shard, read_manifest


class Current:
    """The shards of a store as its manifest named them when it was opened.

    A stage that replaces a store takes its manifest away first. So what was opened before a moment at which the
    manifest still names it is of the store that was opened.
    """

    def __init__(self, folder: str, shards: Iterable[Shard]) -> None:
        self._folder, self._shards = folder, frozenset(shards)
        self._seen: tuple[int, int, int] | None = None

    def check(self) -> None:
        """Make sure that the manifest names the shards still.

        Raises:
            DataError: it does not, or there is none.
        """
        state = self._state()
        if state is not None and state == self._seen:
            return
        try:
            found = frozenset(read_manifest(self._folder).shards)
        except DataError as error:
            raise self._replaced() from error
        if not self._shards <= found:
            raise self._replaced()
        self._seen = state

    def open(self, shard: Shard) -> BinaryIO:
        """A shard of the store that was opened, to be read.

        Raises:
            DataError: the store was replaced, or the shard is missing.
        """
        path = f"{self._folder}/{shard.file}"
        try:
            file = files.open_pinned(path) if files.is_remote(path) else files.open_for_reading(path)
        except FileNotFoundError as error:
            self.check()
            raise DataError(f"{path} is missing: make the store again") from error
        try:
            self.check()
        except DataError:
            file.close()
            raise
        return file

    def _state(self) -> tuple[int, int, int] | None:
        """What changes with each new manifest; None where it is remote or there is none."""
        place = f"{self._folder}/{MANIFEST_FILE}"
        if files.is_remote(place):
            return None
        try:
            found = os.stat(place)
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _replaced(self) -> DataError:
        return DataError(f"{self._folder} was replaced or removed while it was read: run the command again")
