"""What there is: the stores below a folder, finished or not, and the full description of one."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from features.errors import DataError
from features.manifest import MANIFEST_FILE, VERSION, Manifest
from features.statistics import Statistics
from features.store import Store
from features.views import Mfcc, View, Waveform, definition_hash

CLIPS_KIND: Final = "clips"
WHOLE_AXIS: Final = "all samples"
"""What the one coefficient of a waveform's statistics is."""

_WORK_FOLDER: Final = "_work"
_PLAN: Final = f"{_WORK_FOLDER}/plan.json"
"""Where a stage keeps what it has not finished."""
_NOT_RULES: Final = ("task", "counts", "clips_manifest_sha256")
"""What a task says beside its rules."""


@dataclass(frozen=True)
class Entry:
    """One store below a folder.

    Attributes:
        path: the folder that holds it, without that of its version, relative to where the search began.
        folder: the folder that its manifest lies in, as a path to open.
        kind: kind of view, or "clips"; None where no manifest says it.
        name, version, task: as in the manifest; None where there is none.
        records: records of each split.
        bytes: of all shards, as the manifest has them.
        modified_s: when the manifest was written, in seconds since 1970; None where there is none.
        problem: why the store can't be used, or None.
    """

    path: str
    folder: str
    kind: str | None
    name: str | None
    version: str | None
    task: str | None
    records: dict[str, int]
    bytes: int
    modified_s: float | None
    problem: str | None


def find_stores(root: Path) -> list[Entry]:
    """The stores in a folder and below it, in order of path.

    Args:
        root: the folder; links to folders are not followed.

    Raises:
        DataError: there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: name the folder below which the stores are")
    return [_entry(folder, root) for folder in _store_folders(root)]


def _store_folders(root: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != _WORK_FOLDER and not name.startswith("."))
        if MANIFEST_FILE in files or (Path(place) / _PLAN).is_file():
            yield Path(place)


def _entry(folder: Path, root: Path) -> Entry:
    place = folder / MANIFEST_FILE
    if not place.is_file():
        return _describe(folder, root, _planned(folder), None, "unfinished: run its stage again to resume")
    try:
        manifest = Manifest.from_json(place.read_text(encoding="utf-8"), MANIFEST_FILE)
    except ValueError as error:
        reason = " ".join(str(error).split())
        return _describe(folder, root, None, place.stat().st_mtime, reason)
    return _describe(folder, root, manifest, place.stat().st_mtime, missing_files(folder, manifest))


def _planned(folder: Path) -> Manifest | None:
    """What an unfinished store of a view is to become; the plan of a store of clips does not say."""
    try:
        plan = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        return Manifest.from_json(plan["manifest"], _PLAN)
    except (ValueError, KeyError, TypeError):
        return None


def _describe(
    folder: Path, root: Path, manifest: Manifest | None, modified_s: float | None, problem: str | None
) -> Entry:
    home = folder.parent if VERSION.fullmatch(folder.name) and folder != root else folder
    path = home.relative_to(root).as_posix() if home.is_relative_to(root) else str(home)
    if manifest is None:
        version = folder.name if VERSION.fullmatch(folder.name) else None
        return Entry(path, str(folder), None, None, version, None, {}, 0, modified_s, problem)
    records: Counter[str] = Counter()
    for shard in manifest.shards:
        records[shard.split] += shard.records
    return Entry(
        path,
        str(folder),
        CLIPS_KIND if manifest.view is None else manifest.view.kind,
        manifest.name,
        manifest.version,
        manifest.task.get("task"),
        dict(records),
        sum(shard.bytes for shard in manifest.shards),
        modified_s,
        problem,
    )


def missing_files(folder: Path, manifest: Manifest) -> str | None:
    """What a look at names and sizes alone shows to be missing or cut, or None.

    Args:
        folder: the store's folder.
        manifest: its manifest.
    """
    expected: dict[str, int | None] = dict.fromkeys(manifest.tables)
    expected |= {shard.file: shard.bytes for shard in manifest.shards}
    wrong = []
    for name, size in expected.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found is None:
            wrong.append(f"{name} is missing")
        elif size is not None and found != size:
            wrong.append(f"{name} has {found} bytes, expected {size}")
    if not wrong:
        return None
    more = f", and {len(wrong) - 1} more files" if len(wrong) > 1 else ""
    return f"{wrong[0]}{more}: make the store again"


def age(seconds: float) -> str:
    """A time span in its largest fitting unit: "45 s", "12 min", "3 h", "8 d".

    Args:
        seconds: of any size; less than nothing counts as nothing.
    """
    for unit, name, limit in ((1, "s", 60), (60, "min", 3600), (3600, "h", 48 * 3600)):
        if seconds < limit:
            return f"{int(max(seconds, 0) // unit)} {name}"
    return f"{int(seconds // 86400)} d"


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
        rate_hz = 16_000 if view is None else view.sample_rate_hz
        return {"sample_rate_hz": rate_hz, "samples": rate_hz, "unit": "int16 samples"}
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
    own_sha256 = hashlib.sha256(manifest.to_json().encode()).hexdigest()
    if manifest.view is None:
        steps.append(_step("clips", manifest, own_sha256, manifest.parameters))
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
    steps.append(_step("store", manifest, own_sha256, {"code_version": manifest.code_version}))
    return tuple(steps)


def _step(step: str, manifest: Manifest, sha256: str, rules: dict[str, Any]) -> dict[str, Any]:
    return {"step": step, "what": f"manifest of {manifest.name} {manifest.version}", "sha256": sha256, "rules": rules}
