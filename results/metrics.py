"""How well classes are told apart: confusion matrix, precision, recall, F1, the interval of a share, ROC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

Counts: TypeAlias = npt.NDArray[np.int64]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """How many clips of each class were taken for which: int64, (actual, predicted)."""

    counts: Counts

    @staticmethod
    def of(labels: Integers, predictions: Integers, classes: int) -> Confusion:
        """Count pairs.

        Args:
            labels: actual classes, (clips,), in 0..classes-1.
            predictions: predicted classes, likewise.
            classes: number of classes.
        """
        flat = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
        return Confusion(np.bincount(flat, minlength=classes * classes).reshape(classes, classes).astype(np.int64))

    @property
    def clips(self) -> int:
        """All clips."""
        return int(self.counts.sum())

    @property
    def correct(self) -> int:
        """Clips whose class was found."""
        return int(np.trace(self.counts))

    @property
    def accuracy(self) -> float:
        """Share of clips whose class was found, 0..1; the micro F1 is the same number. 0 of no clips."""
        return self.correct / self.clips if self.clips else 0.0

    @property
    def support(self) -> Counts:
        """Clips of each class, (classes,)."""
        support: Counts = self.counts.sum(axis=1)
        return support

    @property
    def recall(self) -> Floats:
        """Of each class's clips the share that was found, 0..1, (classes,); 0 where there are none."""
        return _ratio(np.diag(self.counts), self.counts.sum(axis=1))

    @property
    def precision(self) -> Floats:
        """Of the clips taken for each class the share that is right, 0..1, (classes,); 0 where there are none."""
        return _ratio(np.diag(self.counts), self.counts.sum(axis=0))

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall of each class, 0..1, (classes,); 0 where nothing is found."""
        return _ratio(2 * np.diag(self.counts), self.counts.sum(axis=0) + self.counts.sum(axis=1))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that have clips or were predicted, 0..1."""
        present = (self.counts.sum(axis=0) + self.counts.sum(axis=1)) > 0
        return float(self.f1[present].mean()) if present.any() else 0.0


def _ratio(part: Integers, whole: Integers) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part), np.float64), where=whole > 0)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927), as sound at 0 and 1 as between.

    Args:
        successes: 0..trials.
        trials: any number; of none the interval is (0, 1).

    Returns:
        Lower and upper end, in 0..1.
    """
    if trials == 0:
        return 0.0, 1.0
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic: one point for each threshold, from "none" to "all"; float64, (points,)."""

    false_positive_rate: Floats
    true_positive_rate: Floats
    threshold: Floats

    @property
    def area(self) -> float:
        """Area under the curve, 0..1: the chance that a positive scores above a negative, ties counting half."""
        heights = (self.true_positive_rate[1:] + self.true_positive_rate[:-1]) / 2
        return float(heights @ np.diff(self.false_positive_rate))


def roc(positive: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating[Any]]) -> Roc | None:
    """The curve of a score that should be high for positives (Fawcett, 2006, algorithm 1).

    Args:
        positive: (clips,).
        scores: (clips,), finite.

    Returns:
        The curve, thresholds falling from infinity; None where all or none are positive.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum(hits)[last_of_tie]
    false = last_of_tie + 1 - true
    return Roc(
        false_positive_rate=np.append(0.0, false / negatives),
        true_positive_rate=np.append(0.0, true / positives),
        threshold=np.append(np.inf, ranked[last_of_tie].astype(np.float64)),
    )
