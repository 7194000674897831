"""A store on disk: shards of records that say what they are, opened only where a valid manifest commits them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal

from base import files
from base.errors import DataError
from features.statistics import Statistics, read_statistics
from features.views import SAMPLE_RATE_HZ
from readers.arrays import ArrayReader, ShardReader
from readers.current import Current
from readers.hashes import check_hashes
from stores.framing import read_records
from stores.manifest import (
    CATALOG_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    STATISTICS_FILE,
    VERSION,
    Manifest,
    Shard,
    read_manifest,
)
from stores.schema import RecordSpec, Value

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow as tf

    from readers.torch_dataset import ShardDataset


class Store:
    """A finished store: `open_store` makes it.

    Attributes:
        path: its folder, that of its version.
        manifest: what it is and what it was made from.
        name, version: its name, and x.y.z.
        view: the definition of its features, or None for a store of clips.
        classes: class names in order of label; empty for clips.
        record: the fields of a record.
        shapes: field name → shape of its values.
        rate_hz: samples a second in which records count their length: a waveform's own rate, 16 kHz for others.
        tensor: name of the field that holds the features or the audio.
        splits: names of the splits.
    """

    def __init__(self, path: str, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.name, self.version = manifest.name, manifest.version
        self.view = manifest.view
        self.classes = manifest.classes
        self.record = manifest.record
        self.rate_hz = SAMPLE_RATE_HZ if self.view is None else self.view.length_rate_hz
        self.shapes = {field.name: field.shape for field in self.record.fields}
        self.tensor = manifest.tensor
        self.splits = manifest.splits
        self._current = Current(path, manifest.shards)

    @property
    def counts(self) -> dict[str, int]:
        """Records in each split."""
        return {split: sum(shard.records for shard in self.shards(split)) for split in self.splits}

    def statistics(self, split: str = "train") -> Statistics:
        """Mean, spread and range of each coefficient over a split; only views have them.

        Raises:
            DataError: the store has no statistics of that split.
        """
        if split not in self._statistics:
            place, found = f"{self.path}/{STATISTICS_FILE}", ", ".join(self._statistics)
            raise DataError(f"{place} has no statistics of {split!r}; it has {found}")
        return self._statistics[split]

    @cached_property
    def _statistics(self) -> Mapping[str, Statistics]:
        place = f"{self.path}/{STATISTICS_FILE}"
        try:
            content = files.read_bytes(place)
            if hashlib.sha256(content).hexdigest() != self.manifest.tables.get(STATISTICS_FILE):
                raise DataError(f"{place} is not the file that the manifest names: make the store again")
            return read_statistics(content.decode())
        except DataError:
            raise
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{place} is missing or damaged: make the store again") from error

    def catalog(self, columns: tuple[str, ...] | None = None) -> pa.Table:
        """The catalog: one row for each clip, with what is known about its audio and where its record is.

        Args:
            columns: names of columns of `stores.catalog`, all by default.

        Raises:
            DataError: the catalog is missing or damaged.
        """
        return self._table(CATALOG_FILE, columns)

    def rejects(self) -> pa.Table:
        """The rejects of a store of clips: one row for each unusable file, with the reason.

        Raises:
            DataError: the table is missing or damaged; stores of features have none.
        """
        return self._table(REJECTS_FILE, None)

    def _table(self, file_name: str, columns: tuple[str, ...] | None) -> pa.Table:
        from stores.tables import read_table

        return read_table(f"{self.path}/{file_name}", columns)

    def shards(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split.

        Raises:
            DataError: the store has no such split.
        """
        shards = tuple(shard for shard in self.manifest.shards if shard.split == split)
        if not shards:
            raise DataError(f"{self.path} has no split {split!r}; it has {', '.join(self.splits)}")
        return shards

    def records(self, split: str) -> Iterator[dict[str, Value]]:
        """The records of a split one by one, without TensorFlow; text as str, tensors as NumPy arrays.

        Raises:
            DataError: the store has no such split, or a shard is missing or damaged.
        """
        spec = self.record
        for shard in self.checked_shards(split):
            with self._current.open(shard) as file:
                for record in read_records(file, shard.file):
                    yield spec.decode(record)

    def record_at(self, split: str, shard: int, position: int) -> dict[str, Value]:
        """One record, found by the place that the catalog gives: only its shard is read, up to it.

        Args:
            split: the split that holds it.
            shard: number of the shard among those of the split.
            position: place of the record in its shard.

        Raises:
            DataError: there is no such shard or record, or the shard is missing or damaged.
        """
        shards = self.checked_shards(split)
        if not 0 <= shard < len(shards) or not 0 <= position < shards[shard].records:
            raise DataError(f"{self.path} has no record {position} in shard {shard} of {split}: make the store again")
        with self._current.open(shards[shard]) as file:
            record = next(islice(read_records(file, shards[shard].file), position, None))
        return self.record.decode(record)

    def check_current(self) -> None:
        """Make sure that the store has not been replaced since it was opened.

        What `dataset` has given before is then of the store that was opened; the other readers check by themselves.

        Raises:
            DataError: it has been replaced or removed.
        """
        self._current.check()

    def checked_shards(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split, each of the size that the manifest says: none is missing or cut between two records.

        Raises:
            DataError: the store has no such split, or a shard is missing or of another size.
        """
        shards = self.shards(split)
        sizes = files.sizes(self.path, [shard.file for shard in shards])
        for shard in shards:
            if (size := sizes[shard.file]) != shard.bytes:
                found = "is missing" if size is None else f"has {size} bytes, expected {shard.bytes}"
                raise DataError(f"{self.path}/{shard.file} {found}: make the store again")
        return shards

    def numpy(self, split: str, columns: tuple[str, ...] | None = None) -> ArrayReader:
        """Read a split with NumPy alone, in batches or at any place, without TensorFlow.

        Shards of a remote store are copied into a temporary file when they are first asked for (`TMPDIR`).

        Args:
            split: "train", "validation" or "test"; "unsplit" for a store of clips.
            columns: names of the fields to keep, all by default.

        Raises:
            DataError: the store has no such split or field, or a shard is missing or of another size.
        """
        return ArrayReader(self.path, self.checked_shards(split), self.record, self._columns(columns))

    def torch(
        self,
        split: str,
        batch: int | None = None,
        *,
        shuffle: int = 0,
        seed: int = 0,
        columns: tuple[str, ...] | None = None,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> ShardDataset:
        """Stream a split with PyTorch, its shards divided among ranks and DataLoader workers.

        Shards of a remote store are copied into a temporary file when they are first asked for (`TMPDIR`).

        Args:
            split: "train", "validation" or "test"; "unsplit" for a store of clips.
            batch: records of a ready batch, for DataLoader(batch_size=None), the faster way; None gives single records.
            shuffle: records to shuffle among, the shards are shuffled as well; 0 keeps the order of the shards.
            seed: from 0; the order follows from the seed, the epoch and the division alone.
            columns: names of the fields to keep, all by default.
            rank, ranks: this process among those that share the split; torch.distributed knows by default.

        Raises:
            DataError: PyTorch is not installed, the store has no such split or field, or a shard is missing or of
                another size.
        """
        try:
            from readers.torch_dataset import ShardDataset
        except ModuleNotFoundError as error:
            raise DataError(f"{error}: install PyTorch (https://pytorch.org/get-started/locally)") from error
        shards = ShardReader(self.path, self.checked_shards(split))
        names = self._columns(columns)
        return ShardDataset(shards, self.record, names, batch, shuffle=shuffle, seed=seed, rank=rank, ranks=ranks)

    def _columns(self, columns: tuple[str, ...] | None) -> tuple[str, ...]:
        known = tuple(each.name for each in self.record.fields)
        unknown = set(columns or ()) - set(known)
        if unknown:
            raise DataError(f"{self.path} has no field {', '.join(sorted(unknown))}; it has {', '.join(known)}")
        return columns or known

    def dataset(
        self,
        split: str | Sequence[str],
        batch: int,
        *,
        shuffle: int = 0,
        seed: int | tf.Tensor | None = None,
        repeat: bool = False,
        columns: tuple[str, ...] | None = None,
    ) -> tf.data.Dataset:
        """Stream a split with tf.data: shards and records shuffled, records batched, then parsed.

        Args:
            split: "train", "validation" or "test"; "unsplit" for a store of clips; several are read as one.
            batch: records a batch; the last one of an epoch may be smaller.
            shuffle: records to shuffle among, the shards are shuffled as well; 0 keeps the order of the shards.
            seed: makes the order the same in each run, while each epoch still has an order of its own; a number, or a
                tensor, int64, () for a dataset that is made inside another one.
            repeat: start again after the last record, without end.
            columns: names of the fields to keep, all by default.

        Returns:
            A dataset of dictionaries, field name → tensor (batch, *shape).

        Raises:
            DataError: the store has no such split or field, or a shard is missing or of another size.
        """
        from readers.tf_dataset import parsed_batches

        splits = (split,) if isinstance(split, str) else split
        shards = [shard for each in splits for shard in self.checked_shards(each)]
        names = self._columns(columns)
        spec = RecordSpec(tuple(each for each in self.record.fields if each.name in names))
        return parsed_batches(self.path, shards, spec, batch, shuffle=shuffle, seed=seed, repeat=repeat)


def open_store(path: str | os.PathLike[str], verify: Literal["hashes"] | None = None) -> Store:
    """Open a finished store.

    The manifest is checked. Later, reading checks the size of each shard and the checksums of each record, the
    checksums of each page of the tables, and the hash of the statistics. Whether shards and tables are those that the
    manifest names, and the manifest the one that was written, is only looked at where it is asked for.

    Args:
        path: folder of the store, or the folder above that holds one version of it; local, or remote where fsspec can
            open it.
        verify: "hashes" compares the SHA-256 of every file with the one that was written. Within a process, the files
            of a local store are hashed again only where one has changed. `registry verify` looks at more than that.

    Raises:
        DataError: there is no manifest, it is not valid, or there are several versions; or a file has another hash than
            when it was written.
    """
    folder = _folder_of_version(os.fspath(path).rstrip("/"))
    store = Store(folder, read_manifest(folder))
    if verify == "hashes":
        check_hashes(folder, store.manifest)
    elif verify is not None:
        raise DataError(f'verify is {verify!r}, expected "hashes" or None')
    return store


def _folder_of_version(path: str) -> str:
    if files.is_file(f"{path}/{MANIFEST_FILE}"):
        return path
    versions = [name for name in files.names(path) if VERSION.fullmatch(name)]
    finished = [name for name in versions if files.is_file(f"{path}/{name}/{MANIFEST_FILE}")]
    if not finished:
        return path
    if len(finished) > 1:
        raise DataError(f"{path} holds the versions {', '.join(sorted(finished))}: name the folder of one")
    return f"{path}/{finished[0]}"
