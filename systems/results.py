"""What a system's chain came to: a row for each of its models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

from base import params
from results.model import read_description

TRAIN_LOGS: Final = Path("logs/training")


class Result(NamedTuple):
    """A row of the table, its fields as people read them."""

    system: str
    model: str
    task: str
    split: str
    clips_for_training: str
    epochs: int
    seconds_of_training: str
    accuracy_and_micro_f1: str
    interval_95: str
    macro_f1: str
    test_clips: str


def results(label: str, folder: Path) -> list[Result]:
    """The rows of all models in a folder whose chain has run.

    Args:
        label: name of the system and its variant.
        folder: where its chain ran.

    Raises:
        DataError: a model is missing.
    """
    return [_result(label, folder, name) for name in params.read_yaml(folder / params.PARAMS_FILE)["models"]]


def _result(label: str, folder: Path, name: str) -> Result:
    description = read_description(folder / "models" / name)
    figures: dict[str, Any] = json.loads((folder / "evaluation" / name / "metrics.json").read_text())
    log = folder / TRAIN_LOGS / f"{name}.json"
    seconds = f"{json.loads(log.read_text())['seconds']:,.0f}" if log.exists() else "not known"
    return Result(
        system=label,
        model=name,
        task=description.task.name,
        split=description.task.split.method,
        clips_for_training=f"{sum(description.task.counts['train'].values()):,}",
        epochs=description.epochs,
        seconds_of_training=seconds,
        accuracy_and_micro_f1=f"{figures['accuracy']:.1%}",
        interval_95=f"{figures['low']:.1%} to {figures['high']:.1%}",
        macro_f1=f"{figures['macro_f1']:.1%}",
        test_clips=f"{figures['clips']:,}",
    )
