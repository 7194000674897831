"""Where the clips of a store come from and how a task chose them: typed from corpus.json to the manifest and back."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from base.types import STRICT, Count, Fraction, Name, PositiveInt, Sha256

ArchiveRole: TypeAlias = Literal["main", "test", "noise"]
"""What an archive is for: its own clips, the silence and unknown words of the official test split, or background."""

SampleSize = Literal["mean", "all"] | Annotated[int, Field(ge=0)] | Fraction
"""Clips to sample in a split: "mean" of the task's words, "all" there are, a number (int), or a fraction of the words'
clips (float)."""


def _finding_a_speaker(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from error
    if "speaker" not in groups:
        raise ValueError(f"{pattern!r} has no group (?P<speaker>...)")
    return pattern


SpeakerPattern = Annotated[str, AfterValidator(_finding_a_speaker)]
"""A regular expression with a group "speaker", which is searched in a path."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class SampleSizes:
    """Clips to sample in each split."""

    train: SampleSize
    validation: SampleSize
    test: SampleSize


@dataclass(frozen=True, config=STRICT)
class Archive:
    """A raw archive, as corpus.json and manifests describe it.

    Attributes:
        file: its file name.
        role: what it is for.
        bytes: its size.
        sha256: SHA-256 (hex) of the file.
        source: "synthetic", the name of an official release, or "local".
        license: of its content, or None if unknown.
        layout: how its files are named: a file of pipelines/layouts.
        corpus: what its ids, speakers and recordings bear after an @; "" for Speech Commands, whose ids are plain.
        speaker: regular expression with a group "speaker" that finds the speaker in a path, or None.
    """

    file: Annotated[str, Field(pattern=r"^[^/\x00-\x1f]+$")]
    role: ArchiveRole
    bytes: Count
    sha256: Sha256
    source: str
    license: str | None
    layout: Name = "speech_commands"
    corpus: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = ""
    speaker: SpeakerPattern | None = None


@dataclass(frozen=True, config=STRICT)
class SplitRule:
    """How clips are divided: the official division, or a salted hash of the speaker or the clip, with any ratio.

    Under the official division, clips of a corpus that has none are divided by speaker. A clip whose speaker is unknown
    is divided by its id. Under the random division every clip is, so that the voices of the test are those of the
    training: its figures say nothing of unheard speakers.
    The ratio, train : validation : test, also divides the time of each background recording.
    """

    method: Literal["official", "speaker", "random"]
    ratio: tuple[PositiveInt, PositiveInt, PositiveInt]
    salt: str


@dataclass(frozen=True, config=STRICT)
class Task:
    """How clips were chosen, labeled and split; a selection holds it, and the manifest of each view made from it.

    Attributes:
        name: its name in params.yaml.
        classes: class names in order of label.
        split: the rule of the division.
        unknown, silence: how many clips were asked for.
        test_silence: where the silence of the test split comes from.
        seed: of the samples.
        counts: split → class → clips selected.
        clips_manifest_sha256: SHA-256 (hex) of the manifest of the store of clips.
        where: the condition that spoken clips had to meet, or None.
        held_out: the condition on unknown words of which all clips are of the test split, or None.
        left_out: split → class → clips that did not meet it, before samples were drawn; empty without a condition.
    """

    name: str
    classes: tuple[str, ...]
    split: SplitRule
    unknown: SampleSize | SampleSizes
    silence: SampleSize | SampleSizes
    test_silence: str
    seed: int
    counts: dict[str, dict[str, Count]]
    clips_manifest_sha256: str
    where: str | None = None
    held_out: str | None = None
    left_out: dict[str, dict[str, Count]] = Field(default_factory=dict)
