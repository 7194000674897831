"""The files that describe a store to TensorFlow Datasets: features.json, dataset_info.json and label.labels.txt.

The forms are those that `tfds.builder_from_directory` reads
(https://www.tensorflow.org/datasets/external_tfrecord#directly_from_python_code).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from features.schema import Field, RecordSpec
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ

_FEATURES: Final = "tensorflow_datasets.core.features"


def features_json(spec: RecordSpec, classes: Sequence[str]) -> str:
    """Content of features.json: the fields of a record and how each is stored."""
    fields = {field.name: _feature(field, len(classes)) for field in spec.fields}
    return to_json(
        {
            "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
            "featuresDict": {"features": fields},
        }
    )


def _feature(field: Field, classes: int) -> dict[str, Any]:
    shape = {"dimensions": [str(size) for size in field.shape]}
    match field.kind:
        case "text":
            return {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}}
        case "label":
            name = f"{_FEATURES}.class_label_feature.ClassLabel"
            return {"pythonClassName": name, "classLabel": {"numClasses": str(classes)}}
        case "int16":
            rate_hz = SAMPLE_RATE_HZ * field.shape[0] // CLIP_SAMPLES
            audio = {"shape": shape, "dtype": "int16", "sampleRate": str(rate_hz), "encoding": "bytes"}
            return {"pythonClassName": f"{_FEATURES}.audio_feature.Audio", "audio": audio}
        case _:
            dtype = "int64" if field.kind == "integer" else field.kind
            tensor = {"shape": shape, "dtype": dtype, "encoding": "none"}
            return {"pythonClassName": f"{_FEATURES}.tensor_feature.Tensor", "tensor": tensor}


def dataset_info_json(
    name: str,
    version: str,
    description: str,
    license_name: str | None,
    supervised: tuple[str, str] | None,
    shard_records: Mapping[str, Sequence[int]],
    split_bytes: Mapping[str, int],
) -> str:
    """Content of dataset_info.json.

    Args:
        name: name of the store, the first part of its shards' names.
        version: x.y.z.
        description: one sentence.
        license_name: licence of the audio, or None if unknown.
        supervised: names of the input and target fields, or None.
        shard_records: for each split, the number of records of each shard.
        split_bytes: for each split, the bytes of its shards.
    """
    splits = [
        {
            "name": split,
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "shardLengths": [str(count) for count in counts],
            "numBytes": str(split_bytes[split]),
        }
        for split, counts in shard_records.items()
    ]
    info: dict[str, Any] = {
        "name": name,
        "version": version,
        "description": description,
        "fileFormat": "tfrecord",
        "splits": splits,
    }
    if license_name:
        info["redistributionInfo"] = {"license": license_name}
    if supervised:
        info["supervisedKeys"] = {"tuple": {"items": [{"featureKey": key} for key in supervised]}}
    return to_json(info)


def to_json(content: object) -> str:
    """JSON as this project writes it: indented, keys in the given order, one newline at the end."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
