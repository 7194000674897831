"""Thresholds from the validation stream: one for all words, and one for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from serving.stream_test.listening import Listened
from serving.stream_test.scoring import Outcome

THRESHOLDS: Final = tuple(round(number, 3) for number in np.arange(0, 1.0001, 0.005).tolist())


class Point(NamedTuple):
    """A row of the curve: what one threshold for all words makes of a stream."""

    threshold: float
    missed: int
    false_accepts: int


def counts(outcome: Outcome) -> tuple[int, int]:
    """Words missed, false accepts."""
    return len(outcome.missed), len(outcome.false_accepts)


def sweep(listened: Listened) -> list[Point]:
    """What every threshold makes of a stream."""
    return [Point(each, *counts(listened.outcome_of_one(each))) for each in THRESHOLDS]


def for_all(points: Sequence[Point], hours: float, false_accepts_per_hour: float) -> float:
    """The lowest threshold from which on no higher one lets pass more per hour; the highest where there is none."""
    passing = {point.threshold: point.false_accepts for point in points}
    return _lowest(sorted(passing), passing.__getitem__, false_accepts_per_hour * hours)


def for_each(listened: Listened, false_accepts_per_hour: float) -> dict[str, float]:
    """A threshold for each word, so that all words together let pass no more per hour.

    Each word has an equal share of the false accepts. Words that hide one another, since after one no other is heard
    for a time, can together let pass more than each alone: then those with most are raised until it is no more.

    Args:
        listened: the validation stream.
        false_accepts_per_hour: of all words together.

    Returns:
        Word → threshold, in order of the model's classes.
    """
    words = listened.scores.words[::-1]
    most = false_accepts_per_hour * listened.stream.hours

    def passing(word: str) -> Callable[[float], int]:
        return lambda threshold: len(listened.outcome({word: threshold}).false_accepts)

    found = {word: _lowest(THRESHOLDS, passing(word), most / len(words)) for word in words}
    while len(accepted := listened.outcome(found).false_accepts) > most:
        heard = Counter(each.heard.word for each in accepted if found[each.heard.word] < THRESHOLDS[-1])
        if not heard:
            break
        ((word, _),) = heard.most_common(1)
        found[word] = THRESHOLDS[THRESHOLDS.index(found[word]) + 1]
    return found


def _lowest(thresholds: Sequence[float], passing: Callable[[float], int], most: float) -> float:
    """The lowest of some ascending thresholds such that neither it nor a higher one lets pass more."""
    found = thresholds[-1]
    for threshold in reversed(thresholds):
        if passing(threshold) > most:
            break
        found = threshold
    return found
