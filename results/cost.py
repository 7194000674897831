"""What a trained model costs: multiply-adds, the time of one clip, and the time that its training took."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.files import read_bytes
from base.types import STRICT

_WARM_UP_RUNS: Final = 20


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Latency:
    """The time of one clip on one core in milliseconds: median and 99th percentile of some runs, and their number."""

    median_ms: float
    p99_ms: float
    runs: int


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Cost:
    """What one clip costs.

    Attributes:
        multiply_adds: of the network's matrix products and convolutions.
        network: from features to probabilities.
        with_front_end: from the samples of a clip to probabilities.
    """

    multiply_adds: int
    network: Latency
    with_front_end: Latency


@dataclass(frozen=True, config=STRICT, kw_only=True)
class TrainingLog:
    """What the training of a model took, its resumed parts together.

    Attributes:
        model: name of the model.
        epochs: epochs run.
        seconds: by the clock.
        cpu_seconds: of all cores.
        clips_per_epoch: clips that each epoch fitted.
        processor: its name.
        cores: how many of them the run could use.
    """

    model: str
    epochs: int
    seconds: float
    cpu_seconds: float
    clips_per_epoch: int
    processor: str
    cores: int


def latency(run: Callable[[], object], runs: int) -> Latency:
    """The time of a call until it returns, after some that don't count."""
    for _ in range(_WARM_UP_RUNS):
        run()
    times_ms = []
    for _ in range(runs):
        started = time.perf_counter_ns()
        run()
        times_ms.append((time.perf_counter_ns() - started) / 1e6)
    median_ms, p99_ms = np.percentile(times_ms, (50, 99)).tolist()
    return Latency(median_ms=median_ms, p99_ms=p99_ms, runs=runs)


def read_costs(text: str) -> dict[str, Cost]:
    """The costs of models by their folders, from JSON.

    Raises:
        DataError: the text is no such JSON.
    """
    try:
        costs: dict[str, Cost] = TypeAdapter(dict[str, Cost]).validate_json(text)
    except ValidationError as error:
        raise DataError(f"the costs of the models can't be read: {error}; measure them again") from error
    return costs


def read_training_log(path: Path) -> TrainingLog | None:
    """What a training took, or None where it left no log.

    Raises:
        DataError: the file is damaged.
    """
    try:
        log: TrainingLog = TypeAdapter(TrainingLog).validate_json(read_bytes(str(path)))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DataError(f"{path} is not the log of a training: delete it or train again") from error
    return log
