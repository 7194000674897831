"""Describes a store in full: record, definition, classes, statistics, and the way from the archive to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from features.manifest import Manifest
from features.registry.inventory import CLIPS_KIND
from features.statistics import Statistics
from features.store import Store
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, Mfcc, View, Waveform, definition_hash

WHOLE_AXIS: Final = "all samples"
"""What the one coefficient of a waveform's statistics is."""

_NOT_RULES: Final = ("task", "counts", "clips_manifest_sha256")
"""What a task says beside its rules."""


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
        frames: frames, frame and hop in ms, unit of the values; of a waveform its rate and samples.
        records, bytes, shards: of each split.
        classes: for each class, in order of label, its records in each split; of clips, each word by official split.
        axis: what a coefficient is, for people.
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
    classes: dict[str, dict[str, int]]
    axis: str
    overall: dict[str, Overall]
    statistics: dict[str, dict[str, Any]]
    lineage: tuple[dict[str, Any], ...]


def describe(store: Store) -> Description:
    """The description of a finished store.

    Raises:
        DataError: its catalogue or statistics are missing or damaged.
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
        frames=frames_of(view),
        records=store.counts,
        bytes={split: sum(shard.bytes for shard in store.shards(split)) for split in store.splits},
        shards={split: len(store.shards(split)) for split in store.splits},
        classes=class_counts(store),
        axis=axis_of(view),
        overall={split: overall(each) for split, each in statistics.items()},
        statistics={split: each.to_dict() for split, each in statistics.items()},
        lineage=lineage(manifest),
    )


def frames_of(view: View | None) -> dict[str, Any]:
    """How time and values are measured in a view, or in clips where there is none."""
    if view is None or isinstance(view, Waveform):
        rate_hz, samples = (SAMPLE_RATE_HZ, CLIP_SAMPLES) if view is None else (view.sample_rate_hz, view.shape[0])
        return {"sample_rate_hz": rate_hz, "samples": samples, "unit": "int16"}
    return {
        "frames": view.frames,
        "frame_ms": view.frame_ms,
        "hop_ms": view.hop_ms,
        "frame_samples": view.frame_samples,
        "hop_samples": view.hop_samples,
        "unit": "DCT of dB" if isinstance(view, Mfcc) else "dB",
    }


def axis_of(view: View | None) -> str:
    """What one coefficient of the statistics is."""
    names = {"mfcc": "coefficient", "logmel": "mel band", "spectrogram": "frequency bin"}
    return names.get("waveform" if view is None else view.kind, WHOLE_AXIS)


def class_counts(store: Store) -> dict[str, dict[str, int]]:
    """Records of each class in each split, as the catalogue has them; of clips, each word by its official split.

    Raises:
        DataError: the catalogue is missing or damaged.
    """
    column = "word" if store.view is None else "label"
    table = store.catalog((column, "split"))
    pairs = Counter(zip(table.column(column).to_pylist(), table.column("split").to_pylist(), strict=True))
    splits = list(store.splits) if store.view is not None else ["train", "validation", "test", None]
    if store.view is None:
        names = {word: word for word in sorted({word for word, _ in pairs})}
    else:
        names = dict(enumerate(store.classes))
    return {
        name: {split or "no split": pairs[key, split] for split in splits if (key, split) in pairs or split}
        for key, name in names.items()
    }


def overall(statistics: Statistics) -> Overall:
    """Statistics over all coefficients together; each coefficient has the same number of values."""
    mean = float(statistics.mean.mean())
    variance = float((statistics.std**2 + statistics.mean**2).mean()) - mean**2
    smallest, largest = float(statistics.min.min()), float(statistics.max.max())
    return Overall(statistics.clips, mean, float(np.sqrt(max(variance, 0.0))), smallest, largest)


def lineage(manifest: Manifest) -> tuple[dict[str, Any], ...]:
    """The steps from the archives to a store, each with what decided it and its SHA-256 where one is known."""
    steps: list[dict[str, Any]] = [
        {
            "step": "archive",
            "what": each.get("file"),
            "sha256": each.get("sha256"),
            "rules": {name: each[name] for name in ("role", "bytes", "source", "license") if name in each},
        }
        for each in manifest.source.get("archives", [])
    ]
    if manifest.view is None:
        steps.append(_step("clips", manifest, manifest.sha256, manifest.parameters))
        return tuple(steps)
    rules = {name: value for name, value in manifest.task.items() if name not in _NOT_RULES}
    steps.append(
        {
            "step": "clips",
            "what": "manifest of the store of clips",
            "sha256": manifest.task.get("clips_manifest_sha256"),
            "rules": manifest.parameters.get("clips", {}),
        }
    )
    steps.append({"step": "selection", "what": f"task {manifest.task.get('task')}", "sha256": None, "rules": rules})
    steps.append(
        {
            "step": "view",
            "what": f"definition of {manifest.view.kind}",
            "sha256": definition_hash(manifest.view),
            "rules": manifest.definition,
        }
    )
    steps.append(_step("store", manifest, manifest.sha256, {"code_version": manifest.code_version}))
    return tuple(steps)


def _step(step: str, manifest: Manifest, sha256: str, rules: dict[str, Any]) -> dict[str, Any]:
    return {"step": step, "what": f"manifest of {manifest.name} {manifest.version}", "sha256": sha256, "rules": rules}
