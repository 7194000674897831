"""Stores with any number of records in each shard, for the tests of the readers; needs neither TensorFlow nor Beam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from training_store import SMALL_MFCC, task_of

from features.views import definition, version
from readers.store import Store, open_store
from stores.manifest import Manifest
from stores.records import view_record
from stores.writing import commit, open_shard

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
    """Write and open a store whose split "train" has the given number of records in each shard."""
    shards, spec = [], view_record(SMALL_MFCC)
    for number, count in enumerate(counts):
        with open_shard(str(folder), "letters", "train", number, len(counts)) as writer:
            for place in range(count):
                writer.write(spec.encode(record_of(number, place)))
        shards.append(writer.shard())
    manifest = Manifest(
        name="letters",
        version=version(SMALL_MFCC),
        definition=definition(SMALL_MFCC),
        archives=(),
        clip_parameters={},
        task=task_of(CLASSES, {"train": sum(counts)}),
        shards=tuple(shards),
    )
    commit(str(folder), manifest, ())
    return open_store(folder)


def expected_ids(counts: Sequence[int]) -> list[str]:
    """The ids of such a store in the order of the shards."""
    return [f"{shard}/{place}" for shard, count in enumerate(counts) for place in range(count)]
