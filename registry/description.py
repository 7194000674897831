"""Describes a store in full: record, definition, classes, statistics, and the way from the archive to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from features.splits import SPLITS
from features.statistics import Statistics
from features.views import SAMPLE_RATE_HZ, Waveform, definition_hash
from readers.copies import copy_counts
from readers.store import Store
from registry.diff import NO_SPLIT
from registry.inventory import CLIPS_KIND
from reports.clip_quality import QUALITY_COLUMNS, ClipQuality, clip_quality
from stores.manifest import Manifest

_CLIPS: Final = Waveform(kind="waveform", sample_rate_hz=SAMPLE_RATE_HZ)
"""What clips hold, as a view."""
_ARCHIVE_RULES: Final = ("role", "bytes", "source", "license")
_NOT_RULES: Final = ("name", "counts", "clips_manifest_sha256", "where", "left_out")
"""Fields of a task that are no rules of the selection, or only where there is a condition."""


@dataclass(frozen=True)
class Overall:
    """Statistics of a split over all coefficients together."""

    clips: int
    mean: float
    std: float
    min: float
    max: float


@dataclass(frozen=True)
class Description:
    """Everything that a store says about itself.

    Attributes:
        path, name, version, kind: the store; kind of view, or "clips".
        summary: one sentence.
        license: of the audio, or None if unknown.
        definition: the view's parameters, or None.
        fields: name, kind, shape and meaning of each field of a record.
        frames: how time is divided, such as frames and their length in ms, and the unit of the values.
        records, bytes, shards: of each split.
        copies: of each split that has some, the copies that augmentation made, by kind; they count among its records.
        classes: for each class, in order of label, its records in each split; of clips, each word by official split.
        quality: of each split that has spoken clips, how clean they are; of clips, by official split.
        axis: what a coefficient of the statistics is, for people.
        overall: of each split, statistics over all coefficients together; empty for clips.
        statistics: of each split, those of each coefficient.
        lineage: from the archives to this store, each step with its SHA-256.
    """

    path: str
    name: str
    version: str
    kind: str
    summary: str
    license: str | None
    definition: dict[str, Any] | None
    fields: tuple[dict[str, Any], ...]
    frames: dict[str, Any]
    records: dict[str, int]
    bytes: dict[str, int]
    shards: dict[str, int]
    copies: dict[str, dict[str, int]]
    classes: dict[str, dict[str, int]]
    quality: dict[str, ClipQuality]
    axis: str
    overall: dict[str, Overall]
    statistics: dict[str, dict[str, Any]]
    lineage: tuple[dict[str, Any], ...]


def describe(store: Store) -> Description:
    """The description of a finished store.

    Raises:
        DataError: its catalog or statistics are missing or damaged.
    """
    manifest, view = store.manifest, store.view
    statistics = {} if view is None else {split: store.statistics(split) for split in store.splits}
    return Description(
        path=store.path,
        name=store.name,
        version=store.version,
        kind=CLIPS_KIND if view is None else view.kind,
        summary=manifest.description,
        license=manifest.license,
        definition=manifest.definition,
        fields=tuple(asdict(field) for field in store.record.fields),
        frames={**(view or _CLIPS).timing, "unit": (view or _CLIPS).unit},
        records=store.counts,
        bytes={split: sum(shard.bytes for shard in store.shards(split)) for split in store.splits},
        shards={split: len(store.shards(split)) for split in store.splits},
        copies=copy_counts(store),
        classes=class_counts(store),
        quality=quality(store),
        axis=(view or _CLIPS).coefficient_name,
        overall={split: overall(each) for split, each in statistics.items()},
        statistics={split: each.to_dict() for split, each in statistics.items()},
        lineage=lineage(manifest),
    )


def class_counts(store: Store) -> dict[str, dict[str, int]]:
    """Records of each class in each split, as the catalog has them; of clips, each word by its official split.

    Raises:
        DataError: the catalog is missing or damaged.
    """
    column = "word" if store.view is None else "label"
    table = store.catalog((column, "split"))
    pairs = Counter(zip(table.column(column).to_pylist(), table.column("split").to_pylist(), strict=True))
    splits = list(store.splits) if store.view is not None else [*SPLITS, None]
    if store.view is None:
        names = {word: word for word in sorted({word for word, _ in pairs})}
    else:
        names = dict(enumerate(store.classes))
    return {
        name: {split or NO_SPLIT: pairs[key, split] for split in splits if (key, split) in pairs or split}
        for key, name in names.items()
    }


def quality(store: Store) -> dict[str, ClipQuality]:
    """How clean the spoken clips of each split are; of clips, by official split.

    Raises:
        DataError: the catalog is missing or damaged.
    """
    splits = [*SPLITS, None] if store.view is None else list(store.splits)
    of_splits = clip_quality(store.catalog(QUALITY_COLUMNS), splits)
    return {split or NO_SPLIT: each for split, each in zip(splits, of_splits, strict=True) if each.clips}


def overall(statistics: Statistics) -> Overall:
    """Statistics over all coefficients together; each coefficient has the same number of values."""
    mean = float(statistics.mean.mean())
    variance = float((statistics.std**2 + statistics.mean**2).mean()) - mean**2
    smallest, largest = float(statistics.min.min()), float(statistics.max.max())
    return Overall(statistics.clips, mean, float(np.sqrt(max(variance, 0.0))), smallest, largest)


def lineage(manifest: Manifest) -> tuple[dict[str, Any], ...]:
    """The steps from the archives to a store, each with what decided it and its SHA-256 where one is known."""
    steps = [
        _step("archive", each.file, each.sha256, {name: getattr(each, name) for name in _ARCHIVE_RULES})
        for each in manifest.archives
    ]
    own = f"manifest of {manifest.name} {manifest.version}"
    if manifest.view is None or manifest.task is None:
        return (*steps, _step("clips", own, manifest.sha256, manifest.clip_parameters))
    task, view = manifest.task, manifest.view
    selection = {name: value for name, value in asdict(task).items() if name not in _NOT_RULES}
    if task.where is not None:
        left_out = {split: sum(of_split.values()) for split, of_split in task.left_out.items()}
        selection |= {"where": task.where, "left_out": left_out}
    return (
        *steps,
        _step("clips", "manifest of the store of clips", task.clips_manifest_sha256, manifest.clip_parameters),
        _step("selection", f"task {task.name}", None, selection),
        _step("view", f"definition of {view.kind}", definition_hash(view), manifest.definition),
        _step("store", own, manifest.sha256, {"code_version": manifest.code_version}),
    )


def _step(step: str, what: str, sha256: str | None, rules: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"step": step, "what": what, "sha256": sha256, "rules": rules}
