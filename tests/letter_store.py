"""Stores with any number of records in each shard, for the tests of the readers; needs neither TensorFlow nor Beam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from training_store import SMALL_MFCC

from features.manifest import Manifest, Shard, metadata_files
from features.records import RecordWriter
from features.schema import view_record
from features.store import Store
from features.store import open as open_store
from features.views import definition, version

CLASSES = ("a", "b", "c")


def record_of(shard: int, place: int) -> dict[str, Any]:
    """The record at a place of a shard: its id is "shard/place"."""
    generator = np.random.default_rng((shard, place))
    return {
        "id": f"{shard}/{place}",
        "label": place % len(CLASSES),
        "length": 16_000 - place,
        "mfcc": generator.normal(size=SMALL_MFCC.shape).astype(np.float32),
    }


def letter_store(folder: Path, counts: Sequence[int]) -> Store:
    """Write and open a store whose split "train" has so many records in each shard."""
    folder.mkdir(parents=True, exist_ok=True)
    shards, spec = [], view_record(SMALL_MFCC)
    for number, count in enumerate(counts):
        name = f"letters-train.tfrecord-{number:05d}-of-{len(counts):05d}"
        with (folder / name).open("wb") as file:
            writer = RecordWriter(file)
            for place in range(count):
                writer.write(spec.encode(record_of(number, place)))
        shards.append(Shard(name, "train", writer.records, writer.bytes, writer.sha256))
    manifest = Manifest(
        name="letters",
        version=version(SMALL_MFCC),
        definition=definition(SMALL_MFCC),
        classes=CLASSES,
        task={"task": "letters"},
        source={},
        parameters={},
        code_version="0",
        tables={},
        shards=tuple(shards),
    )
    for name, text in metadata_files(manifest).items():
        (folder / name).write_text(text)
    return open_store(folder)


def expected_ids(counts: Sequence[int]) -> list[str]:
    """The ids of such a store in the order of the shards."""
    return [f"{shard}/{place}" for shard, count in enumerate(counts) for place in range(count)]
