"""The manifest, which says what a store is and commits its files, and the metadata files that follow from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any, Final

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from base import __version__
from base.errors import DataError
from base.files import join, read_text, to_json
from base.types import STRICT, Count, first_problem
from features.labels import is_line
from features.views import SAMPLE_RATE_HZ, View, from_definition
from stores import tfds
from stores.lineage import Archive, Task
from stores.records import CLIP_RECORD, view_record
from stores.schema import RecordSpec

FORMAT: Final = "keyword-spotting-store/3"
VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
MANIFEST_FILE: Final = "manifest.json"
STATISTICS_FILE: Final = "statistics.json"
LABELS_FILE: Final = "label.labels.txt"
FEATURES_FILE: Final = "features.json"
DATASET_INFO_FILE: Final = "dataset_info.json"
SUMS_FILE: Final = "SHA256SUMS"
"""The SHA-256 of every other file of the store, as the command `sha256sum --check` reads it."""
CATALOG_FILE: Final = "catalog.parquet"
REJECTS_FILE: Final = "rejects.parquet"
STORE_FILES: Final = (
    MANIFEST_FILE,
    STATISTICS_FILE,
    LABELS_FILE,
    FEATURES_FILE,
    DATASET_INFO_FILE,
    SUMS_FILE,
    CATALOG_FILE,
    REJECTS_FILE,
)
"""The files that stand next to the shards."""

PLAN_FILE: Final = "plan.json"
"""In the work folder: what the unfinished work is to become."""

AUGMENTATION: Final = "augment"
"""The key of a manifest's `clip_parameters` that says how copies were made of clips."""

_SHARD_NAME: Final = re.compile(r"[^/\s]+-[^/\s]+\.tfrecord-\d{5}-of-\d{5}")
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}").fullmatch


def shard_file(store: str, split: str, index: int, shards: int) -> str:
    """Name of a shard's file, in the form that TensorFlow Datasets reads."""
    return f"{store}-{split}.tfrecord-{index:05d}-of-{shards:05d}"


def is_store_file(name: str) -> bool:
    """Whether a file of this name in the folder of a store is a store's, finished or not; any other is the user's."""
    return name in STORE_FILES or _SHARD_NAME.fullmatch(name) is not None


@dataclass(frozen=True, config=STRICT)
class Shard:
    """One TFRecord file of a store."""

    file: str
    split: str
    records: Count
    bytes: Count
    sha256: str


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Manifest:
    """What a store is and what it was made from; the last file written, so a store without it is unfinished.

    Attributes:
        name: name of the store, first part of its shards' names.
        version: x.y.z; of a view it follows from the definition.
        definition: the view's parameters, or None for a store of clips.
        archives: the archives that the clips come from.
        clip_parameters: what else decided the clips: the parameters of `ingest`, and those of `augment` where the store
            holds copies.
        task: how clips were chosen, labeled and split, or None for a store of clips.
        shards: the files that count; any other file in the folder does not.
        tables: SHA-256 (hex) of the tables and statistics next to the shards, by file name.
        code_version: version of the code that wrote it.
        format: of the manifest itself.
    """

    name: str
    version: str
    definition: dict[str, Any] | None
    archives: tuple[Archive, ...]
    clip_parameters: dict[str, Any]
    task: Task | None
    shards: tuple[Shard, ...] = ()
    tables: dict[str, str] = Field(default_factory=dict)
    code_version: str = __version__
    format: str = FORMAT

    def to_json(self) -> str:
        """The content of manifest.json."""
        return to_json(asdict(self))

    @staticmethod
    def from_json(text: str, place: str) -> Manifest:
        """Read manifest.json.

        Raises:
            DataError: the text is not a manifest of this format.
        """
        again = "make the store again"
        try:
            content = json.loads(text)
            found = content.get("format") if isinstance(content, dict) else None
            if found not in (None, FORMAT):
                raise DataError(f"{place}: format {found!r}, expected {FORMAT!r}; {again}")
            if isinstance(content, dict) and (absent := _FIELDS - content.keys()):
                raise DataError(f"{place} is not a valid manifest: {', '.join(sorted(absent))} missing; {again}")
            manifest: Manifest = TypeAdapter(Manifest).validate_json(text)
            manifest.check()
        except DataError:
            raise
        except ValidationError as error:
            raise DataError(f"{place} is not a valid manifest: {first_problem(error)}; {again}") from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is not a valid manifest: {error}; {again}") from error
        return manifest

    def with_shards(self, shards: tuple[Shard, ...]) -> Manifest:
        """The same manifest of these shards."""
        return dataclasses.replace(self, shards=shards)

    def check(self) -> None:
        """Make sure that the definition is that of a view, that there is a task where there is a view, and that every
        name is one that a store can have.

        Raises:
            ValueError: it is not so.
        """
        files = [shard.file for shard in self.shards]
        wrong = [name for name in files if not _SHARD_NAME.fullmatch(name)]
        wrong += [name for name in (self.name, *self.splits) if not _NAME.fullmatch(name)]
        wrong += [name for name in self.tables if name not in STORE_FILES]
        wrong += [name for name in self.classes if not is_line(name)]
        wrong += [hash for hash in (*self.tables.values(), *(each.sha256 for each in self.shards)) if not _HASH(hash)]
        if wrong:
            raise ValueError(f"{wrong[0][:60]!r} is no name or hash that a store has")
        if len(set(files)) < len(files) or len(set(self.classes)) < len(self.classes):
            raise ValueError("a shard or a class is there twice")
        if not VERSION.fullmatch(self.version):
            raise ValueError(f"version {self.version[:60]!r}, expected x.y.z")
        if (self.view is None) != (self.task is None):
            raise ValueError("a store of features has a definition and a task, a store of clips has neither")

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of manifest.json; it names the store's whole content, since the manifest hashes it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def view(self) -> View | None:
        """The view, or None for a store of clips.

        Raises:
            ValueError: the definition is not that of a view.
        """
        return None if self.definition is None else from_definition(self.definition)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order of label; empty for clips."""
        return () if self.task is None else self.task.classes

    @property
    def record(self) -> RecordSpec:
        """The fields of a record."""
        return CLIP_RECORD if self.view is None else view_record(self.view)

    @property
    def tensor(self) -> str:
        """Name of the field that holds the features or the audio."""
        return "audio" if self.view is None else self.view.tensor_name

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(dict.fromkeys(shard.split for shard in self.shards))

    @property
    def license(self) -> str | None:
        """License of the audio, or None if unknown."""
        return ", ".join(sorted({each.license for each in self.archives if each.license})) or None

    @property
    def holds_copies(self) -> bool:
        """Whether copies of train clips stand next to the originals."""
        return AUGMENTATION in self.clip_parameters

    @property
    def description(self) -> str:
        """One sentence about the store."""
        if self.view is None or self.task is None:
            return "One-second clips of spoken words and background noise, 16 kHz, not divided into splits."
        return f"Keyword spotting features: {self.view.kind} of one-second clips, task {self.task.name}."


_FIELDS: Final = frozenset(field.name for field in dataclasses.fields(Manifest))
"""All of them must be in a manifest, those with a default too."""


def read_manifest(folder: str) -> Manifest:
    """The manifest of a finished store.

    Args:
        folder: the folder that holds it, that of its version.

    Raises:
        DataError: there is none, it is not valid, or it has no shards.
    """
    place = join(folder, MANIFEST_FILE)
    try:
        text = read_text(place)
    except FileNotFoundError as error:
        message = f"{folder} is not a finished store: it has no {MANIFEST_FILE}; run the stage that makes it"
        raise DataError(message) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not a valid manifest: {error}; make the store again") from error
    manifest = Manifest.from_json(text, place)
    if not manifest.shards:
        raise DataError(f"{place} names no shards: make the store again")
    return manifest


def metadata_files(manifest: Manifest) -> Mapping[str, str]:
    """The files that follow from the manifest: name → content, the manifest itself last."""
    records = {split: [each.records for each in manifest.shards if each.split == split] for split in manifest.splits}
    bytes_ = {split: sum(each.bytes for each in manifest.shards if each.split == split) for split in manifest.splits}
    supervised = (manifest.tensor, "label") if manifest.classes else None
    rate_hz = SAMPLE_RATE_HZ if manifest.view is None else manifest.view.sample_rate_hz
    files = {
        FEATURES_FILE: tfds.features_json(manifest.record, manifest.classes, rate_hz),
        DATASET_INFO_FILE: tfds.dataset_info_json(
            manifest.name, manifest.version, manifest.description, manifest.license, supervised, records, bytes_
        ),
    }
    if manifest.classes:
        files[LABELS_FILE] = "".join(f"{name}\n" for name in manifest.classes)
    files[MANIFEST_FILE] = manifest.to_json()
    sums = {shard.file: shard.sha256 for shard in manifest.shards} | manifest.tables
    sums |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return {SUMS_FILE: text, **files}


def read_sums(text: str) -> dict[str, str]:
    """File name → SHA-256 (hex), of the content of `SUMS_FILE`; lines of another form are left out."""
    lines = (line.partition("  ") for line in text.split("\n"))
    return {name: sha256 for sha256, between, name in lines if between and _HASH(sha256)}
