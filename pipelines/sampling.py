"""Chooses a task's clips from the catalogue: candidate classes and splits row by row, then samples by rank of a hash.

All choices are pure functions of a clip's name and the seed, so a clip added elsewhere changes no other clip's split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS, class_names
from params import SampleSize, Select, Task
from pipelines.layouts import SILENCE, UNKNOWN
from pipelines.silence import stretch_of
from pipelines.splits import SPLITS, SplitName, hash64, speaker_split

Hashes: TypeAlias = npt.NDArray[np.uint64]
Row: TypeAlias = Mapping[str, Any]

CATALOG_COLUMNS: Final = ("id", "word", "speaker", "split", "recording", "start", "recording_samples")
SILENCE_GAP_SAMPLES: Final = 1600
"""A tenth of a second lies unused between the stretches of a recording."""

_HIGHEST_RANK: Final = 2**63 - 1
"""Beam passes integers as 64 bits with a sign."""


class Candidate(NamedTuple):
    """A clip that the task can use."""

    id: str
    class_name: str
    split: SplitName
    rank: int
    """Hash by which samples are drawn, lowest first, in [0, 2**63); 0 for clips that are always kept."""


class Group(NamedTuple):
    """A class of a split that is sampled, not taken whole: silence or unknown."""

    split: SplitName
    class_name: str


@dataclass(frozen=True)
class Sources:
    """What decides which candidates there are, beyond a row itself.

    Attributes:
        words: the task's words.
        test_archive: whether the official test archive brings the silence and the unknown words of the test split.
    """

    words: frozenset[str]
    test_archive: bool


def task_classes(task: Task, corpus_words: Iterable[str]) -> tuple[str, ...]:
    """The names of a task's classes; a task of "all" words has the corpus's words in alphabetical order."""
    words = sorted(set(corpus_words) - {SILENCE}) if task.words == "all" else task.words
    return class_names(words, task.silence, task.unknown)


def candidate(row: Row, select: Select, sources: Sources) -> Candidate | None:
    """What the task makes of a clip.

    Args:
        row: the clip's row of the catalogue.
        select: the stage's parameters.
        sources: the task's words, and whether the official test archive is present.

    Returns:
        Its class, split and rank, or None where the task has no use for it.
    """
    class_name = _class_of(row, select.tasks[select.task], sources)
    if class_name is None:
        return None
    split = _split_of(row, select)
    if split is None or not _from_right_archive(row, class_name, split, sources):
        return None
    sampled = class_name in (SILENCE_CLASS, UNKNOWN_CLASS)
    return Candidate(row["id"], class_name, split, _rank(row["id"], select.seed) if sampled else 0)


def _rank(clip_id: str, seed: int) -> int:
    return hash64("sample", seed, clip_id) & _HIGHEST_RANK


def _class_of(row: Row, task: Task, sources: Sources) -> str | None:
    if row["word"] == SILENCE:
        return SILENCE_CLASS if task.silence else None
    if row["word"] in sources.words:
        return str(row["word"])
    return UNKNOWN_CLASS if task.unknown else None


def _split_of(row: Row, select: Select) -> SplitName | None:
    if row["recording"] is not None:
        return stretch_of(row["start"], row["recording_samples"], select.split.ratio, SILENCE_GAP_SAMPLES)
    if row["speaker"] is None or select.split.method == "official":
        official: SplitName = row["split"]
        return official
    return speaker_split(row["speaker"], select.split.ratio, select.split.salt)


def _from_right_archive(row: Row, class_name: str, split: SplitName, sources: Sources) -> bool:
    """Where there is the official test archive, test silence and unknowns are its own; it serves nothing else."""
    brought = row["id"].startswith((f"{SILENCE}/", f"{UNKNOWN}/")) and row["recording"] is None
    if class_name not in (SILENCE_CLASS, UNKNOWN_CLASS):
        return not brought
    return brought if split == "test" and sources.test_archive else not brought


def sample_size(rule: SampleSize, counts: Mapping[str, int], words: Iterable[str]) -> int:
    """How many clips to sample in a split.

    Args:
        rule: "mean" of the task's words, a number (int), or a fraction of the words' clips in the split (float).
        counts: clips of each class in the split.
        words: the task's words.
    """
    per_word = [counts.get(word, 0) for word in words]
    match rule:
        case "mean":
            return round(sum(per_word) / max(len(per_word), 1))
        case int():
            return rule
        case float():
            return round(rule * sum(per_word))
    raise ValueError(f"sample size {rule!r}")


def sample_sizes(select: Select, counts: Mapping[tuple[str, str], int], words: Iterable[str]) -> dict[Group, int]:
    """How many clips each sampled group keeps.

    Args:
        select: the stage's parameters.
        counts: candidates of each (split, class).
        words: the task's words.
    """
    words = tuple(words)
    sizes = {}
    for split in SPLITS:
        of_split = {class_name: number for (name, class_name), number in counts.items() if name == split}
        for class_name, rule in ((SILENCE_CLASS, select.silence), (UNKNOWN_CLASS, select.unknown)):
            sizes[Group(split, class_name)] = sample_size(rule, of_split, words)
    return sizes


def lowest(hashes: Iterable[Hashes], count: int) -> Hashes:
    """The `count` lowest of all hashes, in no particular order; uint64, (at most count,)."""
    arrays = [array for array in hashes if array.size]
    if count == 0 or not arrays:
        return np.empty(0, np.uint64)
    joined = np.concatenate(arrays)
    return joined if joined.size <= count else np.partition(joined, count - 1)[:count]


def threshold(kept: Hashes, count: int) -> int:
    """The highest rank that is kept, given the lowest hashes of a group; -1 where none is."""
    if count == 0 or not kept.size:
        return -1
    return int(kept.max()) if kept.size >= count else _HIGHEST_RANK


def is_kept(each: Candidate, thresholds: Mapping[Group, int]) -> bool:
    """Whether a candidate is among those sampled; clips of the task's words always are."""
    limit = thresholds.get(Group(each.split, each.class_name))
    return limit is None or each.rank <= limit


def count_classes(candidates: Iterable[Candidate]) -> Counter[tuple[str, str]]:
    """Clips of each (split, class)."""
    return Counter((each.split, each.class_name) for each in candidates)
