"""Small stores of synthetic features and clips for the tests of training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from features import clip_id
from features.splits import SPLITS
from features.statistics import Statistics, statistics_json
from features.views import CLIP_SAMPLES, Mfcc, View, definition, version
from readers.store import Store, open_store
from stores.catalog import CATALOG_SCHEMA, VIEW_CATALOG_SCHEMA
from stores.lineage import Archive, SplitRule, Task
from stores.manifest import CATALOG_FILE, STATISTICS_FILE, Manifest, Shard
from stores.records import CLIP_RECORD, CLIPS_VERSION, view_record
from stores.schema import RecordSpec
from stores.tables import write_table
from stores.writing import commit, open_shard, shard_index

CLASSES = ("_silence_", "_unknown_", "yes", "no")
ARCHIVES = (Archive("small.tar.gz", "main", 1000, "0" * 64, "local", None),)
SMALL_MFCC = Mfcc(
    kind="mfcc",
    frame_ms=40,
    hop_ms=40,
    floor_db=-80.0,
    mel_bands=20,
    mel_low_hz=20.0,
    mel_high_hz=7600.0,
    mel_scale="slaney",
    coefficients=12,
)
"""25 frames of 12 coefficients."""

COUNTS = {"train": 96, "validation": 24, "test": 23}
NO_CLIPS_SHA256 = "1" * 64
"""Stands for the clips of features that have none."""
_SHARDS = 3


def task_of(
    classes: tuple[str, ...] = CLASSES, counts: Mapping[str, int] = COUNTS, clips_sha256: str = NO_CLIPS_SHA256
) -> Task:
    """The task of a store whose clips have the classes in turn."""
    return Task(
        name="small",
        classes=classes,
        split=SplitRule(method="official", ratio=(80, 10, 10), salt=""),
        unknown="mean",
        silence="mean",
        test_silence="cut",
        seed=0,
        counts={
            split: {name: len(range(label, clips, len(classes))) for label, name in enumerate(classes)}
            for split, clips in counts.items()
        },
        clips_manifest_sha256=clips_sha256,
    )


def example_ids(split: str, clips: int) -> list[tuple[str, int]]:
    """(id, label) of the clips of a split, classes in turn."""
    return [(_id(split, number), number % len(CLASSES)) for number in range(clips)]


def _id(split: str, number: int) -> str:
    name = CLASSES[number % len(CLASSES)]
    if name == "_silence_":
        return f"_silence_/pink_{split}_{number:08d}"
    return f"{'cat' if name == '_unknown_' else name}/{split}{number:04x}_nohash_0"


def pattern(view: View, label: int, seed: int) -> np.ndarray[Any, Any]:
    """Features in which the class decides the place of a bright stripe; float32, uint16, or int16 for waveforms."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0.0, 1.0, view.shape)
    if len(view.shape) == 1:
        return (values * 1000).astype(np.int16)
    values[:, label * 3 : label * 3 + 3] += 3.0
    if view.dtype == "uint16":
        return np.clip(values * 60 + 300, 0, 65_535).astype(np.uint16)
    return (values * 5.0 - 20.0).astype(np.float32)


def real_length(label: int) -> int:
    """The real length, at 16 kHz, of the clips of a class: those of the third are short."""
    return 12_000 if label == 2 else CLIP_SAMPLES


def feature_store(
    folder: Path,
    view: View = SMALL_MFCC,
    counts: Mapping[str, int] = COUNTS,
    classes: tuple[str, ...] = CLASSES,
    clips_sha256: str = NO_CLIPS_SHA256,
) -> Store:
    """Write and open a store of features whose four classes can be learned."""
    spec = view_record(view)
    shards: list[Shard] = []
    rows: list[dict[str, Any]] = []
    found: dict[str, Statistics] = {}
    for split in sorted(counts, key=SPLITS.index):
        records: list[dict[str, Any]] = [
            {
                "id": name,
                "label": label,
                "length": view.real_length(real_length(label)),
                view.tensor_name: pattern(view, label, seed),
            }
            for seed, (name, label) in enumerate(example_ids(split, counts[split]), start=1000 * len(split))
        ]
        found[split] = statistics([record[view.tensor_name] for record in records], view)
        shards += _write(folder, "small", split, spec, records, rows)
    manifest = Manifest(
        name="small",
        version=version(view),
        definition=definition(view),
        archives=ARCHIVES,
        clip_parameters={},
        task=task_of(classes, counts, clips_sha256),
        shards=tuple(shards),
    )
    (folder / STATISTICS_FILE).write_text(statistics_json(found))
    write_table(str(folder / CATALOG_FILE), pa.Table.from_pylist(rows, VIEW_CATALOG_SCHEMA))
    commit(str(folder), manifest, (CATALOG_FILE, STATISTICS_FILE))
    return open_store(folder)


def statistics(clips: list[np.ndarray[Any, Any]], view: View) -> Statistics:
    """Statistics of some clips, by NumPy; of none those of one clip of zeros, without its count."""
    stored = np.stack(clips or [np.zeros(view.shape, view.dtype)]).reshape(-1, view.width)
    values = stored.astype(np.float64) * view.scale
    mean, std, lowest, highest = (measure(values, axis=0) for measure in (np.mean, np.std, np.min, np.max))
    return Statistics(len(clips), len(values), mean, std, lowest, highest)


def clip_store(folder: Path, counts: Mapping[str, int] = COUNTS) -> Store:
    """Write and open the store of clips that has audio for every id of `feature_store`."""
    records: list[dict[str, Any]] = []
    for split, clips in counts.items():
        for name, label in example_ids(split, clips):
            generator = np.random.default_rng(len(records))
            audio = (generator.normal(0.0, 900.0, CLIP_SAMPLES)).astype(np.int16)
            audio[real_length(label) :] = 0
            named = clip_id.parse(name)
            records.append(
                {
                    "audio": audio,
                    "id": name,
                    "length": real_length(label),
                    "speaker": named.speaker or "",
                    "word": named.word or "",
                }
            )
    rows: list[dict[str, Any]] = []
    shards = _write(folder, "clips", "unsplit", CLIP_RECORD, records, rows)
    manifest = Manifest(
        name="clips",
        version=CLIPS_VERSION,
        definition=None,
        archives=ARCHIVES,
        clip_parameters={},
        task=None,
        shards=tuple(shards),
    )
    for row in rows:
        del row["split"]
    write_table(str(folder / CATALOG_FILE), pa.Table.from_pylist(rows, CATALOG_SCHEMA))
    commit(str(folder), manifest, (CATALOG_FILE,))
    return open_store(folder)


def _write(
    folder: Path, name: str, split: str, spec: RecordSpec, records: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> list[Shard]:
    """Write the shards of a split, and add a row of the catalog for each record."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number in range(_SHARDS):
        chosen = [record for record in records if shard_index(record["id"], _SHARDS) == number]
        with open_shard(str(folder), name, split, number, _SHARDS) as writer:
            for position, record in enumerate(chosen):
                writer.write(spec.encode(record))
                named = clip_id.parse(record["id"])
                known = {key: record[key] for key in ("id", "label", "length") if key in record}
                known |= {"word": named.word, "speaker": named.speaker}
                rows.append({**known, "split": split, "shard": number, "position": position})
        shards.append(writer.shard())
    return shards
