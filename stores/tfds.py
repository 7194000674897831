"""The files that describe a store to TensorFlow Datasets: features.json, dataset_info.json and label.labels.txt.

The forms are those that `tfds.builder_from_directory` reads
(https://www.tensorflow.org/datasets/external_tfrecord#directly_from_python_code).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from base.files import to_json
from stores.schema import Field, RecordSpec

_FEATURES: Final = "tensorflow_datasets.core.features"


def features_json(spec: RecordSpec, classes: Sequence[str], sample_rate_hz: int) -> str:
    """Content of features.json: the fields of a record and how each is stored.

    Args:
        spec: the fields.
        classes: class names in order of label.
        sample_rate_hz: of the audio, where a field holds some.
    """
    fields = {field.name: _feature(field, len(classes), sample_rate_hz) for field in spec.fields}
    return to_json(
        {
            "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
            "featuresDict": {"features": fields},
        }
    )


def _feature(field: Field, classes: int, sample_rate_hz: int) -> dict[str, Any]:
    shape = {"dimensions": [str(size) for size in field.shape]}
    match field.kind:
        case "text":
            return {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}}
        case "label":
            name = f"{_FEATURES}.class_label_feature.ClassLabel"
            return {"pythonClassName": name, "classLabel": {"numClasses": str(classes)}}
        case "int16":
            audio = {"shape": shape, "dtype": "int16", "sampleRate": str(sample_rate_hz), "encoding": "bytes"}
            return {"pythonClassName": f"{_FEATURES}.audio_feature.Audio", "audio": audio}
        case _:
            dtype = "int64" if field.kind == "integer" else field.kind
            tensor = {"shape": shape, "dtype": dtype, "encoding": "bytes" if field.kind == "uint16" else "none"}
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
        license_name: license of the audio, or None if unknown.
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
