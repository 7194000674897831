"""Chooses a task's clips: the class and split of each clip by its row, then samples by rank of a hash.

All choices are pure functions of a clip's name and the seed, so a clip added elsewhere changes no other clip's split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from features import clip_id
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS, UNLABELED, class_names, class_of_word
from features.splits import SPLITS, SplitName, hash64, speaker_split
from features.stretches import SILENCE_GAP_SAMPLES, stretch_of
from pipelines.select.config import Classes, Select
from stores.lineage import SampleSize, SampleSizes

Hashes: TypeAlias = npt.NDArray[np.uint64]
Row: TypeAlias = Mapping[str, Any]

CATALOG_COLUMNS: Final = ("id", "word", "speaker", "split", "recording", "start", "recording_samples")

_NO_WORDS: Final = frozenset({SILENCE_CLASS, UNLABELED})
"""What stands in the column of words and is not said."""
_HIGHEST_RANK: Final = 2**63 - 1
"""Tables and Beam hold integers as 64 bits with a sign."""


class Candidate(NamedTuple):
    """A clip that the task can use.

    Attributes:
        id: the clip.
        class_name: its class.
        split: its split.
        ready: whether it is silence or an unknown word of an official test archive.
        rank: hash by which samples are drawn, lowest first, in [0, 2**63); 0 for clips that are always kept.
    """

    id: str
    class_name: str
    split: SplitName
    ready: bool
    rank: int


class Group(NamedTuple):
    """A class of a split that is sampled, not taken whole: silence or unknown."""

    split: SplitName
    class_name: str


def task_classes(classes: Classes, corpus_words: Iterable[str]) -> tuple[str, ...]:
    """The names of a task's classes; a task of "all" words has the corpus's words in alphabetical order."""
    words = sorted(set(corpus_words) - _NO_WORDS) if classes.words == "all" else classes.words
    return class_names(words, classes.silence, classes.unknown)


def candidate(row: Row, select: Select, held_out: bool = False) -> Candidate | None:
    """What the task makes of a clip.

    Args:
        row: the clip's row of the catalog.
        select: the stage's parameters.
        held_out: whether the clip is of the test split if its word is unknown.

    Returns:
        Its class, split and rank, or None where the task has no use for it.
    """
    class_name = _class_of(row["word"], select.classes)
    split = None if class_name is None else _split_of(row, select)
    if held_out and class_name == UNKNOWN_CLASS:
        split = "test"
    if class_name is None or split is None:
        return None
    sampled = class_name in (SILENCE_CLASS, UNKNOWN_CLASS)
    ready = row["recording"] is None and clip_id.parse(row["id"]).ready
    if ready and not sampled:
        return None  # a word of the task among the unknown words of a test archive
    rank = hash64("sample", select.seed, row["id"]) & _HIGHEST_RANK if sampled else 0
    return Candidate(row["id"], class_name, split, ready, rank)


def _class_of(word: str, classes: Classes) -> str | None:
    """The class of a word; of "all" words each is its own, whatever others the corpus has."""
    words = {word} - _NO_WORDS if classes.words == "all" else classes.words
    return class_of_word(word, class_names(words, classes.silence, classes.unknown))


def _split_of(row: Row, select: Select) -> SplitName | None:
    """The split: the official one, the speaker's, or the clip's own under the random division or of nobody known."""
    if row["recording"] is not None:
        return stretch_of(row["start"], row["recording_samples"], select.split.ratio, SILENCE_GAP_SAMPLES)
    official: SplitName | None = row["split"]
    if row["word"] == SILENCE_CLASS or (official is not None and select.split.method == "official"):
        return official
    name = row["id"] if select.split.method == "random" else row["speaker"] or row["id"]
    return speaker_split(name, select.split.ratio, select.split.salt)


def is_from_right_archive(class_name: str, split: str, ready: bool, test_archive: bool) -> bool:
    """Whether a candidate comes from the archive that its class and split are taken from.

    Where there is an official test archive, the silence and the unknown words of the test split are its own, and it
    serves nothing else.

    Args:
        class_name, split, ready: of the candidate.
        test_archive: whether there is an official test archive.
    """
    if class_name not in (SILENCE_CLASS, UNKNOWN_CLASS):
        return True
    return ready == (test_archive and split == "test")


def sample_size(rule: SampleSize, counts: Mapping[str, int], class_name: str, words: Iterable[str]) -> int:
    """How many clips to sample of a class in a split.

    Args:
        rule: "mean" of the task's words, "all" of the class, a number (int), or a fraction of the words' clips in the
            split (float).
        counts: clips of each class in the split.
        class_name: the class that is sampled.
        words: the task's words.
    """
    per_word = [counts.get(word, 0) for word in words]
    match rule:
        case "mean":
            return round(sum(per_word) / max(len(per_word), 1))
        case "all":
            return counts.get(class_name, 0)
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
        for class_name, rules in ((SILENCE_CLASS, select.silence), (UNKNOWN_CLASS, select.unknown)):
            rule = getattr(rules, split) if isinstance(rules, SampleSizes) else rules
            sizes[Group(split, class_name)] = sample_size(rule, of_split, class_name, words)
    return sizes


def lowest(hashes: Iterable[Hashes], count: int) -> Hashes:
    """The `count` lowest of all hashes, in no particular order; uint64, (at most count,)."""
    arrays = [array for array in hashes if array.size]
    if count == 0 or not arrays:
        return np.empty(0, np.uint64)
    joined = np.concatenate(arrays)
    return joined if joined.size <= count else np.partition(joined, count - 1)[:count]


def threshold(kept: Hashes, count: int) -> int:
    """The highest rank that is kept, given the lowest hashes of a group and how many are wanted; -1 where none is."""
    if count == 0 or not kept.size:
        return -1
    return int(kept.max()) if kept.size >= count else _HIGHEST_RANK
