"""Whether one of two models is right more often than the other on the same clips: McNemar's exact test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from base.errors import DataError
from reports.comparison.runs import Run, test_set


@dataclass(frozen=True)
class Paired:
    """The clips that only one of two models classified rightly, and how likely as uneven a division is by chance.

    Attributes:
        only_first, only_second: clips that one was right about and the other wrong.
        p_value: 0..1, of both sides; 1 where there is no such clip.
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> Paired:
    """McNemar's test with exact binomial probabilities (McNemar, 1947; Dietterich, 1998, section 3.1).

    If both models erred equally often, each clip on which they disagree would favor either with probability one half.

    Args:
        first, second: whether each model was right, of the same clips in the same order, (clips,).
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagreements = only_first + only_second
    p_value = float(binomtest(only_first, disagreements, 0.5).pvalue) if disagreements else 1.0
    return Paired(only_first, only_second, p_value)


def compared(first: Run, second: Run) -> Paired:
    """Two runs on the same test clips.

    Raises:
        DataError: they have other tasks, classes or test clips.
    """
    if test_set(first) != test_set(second):
        raise DataError(f"{first.name} and {second.name} can't be compared: {_difference(first, second)}")
    return mcnemar(first.right, second.right)


def _difference(first: Run, second: Run) -> str:
    """In what two test sets differ, and what to do."""
    tasks = first.model.task.name, second.model.task.name
    if tasks[0] != tasks[1]:
        return f"their tasks are {tasks[0]} and {tasks[1]}; train both for the same task"
    one, other = first.evaluation.predictions, second.evaluation.predictions
    if one.classes != other.classes:
        return "their classes differ; train both for the same classes"
    shared = len(set(one.ids) & set(other.ids))
    return (
        f"their test clips differ ({len(one.ids):,} and {len(other.ids):,}, of which {shared:,} are the same); "
        "evaluate both on stores of the same clips and labels"
    )


def sentence(first: Run, second: Run) -> str:
    """What the test says of two runs.

    Raises:
        DataError: they have other tasks, classes or test clips.
    """
    found = compared(first, second)
    return (
        f"{first.name} is right about {first.figures.accuracy:.1%} and {second.name} about "
        f"{second.figures.accuracy:.1%} of the same {first.figures.clips:,} test clips; {found.only_first} clips are "
        f"right with {first.name} alone, {found.only_second} with {second.name} alone; McNemar's exact test: "
        f"{p_text(found.p_value)}"
    )


def p_text(value: float) -> str:
    """A probability with two digits, such as "p = 0.034", or "p < 0.0001"."""
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.2g}"
