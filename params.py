"""The specification of params.yaml: every section as a frozen dataclass, read once and checked strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from features.errors import DataError
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from features.registry.measures import Thresholds
from features.views import STRICT, View

PARAMS_FILE = Path("params.yaml")

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Synthesis:
    """The embedded default corpus: how many synthetic speakers say each word, and how long the noise recordings are."""

    speakers: Annotated[int, Field(ge=1, le=1000)]
    noise_seconds: Annotated[int, Field(ge=2, le=600)]
    seed: Seed


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Corpus:
    """Where the raw archive comes from: "synthetic", the name of an official release, or a path to a .tar.gz."""

    source: Annotated[str, Field(min_length=1)]
    test_source: str | None
    synthesis: Synthesis


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Silence:
    """How background recordings are cut into 1 s silence clips: the hop between clips, and each clip's random gain."""

    hop_ms: Annotated[int, Field(ge=10, le=10_000)]
    gain_db: tuple[Annotated[float, Field(ge=-100, le=0)], Annotated[float, Field(ge=-100, le=0)]]

    @model_validator(mode="after")
    def _range_is_in_order(self) -> Silence:
        if self.gain_db[0] > self.gain_db[1]:
            raise ValueError(f"gain_db {self.gain_db} must be [lowest, highest]")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Ingest:
    """Archive to clips: number of shards, silence clips, and the share of damaged clips at which the stage fails."""

    shards: Annotated[int, Field(ge=1, le=4096)]
    silence: Silence
    max_reject_fraction: Fraction
    seed: Seed


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Task:
    """The classes to tell apart: some words or "all", and whether silence and the other words are classes too."""

    words: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)]
    silence: bool
    unknown: bool

    @model_validator(mode="after")
    def _words_are_distinct(self) -> Task:
        if isinstance(self.words, tuple) and len(set(self.words)) != len(self.words):
            raise ValueError(f"words {self.words} name a word twice")
        if reserved := {SILENCE_CLASS, UNKNOWN_CLASS} & set(self.words):
            raise ValueError(f"words name {', '.join(sorted(reserved))}: say silence: true or unknown: true instead")
        if self.words == "all" and self.unknown:
            raise ValueError('unknown must be false where words is "all"')
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Split:
    """How clips are divided: the official division, or a salted hash of the speaker with any ratio of the splits.

    The ratio also divides the time of each background recording, under both methods.
    """

    method: Literal["official", "speaker"]
    ratio: tuple[PositiveInt, PositiveInt, PositiveInt]
    salt: str


SampleSize = Literal["mean"] | Annotated[int, Field(ge=0)] | Fraction
"""Clips to sample per split: "mean" of the task's words, a number (int), or a fraction of their clips (float)."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Select:
    """Clips to task: classes, split, and how many unknown words and silences are sampled per split."""

    task: Name
    tasks: dict[Name, Task]
    split: Split
    unknown: SampleSize
    silence: SampleSize
    seed: Seed

    @model_validator(mode="after")
    def _task_is_declared(self) -> Select:
        if self.task not in self.tasks:
            raise ValueError(f"task {self.task!r} is not among tasks: {', '.join(sorted(self.tasks))}")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Extract:
    """Clips to features: the declared views."""

    views: dict[Name, View]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Validate:
    """Features to a verdict: the store that each split is compared with, or null, and how far splits may differ."""

    against: Annotated[str, Field(min_length=1)] | None
    thresholds: Thresholds


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Augment:
    """Random changes of the training features; zero turns each off."""

    time_shift_ms: Annotated[int, Field(ge=0, le=500)]
    time_masks: Annotated[int, Field(ge=0, le=10)]
    time_mask_frames: Annotated[int, Field(ge=0, le=100)]
    frequency_masks: Annotated[int, Field(ge=0, le=10)]
    frequency_mask_bins: Annotated[int, Field(ge=0, le=100)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Cnn:
    """Two convolutions, each with 2x2 max-pooling, then dense layers."""

    filters: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    kernel_size: PositiveInt
    dense_units: tuple[PositiveInt, ...]
    dropout: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Fit:
    """How any model is trained."""

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "cosine"]
    warmup_epochs: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    early_stopping_epochs: PositiveInt
    shuffle_buffer: PositiveInt
    precision: Literal["float32", "mixed_bfloat16"]
    augment: Augment
    seed: Seed


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Train:
    """Features to model: how to fit, and each model's own numbers under its name."""

    fit: Fit
    cnn: Cnn


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Evaluate:
    """Model to figures: batch size, and how many of the worst errors the report shows."""

    batch_size: PositiveInt
    worst_errors: Annotated[int, Field(ge=0, le=200)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Params:
    """The whole of params.yaml."""

    views: Annotated[tuple[Name, ...], Field(min_length=1)]
    models: Annotated[dict[Name, Name], Field(min_length=1)]
    corpus: Corpus
    ingest: Ingest
    select: Select
    extract: Extract
    validate: Validate
    train: Train
    evaluate: Evaluate

    @model_validator(mode="after")
    def _names_are_declared(self) -> Params:
        for view in self.views:
            if view not in self.extract.views:
                raise ValueError(f"views: {view!r} is not declared in extract.views: {', '.join(self.extract.views)}")
        for model, view in self.models.items():
            if not hasattr(self.train, model) or model == "fit":
                raise ValueError(f"models: {model!r} has no section in train")
            if view not in self.views:
                raise ValueError(f"models: {model!r} reads the view {view!r}, which is not in views: {self.views}")
        return self


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check the parameters.

    Args:
        path: the YAML file.

    Returns:
        The parameters, every section checked.

    Raises:
        DataError: the file is missing or not YAML, a key is unknown or missing, or a value has a wrong type or range.
    """
    try:
        content = json.dumps(read_yaml(path))
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} must hold texts, numbers, lists and names for them only: {error}") from error
    try:
        return TypeAdapter(Params).validate_json(content)
    except ValidationError as error:
        raise DataError(f"{path}: " + "; ".join(_explain(problem) for problem in error.errors())) from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML 1.2 file, as DVC reads and writes it: `yes` and `off` are words, not truth values.

    Raises:
        DataError: the file is missing or not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the command in the project's root") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid YAML: {error}") from error


def _explain(problem: ErrorDetails) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "top level"
    match problem["type"]:
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{place} is missing: add it"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{place} is not a known key: remove it or mend its spelling"
        case "value_error":
            return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{place}: got {problem['input']!r}, {problem['msg'][0].lower()}{problem['msg'][1:]}"
