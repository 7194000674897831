"""A split as a PyTorch dataset: shards divided among ranks and workers, records shuffled, batches of tensors."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from base.errors import DataError
from readers.arrays import ShardReader
from stores.schema import RecordSpec

Example: TypeAlias = dict[str, Any]


class ShardDataset(IterableDataset[Example]):  # type: ignore[misc] # PyTorch is not where mypy runs
    """Streams a split from local disks; `Store.torch` makes it.

    Gives dictionaries, field name → tensor (*shape) or str; where it makes the batches itself, tensor (batch, *shape)
    or list of str. Labels and integers are int64.

    The shards are divided among the ranks and, in each, among the workers of the DataLoader: together they read each
    record once an epoch. Shards differ in size and may be fewer than the workers, so ranks get different numbers of
    records and batches. Where ranks wait for each other, as with DistributedDataParallel, train within its `join()`
    (torch.distributed.algorithms.Join), or end each epoch after a number of batches that all ranks have.

    `len` tells records, or batches, where one rank reads the whole split; each of several workers may end with a
    smaller batch of its own, which makes some more. With several ranks there is no `len`.
    """

    def __init__(
        self,
        reader: ShardReader,
        spec: RecordSpec,
        columns: Sequence[str],
        batch: int | None = None,
        *,
        shuffle: int = 0,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        """Divide a split.

        Args:
            reader: the shards of the split.
            spec: the fields of a record.
            columns: names of the fields to keep.
            batch: records of a ready batch, for DataLoader(batch_size=None), or None for single records.
            shuffle: records in the shuffle buffer; 0 keeps the order of the shards and of their records.
            seed: from 0.
            rank, ranks: this process among those that share the split, 0 and 1 by default, or what torch.distributed
                says where it has been initialized before.

        Raises:
            DataError: a number is out of range, or only one of rank and ranks is given.
        """
        self.rank, self.ranks = _place_among_ranks(rank, ranks)
        if batch is not None and batch < 1:
            raise DataError(f"a batch of {batch} records; it needs at least one, or None for single records")
        if shuffle < 0:
            raise DataError(f"shuffle is {shuffle}, expected a number of records or 0")
        self._reader, self._spec, self._columns = reader, spec, tuple(columns)
        self._batch, self._shuffle, self._seed = batch, shuffle, seed
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers that outlive an epoch see it too

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; without it each pass has that of epoch 0.

        Args:
            epoch: from 0.
        """
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Records, or batches, of the whole split.

        Raises:
            TypeError: there are several ranks, whose numbers differ.
        """
        if self.ranks > 1:
            raise TypeError("a split divided among ranks has no length: ranks may get different numbers of records")
        records = sum(shard.records for shard in self._reader.shards)
        return records if self._batch is None else -(-records // self._batch)

    def __iter__(self) -> Iterator[Example]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        records = self._records(self.rank * workers + number, self.ranks * workers)
        while chosen := list(islice(records, self._batch or 1)):
            columns = {name: _tensors(values) for name, values in self._decode(chosen).items()}
            yield columns if self._batch else {name: values[0] for name, values in columns.items()}

    def _decode(self, records: list[bytes]) -> dict[str, np.ndarray[Any, Any]]:
        return self._spec.decode_batch(records, self._columns)

    def _records(self, consumer: int, consumers: int) -> Iterator[bytes]:
        """The records of one worker among all workers of all ranks."""
        shards, epoch = list(range(len(self._reader.shards))), int(self._epoch)
        if self._shuffle:
            random.Random(f"{self._seed} {epoch}").shuffle(shards)
        counts = ((shard, self._reader.shards[shard].records) for shard in shards[consumer::consumers])
        records = (self._reader.record(shard, place) for shard, count in counts for place in range(count))
        if not self._shuffle:
            return records
        return shuffled(records, self._shuffle, random.Random(f"{self._seed} {epoch} {consumer}"))


def shuffled(items: Iterable[bytes], size: int, generator: random.Random) -> Iterator[bytes]:
    """The items in another order: each is drawn from a buffer that the following items fill up.

    Args:
        items: what to shuffle.
        size: of the buffer, at least one.
        generator: decides the order.
    """
    waiting = iter(items)
    buffer = list(islice(waiting, size))
    for item in waiting:
        place = generator.randrange(size)
        yield buffer[place]
        buffer[place] = item
    generator.shuffle(buffer)
    yield from buffer


def _tensors(values: np.ndarray[Any, Any]) -> Any:
    """Text as lists, uint16 as int32, for which PyTorch has all operations, and other arrays as they are."""
    if values.dtype == object:
        return values.tolist()
    return torch.from_numpy(values.astype(np.int32) if values.dtype == np.uint16 else values)


def _place_among_ranks(rank: int | None, ranks: int | None) -> tuple[int, int]:
    if (rank is None) != (ranks is None):
        raise DataError(f"rank is {rank} and ranks is {ranks}: give both or neither")
    if rank is None or ranks is None:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return 0, 1
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    if not 0 <= rank < ranks:
        raise DataError(f"rank {rank} of {ranks}; ranks count from 0")
    return rank, ranks
