"""Small stores of synthetic features and clips for the tests of training and evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.manifest import Manifest, Shard, metadata_files
from features.records import RecordWriter
from features.schema import CLIP_RECORD, RecordSpec, tensor_name, view_record
from features.statistics import Statistics, statistics_json
from features.store import Store
from features.store import open as open_store
from features.views import CLIP_SAMPLES, Mfcc, View, definition, version

CLASSES = ("_silence_", "_unknown_", "yes", "no")
TASK: dict[str, Any] = {"task": "small", "words": ["yes", "no"], "silence": True, "unknown": True}
SOURCE: dict[str, Any] = {"archives": [{"file": "small.tar.gz", "sha256": "0" * 64}]}
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
_SHARDS = 3


def example_ids(split: str, clips: int) -> list[tuple[str, int]]:
    """(id, label) of the clips of a split, classes in turn."""
    return [(_id(split, number), number % len(CLASSES)) for number in range(clips)]


def _id(split: str, number: int) -> str:
    name = CLASSES[number % len(CLASSES)]
    if name == "_silence_":
        return f"_silence_/pink_{split}_{number:08d}"
    return f"{'cat' if name == '_unknown_' else name}/{split}{number:04x}_nohash_0"


def pattern(view: View, label: int, seed: int) -> np.ndarray[Any, Any]:
    """Features in which the class decides the place of a bright stripe; float32, or int16 for waveforms."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0.0, 1.0, view.shape)
    if len(view.shape) == 1:
        return (values * 1000).astype(np.int16)
    values[:, label * 3 : label * 3 + 3] += 3.0
    return (values * 5.0 - 20.0).astype(np.float32)


def feature_store(
    folder: Path, view: View = SMALL_MFCC, counts: Mapping[str, int] = COUNTS, classes: tuple[str, ...] = CLASSES
) -> Store:
    """Write and open a store of features whose four classes can be learned."""
    spec = view_record(view)
    shards: list[Shard] = []
    train: list[np.ndarray[Any, Any]] = []
    for split, clips in counts.items():
        records: list[dict[str, Any]] = [
            {"id": name, "label": label, "length": CLIP_SAMPLES, tensor_name(view): pattern(view, label, seed)}
            for seed, (name, label) in enumerate(example_ids(split, clips), start=1000 * len(split))
        ]
        train += [record[tensor_name(view)] for record in records if split == "train"]
        shards += _write(folder, "small", split, spec, records)
    manifest = Manifest(
        name="small",
        version=version(view),
        definition=definition(view),
        classes=classes,
        task=TASK,
        source=SOURCE,
        parameters={},
        code_version="1",
        tables={},
        shards=tuple(shards),
    )
    return _finish(folder, manifest, statistics(train, view))


def statistics(train: list[np.ndarray[Any, Any]], view: View) -> Statistics:
    """Of each coefficient over some clips."""
    width = view.shape[1] if len(view.shape) == 2 else 1
    values = np.stack(train or [np.zeros(view.shape)]).astype(np.float64).reshape(-1, width)
    return Statistics(
        len(train), len(values), values.mean(axis=0), values.std(axis=0), values.min(axis=0), values.max(axis=0)
    )


def clip_store(folder: Path, counts: Mapping[str, int] = COUNTS) -> Store:
    """Write and open the store of clips that has audio for every id of `feature_store`."""
    records: list[dict[str, Any]] = []
    for split, clips in counts.items():
        for name, label in example_ids(split, clips):
            generator = np.random.default_rng(len(records))
            audio = (generator.normal(0.0, 900.0, CLIP_SAMPLES)).astype(np.int16)
            length = 12_000 if label == 2 else CLIP_SAMPLES
            audio[length:] = 0
            word, _, rest = name.partition("/")
            records.append(
                {"audio": audio, "id": name, "length": length, "speaker": rest.partition("_")[0], "word": word}
            )
    manifest = Manifest(
        name="clips",
        version="1.0.0",
        definition=None,
        classes=(),
        task={},
        source=SOURCE,
        parameters={},
        code_version="1",
        tables={},
        shards=tuple(_write(folder, "clips", "unsplit", CLIP_RECORD, records)),
    )
    return _finish(folder, manifest, None)


def _write(folder: Path, name: str, split: str, spec: RecordSpec, records: list[dict[str, Any]]) -> list[Shard]:
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number in range(_SHARDS):
        file = f"{name}-{split}.tfrecord-{number:05d}-of-{_SHARDS:05d}"
        with (folder / file).open("wb") as opened:
            writer = RecordWriter(opened)
            for record in records:
                if hashlib.blake2b(record["id"].encode()).digest()[0] % _SHARDS == number:
                    writer.write(spec.encode(record))
        shards.append(Shard(file, split, writer.records, writer.bytes, writer.sha256))
    return shards


def _finish(folder: Path, manifest: Manifest, statistics_: Statistics | None) -> Store:
    if statistics_ is not None:
        (folder / "statistics.json").write_text(statistics_json({"train": statistics_}))
    for name, text in metadata_files(manifest).items():
        (folder / name).write_text(text)
    return open_store(str(folder))
