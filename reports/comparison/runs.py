"""The evaluated models of a project: read from their folders, grouped by test clips, seeds of one recipe together."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from base.files import to_json
from results.cost import TrainingLog, read_training_log
from results.evaluation import Evaluation, Figures, figures, read_evaluation
from results.metrics import wilson_interval
from results.model import NETWORK_FILE, ModelDescription, read_description
from results.predictions import Predictions

MODELS_FOLDER: Final = "models"
EVALUATIONS_FOLDER: Final = "evaluation"
LOGS_FOLDER: Final = "logs/training"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One trained model and one evaluation of it.

    Attributes:
        name: of the evaluation's folder, usually that of the model.
        project: name of the folder in which the chain ran.
        folder: of the model.
        model: what the model is.
        evaluation: what it said of the test clips.
        figures: the headline figures of that.
        macro_top3: mean over the classes of the share of clips whose class is among the three most probable, 0..1.
        size_bytes: of model.keras.
        log: what its training took, or None where there is no log of it.
    """

    name: str
    project: str
    folder: Path
    model: ModelDescription
    evaluation: Evaluation
    figures: Figures
    macro_top3: float
    size_bytes: int
    log: TrainingLog | None

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return int(self.model.parameters["fit"]["seed"])

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each test clip, in order of id, was classified rightly."""
        return self.evaluation.predictions.found_among(1)


@dataclass(frozen=True)
class Row:
    """The runs of a model with different seeds, the lowest first; most often there is one."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run that gives the row its name, and whatever the seed does not change."""
        return self.runs[0]

    @property
    def accuracy(self) -> float:
        """Mean accuracy of the runs, 0..1."""
        return statistics.mean(run.figures.accuracy for run in self.runs)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (Wilson) of that mean for one set of test clips: more runs don't make it narrower."""
        clips = self.first.figures.clips
        return wilson_interval(round(self.accuracy * clips), clips)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the runs' accuracy, 0..1; None of a single run."""
        return statistics.stdev(run.figures.accuracy for run in self.runs) if len(self.runs) > 1 else None

    @property
    def macro_f1(self) -> float:
        """Mean over the runs, 0..1."""
        return statistics.mean(run.figures.macro_f1 for run in self.runs)

    @property
    def top3(self) -> float:
        """Mean over the runs, 0..1."""
        return statistics.mean(run.figures.top3 for run in self.runs)

    @property
    def macro_top3(self) -> float:
        """Mean over the runs, 0..1."""
        return statistics.mean(run.macro_top3 for run in self.runs)

    @property
    def training(self) -> tuple[float, float] | None:
        """Mean seconds of training and CPU seconds of the runs that left a log; None where none did."""
        logs = [run.log for run in self.runs if run.log]
        if not logs:
            return None
        return statistics.mean(log.seconds for log in logs), statistics.mean(log.cpu_seconds for log in logs)


@dataclass(frozen=True)
class Table:
    """The models that classified the same test clips into the same classes, the most accurate first."""

    task: str
    classes: tuple[str, ...]
    clips: int
    rows: tuple[Row, ...]


def read_runs(projects: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """All evaluations of some projects with their models.

    Args:
        projects: folders in which the chain ran: each holds `models`, `evaluation` and perhaps `logs/training`.

    Returns:
        The runs in order of name, and a sentence for each evaluation that is left out. Where several projects have an
        evaluation of one name, each name begins with that of its project's folder.

    Raises:
        DataError: there is no evaluation of a finished model.
    """
    runs, left_out = [], []
    for project in projects:
        for folder in sorted(path for path in (project / EVALUATIONS_FOLDER).glob("*") if path.is_dir()):
            try:
                runs.append(_read_run(project, folder))
            except DataError as error:
                left_out.append(f"{folder} is left out: {error}")
    if not runs:
        places = ", ".join(str(project / EVALUATIONS_FOLDER) for project in projects)
        reasons = f" ({'; '.join(left_out)})" if left_out else ""
        raise DataError(f"{places}: no evaluation of a finished model{reasons}: train and evaluate one")
    often = Counter(run.name for run in runs)
    named = [run if often[run.name] == 1 else replace(run, name=f"{run.project} {run.name}") for run in runs]
    return sorted(named, key=lambda run: run.name), left_out


def find(runs: Sequence[Run], name: str) -> Run:
    """The run of a name.

    Raises:
        DataError: there is none; those that there are are named.
    """
    for run in runs:
        if run.name == name:
            return run
    raise DataError(f"there is no evaluation {name!r}; found were {', '.join(run.name for run in runs)}")


def _read_run(project: Path, folder: Path) -> Run:
    evaluation = read_evaluation(folder)
    place = project / MODELS_FOLDER / evaluation.model
    model = read_description(place)
    if evaluation.predictions.classes != model.classes:
        raise DataError(f"{folder} has other classes than {place}: evaluate the model again")
    try:
        size_bytes = (place / NETWORK_FILE).stat().st_size
    except FileNotFoundError as error:
        raise DataError(f"{place / NETWORK_FILE} is missing: train again") from error
    log = read_training_log(project / LOGS_FOLDER / f"{model.name}.json")
    return Run(
        name=folder.name,
        project=project.resolve().name,
        folder=place,
        model=model,
        evaluation=evaluation,
        figures=figures(evaluation.predictions),
        macro_top3=macro_top3(evaluation.predictions),
        size_bytes=size_bytes,
        log=log if log and log.epochs == model.epochs else None,  # else it is of another training
    )


def macro_top3(predictions: Predictions) -> float:
    """The mean over the classes that have clips of the share of them whose class is among the three most probable."""
    found = predictions.found_among(3)
    return statistics.mean(float(found[predictions.labels == label].mean()) for label in np.unique(predictions.labels))


def tables(runs: Sequence[Run]) -> list[Table]:
    """Runs grouped by task, classes and test clips, in order of task; in each group those of equal recipe together."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(test_set(run), []).append(run)
    found = []
    for members in groups.values():
        first = members[0]
        rows = sorted(_rows(members), key=lambda row: (-row.accuracy, row.first.name))
        task = first.model.task.name
        found.append(Table(task, first.model.classes, first.figures.clips, tuple(rows)))
    return sorted(found, key=lambda table: (table.task, -table.clips))


def test_set(run: Run) -> str:
    """What two runs must share to be compared: task, classes, test clips and their labels."""
    predictions = run.evaluation.predictions
    return to_json([run.model.task.name, predictions.classes, predictions.ids, predictions.labels.tolist()])


def _rows(runs: Sequence[Run]) -> list[Row]:
    """Runs that differ in their seed alone become one row."""
    recipes: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run.seed, run.name)):
        alike = recipes.setdefault(_recipe(run), [])
        if run.seed not in {each.seed for each in alike}:
            alike.append(run)
        else:
            recipes[f"{_recipe(run)} {run.name}"] = [run]  # the same recipe and seed: a row of its own
    return [Row(tuple(alike)) for alike in recipes.values()]


def _recipe(run: Run) -> str:
    """All that decided a model but its name and its seed, as text."""
    fit = {key: value for key, value in run.model.parameters["fit"].items() if key != "seed"}
    parameters = {**run.model.parameters, "fit": fit}
    plain = replace(run.model, name="", parameters=parameters, epochs=0, best_epoch=0, validation=None)
    return to_json(asdict(plain))
