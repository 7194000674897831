"""The manifest, which says what a store is and commits its files, and the metadata files that follow from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from features import metadata
from features.errors import DataError
from features.schema import CLIP_RECORD, RecordSpec, tensor_name, view_record
from features.views import View, from_definition

FORMAT: Final = "keyword-spotting-store/2"
VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
MANIFEST_FILE: Final = "manifest.json"
STATISTICS_FILE: Final = "statistics.json"
LABELS_FILE: Final = "label.labels.txt"
FEATURES_FILE: Final = "features.json"
DATASET_INFO_FILE: Final = "dataset_info.json"
CATALOG_FILE: Final = "catalog.parquet"
REJECTS_FILE: Final = "rejects.parquet"
STORE_FILES: Final = (
    MANIFEST_FILE,
    STATISTICS_FILE,
    LABELS_FILE,
    FEATURES_FILE,
    DATASET_INFO_FILE,
    CATALOG_FILE,
    REJECTS_FILE,
)
"""The files that stand beside the shards."""


WORK_FOLDER: Final = "_work"
PLAN_FILE: Final = "plan.json"
"""Where a stage keeps what it has not finished, and what that is to become."""


def shard_file(store: str, split: str, index: int, shards: int) -> str:
    """Name of a shard's file, in the form that TensorFlow Datasets reads."""
    return f"{store}-{split}.tfrecord-{index:05d}-of-{shards:05d}"


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
        version: x.y.z; of a view it follows from the definition.
        definition: the view's parameters, or None for a store of clips.
        classes: class names in order of label; empty for clips.
        task: how clips were chosen, labelled and split; empty for clips.
        source: the archives and files that the store was made from, with their SHA-256.
        parameters: what else decided the bytes.
        code_version: version of the code that wrote it.
        tables: SHA-256 (hex) of the tables and statistics beside the shards, by file name.
        shards: the files that count; any other file in the folder does not.
    """

    name: str
    version: str
    definition: dict[str, Any] | None
    classes: tuple[str, ...]
    task: dict[str, Any]
    source: dict[str, Any]
    parameters: dict[str, Any]
    code_version: str
    tables: dict[str, str]
    shards: tuple[Shard, ...]
    format: str = FORMAT

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
            content = json.loads(text)
            found = content.get("format") if isinstance(content, dict) else None
            if found not in (None, FORMAT):
                raise DataError(f"{place}: format {found!r}, expected {FORMAT!r}; make the store again")
            manifest = TypeAdapter(Manifest).validate_python(content)
            manifest.view  # noqa: B018 - refuses a definition that is not a view's
        except DataError:
            raise
        except (ValueError, ValidationError) as error:
            raise DataError(f"{place} is not a valid manifest: {error}; make the store again") from error
        return manifest

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of manifest.json; it names the store's whole content, since the manifest hashes it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def view(self) -> View | None:
        """The view, or None for a store of clips.

        Raises:
            ValueError: the definition is not that of a view.
        """
        return None if self.definition is None else from_definition(self.definition)

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
        return tuple(dict.fromkeys(shard.split for shard in self.shards))

    @property
    def license(self) -> str | None:
        """Licence of the audio, or None if unknown."""
        names = {each.get("license") for each in self.source.get("archives", [])} - {None}
        return ", ".join(sorted(names)) or None

    @property
    def description(self) -> str:
        """One sentence about the store."""
        if self.view is None:
            return "One-second clips of spoken words and background noise, 16 kHz, not divided into splits."
        return f"Keyword spotting features: {self.view.kind} of one-second clips, task {self.task['task']}."


def metadata_files(manifest: Manifest) -> Mapping[str, str]:
    """The files that follow from the manifest: name → content, the manifest itself last."""
    records = {split: [each.records for each in manifest.shards if each.split == split] for split in manifest.splits}
    bytes_ = {split: sum(each.bytes for each in manifest.shards if each.split == split) for split in manifest.splits}
    supervised = (manifest.tensor, "label") if manifest.classes else None
    files = {
        FEATURES_FILE: metadata.features_json(manifest.record, manifest.classes),
        DATASET_INFO_FILE: metadata.dataset_info_json(
            manifest.name, manifest.version, manifest.description, manifest.license, supervised, records, bytes_
        ),
    }
    if manifest.classes:
        files[LABELS_FILE] = "".join(f"{name}\n" for name in manifest.classes)
    return {**files, MANIFEST_FILE: manifest.to_json()}
