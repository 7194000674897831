"""The ArrayRecord form: a file of records for each shard that Grain and TensorFlow Datasets open at any place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from base.files import open_for_reading, published_path, to_json
from registry.export.folder import write_if_changed
from registry.export.plan import Advance, ExportPlan, NumberedShard
from stores.framing import read_records
from stores.manifest import DATASET_INFO_FILE, FEATURES_FILE, MANIFEST_FILE, SUMS_FILE, metadata_files

FILE_FORMAT: Final = "array_record"
_OPTIONS: Final = "group_size:1"
"""One record a group, as TensorFlow Datasets writes it: a record is read without its neighbors."""


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write `NAME/VERSION/NAME-{split}.array_record-{number}-of-{shards}` for each shard, and what describes them.

    Records are those of the store, byte for byte: `tf.train.Example` messages.

    Args:
        plan: what to export.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged, missing or of another size.
    """
    home = folder / plan.store.name / plan.store.version
    sizes: dict[str, int] = {}
    for split in plan.splits:
        plan.store.checked_shards(split)
        files = {home / _file_name(plan, part): part for part in plan.parts(split)}
        for path, part in files.items():
            if path.exists():
                advance(part.shard.records)
            else:
                _write_part(plan, part, path, advance)
        sizes[split] = sum(path.stat().st_size for path in files)
    for name, text in _descriptions(plan, sizes).items():
        write_if_changed(home / name, text)


def _file_name(plan: ExportPlan, part: NumberedShard) -> str:
    return f"{plan.store.name}-{part.shard.split}.{FILE_FORMAT}-{part.number:05d}-of-{part.of:05d}"


def _write_part(plan: ExportPlan, part: NumberedShard, path: Path, advance: Advance) -> None:
    from array_record.python.array_record_module import ArrayRecordWriter

    with published_path(str(path)) as unfinished:
        writer = ArrayRecordWriter(unfinished, _OPTIONS)
        try:
            for record in _records(plan, part):
                writer.write(record)
                advance(1)
        finally:
            writer.close()


def _records(plan: ExportPlan, part: NumberedShard) -> Iterator[bytes]:
    with open_for_reading(f"{plan.store.path}/{part.shard.file}") as file:
        yield from read_records(file, part.shard.file)


def _descriptions(plan: ExportPlan, sizes: dict[str, int]) -> dict[str, str]:
    """File name → content of the files that `tfds.builder_from_directory` reads.

    Args:
        plan: what was exported.
        sizes: split → bytes of its files.
    """
    shards = tuple(part.shard for split in plan.splits for part in plan.parts(split))
    described = metadata_files(dataclasses.replace(plan.store.manifest, shards=shards))
    info: dict[str, Any] = json.loads(described[DATASET_INFO_FILE])
    info["fileFormat"] = FILE_FORMAT
    for split in info["splits"]:
        split["numBytes"] = str(sizes[split["name"]])
    features: dict[str, Any] = json.loads(described[FEATURES_FILE])
    fields = features["featuresDict"]["features"]
    fields |= {name: _as_tensor(field["audio"]) for name, field in fields.items() if "audio" in field}
    others = {name: text for name, text in described.items() if name not in (MANIFEST_FILE, SUMS_FILE)}
    return {**others, FEATURES_FILE: to_json(features), DATASET_INFO_FILE: to_json(info)}


def _as_tensor(audio: dict[str, Any]) -> dict[str, Any]:
    """Samples as a tensor of the same bytes: the feature `Audio` of TensorFlow Datasets asks for TensorFlow."""
    tensor = {name: audio[name] for name in ("shape", "dtype", "encoding")}
    return {"pythonClassName": "tensorflow_datasets.core.features.tensor_feature.Tensor", "tensor": tensor}
