"""Compares two stores: parameters, classes, clips, statistics, sizes; the first question when a metric changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from base.errors import DataError
from features.splits import SPLITS
from features.statistics import Statistics
from readers.store import Store
from registry.json_diff import json_differences
from stores.manifest import Manifest

_COMPARED_APART: Final = ("counts", "left_out", "classes")
"""Fields of a task that are not compared as parameters."""
NO_SPLIT: Final = "no split"
_SPLIT_ORDER: Final = (*SPLITS, NO_SPLIT)


@dataclass(frozen=True)
class Change:
    """A value that differs, or a clip of which it differs; None where one side has none."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class ComparedClip:
    """What is compared of a clip.

    Attributes:
        class_name: its class, or its word in a store of clips.
        split: its split, the official one in a store of clips; None where it has none.
        audio_sha256: SHA-256 of its samples.
    """

    class_name: str
    split: str | None
    audio_sha256: str


@dataclass(frozen=True)
class ClassChanges:
    """Classes that came, went, or have another label."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabeled: tuple[Change, ...]


@dataclass(frozen=True)
class ClipChanges:
    """Clips of both stores by their ids.

    Attributes:
        same: clips with the same class, split and audio.
        added, removed: ids that only one store has; `after` or `before` is a `ComparedClip`.
        relabeled: ids whose class differs; a class's place among the labels does not count.
        moved: ids whose split differs.
        audio: ids whose audio differs.
    """

    same: int
    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    relabeled: tuple[Change, ...]
    moved: tuple[Change, ...]
    audio: tuple[Change, ...]

    def kinds(self) -> dict[str, tuple[Change, ...]]:
        """The changes by their kind."""
        return {
            "added": self.added,
            "removed": self.removed,
            "relabeled": self.relabeled,
            "moved": self.moved,
            "audio": self.audio,
        }


@dataclass(frozen=True)
class Shift:
    """How the statistics of one coefficient differ.

    Attributes:
        split: the split.
        coefficient: its number.
        shift: difference of the means in standard deviations of the first store.
        ratio: the second standard deviation as a multiple of the first.
    """

    split: str
    coefficient: int
    shift: float
    ratio: float


@dataclass(frozen=True)
class Size:
    """Records and bytes of a split in each store."""

    split: str
    records: tuple[int, int]
    bytes: tuple[int, int]


@dataclass(frozen=True)
class StoreDiff:
    """How a second store differs from a first.

    Attributes:
        first, second: their folders.
        identical: whether every shard has the same bytes.
        parameters: definition, task, split, ingest, archives, versions: name with dots → values that differ.
        classes: changes of the classes.
        clips: changes of the clips.
        statistics: of each split and coefficient, None where they can't be compared.
        not_compared: why statistics can't be compared, or None.
        sizes: of each split of either store.
    """

    first: str
    second: str
    identical: bool
    parameters: tuple[Change, ...]
    classes: ClassChanges
    clips: ClipChanges
    statistics: tuple[Shift, ...]
    not_compared: str | None
    sizes: tuple[Size, ...]

    @property
    def differ(self) -> bool:
        """Whether the stores differ in anything but their folders."""
        clips = any(self.clips.kinds().values())
        return not self.identical or clips or bool(self.parameters) or self.classes != ClassChanges((), (), ())


Clips: TypeAlias = "dict[str, ComparedClip]"
Cells: TypeAlias = "dict[tuple[str, str], dict[str, int]]"


def diff_stores(first: Store, second: Store) -> StoreDiff:
    """Compare two finished stores, both of features or both of clips.

    Raises:
        DataError: one is of features and the other of clips, or a catalog or statistics are missing or damaged.
    """
    if (first.view is None) != (second.view is None):
        clips, features = (first, second) if first.view is None else (second, first)
        raise DataError(
            f"{clips.path} holds clips and {features.path} features: compare two stores of clips or two of features"
        )
    shifts, reason = statistics_shifts(first, second)
    return StoreDiff(
        first=first.path,
        second=second.path,
        identical=_shard_hashes(first) == _shard_hashes(second),
        parameters=tuple(
            Change(*each) for each in json_differences(parameters_of(first.manifest), parameters_of(second.manifest))
        ),
        classes=class_changes(first.classes, second.classes),
        clips=clip_changes(clips_of(first), clips_of(second)),
        statistics=shifts,
        not_compared=reason,
        sizes=sizes(first, second),
    )


def _shard_hashes(store: Store) -> list[tuple[str, str]]:
    return [(shard.split, shard.sha256) for shard in store.manifest.shards]


def parameters_of(manifest: Manifest) -> dict[str, Any]:
    """All that decided a store, as plain JSON."""
    plain: dict[str, Any] = json.loads(manifest.to_json())
    task = plain["task"] or {}
    return {
        "name": manifest.name,
        "version": manifest.version,
        "definition": manifest.definition,
        "task": {name: value for name, value in task.items() if name not in _COMPARED_APART},
        "archives": plain["archives"],
        "clip_parameters": manifest.clip_parameters,
        "code_version": manifest.code_version,
    }


def class_changes(before: tuple[str, ...], after: tuple[str, ...]) -> ClassChanges:
    """Classes that came or went, and those that have another label: (class, label before, label after)."""
    return ClassChanges(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        relabeled=tuple(
            Change(name, before.index(name), after.index(name))
            for name in before
            if name in after and before.index(name) != after.index(name)
        ),
    )


def clips_of(store: Store) -> Clips:
    """The clips of a store by their ids.

    Raises:
        DataError: the catalog is missing or damaged.
    """
    columns = ("id", "word" if store.view is None else "label", "split", "audio_sha256")
    table = store.catalog(columns)
    rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    if store.view is None:
        return {clip_id: ComparedClip(word, split, audio) for clip_id, word, split, audio in rows}
    names = dict(enumerate(store.classes))
    return {
        clip_id: ComparedClip(names.get(label, f"label {label}"), split, audio) for clip_id, label, split, audio in rows
    }


def clip_changes(before: Clips, after: Clips) -> ClipChanges:
    """How the clips differ, each kind of change in order of id."""
    common = sorted(before.keys() & after.keys())

    def differing(attribute: str) -> tuple[Change, ...]:
        return tuple(
            Change(each, before[each], after[each])
            for each in common
            if getattr(before[each], attribute) != getattr(after[each], attribute)
        )

    return ClipChanges(
        same=sum(before[each] == after[each] for each in common),
        added=tuple(Change(each, None, after[each]) for each in sorted(after.keys() - before.keys())),
        removed=tuple(Change(each, before[each], None) for each in sorted(before.keys() - after.keys())),
        relabeled=differing("class_name"),
        moved=differing("split"),
        audio=differing("audio_sha256"),
    )


def counts_by_class(clips: ClipChanges) -> Cells:
    """Changes by (split, class): kind of change → clips, under the split and class that a clip has in the second store.

    Clips that it does not have are counted under those of the first.
    """
    counts: Cells = {}
    for kind, of_kind in clips.kinds().items():
        for change in of_kind:
            clip: ComparedClip = change.before if change.after is None else change.after
            cell = counts.setdefault((clip.split or NO_SPLIT, clip.class_name), dict.fromkeys(clips.kinds(), 0))
            cell[kind] += 1
    return dict(sorted(counts.items(), key=lambda item: (_place_in_order(item[0][0]), item[0])))


def _place_in_order(split: str) -> int:
    return _SPLIT_ORDER.index(split) if split in _SPLIT_ORDER else len(_SPLIT_ORDER)


def statistics_shifts(first: Store, second: Store) -> tuple[tuple[Shift, ...], str | None]:
    """How far the statistics of each split and coefficient moved, or why they can't be compared.

    Raises:
        DataError: the statistics are missing or damaged.
    """
    if first.view is None or second.view is None:
        return (), "clips have no statistics"
    if first.view.kind != second.view.kind:
        return (), f"the views are {first.view.kind} and {second.view.kind}"
    if first.view.shape[1:] != second.view.shape[1:]:
        return (), f"one has {first.view.shape[-1]} coefficients, the other {second.view.shape[-1]}"
    splits = [split for split in first.splits if split in second.splits]
    return tuple(
        shift for split in splits for shift in shifts(split, first.statistics(split), second.statistics(split))
    ), None


def shifts(split: str, before: Statistics, after: Statistics) -> Iterator[Shift]:
    """How far each coefficient moved; a coefficient that was constant counts as one of the smallest deviation."""
    spread = np.maximum(before.std, np.finfo(np.float64).tiny)
    for place, (shift, ratio) in enumerate(zip((after.mean - before.mean) / spread, after.std / spread, strict=True)):
        yield Shift(split, place, float(shift), float(ratio))


def sizes(first: Store, second: Store) -> tuple[Size, ...]:
    """Records and bytes of each split of either store."""
    found = []
    for split in dict.fromkeys((*first.splits, *second.splits)):
        of_split = [[each for each in store.manifest.shards if each.split == split] for store in (first, second)]
        records = (sum(each.records for each in of_split[0]), sum(each.records for each in of_split[1]))
        bytes_ = (sum(each.bytes for each in of_split[0]), sum(each.bytes for each in of_split[1]))
        found.append(Size(split, records, bytes_))
    return tuple(found)
