"""The form that microWakeWord trains on: features of wake words, of all else and of long tracks, as ragged memory maps.

A ragged memory map is a folder that the package mmap_ninja writes and opens (https://github.com/hristo-vrigazov/mmap.ninja).
microWakeWord reads folders named `*_mmap` below the five folders of each `features_dir` of its training configuration;
each `features_dir` is true or false as a whole (https://github.com/OHF-Voice/micro-wake-word, microwakeword/data.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from features.views import CLIP_SAMPLES
from registry.export.clips import ClipReader
from registry.export.folder import published_folder, write_if_changed
from registry.export.plan import Advance, ExportPlan

Tensor: TypeAlias = npt.NDArray[Any]
Row: TypeAlias = Mapping[str, Any]

SIDES: Final = {"positive": True, "negative": False}
"""Folder of clips → whether they are words that the model is to hear."""
FOLDERS: Final = {"train": "training", "validation": "validation", "test": "testing"}
"""Split → folder of its clips."""
AMBIENT_FOLDERS: Final = {"validation": "validation_ambient", "test": "testing_ambient"}
"""Split → folder of its long tracks."""
CONFIGURATION_FILE: Final = "features.yaml"
_BATCH_CLIPS: Final = 256


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write a ragged memory map for each side and split, one for the long tracks of a split, and features.yaml.

    Args:
        plan: what to export: a view with two axes.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged.
    """
    clips, name = ClipReader(plan.store), f"{plan.store.name}_mmap"
    for split in plan.splits:
        for side, positive in SIDES.items():
            place = folder / side / FOLDERS[split] / name
            if place.exists():
                advance(_length(place))
            else:
                _write_map(place, _clips(plan, split, positive, clips, advance))
        if split in AMBIENT_FOLDERS:
            place = folder / "negative" / AMBIENT_FOLDERS[split] / name
            if not place.exists():
                _write_map(place, _tracks(plan, split))
    write_if_changed(folder / CONFIGURATION_FILE, configuration(plan))


def _write_map(place: Path, tensors: Iterable[Tensor]) -> None:
    """Write a ragged memory map; one of no tensors is an empty folder, which its reader takes."""
    from mmap_ninja import RaggedMmap

    with published_folder(place) as unfinished:
        RaggedMmap.from_generator(unfinished, tensors, _BATCH_CLIPS)


def _length(place: Path) -> int:
    from mmap_ninja import RaggedMmap

    return len(RaggedMmap(place))


def _clips(plan: ExportPlan, split: str, positive: bool, clips: ClipReader, advance: Advance) -> Iterator[Tensor]:
    """The tensors of the clips of one side, in the order of the store."""
    for part in plan.parts(split):
        for clip in clips.of(part):
            if (clip.word in plan.words) == positive:
                yield clip.tensor
                advance(1)


def _tracks(plan: ExportPlan, split: str) -> Iterator[Tensor]:
    """The tracks of a split, one for each recording; (any frames, coefficients)."""
    import pyarrow.compute as pc

    table = plan.store.catalog(("split", "shard", "position", "recording", "start"))
    cut = table.filter(pc.and_(pc.equal(table["split"], split), pc.is_valid(table["recording"])))
    for pieces in tracks(cut.to_pylist()):
        records = (plan.store.record_at(split, row["shard"], row["position"]) for row in pieces)
        yield np.concatenate([np.asarray(record[plan.store.tensor]) for record in records])


def tracks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Silence clips as long tracks: those of a recording in order of time, without what an earlier one holds.

    Args:
        rows: rows of the catalog, with the recording and the start of each clip in samples.

    Yields:
        The rows of each recording, in order of its name.
    """
    recordings: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["recording"], row["start"])):
        track = recordings[row["recording"]]
        if not track or row["start"] >= track[-1]["start"] + CLIP_SAMPLES:
            track.append(row)
    yield from recordings.values()


def configuration(plan: ExportPlan) -> str:
    """The part of microWakeWord's training configuration that names these features, as YAML."""
    step_ms = 0.0 if plan.store.view is None else plan.store.view.step_ms
    return f"""\
# Part of a training configuration of microWakeWord. The paths are those below this folder.
window_step_ms: {step_ms:g}
features:
  # {", ".join(plan.words)}
  - features_dir: positive
    truth: true
    truncation_strategy: truncate_start
    sampling_weight: 1.0
    penalty_weight: 1.0
    type: mmap
  # all other clips, and the long tracks
  - features_dir: negative
    truth: false
    truncation_strategy: random
    sampling_weight: 1.0
    penalty_weight: 1.0
    type: mmap
"""
