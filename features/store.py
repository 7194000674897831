"""A store on disk: shards of records that say what they are, opened only where a valid manifest commits them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from features import metadata
from features.errors import DataError
from features.records import read_records
from features.schema import CLIP_RECORD, RecordSpec, Value, tensor_name, view_record
from features.views import View, from_definition

if TYPE_CHECKING:
    import tensorflow as tf

FORMAT: Final = "keyword-spotting-store/1"
MANIFEST_FILE: Final = "manifest.json"
STATISTICS_FILE: Final = "statistics.json"
LABELS_FILE: Final = "label.labels.txt"
FEATURES_FILE: Final = "features.json"
DATASET_INFO_FILE: Final = "dataset_info.json"
STORE_FILES: Final = (MANIFEST_FILE, STATISTICS_FILE, LABELS_FILE, FEATURES_FILE, DATASET_INFO_FILE)
"""The files that stand beside the shards."""

_INTERLEAVED_SHARDS: Final = 4


@dataclass(frozen=True)
class Shard:
    """One TFRecord file of a store."""

    file: str
    split: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a store is and what it was made from; the last file written, so a store without it is unfinished.

    Attributes:
        name: name of the store, first part of its shards' names.
        definition: the view's parameters, or None for a store of clips.
        classes: class names in order of label; empty for clips.
        task: how clips were chosen, labelled and split; empty for clips.
        source: the archives and files that the store was made from, with their SHA-256.
        parameters: what else decided the bytes.
        code_version: version of the code that wrote it.
        shards: the files that count; any other file in the folder does not.
    """

    name: str
    definition: dict[str, Any] | None
    classes: tuple[str, ...]
    task: dict[str, Any]
    source: dict[str, Any]
    parameters: dict[str, Any]
    code_version: str
    shards: tuple[Shard, ...]
    format: str = field(default=FORMAT)

    def to_json(self) -> str:
        """The content of manifest.json."""
        return metadata.to_json(asdict(self))

    @staticmethod
    def from_json(text: str, place: str) -> Manifest:
        """Read manifest.json.

        Raises:
            DataError: the text is not a manifest of this format.
        """
        try:
            manifest = TypeAdapter(Manifest).validate_python(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise DataError(f"{place} is not a valid manifest: {error}; make the store again") from error
        if manifest.format != FORMAT:
            raise DataError(f"{place}: format {manifest.format!r}, expected {FORMAT!r}; make the store again")
        return manifest


@dataclass(frozen=True)
class Statistics:
    """Of each coefficient (the last axis; one for waveforms) over the train split; float64, (coefficients,)."""

    clips: int
    values: int
    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    min: npt.NDArray[np.float64]
    max: npt.NDArray[np.float64]

    def to_json(self) -> str:
        """The content of statistics.json; `values` counts the values of each coefficient."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "std", "min", "max")}
        return metadata.to_json({"split": "train", "clips": self.clips, "values": self.values, **arrays})

    @staticmethod
    def from_json(text: str) -> Statistics:
        """Read statistics.json."""
        content = json.loads(text)
        arrays = {name: np.asarray(content[name], np.float64) for name in ("mean", "std", "min", "max")}
        return Statistics(clips=content["clips"], values=content["values"], **arrays)


class Store:
    """A finished store: `open_store` makes it."""

    def __init__(self, path: str, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.classes = manifest.classes
        self.view: View | None = from_definition(manifest.definition) if manifest.definition else None

    @property
    def record(self) -> RecordSpec:
        """The fields of a record."""
        return CLIP_RECORD if self.view is None else view_record(self.view)

    @property
    def tensor(self) -> str:
        """Name of the field that holds the features or the audio."""
        return "audio" if self.view is None else tensor_name(self.view)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(dict.fromkeys(shard.split for shard in self.manifest.shards))

    @property
    def counts(self) -> dict[str, int]:
        """Records in each split."""
        return {split: sum(shard.records for shard in self.shards(split)) for split in self.splits}

    @property
    def statistics(self) -> Statistics:
        """Statistics of the train split."""
        return Statistics.from_json(_read_text(f"{self.path}/{STATISTICS_FILE}"))

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
            with _open_binary(f"{self.path}/{shard.file}") as file:
                for record in read_records(file, shard.file):
                    yield spec.decode(record)

    def checked_shards(self, split: str) -> tuple[Shard, ...]:
        """The shards of a split, each of the size that the manifest says: none is missing or cut between two records.

        Raises:
            DataError: the store has no such split, or a shard is missing or of another size.
        """
        for shard in self.shards(split):
            size = _file_bytes(f"{self.path}/{shard.file}")
            if size != shard.bytes:
                found = "is missing" if size is None else f"has {size} bytes, expected {shard.bytes}"
                raise DataError(f"{self.path}/{shard.file} {found}: make the store again")
        return self.shards(split)

    def dataset(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle_buffer: int = 0,
        seed: int | None = None,
        repeat: bool = False,
        columns: tuple[str, ...] | None = None,
    ) -> tf.data.Dataset:
        """Stream a split with tf.data: shards interleaved, records shuffled, batched, then parsed.

        Args:
            split: "train", "validation" or "test"; "unsplit" for a store of clips.
            batch_size: records a batch; the last one of an epoch may be smaller.
            shuffle_buffer: records to shuffle among; 0 keeps the order of the shards.
            seed: makes the order the same in each run; each epoch still has an order of its own.
            repeat: start again after the last record, without end.
            columns: names of the fields to keep, all by default.

        Returns:
            A dataset of dictionaries, field name → tensor (batch, *shape).

        Raises:
            DataError: the store has no such split or field, or a shard is missing or of another size.
        """
        import tensorflow as tf

        shards = self.checked_shards(split)
        names = columns or tuple(each.name for each in self.record.fields)
        unknown = set(names) - {each.name for each in self.record.fields}
        if unknown:
            raise DataError(f"{self.path} has no field {', '.join(sorted(unknown))}")
        spec = RecordSpec(tuple(each for each in self.record.fields if each.name in names))
        files = tf.data.Dataset.from_tensor_slices([f"{self.path}/{shard.file}" for shard in shards])
        if shuffle_buffer:
            records = (
                files.shuffle(len(shards), seed=seed)
                .interleave(
                    tf.data.TFRecordDataset,
                    cycle_length=_INTERLEAVED_SHARDS,
                    num_parallel_calls=_INTERLEAVED_SHARDS,
                    deterministic=seed is not None,
                )
                .shuffle(shuffle_buffer, seed=seed)
            )
        else:
            records = files.flat_map(tf.data.TFRecordDataset)
        if repeat:
            records = records.repeat()
        return records.batch(batch_size).map(spec.parse, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def open_store(path: str) -> Store:
    """Open a finished store.

    Args:
        path: folder of the store, local or remote (gs://, s3://).

    Raises:
        DataError: there is no manifest, or it is not valid.
    """
    place = f"{path}/{MANIFEST_FILE}"
    try:
        text = _read_text(place)
    except FileNotFoundError as error:
        message = f"{path} is not a finished store: it has no {MANIFEST_FILE}; run the stage that makes it"
        raise DataError(message) from error
    manifest = Manifest.from_json(text, place)
    try:
        return Store(str(path), manifest)
    except ValidationError as error:
        raise DataError(f"{place}: its definition is not that of a view ({error}); make the store again") from error


def _read_text(path: str) -> str:
    if "://" not in path:
        with open(path, encoding="utf-8") as file:
            return file.read()
    import tensorflow as tf

    try:
        with tf.io.gfile.GFile(path, "r") as file:
            return str(file.read())
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(path) from error


def _open_binary(path: str) -> BinaryIO:
    if "://" not in path:
        return open(path, "rb")
    import tensorflow as tf

    file: BinaryIO = tf.io.gfile.GFile(path, "rb")
    return file


def _file_bytes(path: str) -> int | None:
    """Size of a file, or None where there is none."""
    if "://" not in path:
        return os.path.getsize(path) if os.path.isfile(path) else None
    import tensorflow as tf

    return int(tf.io.gfile.stat(path).length) if tf.io.gfile.exists(path) else None


def store_files(manifest: Manifest, license_name: str | None, description: str) -> Mapping[str, str]:
    """The files that stand beside the shards, without statistics: name → content, the manifest last.

    Args:
        manifest: the finished store's manifest.
        license_name: licence of the audio, or None if unknown.
        description: one sentence for TensorFlow Datasets.
    """
    store = Store("", manifest)
    records = {split: [shard.records for shard in store.shards(split)] for split in store.splits}
    bytes_ = {split: sum(shard.bytes for shard in store.shards(split)) for split in store.splits}
    supervised = (store.tensor, "label") if store.classes else None
    files = {
        FEATURES_FILE: metadata.features_json(store.record, manifest.classes),
        DATASET_INFO_FILE: metadata.dataset_info_json(
            manifest.name, description, license_name, supervised, records, bytes_
        ),
    }
    if manifest.classes:
        files[LABELS_FILE] = "".join(f"{name}\n" for name in manifest.classes)
    return {**files, MANIFEST_FILE: manifest.to_json()}
