"""Deterministic shards: which shard a clip belongs to, and in which order."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from features.manifest import Shard
from features.records import RecordWriter


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
