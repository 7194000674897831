"""The section `select` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from base.types import STRICT, Name, Seed
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS, is_line
from pipelines.select.condition import checked
from stores.lineage import SampleSize, SampleSizes, SplitRule

Condition = Annotated[str, Field(max_length=1000), AfterValidator(checked)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Classes:
    """The classes to tell apart: some words or "all", and whether silence and the other words are classes too."""

    words: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]
    silence: bool
    unknown: bool

    @model_validator(mode="after")
    def _words_are_distinct(self) -> Classes:
        if isinstance(self.words, tuple) and len(set(self.words)) != len(self.words):
            raise ValueError(f"words {self.words} name a word twice")
        if reserved := {SILENCE_CLASS, UNKNOWN_CLASS} & set(self.words):
            raise ValueError(f"words name {', '.join(sorted(reserved))}: say silence: true or unknown: true instead")
        if self.words != "all" and (wrong := [word for word in self.words if not is_line(word)]):
            raise ValueError(f"words name {wrong[0]!r}: a word has no end of a line and no blanks around it")
        if self.words == "all" and self.unknown:
            raise ValueError('unknown must be false where words is "all"')
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Select:
    """Clips to task.

    Attributes:
        task: the one of `tasks` that is made.
        tasks: the classes of each task.
        where: the condition that spoken clips must meet.
        held_out: a condition on unknown words that keeps them from training: all of those clips are of the test split.
        split: the rule of the division.
        unknown, silence: how many clips are sampled, one rule for all splits or one for each.
        seed: of the samples.
    """

    task: Name
    tasks: dict[Name, Classes]
    where: Condition | None
    held_out: Condition | None
    split: SplitRule
    unknown: SampleSize | SampleSizes
    silence: SampleSize | SampleSizes
    seed: Seed

    @model_validator(mode="after")
    def _task_is_declared(self) -> Select:
        if self.task not in self.tasks:
            raise ValueError(f"task {self.task!r} is not among tasks: {', '.join(sorted(self.tasks))}")
        return self

    @property
    def classes(self) -> Classes:
        """The classes of the task."""
        return self.tasks[self.task]
